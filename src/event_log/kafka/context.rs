//! What librdkafka says beside records: log lines, errors, statistics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::types::RDKafkaRespErr;
use serde::Deserialize;

use super::produce::Ticket;

/// A topic's id before librdkafka knows it.
const NO_TOPIC_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// How many statistics in a row without a broker are no moment between two lists of them.
const WITHOUT_BROKERS_MAX: u32 = 3;

/// What librdkafka's debug line says of a new connection, before its number.
const CONNECTED: &str = ": Connected (#";

/// Takes everything in, for whoever owns the client. A clone shares what was taken.
#[derive(Clone, Debug)]
pub(super) struct TopicContext {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    topic: String,
    /// Something stands in `news`: one relaxed load a record is all that looking costs.
    news_waiting: AtomicBool,
    news: Mutex<News>,
    /// A connection was made anew since this was asked last: said before anything comes by it.
    connected: AtomicBool,
    last_error: Mutex<Option<ClientError>>,
    /// Wakes appends that found the queue full.
    delivered: tokio::sync::Notify,
    /// Records that the brokers acknowledged.
    acknowledged: AtomicU64,
    /// How many statistics in a row named no broker.
    without_brokers: AtomicU32,
    /// The producer can't go on and must be made anew.
    producer_failed: AtomicBool,
    /// How often the lanes were paused.
    pauses: AtomicU32,
}

/// What happened since the last look.
#[derive(Debug, Default)]
pub(super) struct News {
    /// The newest statistics.
    pub(super) statistics: Option<Statistics>,
    /// The log line that says that the topic was made anew.
    pub(super) topic_made_anew: Option<String>,
}

/// The last error that a client reported.
#[derive(Clone, Debug)]
pub(super) struct ClientError {
    pub(super) code: Option<RDKafkaErrorCode>,
    pub(super) reason: String,
}

impl TopicContext {
    pub(super) fn new(topic: &str) -> Self {
        Self {
            shared: Arc::new(Shared {
                topic: topic.to_owned(),
                news_waiting: AtomicBool::new(false),
                news: Mutex::default(),
                connected: AtomicBool::new(false),
                last_error: Mutex::new(None),
                delivered: tokio::sync::Notify::new(),
                acknowledged: AtomicU64::new(0),
                without_brokers: AtomicU32::new(0),
                producer_failed: AtomicBool::new(false),
                pauses: AtomicU32::new(0),
            }),
        }
    }

    /// What came since the last call; cheap when there is nothing.
    pub(super) fn take_news(&self) -> Option<News> {
        if !self.shared.news_waiting.load(Ordering::Relaxed) {
            return None;
        }
        self.shared.news_waiting.store(false, Ordering::Relaxed);
        Some(std::mem::take(&mut *self.shared.news.lock()))
    }

    /// Whether a connection was made since [`TopicContext::forget_connection`].
    pub(super) fn is_connected_anew(&self) -> bool {
        self.shared.connected.load(Ordering::Relaxed)
    }

    pub(super) fn forget_connection(&self) {
        self.shared.connected.store(false, Ordering::Relaxed);
    }

    pub(super) fn last_error(&self) -> Option<ClientError> {
        self.shared.last_error.lock().clone()
    }

    pub(super) fn forget_error(&self) {
        *self.shared.last_error.lock() = None;
    }

    pub(super) fn delivered(&self) -> &tokio::sync::Notify {
        &self.shared.delivered
    }

    /// Whether the client knows no broker any more, not even those of its configuration. It never
    /// finds one again: after an answer that names topics and no brokers, as one that has just
    /// started may give, librdkafka drops them all (its issue 5301).
    pub(super) fn has_lost_brokers(&self) -> bool {
        self.shared.without_brokers.load(Ordering::Relaxed) >= WITHOUT_BROKERS_MAX
    }

    /// The client was made anew.
    pub(super) fn begin_anew(&self) {
        self.shared.without_brokers.store(0, Ordering::Relaxed);
    }

    pub(super) fn producer_failed(&self) -> bool {
        self.shared.producer_failed.load(Ordering::Acquire) || self.has_lost_brokers()
    }

    /// How many records the brokers have acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    pub(super) fn note_acknowledged(&self) {
        self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    /// A record waited for as long as it may. Where nothing was acknowledged since it was handed over,
    /// the producer is not trusted any more: an idempotent one of librdkafka's that lost its id in an
    /// outage may ask for another for ever, with brokers that answer everybody else.
    pub(super) fn note_timeout(&self, acknowledged_before: u64) {
        if self.acknowledged() == acknowledged_before
            && !self.shared.producer_failed.swap(true, Ordering::AcqRel)
        {
            let topic = &self.shared.topic;
            tracing::info!(topic, "nothing was acknowledged; the next append is by a new producer");
        }
    }

    pub(super) fn note_pause(&self) {
        let before = self.shared.pauses.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(
            topic = self.shared.topic,
            pauses = before + 1,
            "lanes paused: the consumer is slow"
        );
    }

    #[cfg(test)]
    pub(super) fn pauses(&self) -> u32 {
        self.shared.pauses.load(Ordering::Relaxed)
    }

    fn heed_statistics(&self, statistics: Statistics) {
        if statistics.names_brokers() {
            self.shared.without_brokers.store(0, Ordering::Relaxed);
        } else {
            self.shared.without_brokers.fetch_add(1, Ordering::Relaxed);
        }
        self.tell(|news| news.statistics = Some(statistics));
    }

    fn tell(&self, news: impl FnOnce(&mut News)) {
        news(&mut self.shared.news.lock());
        self.shared.news_waiting.store(true, Ordering::Relaxed);
    }
}

impl ClientContext for TopicContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            // Mostly connections that broke, which librdkafka mends by itself.
            | RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{line}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", facility, "{line}");
            }
            RDKafkaLogLevel::Debug => {
                if is_made_anew(line, &self.shared.topic) {
                    self.tell(|news| news.topic_made_anew = Some(line.to_owned()));
                }
                if line.contains(CONNECTED) {
                    self.shared.connected.store(true, Ordering::Relaxed);
                }
                tracing::trace!(target: "librdkafka", facility, "{line}");
            }
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        match serde_json::from_slice(statistics) {
            Ok(statistics) => self.heed_statistics(statistics),
            Err(error) => tracing::warn!(%error, "librdkafka's statistics can't be read"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        if code == Some(RDKafkaErrorCode::Fatal) {
            self.shared.producer_failed.store(true, Ordering::Release);
        }
        let mut last = self.shared.last_error.lock();
        // "All brokers are down" follows the error that says why.
        if code != Some(RDKafkaErrorCode::AllBrokersDown) || last.is_none() {
            *last = Some(ClientError { code, reason: reason.to_owned() });
        }
    }
}

impl ConsumerContext for TopicContext {}

impl ProducerContext for TopicContext {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        match result {
            Ok(_) => self.note_acknowledged(),
            Err((error, _)) => match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::Fatal) => {
                    self.shared.producer_failed.store(true, Ordering::Release);
                }
                Some(RDKafkaErrorCode::MessageTimedOut) => {
                    self.note_timeout(ticket.acknowledged_before);
                }
                Some(_) | None => {}
            },
        }
        ticket.settle(result);
        self.shared.delivered.notify_waiters();
    }
}

/// Whether librdkafka says that `topic` has another id than a moment ago.
fn is_made_anew(line: &str, topic: &str) -> bool {
    line.split_once("Topic ")
        .and_then(|(_, rest)| rest.strip_prefix(topic))
        .and_then(|rest| rest.strip_prefix(" changed id from "))
        .is_some_and(|ids| !ids.starts_with(NO_TOPIC_ID))
}

/// Whether an error says that the brokers know us and refuse.
pub(super) fn is_refusal(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::UnsupportedSASLMechanism
            | RDKafkaErrorCode::IllegalSASLState
    )
}

/// Whether an error says that there is no such topic.
pub(super) fn is_missing_topic(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::UnknownTopicId
    )
}

/// The same for an error inside metadata.
pub(super) fn code_of(error: RDKafkaRespErr) -> RDKafkaErrorCode {
    error.into()
}

/// The part of librdkafka's statistics (its STATISTICS.md) that we use.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Statistics {
    #[serde(default)]
    pub(super) brokers: BTreeMap<String, Broker>,
    #[serde(default)]
    pub(super) topics: BTreeMap<String, Topic>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Broker {
    /// −1 for a bootstrap address.
    pub(super) nodeid: i32,
    pub(super) state: String,
    source: BrokerSource,
}

/// Where librdkafka has a broker from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum BrokerSource {
    Configured,
    Learned,
    /// A name for whichever broker it is, as the group's coordinator.
    Logical,
    Internal,
}

#[derive(Debug, Deserialize)]
pub(super) struct Topic {
    /// By partition; −1 is librdkafka's own waiting place.
    pub(super) partitions: BTreeMap<i32, Partition>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Partition {
    /// The leader's node id, −1 while there is none.
    pub(super) leader: i32,
    /// The brokers don't know of it.
    pub(super) unknown: bool,
    /// Where the end was last reached.
    pub(super) eof_offset: i64,
    pub(super) lo_offset: i64,
    /// The end of what committed readers may see: before the oldest open transaction.
    pub(super) ls_offset: i64,
    pub(super) hi_offset: i64,
    /// What the group committed last; negative: not known.
    pub(super) committed_offset: i64,
    /// What was fetched and not taken, of all partitions that share a queue.
    pub(super) fetchq_cnt: i64,
    #[serde(default = "no_epoch")]
    pub(super) leader_epoch: i32,
}

fn no_epoch() -> i32 {
    -1
}

impl Partition {
    /// The end of what committed readers may see; none before the first fetch.
    pub(super) fn readable_end(&self) -> Option<u64> {
        u64::try_from(self.ls_offset).or_else(|_| u64::try_from(self.hi_offset)).ok()
    }

    /// The high watermark, which open transactions count towards.
    pub(super) fn end(&self) -> Option<u64> {
        Some(self.readable_end()?.max(u64::try_from(self.hi_offset).unwrap_or(0)))
    }

    /// Whether the readable end was reached.
    pub(super) fn is_at_end(&self) -> bool {
        self.readable_end().is_some_and(|end| u64::try_from(self.eof_offset) == Ok(end))
    }

    /// Whether, besides, everything that was fetched has been taken.
    pub(super) fn is_taken_to_end(&self) -> bool {
        self.fetchq_cnt == 0 && self.is_at_end()
    }
}

impl Statistics {
    fn names_brokers(&self) -> bool {
        let has_address = |broker: &Broker| {
            matches!(broker.source, BrokerSource::Configured | BrokerSource::Learned)
        };
        self.brokers.values().any(has_address)
    }

    /// Whether a connection to node `id` stands.
    pub(super) fn is_up(&self, id: i32) -> bool {
        self.brokers.values().any(|broker| broker.nodeid == id && broker.state == "UP")
    }

    /// How many partitions the brokers say `topic` has; `None` while they say nothing.
    pub(super) fn partition_count(&self, topic: &str) -> Option<usize> {
        let partitions = &self.topics.get(topic)?.partitions;
        let known = partitions.iter().filter(|(id, partition)| **id >= 0 && !partition.unknown);
        Some(known.count()).filter(|count| *count > 0)
    }
}
