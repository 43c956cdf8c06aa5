//! Questions to the brokers beside the stream of records: which topic this is, what its lanes hold,
//! one record, the commit for lag tools.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::metadata::MetadataTopic;
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList};
use rdkafka::{ClientConfig, Message};

use crate::config::KafkaConfig;
use crate::domain::position::{CONTROL_LANE, Lane, NextOffset, Offset};

use super::assign::{assign, unassign};
use super::context::{TopicContext, code_of, is_missing_topic, is_refusal};
use super::{LogError, StoredRecord, Watermarks, settings};

/// How long a question may take.
const REQUEST_WAIT: Duration = Duration::from_secs(5);
/// How long questions may go unanswered while others hear the brokers.
const LOST_AFTER: Duration = Duration::from_secs(15);
/// How long one record may take to come.
const RECORD_WAIT: Duration = Duration::from_secs(10);
/// Between two looks for it.
const RECORD_LOOK: Duration = Duration::from_millis(100);

/// How long nothing more must come to count as all heard: with no wait at all, a poll ends at the
/// first log line.
const DRAIN_WAIT: Duration = Duration::from_millis(2);

/// A consumer that follows nothing.
pub(super) struct Brokers {
    topic: String,
    control_topic: String,
    settings: ClientConfig,
    client: Mutex<Arc<BaseConsumer<TopicContext>>>,
    context: TopicContext,
    /// Whether those who follow the topic hear the brokers.
    heard: Arc<AtomicBool>,
    /// Since when questions have had no answer although others hear the brokers.
    unanswered_since: Mutex<Option<Instant>>,
    /// Held while something is assigned.
    reading: Mutex<()>,
    /// What was committed last, until the brokers are known to have it.
    committed: Mutex<Option<TopicPartitionList>>,
}

impl Drop for Brokers {
    /// librdkafka closes a consumer only when its commits are answered, which while the brokers are
    /// away takes minutes: such a one is left to the end of the process.
    fn drop(&mut self) {
        if self.committed.get_mut().is_some() {
            std::mem::forget(self.client());
        }
    }
}

/// What the metadata says.
pub(super) struct TopicMetadata {
    pub(super) cluster: String,
    pub(super) lanes: u16,
}

/// A record with its place.
pub(super) struct Sample {
    pub(super) lane: Lane,
    pub(super) key: Vec<u8>,
}

impl Brokers {
    pub(super) fn new(config: &KafkaConfig) -> Result<Self, LogError> {
        let context = TopicContext::new(&config.topic);
        let settings = settings::reader(config);
        let client = settings::create(&settings, context.clone())?;
        Ok(Self {
            topic: config.topic.clone(),
            control_topic: config.control_topic.clone(),
            settings,
            client: Mutex::new(Arc::new(client)),
            context,
            heard: Arc::default(),
            unanswered_since: Mutex::new(None),
            reading: Mutex::new(()),
            committed: Mutex::new(None),
        })
    }

    fn client(&self) -> Arc<BaseConsumer<TopicContext>> {
        Arc::clone(&self.client.lock())
    }

    /// Set by those who follow the topic: whether they hear the brokers.
    pub(super) fn heard(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.heard)
    }

    /// A client that has no answer for long, from brokers that others hear, has lost them (see
    /// [`TopicContext::has_lost_brokers`]) and is made anew.
    fn answered<T>(&self, answer: Result<T, LogError>) -> Result<T, LogError> {
        let mut since = self.unanswered_since.lock();
        let is_deaf = matches!(answer, Err(LogError::Unreachable { .. }))
            && self.heard.load(Ordering::Relaxed);
        if !is_deaf {
            *since = None;
        } else if since.get_or_insert_with(Instant::now).elapsed() >= LOST_AFTER
            && let Some(_nobody_reads) = self.reading.try_lock()
            && let Ok(client) = settings::create(&self.settings, self.context.clone())
        {
            tracing::warn!(
                topic = self.topic,
                "others hear the brokers; the client for questions is made anew"
            );
            *since = None;
            let old = std::mem::replace(&mut *self.client.lock(), Arc::new(client));
            // It may wait for minutes for its commits.
            std::thread::spawn(|| drop(old));
        }
        answer
    }

    /// Hears what the client has to say, lest it pile up. Whoever holds `reading` polls already.
    fn serve(&self) {
        if let Some(_nobody_reads) = self.reading.try_lock() {
            self.drain();
        }
    }

    /// Topic and partition of a lane.
    fn address(&self, lane: Lane) -> (&str, i32) {
        match lane {
            CONTROL_LANE => (&self.control_topic, 0),
            lane => (&self.topic, i32::from(lane.0)),
        }
    }

    pub(super) fn metadata(&self) -> Result<TopicMetadata, LogError> {
        let lanes = self.partitions(&self.topic)?;
        let cluster = self.client().client().fetch_cluster_id(REQUEST_WAIT).unwrap_or_default();
        Ok(TopicMetadata { cluster, lanes })
    }

    /// How many partitions a topic has.
    pub(super) fn partitions(&self, name: &str) -> Result<u16, LogError> {
        match u16::try_from(self.topic_metadata(name, |topic| topic.partitions().len())?) {
            Ok(0) => Err(missing(name)),
            Ok(lanes) => Ok(lanes),
            Err(_) => {
                let detail = format!("topic {name} has too many partitions");
                Err(LogError::Configuration { detail })
            }
        }
    }

    /// What the brokers tell of a topic.
    pub(super) fn topic_metadata<T>(
        &self,
        name: &str,
        look: impl FnOnce(&MetadataTopic) -> T,
    ) -> Result<T, LogError> {
        self.answered(self.ask_for_topic(name, look))
    }

    fn ask_for_topic<T>(
        &self,
        name: &str,
        look: impl FnOnce(&MetadataTopic) -> T,
    ) -> Result<T, LogError> {
        self.context.forget_error();
        let answer = self.client().client().fetch_metadata(Some(name), REQUEST_WAIT);
        self.serve();
        let metadata = answer.map_err(|error| self.failure(name, &error))?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == name);
        let Some(topic) = topic else {
            return Err(missing(name));
        };
        if let Some(error) = topic.error() {
            return Err(self.code_failure(name, code_of(error), "metadata"));
        }
        Ok(look(topic))
    }

    pub(super) fn watermarks(&self, lane: Lane) -> Result<Watermarks, LogError> {
        let (topic, partition) = self.address(lane);
        let answer = self.client().client().fetch_watermarks(topic, partition, REQUEST_WAIT);
        self.serve();
        let (low, high) = self.answered(answer.map_err(|error| self.failure(topic, &error)))?;
        Ok(Watermarks {
            low: Offset(u64::try_from(low).unwrap_or(0)),
            high: NextOffset(u64::try_from(high).unwrap_or(0)),
        })
    }

    /// One record; `None` when the lane doesn't hold this offset.
    pub(super) fn read_one(
        &self,
        lane: Lane,
        offset: Offset,
    ) -> Result<Option<StoredRecord>, LogError> {
        let held = self.watermarks(lane)?;
        if offset < held.low || offset.next() > held.high {
            return Ok(None);
        }
        let _reading = self.reading.lock();
        self.assign([(lane, KafkaOffset::Offset(i64::try_from(offset.0).unwrap_or(i64::MAX)))])?;
        let found = self.poll_for(lane, offset);
        self.unassign();
        found
    }

    fn poll_for(&self, lane: Lane, offset: Offset) -> Result<Option<StoredRecord>, LogError> {
        let (topic, partition) = self.address(lane);
        let deadline = Instant::now() + RECORD_WAIT;
        while Instant::now() < deadline {
            match self.client().poll(RECORD_LOOK) {
                Some(Ok(message)) if message.partition() == partition => {
                    // Another one comes first where a transaction was aborted.
                    let is_it = u64::try_from(message.offset()) == Ok(offset.0);
                    return Ok(is_it.then(|| StoredRecord {
                        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
                        key: message.key().map(<[u8]>::to_vec),
                        value: message.payload().map(<[u8]>::to_vec),
                    }));
                }
                Some(Err(KafkaError::PartitionEOF(ended))) if ended == partition => {
                    return Ok(None);
                }
                Some(Err(error)) => {
                    if let Some(code) = error.rdkafka_error_code()
                        && matches!(
                            code,
                            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange
                        )
                    {
                        return Ok(None);
                    }
                    self.stop_on_refusal(topic, &error)?;
                }
                Some(Ok(_)) | None => {}
            }
        }
        let detail = format!("partition {partition} offset {offset} did not come in time");
        Err(unreachable(topic, detail))
    }

    /// Hands over a lane's records from its start to the end that committed readers may see.
    pub(super) fn read_lane(
        &self,
        lane: Lane,
        mut take: impl FnMut(&BorrowedMessage<'_>),
    ) -> Result<(), LogError> {
        let (topic, partition) = self.address(lane);
        let _reading = self.reading.lock();
        self.assign([(lane, KafkaOffset::Beginning)])?;
        let mut deadline = Instant::now() + RECORD_WAIT;
        let read = loop {
            if Instant::now() >= deadline {
                break Err(unreachable(topic, "its records did not come in time".to_owned()));
            }
            match self.client().poll(RECORD_LOOK) {
                Some(Ok(message)) => {
                    deadline = Instant::now() + RECORD_WAIT;
                    take(&message);
                }
                Some(Err(KafkaError::PartitionEOF(ended))) if ended == partition => break Ok(()),
                Some(Err(error)) => {
                    if let Err(error) = self.stop_on_refusal(topic, &error) {
                        break Err(error);
                    }
                }
                None => {}
            }
        };
        self.unassign();
        read
    }

    /// Hands over records of every lane from there on, until `take` wants no more, there is nothing
    /// more, or `wait` is over.
    pub(super) fn read_from(
        &self,
        from: KafkaOffset,
        lanes: u16,
        wait: Duration,
        mut take: impl FnMut(Lane, &BorrowedMessage<'_>) -> bool,
    ) -> Result<(), LogError> {
        let _reading = self.reading.lock();
        self.assign((0..lanes).map(|lane| (Lane(lane), from)))?;
        let deadline = Instant::now() + wait;
        let mut ended = 0;
        while ended < lanes && Instant::now() < deadline {
            match self.client().poll(RECORD_LOOK) {
                Some(Ok(message)) => {
                    if let Ok(lane) = u16::try_from(message.partition())
                        && !take(Lane(lane), &message)
                    {
                        break;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
                Some(Err(error)) => self.stop_on_refusal(&self.topic, &error)?,
                None => {}
            }
        }
        self.unassign();
        Ok(())
    }

    /// Tells the group's coordinator, without waiting for its answer.
    pub(super) fn commit(&self, next: &BTreeMap<Lane, NextOffset>) -> Result<(), LogError> {
        self.serve();
        let mut list = TopicPartitionList::new();
        for (lane, next) in next {
            let offset = KafkaOffset::Offset(i64::try_from(next.0).unwrap_or(i64::MAX));
            let (topic, partition) = self.address(*lane);
            list.add_partition_offset(topic, partition, offset)
                .map_err(|error| self.failure(topic, &error))?;
        }
        let committed = self.client().commit(&list, CommitMode::Async);
        committed.map_err(|error| self.failure(&self.topic, &error))?;
        *self.committed.lock() = Some(list);
        Ok(())
    }

    /// Waits until the last commit is answered, at most `wait`. librdkafka tells nobody of an answer,
    /// but asks the coordinator one thing after the other: when it says what is committed, it has
    /// heard of the commit before.
    pub(super) fn wait_for_commit(&self, wait: Duration) {
        let mut committed = self.committed.lock();
        let Some(list) = committed.as_ref() else { return };
        match self.client().committed_offsets(list.clone(), wait) {
            Ok(_) => *committed = None,
            Err(error) => tracing::debug!(
                topic = self.topic, %error, "the last offsets for lag tools may be missing"
            ),
        }
    }

    fn assign(&self, lanes: impl IntoIterator<Item = (Lane, KafkaOffset)>) -> Result<(), LogError> {
        let mut list = TopicPartitionList::new();
        for (lane, offset) in lanes {
            let (topic, partition) = self.address(lane);
            list.add_partition_offset(topic, partition, offset)
                .map_err(|error| self.failure(topic, &error))?;
        }
        assign(&self.client(), &list).map_err(|error| self.failure(&self.topic, &error))
    }

    fn unassign(&self) {
        if let Err(error) = unassign(&self.client()) {
            tracing::debug!(topic = self.topic, %error, "unassign");
        }
        // What was fetched for it is not to be taken for the next one's.
        self.drain();
    }

    fn drain(&self) {
        while self.client().poll(DRAIN_WAIT).is_some() {}
    }

    fn stop_on_refusal(&self, topic: &str, error: &KafkaError) -> Result<(), LogError> {
        match error.rdkafka_error_code() {
            Some(code) if is_refusal(code) || is_missing_topic(code) => {
                Err(self.failure(topic, error))
            }
            _ => Ok(()),
        }
    }

    /// What an error means; for a mere timeout the client's last error says why.
    fn failure(&self, topic: &str, error: &KafkaError) -> LogError {
        match error.rdkafka_error_code() {
            Some(code) => self.code_failure(topic, code, &error.to_string()),
            None => unreachable(topic, error.to_string()),
        }
    }

    fn code_failure(&self, topic: &str, code: RDKafkaErrorCode, what: &str) -> LogError {
        let last = self.context.last_error();
        let last_code = last.as_ref().and_then(|error| error.code);
        let detail = last.map_or_else(|| format!("{what}: {code}"), |error| error.reason);
        if is_missing_topic(code) {
            missing(topic)
        } else if is_refusal(code) || last_code.is_some_and(is_refusal) {
            LogError::Refused { topic: topic.to_owned(), detail }
        } else {
            unreachable(topic, detail)
        }
    }
}

fn missing(topic: &str) -> LogError {
    LogError::MissingTopic { topic: topic.to_owned() }
}

fn unreachable(topic: &str, detail: String) -> LogError {
    LogError::Unreachable { topic: topic.to_owned(), detail }
}
