//! The follower `publish_changes`: every change goes to a topic, as the feed tells it.

use crate::effects::cloud_event::{CloudEvent, still_said};
use crate::effects::follower::{Answer, Delivery, Picked, Row, Sink};
use crate::store::journal::Entry;
use crate::store::{Reader, StoreError};

use super::topic::{Topic, record};

/// Changes that are appended together.
const AT_ONCE: usize = 200;

/// Publishes changes.
pub struct ChangePublisher {
    topic: Topic,
    reader: Reader,
}

impl ChangePublisher {
    /// To a topic.
    pub fn new(topic: Topic, reader: Reader) -> Self {
        Self { topic, reader }
    }

    /// The follower's row.
    pub fn row() -> Row {
        let name = "publish_changes";
        Row { at_once: AT_ONCE, ..Row::new(name, name, "Publishes every change to a Kafka topic.") }
    }
}

impl Sink for ChangePublisher {
    type Item = CloudEvent;

    fn pick(&self, entry: &Entry<'_>) -> Option<Picked<CloudEvent>> {
        CloudEvent::pick(entry, &self.reader)
    }

    async fn deliver(&self, deliveries: &[Delivery<CloudEvent>]) -> Vec<Answer> {
        let said = match still_said(&self.reader, deliveries).await {
            Ok(said) => said,
            Err(why) => return vec![Answer::Down { why, after: None }; deliveries.len()],
        };
        let told = deliveries.iter().zip(&said).filter(|(_, is_said)| **is_said);
        let records = told.map(|(delivery, _)| {
            let data = delivery.item.data.clone();
            record(delivery.item.contact_id(), CloudEvent::attributes(delivery), Some(data))
        });
        let mut answers = self.topic.append(records.collect()).await.into_iter();
        let missing = || Answer::Down { why: "the topic gave no answer".to_owned(), after: None };
        let answer = |is_said: bool| {
            if is_said { answers.next().unwrap_or_else(missing) } else { Answer::Delivered }
        };
        said.into_iter().map(answer).collect()
    }

    fn tells_states(&self) -> bool {
        true
    }

    fn present(
        &self,
        reader: &Reader,
        key: &str,
    ) -> Result<Option<Picked<CloudEvent>>, StoreError> {
        CloudEvent::present(reader, key)
    }
}
