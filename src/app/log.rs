//! Which contact log the configuration means.

use std::sync::Arc;

use crate::config::Config;
use crate::event_log::embedded::{EmbeddedLog, EmbeddedOptions};
use crate::event_log::kafka::KafkaLog;
use crate::event_log::{EventLog, LogError, NewRecord};
use crate::simulate::LoadRecord;

/// Opens the contact log for reading and writing. With Kafka nothing is asked of the brokers yet.
///
/// # Errors
/// A configuration that can't work; an embedded log that is damaged, or written by another process.
pub fn open_log(config: &Config) -> Result<EventLog, LogError> {
    if config.follows_kafka() {
        return Ok(EventLog::Kafka(Arc::new(KafkaLog::open(&config.kafka)?)));
    }
    let options = EmbeddedOptions::new(&config.embedded_log, &config.kafka.topic);
    Ok(EventLog::Embedded(Arc::new(EmbeddedLog::open(options)?)))
}

impl From<LoadRecord> for NewRecord {
    fn from(made: LoadRecord) -> Self {
        Self {
            key: made.key,
            value: made.value,
            headers: made.headers,
            timestamp_ms: made.timestamp_ms,
            lane: None,
        }
    }
}
