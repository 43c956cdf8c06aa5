//! The thread behind a consumer: reads frames in order and hands their records on, lane by lane.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::domain::position::{Lane, NextOffset, Offset};
use crate::domain::record::{Record, RecordBatch};
use crate::domain::span::Span;
use crate::event_log::{ConsumeBounds, Delivery, DeliverySender, LogError};
use crate::segments::{Cursor, FrameNo};

use super::codec::{self, LogFrame, RawRecord, Section};
use super::durable::Durable;
use super::index::LogFrames;

/// A batch is handed on when it is this large, though more may be at hand.
const BATCH_BYTES: usize = 256 << 10;
const BATCH_RECORDS: usize = 1024;
/// A lane's batch is at most this part of what the channel may hold.
const BATCH_PART: usize = 8;
/// How often a log that another process writes is looked at.
const POLL: Duration = Duration::from_millis(5);

/// Reads on behalf of one consumer.
pub(super) struct Tail {
    frames: LogFrames,
    durable: Arc<Durable>,
    /// Whether another process writes, so that nobody announces new frames.
    is_follower: bool,
    cursor: Cursor,
    sender: DeliverySender,
    lanes: BTreeMap<Lane, TailLane>,
    batch_records: usize,
    batch_bytes: usize,
}

/// One lane of the consumer.
struct TailLane {
    next: NextOffset,
    batch: RecordBatch,
    /// Whether its end has been told since the last record.
    told_end: bool,
}

/// The consumer is gone.
struct Stopped;

impl Tail {
    pub(super) fn new(
        frames: LogFrames,
        durable: Arc<Durable>,
        is_follower: bool,
        start: FrameNo,
        from: &BTreeMap<Lane, NextOffset>,
        (sender, bounds): (DeliverySender, ConsumeBounds),
    ) -> Self {
        let lane = |(lane, next): (&Lane, &NextOffset)| {
            let batch = RecordBatch::new(*lane);
            (*lane, TailLane { next: *next, batch, told_end: false })
        };
        Self {
            cursor: frames.reader.cursor(start),
            frames,
            durable,
            is_follower,
            sender,
            lanes: from.iter().map(lane).collect(),
            batch_records: (bounds.records_max / BATCH_PART).clamp(1, BATCH_RECORDS),
            batch_bytes: (bounds.bytes_max / BATCH_PART).clamp(1, BATCH_BYTES),
        }
    }

    /// Runs until the consumer is gone or the log can't be read on.
    pub(super) fn run(mut self) {
        loop {
            match self.read_all() {
                Ok(Ok(())) => {}
                Ok(Err(Stopped)) => return,
                Err(error) => return self.sender.fail(error),
            }
            if self.flush().and_then(|()| self.tell_ends()).is_err() {
                return;
            }
            let sender = &self.sender;
            if self.is_follower {
                self.durable.pause(POLL, || sender.is_stopped());
            } else {
                self.durable.wait(self.cursor.position(), || sender.is_stopped());
            }
            // What it can't take for good must not be waited for behind a log that looks well.
            if let Some(detail) = self.durable.failure() {
                let topic = self.frames.topic.clone();
                return self.sender.fail(LogError::Failed { topic, detail });
            }
            if self.sender.is_stopped() {
                return;
            }
        }
    }

    /// Reads to the present end: the durable one, or another process's last whole frame.
    fn read_all(&mut self) -> Result<Result<(), Stopped>, LogError> {
        let end = if self.is_follower {
            FrameNo(u64::MAX)
        } else {
            let state = self.durable.now();
            for (lane, status) in self.sender.status().lanes() {
                if let Some(marks) = state.watermarks(lane) {
                    status.high.fetch_max(marks.high.0, Ordering::AcqRel);
                }
            }
            state.frames
        };
        while self.cursor.position() < end {
            let no = self.cursor.position();
            let Some(frame) = self.cursor.next()? else {
                if self.is_follower {
                    break;
                }
                return Err(self.frames.corrupt(no, "it was acknowledged and can't be read"));
            };
            let corrupt = |detail| self.frames.corrupt(no, detail);
            let LogFrame::Records(sections) = codec::decode(frame.payload).map_err(corrupt)? else {
                continue;
            };
            let bounds = (self.batch_records, self.batch_bytes);
            for section in sections {
                let Some(lane) = self.lanes.get_mut(&section.lane) else {
                    continue;
                };
                let taken = lane
                    .take(&section, bounds, &self.sender)
                    .map_err(|detail| self.frames.corrupt(no, detail))?;
                if taken.is_err() {
                    return Ok(taken);
                }
            }
        }
        Ok(Ok(()))
    }

    /// Hands on what is gathered.
    fn flush(&mut self) -> Result<(), Stopped> {
        self.lanes.values_mut().try_for_each(|lane| lane.flush(&self.sender))
    }

    fn tell_ends(&mut self) -> Result<(), Stopped> {
        for (id, lane) in &mut self.lanes {
            let status = self.sender.status().lane(*id);
            let high = status.map_or(0, |status| status.high.load(Ordering::Acquire));
            if !lane.told_end && lane.next.0 >= high {
                lane.told_end = true;
                if !self.sender.push(Delivery::CaughtUp(*id)) {
                    return Err(Stopped);
                }
            }
        }
        Ok(())
    }
}

impl TailLane {
    /// Gathers a section's records from the lane's next offset on.
    fn take(
        &mut self,
        section: &Section<'_>,
        (records_max, bytes_max): (usize, usize),
        sender: &DeliverySender,
    ) -> Result<Result<(), Stopped>, &'static str> {
        if section.next() <= self.next {
            return Ok(Ok(()));
        }
        if section.base.0 > self.next.0 {
            return Err("it leaves offsets of a lane out");
        }
        for record in section.records() {
            let (offset, record) = record?;
            if offset.0 < self.next.0 {
                continue;
            }
            push(&mut self.batch, offset, &record);
            self.next = offset.next();
            self.told_end = false;
            let is_full =
                self.batch.records.len() >= records_max || self.batch.arena.len() >= bytes_max;
            if is_full && self.flush(sender).is_err() {
                return Ok(Err(Stopped));
            }
        }
        Ok(Ok(()))
    }

    fn flush(&mut self, sender: &DeliverySender) -> Result<(), Stopped> {
        if self.batch.records.is_empty() {
            return Ok(());
        }
        let empty = sender.empty_batch(self.batch.lane);
        let batch = std::mem::replace(&mut self.batch, empty);
        if sender.send(Delivery::Batch(batch)) { Ok(()) } else { Err(Stopped) }
    }
}

/// One copy of key, value and headers together.
fn push(batch: &mut RecordBatch, offset: Offset, record: &RawRecord<'_>) {
    let start = batch.arena.len();
    batch.arena.extend_from_slice(record.body);
    let key = record.key_bytes.map(|len| Span::new(start, len));
    let value_at = start + record.key_bytes.unwrap_or(0);
    let value = record.value_bytes.map(|len| Span::new(value_at, len));
    let headers_at = value_at + record.value_bytes.unwrap_or(0);
    let headers = Span::new(headers_at, batch.arena.len().saturating_sub(headers_at));
    batch.records.push(Record { offset, timestamp_ms: record.timestamp_ms, key, value, headers });
    batch.next = offset.next();
}
