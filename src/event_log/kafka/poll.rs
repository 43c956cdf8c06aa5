//! The one thread that polls: records by lane into batches, batches into the channel.
//!
//! ```text
//! librdkafka's queue ─poll─► batch of each lane ─full, or nothing more waits─► DeliverySender
//! ```
//!
//! Memory is bounded because polling stops while the channel is full; librdkafka's queue is bounded by
//! itself. When that lasts, all lanes are paused so that errors and statistics are still heard.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers};
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList};
use rdkafka::{ClientConfig, Message};

use crate::domain::position::Offset;
use crate::domain::record::RecordBatch;

use super::assign::assign;
use super::context::{Statistics, TopicContext, is_missing_topic, is_refusal};
use super::lanes::{LaneState, Lanes, Replaced};
use super::trouble::Trouble;
use super::{ConsumeBounds, Delivery, DeliverySender, LogError, settings};

/// How long to wait for a record before looking at everything else.
const POLL_WAIT: Duration = Duration::from_millis(100);
/// How long the brokers may refuse us before it counts as final.
const REFUSED_FOR: Duration = Duration::from_secs(30);
/// A lane's batch is at most this part of what the channel may hold.
const BATCH_PART: usize = 4;

/// Owns the consumer until the channel is gone or something can't heal.
pub(super) struct Poller {
    pub(super) consumer: BaseConsumer<TopicContext>,
    settings: ClientConfig,
    context: TopicContext,
    pub(super) topic: String,
    sender: DeliverySender,
    pub(super) lanes: Lanes,
    trouble: Trouble,
    bounds: ConsumeBounds,
    /// How long the channel may be full before the lanes are paused.
    pause_after: Duration,
    /// Since when the brokers have refused us without a break.
    refused_since: Option<Instant>,
    /// An out-of-range answer that the watermarks didn't confirm.
    pub(super) doubted_reset: Option<Instant>,
    /// Whether the brokers are heard, for others.
    heard: Arc<AtomicBool>,
    /// Something was heard of a lane.
    has_begun: bool,
    /// Reads the control topic, beside the thread that reads the contacts'.
    is_control: bool,
}

/// Why the thread ends.
pub(super) enum End {
    /// The consumer was dropped.
    Stopped,
    Failed(LogError),
}

impl From<LogError> for End {
    fn from(error: LogError) -> Self {
        Self::Failed(error)
    }
}

impl Poller {
    pub(super) fn new(
        settings: ClientConfig,
        context: TopicContext,
        topic: &str,
        sender: DeliverySender,
        lanes: Lanes,
        bounds: ConsumeBounds,
        pause_after: Duration,
    ) -> Result<Self, LogError> {
        let trouble = Trouble::new(topic, context.clone(), false);
        Ok(Self {
            consumer: settings::create(&settings, context.clone())?,
            settings,
            context,
            trouble,
            topic: topic.to_owned(),
            sender,
            lanes,
            bounds,
            pause_after,
            refused_since: None,
            doubted_reset: None,
            heard: Arc::default(),
            has_begun: false,
            is_control: false,
        })
    }

    /// Tells others whether the brokers are heard.
    pub(super) fn telling(self, heard: Arc<AtomicBool>) -> Self {
        Self { heard, ..self }
    }

    /// Reads the control lane, whose outages are its own.
    pub(super) fn of_control(self) -> Self {
        let trouble = Trouble::new(&self.topic, self.context.clone(), true);
        Self { is_control: true, trouble, ..self }
    }

    /// Runs until the consumer is dropped or something can't heal.
    pub(super) fn run(mut self) {
        match self.poll_all() {
            End::Stopped => {}
            // Contacts are read on: whoever needs the control lane hears that it has ended.
            End::Failed(error) if self.is_control => {
                tracing::error!(topic = self.topic, %error, "control records are not read any more");
                let text = format!("{error}; mend it and restart");
                let status = self.sender.status();
                status.set_control_trouble(Some(text));
                // Nothing more will come: a run that ends when all is caught up must end.
                self.lanes
                    .iter()
                    .filter_map(|lane| status.lane(lane.id))
                    .for_each(|lane| lane.caught_up.store(true, Ordering::Release));
            }
            End::Failed(error) => self.sender.fail(error),
        }
    }

    fn poll_all(&mut self) -> End {
        // The caller has compared what it names with what the log holds.
        let Err(end) = self.assign().and_then(|()| self.poll_until_end()) else {
            return End::Stopped;
        };
        end
    }

    pub(super) fn assign(&mut self) -> Result<(), End> {
        let mut list = TopicPartitionList::new();
        for lane in self.lanes.iter() {
            let from = i64::try_from(lane.fetch_from()).unwrap_or(i64::MAX);
            list.add_partition_offset(&self.topic, lane.partition(), KafkaOffset::Offset(from))
                .map_err(|error| self.unexpected(&error))?;
        }
        Ok(assign(&self.consumer, &list).map_err(|error| self.unexpected(&error))?)
    }

    fn poll_until_end(&mut self) -> Result<(), End> {
        loop {
            let wait = if self.lanes.has_pending() { Duration::ZERO } else { POLL_WAIT };
            // The poll borrows the consumer, so its answer is settled before anything else moves.
            let answer = match self.consumer.poll(wait) {
                // It may be another log's, so it is fetched again after the last one that was read.
                Some(Ok(_)) if self.is_to_doubt() => Answer::Nothing,
                Some(Ok(message)) => {
                    Answer::Record(take(&mut self.lanes, &message).map_err(|at| self.replaced(at))?)
                }
                Some(Err(error)) => Answer::Error(error),
                None => Answer::Nothing,
            };
            // Before a record is passed on: it may be another topic's of the same name.
            if let Some(news) = self.context.take_news() {
                self.look_at(news)?;
            }
            if self.is_to_doubt() {
                self.doubt()?;
            }
            match answer {
                Answer::Record(Some(place)) => self.after_record(place)?,
                Answer::Record(None) => {}
                Answer::Error(error) => self.after_error(&error)?,
                Answer::Nothing => self.after_nothing()?,
            }
        }
    }

    /// Brokers that come back may have lost the end of the log, or hold another one under its name.
    /// The first connections are made by the first assignment.
    fn is_to_doubt(&self) -> bool {
        self.context.is_connected_anew() && self.has_begun
    }

    /// Reading goes on only behind the record that was read last.
    fn doubt(&mut self) -> Result<(), End> {
        tracing::debug!(topic = self.topic, "connected anew: reading the last records again");
        self.context.forget_connection();
        self.lanes.doubt();
        self.assign()
    }

    /// Something came: connections from now on are others than the first.
    fn begin(&mut self) {
        self.trouble.came();
        if !self.has_begun {
            self.has_begun = true;
            self.context.forget_connection();
        }
    }

    /// A client that finds no broker again is replaced, and reads on behind the last record.
    fn renew(&mut self) -> Result<(), End> {
        tracing::warn!(
            topic = self.topic,
            "librdkafka knows no broker any more; the client is made anew"
        );
        self.context.begin_anew();
        self.consumer = settings::create(&self.settings, self.context.clone())?;
        self.lanes.doubt();
        self.assign()
    }

    fn replaced(&self, Replaced { lane, offset }: Replaced) -> LogError {
        LogError::AnotherRecord { topic: self.topic.clone(), lane, offset }
    }

    fn after_record(&mut self, place: usize) -> Result<(), End> {
        self.doubted_reset = None;
        self.begin();
        let ConsumeBounds { records_max, bytes_max } = self.bounds;
        let is_full = self.lanes.get(place).is_some_and(|lane| {
            lane.batch.records.len() >= records_max / BATCH_PART
                || lane.batch.arena.len() >= bytes_max / BATCH_PART
        });
        if is_full {
            self.wait_for_room()?;
            self.hand_over(place)?;
        } else if self.lanes.is_full(records_max, bytes_max) {
            self.wait_for_room()?;
            self.hand_over_all()?;
        }
        Ok(())
    }

    /// All that waited is batched: hand it over while it is fresh.
    fn after_nothing(&mut self) -> Result<(), End> {
        if !self.lanes.has_pending() {
            self.sender.drop_spares();
            return if self.sender.is_stopped() { Err(End::Stopped) } else { Ok(()) };
        }
        // While the consumer is busy the batches grow instead; full ones wait for room for long.
        if self.sender.wait_for_room(POLL_WAIT) {
            self.hand_over_all()?;
            self.tell_ends()?;
        } else if self.sender.is_stopped() {
            return Err(End::Stopped);
        }
        Ok(())
    }

    fn hand_over_all(&mut self) -> Result<(), End> {
        for place in 0..self.lanes.len() {
            self.hand_over(place)?;
        }
        Ok(())
    }

    fn hand_over(&mut self, place: usize) -> Result<(), End> {
        let Some(batch) = self.lanes.take_batch(place, |lane| self.sender.empty_batch(lane)) else {
            return Ok(());
        };
        if self.sender.push(Delivery::Batch(batch)) { Ok(()) } else { Err(End::Stopped) }
    }

    /// Waits for room; when that takes long, with the lanes paused, so that librdkafka's other
    /// events don't pile up.
    fn wait_for_room(&mut self) -> Result<(), End> {
        if self.sender.has_room() || self.sender.wait_for_room(self.pause_after) {
            return Ok(());
        }
        let all = self.consumer.assignment().map_err(|error| self.unexpected(&error))?;
        self.consumer.pause(&all).map_err(|error| self.unexpected(&error))?;
        self.context.note_pause();
        while !self.sender.wait_for_room(POLL_WAIT) {
            if self.sender.is_stopped() {
                return Err(End::Stopped);
            }
            match self.consumer.poll(Duration::ZERO) {
                Some(Ok(_)) if self.is_to_doubt() => {}
                // One that was on its way when the lanes were paused.
                Some(Ok(message)) => {
                    take(&mut self.lanes, &message).map_err(|at| self.replaced(at))?;
                }
                Some(Err(error)) => self.after_error(&error)?,
                None => {}
            }
            if let Some(news) = self.context.take_news() {
                self.look_at(news)?;
            }
        }
        // What librdkafka had fetched it fetches again, from the record after the last one taken.
        Ok(self.consumer.resume(&all).map_err(|error| self.unexpected(&error))?)
    }

    fn after_error(&mut self, error: &KafkaError) -> Result<(), End> {
        if let KafkaError::PartitionEOF(partition) = error {
            return self.after_end_of(*partition);
        }
        let Some(code) = error.rdkafka_error_code() else {
            return Err(self.unexpected(error).into());
        };
        match code {
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => {
                return self.after_out_of_range();
            }
            RDKafkaErrorCode::Fatal => return Err(self.unexpected(error).into()),
            code if is_refusal(code) => {
                let since = *self.refused_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= REFUSED_FOR {
                    let topic = self.topic.clone();
                    return Err(LogError::Refused { topic, detail: self.reason(code) }.into());
                }
            }
            // Only commits and lag tools want the group.
            RDKafkaErrorCode::GroupAuthorizationFailed => return Ok(()),
            _ => {}
        }
        let status = self.sender.status();
        if is_missing_topic(code) {
            self.trouble.is_missing(status, self.has_begun);
        } else {
            self.trouble.set(status, self.reason(code));
        }
        Ok(())
    }

    fn tell_ends(&mut self) -> Result<(), End> {
        while let Some(lane) = self.lanes.take_end() {
            if !self.sender.push(Delivery::CaughtUp(lane)) {
                return Err(End::Stopped);
            }
        }
        Ok(())
    }

    /// Everything up to the lane's end has been polled. It is handed over with what other lanes have:
    /// one commit for all of it costs less than one for each.
    fn after_end_of(&mut self, partition: i32) -> Result<(), End> {
        self.refused_since = None;
        self.begin();
        let Some(place) = self.lanes.place(partition) else {
            return Ok(());
        };
        // Before the record that was read last there is no end, unless a replica that has not caught
        // up said so: then there will be another one.
        if self.lanes.get(place).is_some_and(LaneState::is_doubted) {
            self.check_ranges()?;
        } else {
            self.lanes.note_end(place, self.sender.status());
        }
        Ok(())
    }

    fn look_at(&mut self, news: super::context::News) -> Result<(), End> {
        if let Some(line) = news.topic_made_anew {
            tracing::error!(topic = self.topic, librdkafka = line, "the topic was made anew");
            let topic = self.topic.clone();
            let detail = "it was deleted and made anew while it was read".to_owned();
            return Err(LogError::TopicChanged { topic, detail }.into());
        }
        let Some(statistics) = news.statistics else {
            return Ok(());
        };
        if self.context.has_lost_brokers() {
            self.renew()?;
        }
        if !self.is_control {
            self.take_up(&statistics)?;
        }
        let trouble = self.lanes.update(&self.topic, &statistics, self.sender.status());
        self.heard.store(trouble.is_none(), Ordering::Relaxed);
        match trouble {
            Some(trouble) => {
                let why = self.context.last_error().map(|error| error.reason);
                self.trouble.is_measured(self.sender.status(), why.unwrap_or(trouble));
            }
            None => {
                self.refused_since = None;
                self.trouble.is_over(self.sender.status());
            }
        }
        Ok(())
    }

    /// Partitions were added: they are read too, from their start.
    fn take_up(&mut self, statistics: &Statistics) -> Result<(), End> {
        let added = self.lanes.grow(&self.topic, statistics)?;
        if added.is_empty() {
            return Ok(());
        }
        let partitions: Vec<u16> = added.iter().map(|lane| lane.0).collect();
        tracing::info!(
            topic = self.topic,
            ?partitions,
            "partitions were added; they are read from their start, and no contact's home changes"
        );
        added.into_iter().for_each(|lane| self.sender.status().add_lane(lane));
        // All anew: each from the record after the last one taken.
        self.assign()
    }

    pub(super) fn reason(&self, code: RDKafkaErrorCode) -> String {
        self.context.last_error().map_or_else(|| code.to_string(), |error| error.reason)
    }

    fn unexpected(&self, error: &KafkaError) -> LogError {
        LogError::Failed { topic: self.topic.clone(), detail: error.to_string() }
    }
}

enum Answer {
    /// Batched at this place, unless it was no record of ours.
    Record(Option<usize>),
    Error(KafkaError),
    Nothing,
}

/// Copies a record into its lane's batch and says which lane that was.
fn take(lanes: &mut Lanes, message: &BorrowedMessage<'_>) -> Result<Option<usize>, Replaced> {
    let Some(place) = lanes.place(message.partition()) else {
        return Ok(None);
    };
    let (Some(lane), Ok(offset)) = (lanes.get_mut(place), u64::try_from(message.offset())) else {
        return Ok(None);
    };
    lane.settle_doubt(message)?;
    // librdkafka has been known to repeat records after a seek or a resume. Gaps are lawful: aborted
    // transactions and their markers.
    if offset < lane.next.0 {
        lane.repeated += 1;
        return Ok(None);
    }
    let timestamp_ms = message.timestamp().to_millis().unwrap_or(-1);
    let bytes_before = lane.batch.arena.len();
    push(lane, Offset(offset), timestamp_ms, message);
    let bytes = lane.batch.arena.len() - bytes_before;
    lanes.note_pending(bytes);
    Ok(Some(place))
}

fn push(lane: &mut LaneState, offset: Offset, timestamp_ms: i64, message: &BorrowedMessage<'_>) {
    copy_in(&mut lane.batch, offset, timestamp_ms, message);
    lane.next = offset.next();
    lane.at_end = false;
}

/// Copies a record into a batch.
pub(super) fn copy_in(
    batch: &mut RecordBatch,
    offset: Offset,
    timestamp_ms: i64,
    message: &BorrowedMessage<'_>,
) {
    let headers = message.headers();
    let headers = headers
        .into_iter()
        .flat_map(|headers| (0..headers.count()).filter_map(|index| header(headers, index)));
    batch.push(offset, timestamp_ms, message.key(), message.payload(), headers);
}

/// The binding panics on a header whose name isn't UTF-8. No header that is read here has such a
/// name, so it is left out.
pub(super) fn header(headers: &BorrowedHeaders, index: usize) -> Option<(&str, Option<&[u8]>)> {
    let header = catch_unwind(AssertUnwindSafe(|| headers.try_get(index)));
    header.ok().flatten().map(|header| (header.key, header.value))
}
