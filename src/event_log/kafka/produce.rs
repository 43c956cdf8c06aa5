//! Appending: an idempotent producer, acks=all; an append resolves when its delivery reports are in.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rdkafka::Message;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ThreadedProducer};
use tokio::sync::oneshot;

use crate::config::KafkaConfig;
use crate::domain::position::{CONTROL_LANE, Lane, Offset};

use super::context::{TopicContext, is_missing_topic, is_refusal};
use super::settings::Packing;
use super::{Ack, LogError, NewRecord, settings};

/// How often a flush looks whether the producer has failed for good.
const FLUSH_LOOK: Duration = Duration::from_millis(500);

/// How long the producer may ask about partitions that were added.
const ASK_WAIT: Duration = Duration::from_secs(2);

/// Goes with a record to librdkafka and comes back with its delivery report.
#[derive(Debug)]
pub(super) struct Ticket {
    /// Of key and value, and what the topic takes: for the error of one too large.
    bytes: usize,
    bytes_max: usize,
    /// Where it goes.
    lane: Lane,
    /// Records that were acknowledged when it was handed over.
    pub(super) acknowledged_before: u64,
    outcome: Outcome,
}

/// Who wants to know.
#[derive(Debug)]
pub(super) enum Outcome {
    /// An append that waits.
    Awaited(oneshot::Sender<Result<Ack, LogError>>),
    /// A flush, later.
    Bulk(Arc<Bulk>),
}

/// Where a record goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Destination {
    pub(super) lane: Lane,
    /// The largest record that the topic takes.
    pub(super) bytes_max: usize,
}

/// The records that were handed over without waiting.
#[derive(Debug, Default)]
pub(super) struct Bulk {
    state: Mutex<BulkState>,
    settled: Condvar,
}

#[derive(Debug, Default)]
struct BulkState {
    in_flight: usize,
    first_error: Option<LogError>,
}

impl Bulk {
    /// One more is about to be handed over.
    pub(super) fn begin(&self) {
        self.state.lock().in_flight += 1;
    }

    fn end(&self, error: Option<LogError>) {
        let mut state = self.state.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        if state.first_error.is_none() {
            state.first_error = error;
        }
        if state.in_flight == 0 {
            self.settled.notify_all();
        }
    }

    /// Waits until all are settled, which delivery.timeout.ms bounds; returns the first error since
    /// the last call.
    pub(super) fn wait(&self) -> Result<(), LogError> {
        let mut state = self.state.lock();
        while state.in_flight > 0 {
            self.settled.wait_for(&mut state, FLUSH_LOOK);
        }
        state.first_error.take().map_or(Ok(()), Err)
    }
}

impl Ticket {
    /// Tells whoever waits.
    pub(super) fn settle(self, result: &DeliveryResult<'_>) {
        let outcome = match result {
            Ok(message) => ack(message.topic(), self.lane, message.partition(), message.offset()),
            Err((error, message)) => {
                Err(append_error(message.topic(), error, self.bytes, self.bytes_max))
            }
        };
        match self.outcome {
            // Nobody waits any more when an append was given up.
            Outcome::Awaited(waiter) => drop(waiter.send(outcome)),
            Outcome::Bulk(bulk) => bulk.end(outcome.err()),
        }
    }
}

fn ack(topic: &str, lane: Lane, partition: i32, offset: i64) -> Result<Ack, LogError> {
    match u64::try_from(offset) {
        Ok(offset) if partition == partition_of(lane) => Ok(Ack { lane, offset: Offset(offset) }),
        _ => Err(LogError::NotAcknowledged {
            topic: topic.to_owned(),
            detail: format!("the delivery report names partition {partition}, offset {offset}"),
        }),
    }
}

/// A lane's partition in its topic.
pub(super) fn partition_of(lane: Lane) -> i32 {
    if lane == CONTROL_LANE { 0 } else { i32::from(lane.0) }
}

/// The producer and what belongs to it.
pub(super) struct Appender {
    topic: String,
    control_topic: String,
    producer: ThreadedProducer<TopicContext>,
    context: TopicContext,
}

impl Appender {
    /// For a topic that takes records of `bytes_max`.
    pub(super) fn new(
        config: &KafkaConfig,
        bytes_max: usize,
        packing: Packing,
        delivery_timeout: Duration,
    ) -> Result<Self, LogError> {
        let context = TopicContext::new(&config.topic);
        let settings = settings::producer(config, bytes_max, packing, delivery_timeout);
        let producer = settings::create(&settings, context.clone())?;
        let (topic, control_topic) = (config.topic.clone(), config.control_topic.clone());
        Ok(Self { topic, control_topic, producer, context })
    }

    /// Whether the producer can't go on (librdkafka's fatal errors) and a new one is needed.
    pub(super) fn is_failed(&self) -> bool {
        self.context.producer_failed()
    }

    /// Hands a record over, waiting while librdkafka's queue is full.
    pub(super) async fn enqueue(
        &self,
        record: &NewRecord,
        destination: Destination,
        outcome: Outcome,
    ) -> Result<(), LogError> {
        let Destination { lane, bytes_max } = destination;
        let bytes = record.key.len() + record.value.as_ref().map_or(0, Vec::len);
        let acknowledged_before = self.context.acknowledged();
        let mut ticket = Box::new(Ticket { bytes, bytes_max, lane, acknowledged_before, outcome });
        let mut has_asked = false;
        loop {
            // Taken before the attempt, so that no room made in between is missed.
            let room = self.context.delivered().notified();
            match self.try_send(record, lane, ticket) {
                Ok(()) => return Ok(()),
                Err((error, back)) => {
                    let code = error.rdkafka_error_code();
                    if code == Some(RDKafkaErrorCode::QueueFull) {
                        ticket = back;
                    } else if code == Some(RDKafkaErrorCode::UnknownPartition) && !has_asked {
                        // Added since it asked last; once a partition at most.
                        has_asked = true;
                        ticket = back;
                        let _ = self.producer.client().fetch_metadata(Some(&self.topic), ASK_WAIT);
                        continue;
                    } else {
                        if let Outcome::Bulk(bulk) = back.outcome {
                            bulk.end(None);
                        }
                        return Err(append_error(self.topic_of(lane), &error, bytes, bytes_max));
                    }
                }
            }
            room.await;
        }
    }

    fn topic_of(&self, lane: Lane) -> &str {
        if lane == CONTROL_LANE { &self.control_topic } else { &self.topic }
    }

    fn try_send(
        &self,
        record: &NewRecord,
        lane: Lane,
        ticket: Box<Ticket>,
    ) -> Result<(), (KafkaError, Box<Ticket>)> {
        let mut message: BaseRecord<'_, [u8], [u8], Box<Ticket>> =
            BaseRecord::with_opaque_to(self.topic_of(lane), ticket)
                .partition(partition_of(lane))
                .timestamp(record.timestamp_ms);
        if !record.key.is_empty() {
            message = message.key(&record.key);
        }
        if let Some(value) = &record.value {
            message = message.payload(value);
        }
        if !record.headers.is_empty() {
            let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
            for (key, value) in &record.headers {
                headers = headers.insert(Header { key, value: value.as_ref() });
            }
            message = message.headers(headers);
        }
        self.producer.send(message).map_err(|(error, message)| (error, message.delivery_opaque))
    }
}

fn append_error(topic: &str, error: &KafkaError, bytes: usize, bytes_max: usize) -> LogError {
    let topic = topic.to_owned();
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
            LogError::RecordTooLarge { topic, bytes, bytes_max }
        }
        Some(code @ (RDKafkaErrorCode::InvalidTimestamp | RDKafkaErrorCode::InvalidRecord)) => {
            LogError::RecordRefused { topic, detail: code.to_string() }
        }
        Some(code) if is_refusal(code) => LogError::Refused { topic, detail: code.to_string() },
        Some(code) if is_missing_topic(code) => LogError::MissingTopic { topic },
        _ => LogError::NotAcknowledged { topic, detail: error.to_string() },
    }
}

/// Runs a future on this thread: the way from the blocking calls to the waiting ones.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::task::Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}
