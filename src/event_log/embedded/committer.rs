//! The one thread that writes: takes what has gathered, appends it, syncs once, answers everyone.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::domain::Class;
use crate::domain::position::{Lane, NextOffset, Offset};
use crate::event_log::{Ack, LogError};
use crate::segments::{FileLock, SegmentError, SegmentSync, SegmentWriter};

use super::codec::{self, FRAME_HEAD_BYTES, SECTION_HEAD_BYTES};
use super::durable::{Durable, Trouble};
use super::index::{lane_at, place_of};
use super::queue::{Popped, Queue, Reply, Request};

/// The thread's name.
pub(super) const THREAD: &str = "log-commit";
/// Record bytes after which a frame is closed.
const FRAME_BYTES: usize = 1 << 20;
/// Record bytes after which a sync is not put off for more.
const ROUND_BYTES: usize = 8 << 20;

/// How long nothing must come before the last records are proved.
const IDLE: Duration = Duration::from_secs(1);

/// What the committer works with.
pub(super) struct Committer {
    pub(super) topic: String,
    pub(super) queue: Arc<Queue>,
    pub(super) durable: Arc<Durable>,
    /// Shared with retention.
    pub(super) writer: Arc<Mutex<SegmentWriter>>,
    pub(super) sync: SegmentSync,
    /// Each lane's next offset, unsynced frames counted.
    pub(super) next: Vec<NextOffset>,
    /// Held as long as this process writes.
    #[expect(dead_code, reason = "held, never read")]
    pub(super) lock: FileLock,
}

/// A request in a frame that was written, with the first offset of each of its lanes.
struct Written {
    request: Request,
    first: Vec<(Lane, Offset)>,
}

/// A lane's part of the frame being put together.
#[derive(Default)]
struct LaneBuffer {
    bytes: Vec<u8>,
    count: u32,
}

impl Committer {
    /// Runs until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let mut buffers = Vec::new();
        buffers.resize_with(self.next.len(), LaneBuffer::default);
        let mut unproven = false;
        loop {
            let has_more_to_do = unproven || self.is_in_trouble();
            match self.queue.pop(ROUND_BYTES, has_more_to_do.then_some(IDLE)) {
                Popped::Requests(requests) => {
                    self.round(requests, &mut buffers);
                    unproven = true;
                }
                Popped::Idle if self.is_in_trouble() => self.try_again(),
                Popped::Idle => {
                    self.prove();
                    unproven = false;
                }
                Popped::Closed => break,
            }
        }
        if unproven {
            self.prove();
        }
    }

    /// Appends a frame that says that all before it was synced. Without it, damage to the last
    /// acknowledged records would look like a torn end when the log is opened.
    fn prove(&self) {
        // A hint: where it can't be written the next append finds out why.
        let _ = self.writer.lock().append_here(&[&codec::encode_lanes(&self.next)]);
    }

    fn is_in_trouble(&self) -> bool {
        matches!(self.durable.trouble(), Some(Trouble::Passing(_)))
    }

    /// A new segment and a frame in it. Nobody may come to a log that is not ready, so that it must find
    /// out by itself when it is again.
    fn try_again(&self) {
        let mut writer = self.writer.lock();
        let lanes = codec::encode_lanes(&self.next);
        let done = writer.roll().and_then(|()| writer.append_here(&[&lanes]));
        drop(writer);
        match done {
            Ok(_) => self.heal(),
            Err(error) => self.fail(&error),
        }
    }

    /// One line when it begins.
    fn fail(&self, error: &SegmentError) {
        let (topic, why) = (&self.topic, self.error(error).to_string());
        match error.class() {
            Class::Poison => {}
            Class::Retry => {
                let before = self.durable.set_trouble(Some(Trouble::Passing(why.clone())));
                if before.is_none() {
                    tracing::warn!(topic, why, "the log takes nothing; it is tried again");
                }
            }
            Class::Fatal => {
                let before = self.durable.set_trouble(Some(Trouble::Lasting(why.clone())));
                if !matches!(before, Some(Trouble::Lasting(_))) {
                    tracing::error!(topic, why, "the log takes nothing until it is opened anew");
                }
            }
        }
    }

    fn heal(&self) {
        if self.is_in_trouble() {
            self.durable.set_trouble(None);
            tracing::info!(topic = self.topic, "the log takes records again");
        }
    }

    /// Frames for all requests, then one sync, then the answers.
    fn round(&mut self, requests: Vec<Request>, buffers: &mut [LaneBuffer]) {
        let mut written = Vec::with_capacity(requests.len());
        let mut refused: Vec<(Request, LogError)> = Vec::new();
        let mut requests = requests.into_iter().peekable();
        while requests.peek().is_some() {
            let mut frame = Vec::new();
            let mut bytes = 0;
            while bytes < FRAME_BYTES {
                let Some(request) = requests.next() else {
                    break;
                };
                bytes += request.portion.bytes();
                frame.push(request);
            }
            match self.write_frame(frame, buffers) {
                Ok(frame) => written.extend(frame),
                Err(failed) => refused.extend(failed),
            }
        }
        if !written.is_empty() {
            match self.sync.sync() {
                Ok(frames) => {
                    self.durable.advance(frames, &self.next);
                    if refused.is_empty() {
                        self.heal();
                    }
                }
                Err(error) => {
                    self.fail(&error);
                    refused.extend(
                        written.drain(..).map(|written| (written.request, self.error(&error))),
                    );
                }
            }
        }
        for written in written {
            self.acknowledge(written);
        }
        for (request, error) in refused {
            self.refuse(request, error);
        }
    }

    /// One frame of all these requests; on failure none of them stands.
    fn write_frame(
        &mut self,
        requests: Vec<Request>,
        buffers: &mut [LaneBuffer],
    ) -> Result<Vec<Written>, Vec<(Request, LogError)>> {
        let before = self.next.clone();
        let mut written = Vec::with_capacity(requests.len());
        for request in requests {
            let mut first = Vec::with_capacity(request.portion.lanes.len());
            for records in &request.portion.lanes {
                let place = place_of(records.lane, before.len().saturating_sub(1));
                let buffer = place.and_then(|place| buffers.get_mut(place));
                let next = place.and_then(|place| self.next.get_mut(place));
                let (Some(buffer), Some(next)) = (buffer, next) else {
                    continue;
                };
                first.push((records.lane, Offset(next.0)));
                *next = NextOffset(next.0 + u64::from(records.count));
                buffer.count += records.count;
                buffer.bytes.extend_from_slice(&records.bytes);
            }
            written.push(Written { request, first });
        }
        let appended = append(&mut self.writer.lock(), &before, buffers);
        for buffer in buffers {
            buffer.count = 0;
            buffer.bytes.clear();
            buffer.bytes.shrink_to(FRAME_BYTES);
        }
        match appended {
            Ok(()) => Ok(written),
            Err(error) => {
                self.fail(&error);
                self.next = before;
                let refused = |written: Written| (written.request, self.error(&error));
                Err(written.into_iter().map(refused).collect())
            }
        }
    }

    /// One failure is told to many, so it is made anew for each.
    fn error(&self, error: &SegmentError) -> LogError {
        let topic = self.topic.clone();
        match error {
            SegmentError::NoSpace { path } => LogError::NoSpace { topic, path: path.clone() },
            SegmentError::NotMade { path, source } => {
                LogError::NotMade { topic, path: path.clone(), detail: source.to_string() }
            }
            other => LogError::Failed { topic, detail: other.to_string() },
        }
    }

    fn acknowledge(&self, written: Written) {
        let Written { request, mut first } = written;
        let bytes = request.portion.bytes();
        match request.reply {
            Reply::Flush => self.queue.answered(1, bytes, None),
            Reply::Acks(reply, _permit) => {
                let mut acks = Vec::with_capacity(request.portion.order.len());
                for lane in request.portion.order {
                    if let Some((_, offset)) = first.iter_mut().find(|(first, _)| *first == lane) {
                        acks.push(Ack { lane, offset: *offset });
                        *offset = Offset(offset.next().0);
                    }
                }
                // Who no longer waits has its record in the log all the same.
                let _ = reply.send(Ok(acks));
                self.queue.answered(1, 0, None);
            }
        }
    }

    fn refuse(&self, request: Request, error: LogError) {
        let bytes = request.portion.bytes();
        match request.reply {
            Reply::Flush => self.queue.answered(1, bytes, Some(error)),
            Reply::Acks(reply, _permit) => {
                let _ = reply.send(Err(error));
                self.queue.answered(1, 0, None);
            }
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        // After a panic nobody may wait for ever.
        let topic = self.topic.clone();
        self.queue.abandon(LogError::Panicked { topic, thread: THREAD });
    }
}

/// Appends the lanes' buffers as one frame, after a lanes frame where a segment starts.
fn append(
    writer: &mut SegmentWriter,
    before: &[NextOffset],
    buffers: &[LaneBuffer],
) -> Result<(), SegmentError> {
    let mut heads = Vec::new();
    let mut next = before.iter();
    for (place, buffer) in buffers.iter().enumerate() {
        let base = next.next().map_or(Offset(0), |next| Offset(next.0));
        if buffer.count > 0 {
            let lane = lane_at(place, buffers.len().saturating_sub(1));
            let head = codec::section_head(lane, buffer.count, base, buffer.bytes.len());
            heads.push((head, buffer.bytes.as_slice()));
        }
    }
    let frame_head = codec::frame_head(heads.len());
    let mut parts: Vec<&[u8]> = vec![&frame_head];
    parts.extend(heads.iter().flat_map(|(head, bytes)| [head.as_slice(), bytes]));
    let bytes = heads.iter().map(|(_, bytes)| SECTION_HEAD_BYTES + bytes.len()).sum::<usize>();
    if writer.would_roll(FRAME_HEAD_BYTES + bytes) {
        writer.roll()?;
    }
    if writer.is_segment_empty() {
        writer.append_here(&[&codec::encode_lanes(before)])?;
    }
    writer.append_here(&parts)?;
    Ok(())
}
