//! What is wrong with a topic, for whoever looks for faults: asked and tried, and nothing is left behind.

use std::time::Duration;

use rdkafka::Message as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::Offset as KafkaOffset;

use super::context::is_refusal;
use super::produce::block_on;
use super::settings::{self, Packing};
use super::{KafkaLog, LogError};

/// How long reading the newest records may take.
const NEWEST_WAIT: Duration = Duration::from_secs(3);
/// How long a record may take to be refused.
const TRY_WAIT: Duration = Duration::from_secs(5);
/// Bytes beyond what a topic takes, and the largest record that is tried.
const TRY_BEYOND: usize = 4096;
const TRY_BYTES_MAX: usize = 16 << 20;

/// How the partitions of a topic are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicHealth {
    /// How many there are.
    pub partitions: usize,
    /// Those that no broker leads.
    pub leaderless: usize,
    /// Those of which a copy is behind or away.
    pub short_of_copies: usize,
    /// Copies of the partition that has fewest.
    pub copies_min: usize,
}

/// Whether records may be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MayAppend {
    /// The brokers would take them.
    Yes,
    /// They refuse.
    No(String),
    /// That can't be tried without leaving a record.
    NotTried(String),
}

impl KafkaLog {
    /// How a topic's partitions are kept, as the brokers tell.
    ///
    /// # Errors
    /// When they can't be asked, or there is no such topic.
    pub fn health_of(&self, topic: &str) -> Result<TopicHealth, LogError> {
        self.topic.brokers.topic_metadata(topic, |found| {
            let partitions = found.partitions();
            let is_short = |copies: &&rdkafka::metadata::MetadataPartition| {
                copies.isr().len() < copies.replicas().len()
            };
            TopicHealth {
                partitions: partitions.len(),
                leaderless: partitions.iter().filter(|partition| partition.leader() < 0).count(),
                short_of_copies: partitions.iter().filter(is_short).count(),
                copies_min: partitions.iter().map(|it| it.replicas().len()).min().unwrap_or(0),
            }
        })
    }

    /// The latest time of the partitions' newest records, in milliseconds since 1970; none: there are no
    /// records. Blocks for some seconds at most.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn newest_time_ms(&self) -> Result<Option<u64>, LogError> {
        let mut newest = None;
        let lanes = self.lanes()?;
        let tail = KafkaOffset::OffsetTail(1);
        self.topic.brokers.read_from(tail, lanes, NEWEST_WAIT, |_, message| {
            let time = message.timestamp().to_millis().and_then(|ms| u64::try_from(ms).ok());
            newest = newest.max(time);
            true
        })?;
        Ok(newest)
    }

    /// Tries to append a record that is larger than the topic takes: who may not write is told that first,
    /// and who may is told that it is too large, so nothing is ever kept of it.
    ///
    /// # Errors
    /// When the brokers can't be asked.
    pub fn may_append_to(&self, topic: &str) -> Result<MayAppend, LogError> {
        let config = &self.topic.config;
        let cluster = self.topic.known()?.identity.cluster;
        let Some(bytes_max) = self.topic.settings(topic, &cluster).record_bytes_max else {
            let why = "the brokers don't say how large its records may be";
            return Ok(MayAppend::NotTried(why.to_owned()));
        };
        let bytes = bytes_max.saturating_add(TRY_BEYOND);
        if bytes > TRY_BYTES_MAX {
            return Ok(MayAppend::NotTried(format!("its records may have {bytes_max} bytes")));
        }
        let mut own = settings::producer(config, bytes_max, Packing::Plain, TRY_WAIT);
        own.set("enable.idempotence", "false")
            .set("compression.type", "none")
            .set("message.max.bytes", bytes.saturating_add(TRY_BEYOND).to_string())
            .set("batch.size", bytes.saturating_add(TRY_BEYOND).to_string())
            .set("retries", "0");
        let producer: FutureProducer =
            own.create().map_err(|error| settings::refused_settings(&error))?;
        let value = vec![0; bytes];
        let record = FutureRecord::<[u8], [u8]>::to(topic).partition(0).payload(&value);
        let unreachable =
            |detail: String| LogError::Unreachable { topic: topic.to_owned(), detail };
        let sent = producer.send_result(record);
        let sent = sent.map_err(|(error, _)| unreachable(error.to_string()))?;
        match block_on(sent).map_err(|_closed| unreachable("no answer came".to_owned()))? {
            Ok(_) => Ok(MayAppend::Yes),
            Err((error, _)) => match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::MessageSizeTooLarge) => Ok(MayAppend::Yes),
                Some(code) if is_refusal(code) => Ok(MayAppend::No(code.to_string())),
                _ => Err(unreachable(said(&error))),
            },
        }
    }
}

fn said(error: &KafkaError) -> String {
    error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string())
}
