//! The follower `publish_state`: a compacted topic has every contact as it is, and null where it is deleted.
//!
//! What is told is read when it is told, so a late record never has an older state than the one before it of
//! the same instance.

use crate::domain::contact::{Status, write_json};
use crate::effects::cloud_event::Attributes;
use crate::effects::follower::{Answer, Change, Delivery, Picked, Row, Sink, Start};
use crate::event_log::NewRecord;
use crate::store::journal::Entry;
use crate::store::{Reader, StoreError};

use super::topic::{Topic, record};

/// Contacts that are appended together.
const AT_ONCE: usize = 200;
/// What the feed calls a contact as it is.
const TYPE: &str = "contact.state";

/// Publishes contacts as they are.
pub struct StatePublisher {
    topic: Topic,
    reader: Reader,
}

impl StatePublisher {
    /// To a topic, from a store.
    pub fn new(topic: Topic, reader: Reader) -> Self {
        Self { topic, reader }
    }

    /// The follower's row. A topic that lacks contacts would be of no use.
    pub fn row() -> Row {
        let name = "publish_state";
        let about = "Publishes every contact as it is to a compacted Kafka topic.";
        Row { start: Start::Contacts, at_once: AT_ONCE, ..Row::new(name, name, about) }
    }

    async fn records(&self, ids: Vec<String>) -> Result<Vec<NewRecord>, String> {
        let reader = self.reader.clone();
        let read = tokio::task::spawn_blocking(move || {
            let log = reader.position().log;
            let records = ids.iter().map(|id| state(&reader, log, id));
            records.collect::<Result<Vec<_>, String>>()
        });
        read.await.map_err(|error| error.to_string())?
    }
}

/// Under an id that the same state always has.
fn state(reader: &Reader, log: u64, id: &str) -> Result<NewRecord, String> {
    let failed = |error: StoreError| error.to_string();
    let contact = reader.contact(id.as_bytes()).map_err(failed)?;
    let view = contact.as_ref().map(|contact| contact.view()).transpose();
    let view = view.map_err(|error| error.to_string())?;
    let (version, time_us) =
        view.as_ref().map_or((0, 0), |view| (view.version(), view.updated_at_us().unwrap_or(0)));
    let data = view.as_ref().filter(|view| view.status() == Status::Active).map(|view| {
        let mut data = Vec::new();
        write_json(id, view, &mut data);
        data
    });
    let of = Attributes {
        id: &format!("state-{log:016x}-{id}-v{version}"),
        kind: TYPE,
        source: "",
        subject: id,
        time_us,
        version,
    };
    Ok(record(id, of.list(), data))
}

impl Sink for StatePublisher {
    type Item = ();

    fn pick(&self, entry: &Entry<'_>) -> Option<Picked<()>> {
        let Change { id, view, .. } = Change::of(entry)?;
        Some(Picked { key: id.to_owned(), version: view.version(), bytes: id.len(), item: () })
    }

    async fn deliver(&self, deliveries: &[Delivery<()>]) -> Vec<Answer> {
        let ids = deliveries.iter().map(|delivery| delivery.key.clone()).collect();
        match self.records(ids).await {
            Ok(records) => self.topic.append(records).await,
            Err(why) => vec![Answer::Down { why, after: None }; deliveries.len()],
        }
    }

    fn tells_states(&self) -> bool {
        true
    }

    fn present(&self, reader: &Reader, key: &str) -> Result<Option<Picked<()>>, StoreError> {
        let Some(contact) = reader.contact(key.as_bytes())? else {
            return Ok(None);
        };
        let version = contact.view().map_or(0, |view| view.version());
        Ok(Some(Picked { key: key.to_owned(), version, bytes: key.len(), item: () }))
    }
}
