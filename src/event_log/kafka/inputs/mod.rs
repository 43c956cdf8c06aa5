//! Other topics, read as a member of a consumer group: the group decides who reads which partition.
//!
//! ```text
//! poll ─► gathered by partition, bounded ─► next ─► (appended elsewhere) ─► commit
//! ```
//!
//! One thread calls everything here. Rebalances come about while it polls, and only then, so between
//! `next` and `commit` no partition changes hands; [`Inputs::hold`] polls while nothing can be
//! appended, and what is revoked meanwhile is no longer [`Inputs::owns`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList};

use crate::config::{BridgeConfig, KafkaConfig};
use crate::domain::position::{Lane, NextOffset, Offset};
use crate::domain::record::RecordBatch;

use super::context::Statistics;
use super::poll::copy_in;
use super::{ConsumeBounds, LogError, settings};

mod inspect;
mod member;
mod owned;
mod status;
mod waiting;

pub use inspect::{InputTopic, inspect_topic};
pub use status::{InputStanding, InputsStatus};

use member::{Change, Member};
use owned::Owned;

/// How long a poll waits.
const POLL_WAIT: Duration = Duration::from_millis(100);
/// How long to go on without polling: far below what makes the group give a member up (5 minutes).
const POLL_WITHIN: Duration = Duration::from_secs(20);
/// How long more records are waited for after the first one: with each batch goes a commit.
const LINGER: Duration = Duration::from_millis(25);
/// How long the group's coordinator may take to say that a commit has been done.
const COMMIT_WAIT: Duration = Duration::from_secs(2);
/// How often it is looked which topics the patterns mean, and how long that may take.
const TOPICS_LOOK: Duration = Duration::from_secs(30);
const TOPICS_WAIT: Duration = Duration::from_secs(5);

/// A partition of an input.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InputPartition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub lane: Lane,
}

/// Records of one partition, following the last ones.
#[derive(Debug)]
pub struct InputBatch {
    /// Where they were read.
    pub from: InputPartition,
    /// By ascending offset.
    pub records: RecordBatch,
    /// Tells a partition that was taken away and given back from one that was kept.
    assignment: u64,
}

/// How far a partition's records are appended.
pub type Reached = BTreeMap<InputPartition, NextOffset>;

/// A member of the group.
pub struct Inputs {
    consumer: BaseConsumer<Member>,
    member: Member,
    config: BridgeConfig,
    group: String,
    bounds: ConsumeBounds,
    owned: BTreeMap<InputPartition, Owned>,
    assignments: u64,
    gathered: BTreeMap<InputPartition, RecordBatch>,
    gathered_records: usize,
    gathered_bytes: usize,
    /// Something may be paused that is to be taken.
    is_held: bool,
    subscribed: Vec<String>,
    /// Subscribed and not told yet.
    new_topics: Vec<String>,
    topics_looked: Option<Instant>,
    /// When rebalances were heard of last.
    polled: Instant,
    status: Arc<InputsStatus>,
}

impl Inputs {
    /// Makes ready to join the group; the brokers may be away.
    ///
    /// # Errors
    /// Settings that librdkafka doesn't take.
    pub fn new(kafka: &KafkaConfig, config: &BridgeConfig, group: &str) -> Result<Self, LogError> {
        settings::check(kafka)?;
        let member = Member::new(group);
        let consumer = settings::create(&settings::member(kafka, group), member.clone())?;
        let bounds = ConsumeBounds {
            records_max: config.batch_records_max,
            bytes_max: config.batch_bytes_max,
        };
        Ok(Self {
            consumer,
            member,
            config: config.clone(),
            group: group.to_owned(),
            bounds,
            owned: BTreeMap::new(),
            assignments: 0,
            gathered: BTreeMap::new(),
            gathered_records: 0,
            gathered_bytes: 0,
            is_held: false,
            subscribed: Vec::new(),
            new_topics: Vec::new(),
            topics_looked: None,
            polled: Instant::now(),
            status: Arc::default(),
        })
    }

    /// How it stands, for other threads.
    pub fn status(&self) -> Arc<InputsStatus> {
        Arc::clone(&self.status)
    }

    /// Topics that are read since the last call.
    pub fn take_new_topics(&mut self) -> Vec<String> {
        std::mem::take(&mut self.new_topics)
    }

    /// What has come; nothing, when nothing came within `wait`.
    ///
    /// # Errors
    /// When the client can't go on, and must be made anew.
    pub fn next(&mut self, wait: Duration) -> Result<Vec<InputBatch>, LogError> {
        self.look_for_topics()?;
        self.release();
        let mut deadline = Instant::now() + wait;
        let mut is_waiting = self.gathered.is_empty();
        while !self.is_full() {
            if is_waiting && !self.gathered.is_empty() {
                deadline = deadline.min(Instant::now() + LINGER);
                is_waiting = false;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.poll(left.min(POLL_WAIT))?;
        }
        (self.gathered_records, self.gathered_bytes) = (0, 0);
        let gathered = std::mem::take(&mut self.gathered).into_iter();
        let batches = gathered.filter_map(|(from, records)| {
            let assignment = self.owned.get(&from)?.assignment;
            Some(InputBatch { from, records, assignment })
        });
        Ok(batches.collect())
    }

    fn is_full(&self) -> bool {
        let ConsumeBounds { records_max, bytes_max } = self.bounds;
        self.gathered_records >= records_max || self.gathered_bytes >= bytes_max
    }

    /// Stays a member for so long without taking anything.
    ///
    /// # Errors
    /// As [`Inputs::next`].
    pub fn hold(&mut self, wait: Duration) -> Result<(), LogError> {
        let deadline = Instant::now() + wait;
        loop {
            self.pause();
            let left = deadline.saturating_duration_since(Instant::now());
            // One at least, so that rebalances are heard of however short the wait.
            self.poll(left.min(POLL_WAIT))?;
            if left.is_zero() {
                return Ok(());
            }
        }
    }

    /// Whether the batch's partition is still ours, and was ours all the time.
    pub fn owns(&self, batch: &InputBatch) -> bool {
        let owned = self.owned.get(&batch.from);
        owned.is_some_and(|owned| owned.assignment == batch.assignment)
    }

    /// Commits how far records are appended. Partitions that are not ours any more are left out:
    /// their new owner says.
    ///
    /// # Errors
    /// Of class Retry where the coordinator did not confirm it.
    pub fn commit(&self, reached: &Reached) -> Result<(), LogError> {
        let mut list = TopicPartitionList::new();
        for (from, next) in reached.iter().filter(|(from, _)| self.owned.contains_key(from)) {
            let offset = KafkaOffset::Offset(i64::try_from(next.0).unwrap_or(i64::MAX));
            list.add_partition_offset(&from.topic, i32::from(from.lane.0), offset)
                .map_err(|error| self.unexpected(&error))?;
        }
        if list.count() == 0 {
            return Ok(());
        }
        let not_committed = |detail: String| LogError::Unreachable {
            topic: format!("of group {}", self.group),
            detail: format!("offsets are not committed: {detail}"),
        };
        // Waiting for a commit has no bound. The coordinator is asked one thing after the other, so
        // what it says is committed tells of the commit before.
        self.consumer
            .commit(&list, CommitMode::Async)
            .map_err(|error| not_committed(error.to_string()))?;
        let confirmed = self
            .consumer
            .committed_offsets(list, COMMIT_WAIT)
            .map_err(|error| not_committed(error.to_string()))?;
        for element in confirmed.elements() {
            let from = InputPartition {
                topic: element.topic().into(),
                lane: Lane(u16::try_from(element.partition()).unwrap_or(u16::MAX)),
            };
            let wanted = reached.get(&from).map_or(0, |next| next.0);
            let is_there = matches!(element.offset(), KafkaOffset::Offset(offset)
                if u64::try_from(offset).is_ok_and(|offset| offset >= wanted));
            if !is_there {
                let detail = format!("partition {} of {}", from.lane, from.topic);
                return Err(not_committed(detail));
            }
        }
        Ok(())
    }

    /// Whether nothing was heard of the group for so long that it should be asked before going on.
    pub fn is_poll_due(&self) -> bool {
        self.polled.elapsed() >= POLL_WITHIN
    }

    fn poll(&mut self, wait: Duration) -> Result<(), LogError> {
        self.polled = Instant::now();
        // The message borrows the consumer, so it is settled before anything else moves.
        let error = match self.consumer.poll(wait) {
            Some(Ok(message)) => {
                if let Some(bytes) = take(&mut self.gathered, &mut self.owned, &message) {
                    self.gathered_records += 1;
                    self.gathered_bytes += bytes;
                }
                None
            }
            Some(Err(error)) => Some(error),
            None => None,
        };
        for change in self.member.take_changes() {
            self.heed(change);
        }
        if let Some(news) = self.member.context().take_news()
            && let Some(statistics) = news.statistics
        {
            self.heed_statistics(&statistics);
            if self.member.context().has_lost_brokers() {
                let detail = "librdkafka knows no broker any more".to_owned();
                return Err(LogError::Unreachable {
                    topic: format!("of group {}", self.group),
                    detail,
                });
            }
        }
        error.map_or(Ok(()), |error| self.heed_error(&error))
    }

    fn heed(&mut self, change: Change) {
        match change {
            Change::Assigned(partitions) => {
                // One that was paused when it was taken away still is.
                self.is_held = true;
                for from in partitions {
                    tracing::info!(
                        topic = &*from.topic,
                        partition = from.lane.0,
                        "bridging a partition"
                    );
                    self.assignments += 1;
                    self.owned.insert(from, Owned::new(self.assignments));
                }
            }
            Change::Revoked(partitions) => {
                for from in partitions {
                    tracing::info!(
                        topic = &*from.topic,
                        partition = from.lane.0,
                        "gave a partition up"
                    );
                    self.owned.remove(&from);
                    // Whoever has it now begins where was committed.
                    self.drop_gathered(&from);
                }
            }
        }
        self.status.rebalanced(&self.owned);
    }

    fn drop_gathered(&mut self, from: &InputPartition) {
        if let Some(dropped) = self.gathered.remove(from) {
            self.gathered_records -= dropped.records.len().min(self.gathered_records);
            self.gathered_bytes -= dropped.arena.len().min(self.gathered_bytes);
        }
    }

    fn heed_statistics(&mut self, statistics: &Statistics) {
        let partition = |from: &InputPartition| {
            let topic = statistics.topics.get(&*from.topic)?;
            topic.partitions.get(&i32::from(from.lane.0))
        };
        let mut away = self.owned.iter().filter(|(from, owned)| {
            let leader = partition(from).map_or(-1, |partition| partition.leader);
            !owned.is_new() && (leader < 0 || !statistics.is_up(leader))
        });
        let trouble = away.next().map(|(from, _)| {
            let why = self.member.context().last_error().map(|error| error.reason);
            why.unwrap_or_else(|| {
                format!("no connection to the leader of {} partition {}", from.topic, from.lane)
            })
        });
        let lags = self.owned.iter_mut().map(|(from, owned)| {
            (&*from.topic, partition(from).and_then(|partition| owned.lag(partition)))
        });
        self.status.measured(lags, trouble);
        if self.status.trouble().is_none() {
            self.member.context().forget_error();
        }
    }

    fn heed_error(&mut self, error: &KafkaError) -> Result<(), LogError> {
        if let KafkaError::MessageConsumptionFatal(_) = error {
            return Err(self.unexpected(error));
        }
        let reason = self.member.context().last_error().map(|error| error.reason);
        let code = error.rdkafka_error_code();
        if code == Some(RDKafkaErrorCode::PollExceeded) {
            tracing::warn!(
                group = self.group,
                "the bridge was too slow, and joins its group again"
            );
        }
        self.status.in_trouble(reason.unwrap_or_else(|| error.to_string()));
        Ok(())
    }

    /// What was fetched of a paused partition is fetched again, from the record after the last one
    /// that was taken.
    fn pause(&mut self) {
        let paused = self.consumer.assignment().and_then(|all| self.consumer.pause(&all));
        if let Err(error) = paused {
            tracing::debug!(%error, "the inputs are not paused");
        }
        self.is_held = true;
    }

    fn release(&mut self) {
        if !self.is_held {
            return;
        }
        let mut list = TopicPartitionList::new();
        for (from, _) in self.owned.iter().filter(|(_, owned)| !owned.waits()) {
            list.add_partition(&from.topic, i32::from(from.lane.0));
        }
        match self.consumer.resume(&list) {
            Ok(()) => self.is_held = false,
            Err(error) => tracing::debug!(%error, "the inputs are not resumed"),
        }
    }

    /// Subscribes what the configuration names, and what its patterns mean by now.
    fn look_for_topics(&mut self) -> Result<(), LogError> {
        let is_due = match self.topics_looked {
            Some(looked) => self.config.has_patterns() && looked.elapsed() >= TOPICS_LOOK,
            None => true,
        };
        if !is_due {
            return Ok(());
        }
        self.topics_looked = Some(Instant::now());
        let mut topics: Vec<String> = self.config.names().map(str::to_owned).collect();
        if self.config.has_patterns() {
            match self.consumer.client().fetch_metadata(None, TOPICS_WAIT) {
                Ok(metadata) => {
                    let all = metadata.topics().iter().map(|topic| topic.name());
                    topics.extend(
                        all.filter(|name| self.config.input(name).is_some()).map(str::to_owned),
                    );
                }
                Err(error) => {
                    // What was found before is still there.
                    topics.extend(self.subscribed.iter().cloned());
                    self.status.in_trouble(format!("the brokers' topics are not known: {error}"));
                }
            }
        }
        topics.sort();
        topics.dedup();
        if topics == self.subscribed || topics.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        self.consumer.subscribe(&names).map_err(|error| self.unexpected(&error))?;
        let is_new = |topic: &&String| !self.subscribed.contains(topic);
        self.new_topics.extend(topics.iter().filter(is_new).cloned());
        self.subscribed = topics;
        Ok(())
    }

    fn unexpected(&self, error: &KafkaError) -> LogError {
        LogError::Failed { topic: format!("of group {}", self.group), detail: error.to_string() }
    }
}

/// Copies a record into its partition's batch; its bytes there, unless it is none of ours.
fn take(
    gathered: &mut BTreeMap<InputPartition, RecordBatch>,
    owned: &mut BTreeMap<InputPartition, Owned>,
    message: &BorrowedMessage<'_>,
) -> Option<usize> {
    let lane = Lane(u16::try_from(message.partition()).ok()?);
    let from = InputPartition { topic: message.topic().into(), lane };
    let owned = owned.get_mut(&from).filter(|owned| !owned.waits())?;
    let offset = Offset(u64::try_from(message.offset()).ok()?);
    // librdkafka has been known to repeat records after a resume.
    if offset.0 < owned.next.0 {
        return None;
    }
    owned.next = offset.next();
    let batch = gathered.entry(from).or_insert_with(|| RecordBatch::new(lane));
    let before = batch.arena.len();
    copy_in(batch, offset, message.timestamp().to_millis().unwrap_or(-1), message);
    Some(batch.arena.len() - before)
}

impl std::fmt::Debug for Inputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inputs").field("group", &self.group).finish_non_exhaustive()
    }
}
