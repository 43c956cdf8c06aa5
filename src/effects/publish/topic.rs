//! A topic that is written for others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::KafkaConfig;
use crate::domain::Class;
use crate::domain::founding::Founding;
use crate::effects::cloud_event::CONTENT_TYPE;
use crate::effects::follower::Answer;
use crate::event_log::kafka::{KafkaLog, Purpose};
use crate::event_log::{EventLog, LogError, NewRecord};
use crate::ingest::now_ms;

/// A topic, and how it is made where it is missing.
#[derive(Clone)]
pub struct Topic {
    name: Arc<str>,
    log: Arc<KafkaLog>,
    purpose: Purpose,
    /// A topic that is made has as many partitions as it has homes, and the same keys in each.
    contacts: EventLog,
    is_ready: Arc<AtomicBool>,
}

impl Topic {
    /// Checks the configuration; the brokers are not asked yet.
    ///
    /// # Errors
    /// A configuration that can't work.
    pub fn open(
        config: &KafkaConfig,
        purpose: Purpose,
        contacts: EventLog,
    ) -> Result<Self, LogError> {
        let log = Arc::new(KafkaLog::open_for(config, purpose)?);
        let name = config.topic.as_str().into();
        Ok(Self { name, log, purpose, contacts, is_ready: Arc::default() })
    }

    /// Makes it where it is missing. Blocks.
    ///
    /// # Errors
    /// Where it can't be asked for, or is of no use as it is.
    pub fn prepare(&self) -> Result<(), LogError> {
        if self.is_ready.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Founding { partitioner, lanes: homes } = self.contacts.founding()?;
        let lanes = self.log.lanes_or_make(|| Ok(self.purpose.plan(homes, None)))?;
        self.log.found(&Founding::first(partitioner, lanes));
        self.is_ready.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// An answer each.
    pub(super) async fn append(&self, records: Vec<NewRecord>) -> Vec<Answer> {
        let count = records.len();
        self.try_append(records).await.unwrap_or_else(|error| vec![answer(&error); count])
    }

    async fn try_append(&self, records: Vec<NewRecord>) -> Result<Vec<Answer>, LogError> {
        let topic = self.clone();
        let prepared = tokio::task::spawn_blocking(move || topic.prepare()).await;
        prepared.map_err(|_ended| LogError::Panicked {
            topic: self.name.to_string(),
            thread: "preparing",
        })??;
        let outcomes = self.log.append_each(records).await?;
        let answered = |outcome: Result<_, LogError>| match outcome {
            Ok(_ack) => Answer::Delivered,
            Err(error) => answer(&error),
        };
        Ok(outcomes.into_iter().map(answered).collect())
    }
}

/// What the brokers will never take blames the record, anything else all of them.
fn answer(error: &LogError) -> Answer {
    match error.class() {
        Class::Poison => Answer::Refused(error.to_string()),
        Class::Retry | Class::Fatal => Answer::Down { why: error.to_string(), after: None },
    }
}

/// A record of an event, keyed by its contact.
pub(super) fn record(
    contact_id: &str,
    attributes: Vec<(&'static str, String)>,
    data: Option<Vec<u8>>,
) -> NewRecord {
    let mut headers: Vec<_> = attributes
        .into_iter()
        .map(|(name, value)| (format!("ce_{name}"), Some(value.into_bytes())))
        .collect();
    if data.is_some() {
        headers.push(("content-type".to_owned(), Some(CONTENT_TYPE.as_bytes().to_vec())));
    }
    NewRecord {
        key: contact_id.as_bytes().to_vec(),
        value: data,
        headers,
        timestamp_ms: i64::try_from(now_ms()).unwrap_or(i64::MAX),
        lane: None,
    }
}
