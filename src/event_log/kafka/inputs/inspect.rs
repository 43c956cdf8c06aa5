//! What a topic is like, before its events are bridged: asked once, for a line in the log.

use std::time::Duration;

use rdkafka::Message;
use rdkafka::topic_partition_list::Offset as KafkaOffset;

use crate::config::KafkaConfig;
use crate::domain::position::{Lane, Offset};
use crate::domain::record::RecordBatch;
use crate::event_log::LogError;
use crate::event_log::kafka::admin::{Admin, is_compacted};
use crate::event_log::kafka::brokers::Brokers;
use crate::event_log::kafka::poll::copy_in;

/// Records that are looked at, bytes of them, and how long that may take.
const SAMPLE_RECORDS_MAX: usize = 500;
const SAMPLE_BYTES_MAX: usize = 4 << 20;
const SAMPLE_WAIT: Duration = Duration::from_secs(3);

/// A topic's settings, and some of its records.
#[derive(Debug)]
pub struct InputTopic {
    /// How many there are.
    pub partitions: u16,
    /// Where the brokers tell.
    pub cleanup_policy: Option<String>,
    /// From the start of each partition, in the order in which they came.
    pub samples: Vec<RecordBatch>,
}

impl InputTopic {
    /// Whether all but the last record of a key may be dropped.
    pub fn is_compacted(&self) -> bool {
        self.cleanup_policy.as_deref().is_some_and(is_compacted)
    }
}

/// Asks the brokers about a topic and reads a few of its records. Blocks for some seconds at most.
///
/// # Errors
/// When they can't be asked, or there is no such topic.
pub fn inspect_topic(config: &KafkaConfig, topic: &str) -> Result<InputTopic, LogError> {
    let config = KafkaConfig { topic: topic.to_owned(), ..config.clone() };
    let brokers = Brokers::new(&config)?;
    let metadata = brokers.metadata()?;
    let cleanup_policy = if metadata.cluster.starts_with("mockCluster") {
        // It never answers this question.
        None
    } else {
        let admin = Admin::new(&config, topic)?;
        // Not everyone may ask.
        let settings = admin.settings().ok();
        admin.close();
        settings.and_then(|settings| settings.cleanup_policy)
    };
    let mut samples: Vec<RecordBatch> =
        (0..metadata.lanes).map(|lane| RecordBatch::new(Lane(lane))).collect();
    let mut records = 0;
    let mut bytes = 0;
    brokers.read_from(KafkaOffset::Beginning, metadata.lanes, SAMPLE_WAIT, |lane, message| {
        let offset = Offset(u64::try_from(message.offset()).unwrap_or(0));
        let timestamp_ms = message.timestamp().to_millis().unwrap_or(-1);
        if let Some(batch) = samples.get_mut(usize::from(lane.0)) {
            copy_in(batch, offset, timestamp_ms, message);
        }
        records += 1;
        bytes += message.payload_len();
        records < SAMPLE_RECORDS_MAX && bytes < SAMPLE_BYTES_MAX
    })?;
    samples.retain(|batch| !batch.records.is_empty());
    Ok(InputTopic { partitions: metadata.lanes, cleanup_policy, samples })
}
