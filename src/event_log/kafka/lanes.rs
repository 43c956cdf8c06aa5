//! What the polling thread knows of each lane.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::message::BorrowedMessage;

use crate::domain::position::{CONTROL_LANE, Lane, NextOffset, Offset};
use crate::domain::record::{RecordBatch, record_hash};

use super::context::{Partition, Statistics};
use super::produce::partition_of;
use super::{ConsumerStatus, LaneStatus, LogError};

/// How long a transaction may stand open in front before it is named; most take milliseconds.
const HELD_TOLD_AFTER: Duration = Duration::from_secs(5);

/// One lane.
pub(super) struct LaneState {
    pub(super) id: Lane,
    /// After the last record taken.
    pub(super) next: NextOffset,
    /// What is gathered for the feed.
    pub(super) batch: RecordBatch,
    /// The end was reached and no record has come since.
    pub(super) at_end: bool,
    /// The leader's, as the last statistics say.
    pub(super) leader_epoch: Option<i32>,
    /// Records that came a second time, and were not passed on.
    pub(super) repeated: u64,
    /// What can't be read before another producer's transaction ends.
    held: Option<Held>,
    /// The last record of all that was read and handed over.
    last: Option<LastRead>,
    /// The last record is to be read again: whether the log still holds it tells whether this is still
    /// the log that was read.
    is_doubted: bool,
}

/// A record that was read, and its hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastRead {
    pub(super) offset: Offset,
    pub(super) hash: u64,
}

/// A lane's last record is not there any more, but another one, or none before the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replaced {
    pub(super) lane: Lane,
    pub(super) offset: Offset,
}

/// Where an open transaction begins, and since when it has stood in front.
struct Held {
    from: u64,
    since: Instant,
    is_told: bool,
}

impl LaneState {
    fn new(id: Lane, next: NextOffset) -> Self {
        Self {
            id,
            next,
            batch: RecordBatch::new(id),
            at_end: false,
            leader_epoch: None,
            repeated: 0,
            held: None,
            last: None,
            is_doubted: false,
        }
    }

    /// What is gathered counts: it was read before whatever gives reason to doubt.
    fn remember_last(&mut self) {
        if let Some(record) = self.batch.records.last() {
            let (key, value) = (self.batch.key(record), self.batch.value(record));
            let hash = record_hash(record.timestamp_ms, key, value);
            self.last = Some(LastRead { offset: record.offset, hash });
        }
    }

    /// Where to fetch from: in doubt, from the last record that was read.
    pub(super) fn fetch_from(&self) -> u64 {
        let last = self.last.filter(|_| self.is_doubted);
        last.map_or(self.next.0, |last| last.offset.0)
    }

    pub(super) fn is_doubted(&self) -> bool {
        self.is_doubted
    }

    /// Compares a record with the last one that was read, where that is in doubt.
    pub(super) fn settle_doubt(&mut self, message: &BorrowedMessage<'_>) -> Result<(), Replaced> {
        let Some(last) = self.last.filter(|_| self.is_doubted) else {
            return Ok(());
        };
        let timestamp_ms = message.timestamp().to_millis().unwrap_or(-1);
        let is_it = u64::try_from(message.offset()) == Ok(last.offset.0)
            && record_hash(timestamp_ms, message.key(), message.payload()) == last.hash;
        if !is_it {
            return Err(Replaced { lane: self.id, offset: last.offset });
        }
        self.is_doubted = false;
        Ok(())
    }

    /// There is nothing to compare with any more where retention has taken the last record.
    pub(super) fn forget_below(&mut self, low: Offset) -> bool {
        let is_gone = self.is_doubted && self.last.is_some_and(|last| last.offset < low);
        if is_gone {
            (self.last, self.is_doubted) = (None, false);
        }
        is_gone
    }

    /// Its number at the brokers.
    pub(super) fn partition(&self) -> i32 {
        partition_of(self.id)
    }
}

/// The lanes that are consumed.
pub(super) struct Lanes {
    lanes: Vec<LaneState>,
    /// Where a partition's lane stands in `lanes`.
    places: Vec<Option<usize>>,
    /// What all batches hold together.
    pending_records: usize,
    pending_bytes: usize,
    /// Lanes whose end was reached and is not yet told.
    ends: Vec<Lane>,
    /// How many partitions the topic has, as far as it is known.
    count: Option<usize>,
    /// How often in a row fewer were told.
    fewer: u32,
}

/// Fewer partitions that are told so often are no broker's that has not heard of the last ones.
const FEWER_MAX: u32 = 5;

impl Lanes {
    /// Partitions behind the last of the contacts' lanes count as added: whoever named the offsets had
    /// not heard of them.
    pub(super) fn new(from: &BTreeMap<Lane, NextOffset>) -> Self {
        let greatest = from.keys().rev().find(|lane| **lane != CONTROL_LANE);
        let mut places = Vec::new();
        let mut lanes = Vec::with_capacity(from.len());
        for (id, next) in from {
            places.resize(usize::try_from(partition_of(*id)).unwrap_or(0) + 1, None);
            if let Some(place) = places.last_mut() {
                *place = Some(lanes.len());
            }
            lanes.push(LaneState::new(*id, *next));
        }
        Self {
            lanes,
            places,
            pending_records: 0,
            pending_bytes: 0,
            ends: Vec::new(),
            count: greatest.map(|lane| usize::from(lane.0) + 1),
            fewer: 0,
        }
    }

    /// What was read before, by whoever names the offsets.
    pub(super) fn remembering(mut self, last: &BTreeMap<Lane, LastRead>) -> Self {
        for lane in &mut self.lanes {
            lane.last = last.get(&lane.id).copied().filter(|last| last.offset.0 < lane.next.0);
        }
        self
    }

    /// What each lane's last record was is to be compared before it goes on, where one is known.
    pub(super) fn doubt(&mut self) {
        for lane in &mut self.lanes {
            lane.remember_last();
            lane.is_doubted = lane.last.is_some();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lanes.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &LaneState> {
        self.lanes.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut LaneState> {
        self.lanes.iter_mut()
    }

    pub(super) fn place(&self, partition: i32) -> Option<usize> {
        let partition = usize::try_from(partition).ok()?;
        self.places.get(partition).copied().flatten()
    }

    pub(super) fn get(&self, place: usize) -> Option<&LaneState> {
        self.lanes.get(place)
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut LaneState> {
        self.lanes.get_mut(place)
    }

    /// Whether there is anything for the feed.
    pub(super) fn has_pending(&self) -> bool {
        self.pending_records > 0 || !self.ends.is_empty()
    }

    /// The end of what can be read of the lane was reached.
    pub(super) fn note_end(&mut self, place: usize, status: &ConsumerStatus) {
        let Some(lane) = self.lanes.get_mut(place) else {
            return;
        };
        lane.at_end = true;
        if !self.ends.contains(&lane.id) {
            self.ends.push(lane.id);
        }
        // Statistics may have counted markers of transactions that stand behind the last record.
        if let Some(status) = status.lane(lane.id).filter(|_| lane.held.is_none()) {
            status.high.store(lane.next.0, Ordering::Release);
        }
    }

    /// A lane whose end is still to be told.
    pub(super) fn take_end(&mut self) -> Option<Lane> {
        self.ends.pop()
    }

    /// Whether the batches together hold as much as may wait.
    pub(super) fn is_full(&self, records_max: usize, bytes_max: usize) -> bool {
        self.pending_records >= records_max || self.pending_bytes >= bytes_max
    }

    /// A record of so many bytes was put into a batch.
    pub(super) fn note_pending(&mut self, bytes: usize) {
        self.pending_records += 1;
        self.pending_bytes += bytes;
    }

    /// The lane's batch, if it holds anything, for an empty one.
    pub(super) fn take_batch(
        &mut self,
        place: usize,
        empty: impl FnOnce(Lane) -> RecordBatch,
    ) -> Option<RecordBatch> {
        let lane = self.lanes.get_mut(place).filter(|lane| !lane.batch.records.is_empty())?;
        lane.remember_last();
        self.pending_records = self.pending_records.saturating_sub(lane.batch.records.len());
        self.pending_bytes = self.pending_bytes.saturating_sub(lane.batch.arena.len());
        let mut batch = std::mem::replace(&mut lane.batch, empty(lane.id));
        batch.next = lane.next;
        batch.leader_epoch = lane.leader_epoch;
        Some(batch)
    }

    /// Takes up the partitions that were added: they are read from their start. Returns them.
    pub(super) fn grow(
        &mut self,
        topic: &str,
        statistics: &Statistics,
    ) -> Result<Vec<Lane>, LogError> {
        let Some(now) = statistics.partition_count(topic) else {
            return Ok(Vec::new());
        };
        let before = *self.count.get_or_insert(now);
        self.fewer = if now < before { self.fewer + 1 } else { 0 };
        if self.fewer > FEWER_MAX {
            return Err(LogError::TopicChanged {
                topic: topic.to_owned(),
                detail: format!("it had {before} partitions and has {now}"),
            });
        }
        if now <= before {
            return Ok(Vec::new());
        }
        self.count = Some(now);
        // Who reads none of them reads none of the new ones either.
        if self.lanes.is_empty() {
            return Ok(Vec::new());
        }
        let added = (before..now.min(usize::from(CONTROL_LANE.0))).map(|lane| Lane(lane as u16));
        let added: Vec<Lane> =
            added.filter(|lane| self.place(partition_of(*lane)).is_none()).collect();
        for lane in &added {
            self.places.resize(usize::from(lane.0) + 1, None);
            if let Some(place) = self.places.last_mut() {
                *place = Some(self.lanes.len());
            }
            self.lanes.push(LaneState::new(*lane, NextOffset(0)));
        }
        Ok(added)
    }

    /// Brings watermarks up to date; says why nothing comes, if so.
    pub(super) fn update(
        &mut self,
        topic: &str,
        statistics: &Statistics,
        status: &ConsumerStatus,
    ) -> Option<String> {
        let partitions = statistics.topics.get(topic).map(|topic| &topic.partitions);
        let mut trouble = None;
        for lane in &mut self.lanes {
            let partition = partitions.and_then(|all| all.get(&lane.partition()));
            let Some(partition) = partition.filter(|partition| partition.leader >= 0) else {
                trouble = Some(format!("partition {} has no leader", lane.id));
                continue;
            };
            if !statistics.is_up(partition.leader) {
                trouble = Some(format!("no connection to the leader of partition {}", lane.id));
            }
            lane.leader_epoch = Some(partition.leader_epoch).filter(|epoch| *epoch >= 0);
            lane.heed_ends(topic, partition, status);
        }
        trouble
    }
}

impl LaneState {
    /// The end that is waited for is the high watermark, except that markers of transactions may
    /// stand behind the last record: there is nothing to wait for.
    fn heed_ends(&mut self, topic: &str, partition: &Partition, status: &ConsumerStatus) {
        let (Some(readable), Some(end)) = (partition.readable_end(), partition.end()) else {
            return;
        };
        let told = self.heed_transaction(topic, readable, end);
        let is_read = self.at_end && partition.is_at_end();
        if let Some(status) = status.lane(self.id) {
            self.set_ends(&status, is_read, readable, end);
        }
        status.set_held(self.id, told);
    }

    fn set_ends(&self, status: &LaneStatus, is_read: bool, readable: u64, end: u64) {
        let is_held = end > readable;
        if is_read && !is_held {
            status.high.store(self.next.0, Ordering::Release);
        } else {
            status.high.fetch_max(end, Ordering::AcqRel);
        }
        let readable = if is_read { self.next.0 } else { readable };
        let readable = if is_held { readable } else { u64::MAX };
        status.readable.store(readable, Ordering::Release);
    }

    /// Names a transaction that has stood in front for long; one line when it is noticed, one when it
    /// is over.
    fn heed_transaction(&mut self, topic: &str, readable: u64, end: u64) -> Option<String> {
        let partition = self.id.0;
        let before = self.held.take();
        if end <= readable {
            if before.is_some_and(|held| held.is_told) {
                tracing::info!(topic, partition, "the transaction has ended, records come again");
            }
            return None;
        }
        let records = end - readable;
        // Another place is another transaction.
        let same = before.filter(|held| held.from == readable);
        let mut held =
            same.unwrap_or_else(|| Held { from: readable, since: Instant::now(), is_told: false });
        let open_for = held.since.elapsed();
        if open_for >= HELD_TOLD_AFTER && !held.is_told {
            held.is_told = true;
            tracing::warn!(
                topic,
                partition,
                offset = readable,
                records,
                "a producer's open transaction holds back what stands behind it"
            );
        }
        let text = held.is_told.then(|| {
            format!(
                "partition {partition} of {topic}: an open transaction at offset {readable} has held \
                 back {records} records for {} s; it ends when its producer or its timeout ends it, \
                 or by `kafka-transactions.sh abort`",
                open_for.as_secs()
            )
        });
        self.held = Some(held);
        text
    }
}
