//! The contact log as a Kafka topic; the only place that knows rdkafka.
//!
//! ```text
//! append ─► produce (idempotent, acks=all) ─► brokers ─► poll (one thread, all lanes) ─► DeliverySender
//!                 admin (topics ensure) ──────┤ ├────── brokers (identity, watermarks, one record)
//!                                             └─┴► poll (one more, for the control topic) ─► DeliverySender
//! ```
//!
//! Lanes are assigned by hand, from the offsets that the caller names; nothing is ever reset. What
//! heals by waiting shows in the consumer's status, what doesn't ends it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use crate::config::KafkaConfig;
use crate::domain::Class;
use crate::domain::founding::Founding;
use crate::domain::position::{CONTROL_LANE, Lane, LogIdentity, LogKind, NextOffset, Offset};

use super::{
    Ack, ConsumeBounds, Consumer, ConsumerStatus, ControlAccess, Delivery, DeliverySender,
    LaneStatus, LogError, NewRecord, Retention, StoredRecord, Watermarks, deliveries,
};

mod admin;
mod append;
mod assign;
mod bare;
mod brokers;
mod context;
mod examine;
mod founding;
pub mod inputs;
mod lanes;
mod learn;
mod poll;
mod produce;
mod ranges;
mod settings;
mod trouble;

use admin::Admin;
pub use admin::{TopicEnsured, TopicPlan};
pub use bare::{BareProducer, drain_bare};
use brokers::Brokers;
use context::TopicContext;
pub use examine::{MayAppend, TopicHealth};
pub use founding::{ControlFounding, Signs, configured};
use lanes::{Lanes, LastRead};
pub use learn::Learned;
use poll::Poller;
use produce::{Appender, Bulk};
use settings::Packing;
pub use settings::check_settings;

/// What a topic takes where the brokers don't say.
const RECORD_BYTES_MAX: usize = 1_048_588;
/// How long a topic keeps records where neither it nor the brokers say.
const RETENTION_DEFAULT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Keyed records that are looked at before the log is founded, and how long that may take.
const SAMPLE_RECORDS_MAX: usize = 500;
const SAMPLE_WAIT: Duration = Duration::from_secs(3);
/// How long a consumer may take nothing before the lanes are paused.
const PAUSE_AFTER: Duration = Duration::from_secs(1);
/// How long the last commit may take at the end.
const COMMIT_WAIT: Duration = Duration::from_secs(2);

/// A Kafka topic as the contact log.
pub struct KafkaLog {
    topic: Topic,
    /// For what is waited for, and for bulk. Made with the first append, and anew when librdkafka
    /// gives one up.
    appender: Mutex<Option<Arc<Appender>>>,
    bulk_appender: Mutex<Option<Arc<Appender>>>,
    bulk: Arc<Bulk>,
    /// Why nothing may be appended to the control lane, if so.
    control_refused: Mutex<Option<String>>,
    /// What a consumer's caller read last, by lane.
    last_read: Mutex<BTreeMap<Lane, LastRead>>,
    closed: AtomicBool,
}

/// What is asked of the topic, shared with threads that ask while an append waits.
type Topic = Arc<TopicState>;

struct TopicState {
    config: KafkaConfig,
    /// How it is made, and what its settings must be.
    purpose: Purpose,
    brokers: Brokers,
    /// What the brokers said first; later answers must agree, but for partitions that were added.
    known: Mutex<Option<Known>>,
    /// What a key's home follows from, once that is known.
    founding: RwLock<Option<Founding>>,
}

/// What a topic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be followed, or a copy of what was.
    Log,
    /// Changes, for others to follow.
    Changes,
    /// Contacts as they are, for others to follow: compacted.
    States,
}

impl Purpose {
    /// How a topic for it is made.
    pub fn plan(self, partitions: u16, replication: Option<u16>) -> TopicPlan {
        match self {
            Self::Log => TopicPlan::contacts(partitions, replication),
            Self::Changes => TopicPlan::copies(partitions, replication),
            Self::States => TopicPlan::states(partitions, replication),
        }
    }

    /// Not every client of others reads every codec: kafkajs knows gzip alone.
    fn packing(self) -> Packing {
        match self {
            Self::Log => Packing::Lz4,
            Self::Changes | Self::States => Packing::Plain,
        }
    }

    /// How long a record may be under way. What is published is under way no longer than it takes another
    /// instance to take over, or an old state might be written behind a newer one.
    fn delivery_timeout(self, linger: Duration) -> Duration {
        match self {
            Self::Log => Duration::from_secs(30),
            Self::Changes | Self::States => Duration::from_secs(5).max(linger * 2),
        }
    }
}

#[derive(Clone, Debug)]
struct Known {
    identity: LogIdentity,
    lanes: u16,
    record_bytes_max: usize,
}

impl std::fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaLog").field("topic", &self.topic.config.topic).finish_non_exhaustive()
    }
}

impl KafkaLog {
    /// Checks the configuration and makes ready; the brokers are first spoken to by what comes
    /// after, so they may be away.
    pub fn open(config: &KafkaConfig) -> Result<Self, LogError> {
        Self::open_for(config, Purpose::Log)
    }

    /// The same for a topic that is written for others.
    pub fn open_for(config: &KafkaConfig, purpose: Purpose) -> Result<Self, LogError> {
        settings::check(config)?;
        Ok(Self {
            topic: Arc::new(TopicState {
                config: config.clone(),
                purpose,
                brokers: Brokers::new(config)?,
                known: Mutex::new(None),
                founding: RwLock::new(None),
            }),
            appender: Mutex::new(None),
            bulk_appender: Mutex::new(None),
            bulk: Arc::default(),
            control_refused: Mutex::new(None),
            last_read: Mutex::default(),
            closed: AtomicBool::new(false),
        })
    }

    /// Asks the brokers which log this is, and refuses a compacted one. Blocks for some seconds at
    /// most.
    pub fn identity(&self) -> Result<LogIdentity, LogError> {
        self.topic.look().map(|known| known.identity)
    }

    /// What `lane` holds at this moment. The high end counts the markers of transactions too.
    pub fn watermarks(&self, lane: Lane) -> Result<Watermarks, LogError> {
        self.check_lane(lane)?;
        self.topic.brokers.watermarks(lane)
    }

    /// Says what was read last of a lane, so that consumers compare when brokers come back.
    pub fn expect_last(&self, lane: Lane, offset: Offset, hash: u64) {
        self.last_read.lock().insert(lane, LastRead { offset, hash });
    }

    /// Reads the lanes of `from`. Needs no broker: an outage shows in the consumer's status.
    pub fn consume(
        &self,
        from: &BTreeMap<Lane, NextOffset>,
        bounds: ConsumeBounds,
    ) -> Result<Consumer, LogError> {
        self.check_open()?;
        for lane in from.keys() {
            self.check_lane(*lane)?;
        }
        self.start(from, bounds, PAUSE_AFTER).map(|(consumer, _watch)| consumer)
    }

    fn start(
        &self,
        from: &BTreeMap<Lane, NextOffset>,
        bounds: ConsumeBounds,
        pause_after: Duration,
    ) -> Result<(Consumer, TopicContext), LogError> {
        let config = &self.topic.config;
        let mut contacts = from.clone();
        let control = contacts.remove_entry(&CONTROL_LANE);
        let (sender, mut consumer) = deliveries(&config.topic, from, bounds);
        // Apart, because an end of a partition doesn't say which topic's it is, and so that one
        // topic's outage is not the other's.
        if let Some((lane, next)) = control {
            let context = TopicContext::new(&config.control_topic);
            let settings = settings::control_consumer(config);
            let lanes = Lanes::new(&BTreeMap::from([(lane, next)]));
            let lanes = lanes.remembering(&self.last_read.lock());
            let (topic, sender) = (&config.control_topic, sender.second());
            let poller = Poller::new(settings, context, topic, sender, lanes, bounds, pause_after)?;
            consumer = poll_with(consumer, poller.of_control(), "kafka-control", topic)?;
        }
        let context = TopicContext::new(&config.topic);
        let settings = settings::consumer(config);
        let lanes = Lanes::new(&contacts).remembering(&self.last_read.lock());
        let topic = &config.topic;
        let poller =
            Poller::new(settings, context.clone(), topic, sender, lanes, bounds, pause_after)?;
        let poller = poller.telling(self.topic.brokers.heard());
        Ok((poll_with(consumer, poller, "kafka-poll", topic)?, context))
    }

    /// Makes the control topic where it is missing.
    ///
    /// # Errors
    /// Where the brokers can't be asked. What they refuse is no error: contacts don't need it.
    pub fn prepare_control(&self) -> Result<ControlAccess, LogError> {
        self.check_open()?;
        let topic = &self.topic.config.control_topic;
        let prepared = match self.topic.brokers.partitions(topic) {
            Ok(_) => self.check_control(topic),
            Err(LogError::MissingTopic { .. }) => {
                self.ensure_control_topic(TopicPlan::control(None)).map(|_made| ())
            }
            Err(error) => Err(error),
        };
        match prepared {
            Ok(()) => {
                *self.control_refused.lock() = None;
                Ok(ControlAccess::Ready)
            }
            Err(error) if error.class() == Class::Retry => Err(error),
            Err(error) => {
                let why = error.to_string();
                self.refuse_control(&why);
                Ok(ControlAccess::Refused(why))
            }
        }
    }

    /// How long the control topic keeps records; none: for ever. Kafka's own default where the brokers
    /// don't say.
    pub fn control_retention(&self) -> Result<Option<Duration>, LogError> {
        let config = &self.topic.config;
        if let Some(retention) = config.control_retention {
            return Ok(Some(retention));
        }
        let known = self.topic.known()?;
        Ok(kept_for(&self.topic.settings(&config.control_topic, &known.identity.cluster)))
    }

    /// Lets appends to the control lane fail at once.
    pub fn refuse_control(&self, why: &str) {
        *self.control_refused.lock() = Some(why.to_owned());
    }

    /// Whether nothing may be appended to the control lane.
    pub fn is_control_refused(&self) -> bool {
        self.control_refused.lock().is_some()
    }

    /// Whether the control topic's settings are what they must be.
    ///
    /// # Errors
    /// Where it is compacted, or the brokers can't be asked.
    pub fn check_control_topic(&self) -> Result<(), LogError> {
        self.check_control(&self.topic.config.control_topic)
    }

    fn check_control(&self, topic: &str) -> Result<(), LogError> {
        let known = self.topic.known()?;
        let settings = self.topic.settings(topic, &known.identity.cluster);
        match settings.cleanup_policy.filter(|policy| admin::is_compacted(policy)) {
            Some(policy) => Err(LogError::CompactedTopic { topic: topic.to_owned(), policy }),
            None => Ok(()),
        }
    }

    /// What the contact topic's retention goes by. Kafka's own default age where the brokers don't
    /// say.
    pub fn retention(&self) -> Result<Retention, LogError> {
        let config = &self.topic.config;
        let known = self.topic.known()?;
        let settings = self.topic.settings(&config.topic, &known.identity.cluster);
        Ok(Retention {
            age: config.retention.or_else(|| kept_for(&settings)),
            is_by_bytes: settings.retention_bytes.is_some_and(|bytes| bytes >= 0),
        })
    }

    /// One record, or `None` when the lane doesn't hold it.
    pub fn read_one(&self, lane: Lane, offset: Offset) -> Result<Option<StoredRecord>, LogError> {
        self.check_lane(lane)?;
        self.topic.brokers.read_one(lane, offset)
    }

    /// Waits for the reports of what [`KafkaLog::append_blocking`] took.
    pub fn flush(&self) -> Result<(), LogError> {
        self.bulk.wait()
    }

    /// Tells the brokers how far the store has come, for lag tools, under the client's name as the
    /// group. Doesn't wait for the answer.
    pub fn commit(&self, next: &BTreeMap<Lane, NextOffset>) -> Result<(), LogError> {
        self.topic.brokers.commit(next)
    }

    /// Flushes; appending afterwards is `Closed`. Consumers end with their own `stop`.
    pub fn shutdown(&self) -> Result<(), LogError> {
        self.closed.store(true, Ordering::Release);
        let flushed = self.bulk.wait();
        self.topic.brokers.wait_for_commit(COMMIT_WAIT);
        *self.appender.lock() = None;
        *self.bulk_appender.lock() = None;
        flushed
    }

    /// How many partitions the topic has; it is made by a plan for as many where it is missing.
    pub fn lanes_or_make(
        &self,
        plan: impl FnOnce() -> Result<TopicPlan, LogError>,
    ) -> Result<u16, LogError> {
        match self.lanes() {
            Err(LogError::MissingTopic { .. }) => {
                self.ensure_topic(plan()?)?;
                self.lanes()
            }
            lanes => lanes,
        }
    }

    /// Makes the topic where it is missing, and sets the cleanup policy of one that has another, where the
    /// plan says so. Never changes the number of partitions: that would move keys.
    pub fn ensure_topic(&self, plan: TopicPlan) -> Result<TopicEnsured, LogError> {
        Admin::new(&self.topic.config, &self.topic.config.topic)?.ensure(plan)
    }

    /// The same for the topic of control records.
    pub fn ensure_control_topic(&self, plan: TopicPlan) -> Result<TopicEnsured, LogError> {
        let config = &self.topic.config;
        Admin::new(config, &config.control_topic)?.ensure(plan)
    }

    fn check_open(&self) -> Result<(), LogError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(LogError::Closed { topic: self.topic.config.topic.clone() });
        }
        Ok(())
    }

    fn check_lane(&self, lane: Lane) -> Result<(), LogError> {
        match &*self.topic.known.lock() {
            Some(known) => self.topic.check_lane(lane, known.lanes),
            None => Ok(()),
        }
    }
}

impl TopicState {
    fn check_lane(&self, lane: Lane, lanes: u16) -> Result<(), LogError> {
        if lane.0 < lanes || lane == CONTROL_LANE {
            return Ok(());
        }
        Err(LogError::UnknownLane { topic: self.config.topic.clone(), lane, lanes })
    }

    /// What is known, asking only if nothing is.
    fn known(&self) -> Result<Known, LogError> {
        if let Some(known) = self.known.lock().clone() {
            return Ok(known);
        }
        self.look()
    }

    /// The same without blocking the caller's thread; asked again where a record is for a partition
    /// that was added since.
    async fn known_for(self: Arc<Self>, records: &[NewRecord]) -> Result<Known, LogError> {
        let lanes = records.iter().filter_map(|record| record.lane);
        let greatest = lanes.filter(|lane| *lane != CONTROL_LANE).max();
        let known = self.known.lock().clone();
        let fits = |known: &Known| greatest.is_none_or(|lane| lane.0 < known.lanes);
        if let Some(known) = known.filter(fits) {
            return Ok(known);
        }
        let topic = self.config.topic.clone();
        let asked = tokio::task::spawn_blocking(move || self.look()).await;
        asked.map_err(|_ended| LogError::Panicked { topic, thread: "identity" })?
    }

    /// Asks the brokers, and holds the answer against the first one.
    fn look(&self) -> Result<Known, LogError> {
        let metadata = self.brokers.metadata()?;
        let identity = LogIdentity {
            kind: LogKind::Kafka,
            cluster: metadata.cluster,
            topic: self.config.topic.clone(),
        };
        let lanes = metadata.lanes;
        if let Some(before) = self.known.lock().as_mut() {
            if before.identity != identity {
                return Err(self.changed(&before.identity, &identity));
            }
            // Fewer: from a broker that has not heard of those that were added.
            before.lanes = before.lanes.max(lanes);
            return Ok(before.clone());
        }
        let record_bytes_max = self.check_settings(&identity.cluster)?;
        let known = Known { identity, lanes, record_bytes_max };
        *self.known.lock() = Some(known.clone());
        Ok(known)
    }

    fn changed(&self, before: &LogIdentity, now: &LogIdentity) -> LogError {
        let detail = format!("it was in cluster {} and is in {}", before.cluster, now.cluster);
        LogError::TopicChanged { topic: self.config.topic.clone(), detail }
    }

    /// The largest record that the topic takes; a cleanup policy that would lose records is an error.
    fn check_settings(&self, cluster: &str) -> Result<usize, LogError> {
        let settings = self.settings(&self.config.topic, cluster);
        self.purpose.plan(1, None).check_policy(&self.config.topic, settings.cleanup_policy)?;
        Ok(settings.record_bytes_max.unwrap_or(RECORD_BYTES_MAX))
    }

    /// A topic's settings, as far as the brokers tell.
    fn settings(&self, topic: &str, cluster: &str) -> admin::TopicSettings {
        // librdkafka's mock cluster never answers this question.
        if cluster.starts_with("mockCluster") {
            return admin::TopicSettings::default();
        }
        let found = Admin::new(&self.config, topic).and_then(|admin| {
            let settings = admin.settings();
            admin.close();
            settings
        });
        found.unwrap_or_else(|error| {
            // Not everyone may ask, and not every broker answers: the topic itself was found.
            tracing::warn!(topic, %error, "the topic's settings can't be read");
            admin::TopicSettings::default()
        })
    }
}

/// For how long a topic with these settings keeps records; none: for ever.
fn kept_for(settings: &admin::TopicSettings) -> Option<Duration> {
    match settings.retention_ms {
        None => Some(RETENTION_DEFAULT),
        Some(ms) => u64::try_from(ms).ok().map(Duration::from_millis),
    }
}

/// Gives a poller its thread, which looks ten times a second whether it is still wanted.
fn poll_with(
    consumer: Consumer,
    poller: Poller,
    name: &'static str,
    topic: &str,
) -> Result<Consumer, LogError> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || poller.run());
    let thread = thread.map_err(|error| LogError::Failed {
        topic: topic.to_owned(),
        detail: format!("no thread for polling: {error}"),
    })?;
    Ok(consumer.with_thread(thread, || {}))
}

#[cfg(test)]
mod tests;
