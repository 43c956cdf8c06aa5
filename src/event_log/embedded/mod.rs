//! The contact log on this disk: partitioned, append-only, acknowledged when fsynced.
//!
//! ```text
//! append ─► queue ─► committer: one frame, one fsync for all that waits ─► acknowledgements
//!                                        │
//!                              segments on disk ─► tail (a thread a consumer) ─► DeliverySender
//! ```
//!
//! One directory: `log.json` (which log), `writer.lock` (who writes), `segments/`. All lanes share
//! the segments, so that one fsync serves them all. In the writing process a consumer gets records
//! when they are durable; in another process it may see one a moment before it is acknowledged.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::domain::founding::Founding;
use crate::domain::position::{Lane, LogIdentity, LogKind, NextOffset, Offset};
use crate::segments::{
    FileLock, OpenReport, SegmentKind, SegmentOptions, SegmentReader, SegmentWriter,
};

use super::{
    Ack, ConsumeBounds, Consumer, LogError, NewRecord, Retention, StoredRecord, Watermarks,
    deliveries,
};

mod codec;
mod committer;
mod durable;
mod encode;
mod index;
mod meta;
mod options;
mod pin;
mod queue;
mod retention;
mod tail;

pub use codec::frame_again;
pub use options::EmbeddedOptions;
pub use pin::{META, SEGMENTS, check, extents, pin};

use committer::Committer;
use durable::{Durable, State, Trouble};
use index::{LogEnd, LogFrames};
use meta::Meta;
use queue::{Queue, Reply, Request};
use tail::Tail;

/// The largest record, in bytes.
pub const RECORD_BYTES_MAX: usize = 16 << 20;

/// The log in a directory of this disk.
#[derive(Debug)]
pub struct EmbeddedLog {
    path: PathBuf,
    meta: Meta,
    frames: LogFrames,
    durable: Arc<Durable>,
    role: Role,
}

/// What this process may do.
#[derive(Debug)]
enum Role {
    /// The one process that appends.
    Writer(Box<Appender>),
    /// Any other; the end is found by looking.
    Reader(Mutex<LogEnd>),
}

/// The writing side.
#[derive(Debug)]
struct Appender {
    queue: Arc<Queue>,
    writer: Arc<Mutex<SegmentWriter>>,
    options: EmbeddedOptions,
    report: OpenReport,
    committer: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedLog {
    /// Opens the log for writing, made anew when the directory holds none. Everything found is
    /// durable on return.
    ///
    /// # Errors
    /// `Locked` while another process writes; `Mismatch` for another topic or partition count than
    /// the log was made with; damage as the segments find it.
    pub fn open(options: EmbeddedOptions) -> Result<Self, LogError> {
        let EmbeddedOptions { path, topic, .. } = options.clone();
        std::fs::create_dir_all(&path)
            .and_then(|()| {
                File::open(path.parent().filter(|parent| parent.is_dir()).unwrap_or(&path))
            })
            .and_then(|parent| parent.sync_all())
            .map_err(|source| LogError::Io { what: "create", path: path.clone(), source })?;
        let lock = lock(&path)?;
        let meta = match Meta::read(&path)? {
            Some(meta) => meta,
            None => Meta::create(&options)?,
        };
        meta.check(&options)?;
        let dir = segments_dir(&path);
        let segments =
            SegmentOptions { kind: SegmentKind::Log, segment_bytes_max: options.segment_bytes_max };
        let (writer, report) = SegmentWriter::open(&dir, segments, None)?;
        let reader = SegmentReader::open(&dir, SegmentKind::Log)?;
        let frames = LogFrames { reader, topic, lanes: meta.founding.lanes };
        let high = frames.end()?.next;
        let state = State { frames: writer.synced(), low: frames.low()?, high: high.clone() };
        let durable = Arc::new(Durable::new(state));
        let queue = Arc::new(Queue::new());
        let sync = writer.sync_handle();
        let writer = Arc::new(Mutex::new(writer));
        let committer = Committer {
            topic: meta.topic.clone(),
            queue: Arc::clone(&queue),
            durable: Arc::clone(&durable),
            writer: Arc::clone(&writer),
            sync,
            next: high,
            lock,
        };
        let committer = spawn(committer::THREAD, &path, move || committer.run())?;
        let committer = Mutex::new(Some(committer));
        let appender = Appender { queue, writer, options, report, committer };
        Ok(Self { path, meta, frames, durable, role: Role::Writer(Box::new(appender)) })
    }

    /// What its retention goes by. In a process that only reads: nothing, it is the writer's to say.
    pub fn retention(&self) -> Retention {
        match &self.role {
            Role::Writer(appender) => Retention {
                age: appender.options.retention_age,
                is_by_bytes: appender.options.retention_bytes.is_some(),
            },
            Role::Reader(_) => Retention::default(),
        }
    }

    /// Opens a log that another process may be writing, without touching it.
    ///
    /// # Errors
    /// `Configuration` when there is no log.
    pub fn open_read_only(path: &Path) -> Result<Self, LogError> {
        let Some(meta) = Meta::read(path)? else {
            let detail = format!("there is no log in {}", path.display());
            return Err(LogError::Configuration { detail });
        };
        let reader = SegmentReader::open(&segments_dir(path), SegmentKind::Log)?;
        let frames = LogFrames { reader, topic: meta.topic.clone(), lanes: meta.founding.lanes };
        let end = frames.end()?;
        let state =
            State { frames: Default::default(), low: frames.low()?, high: end.next.clone() };
        let durable = Arc::new(Durable::new(state));
        Ok(Self {
            path: path.to_owned(),
            meta,
            frames,
            durable,
            role: Role::Reader(Mutex::new(end)),
        })
    }

    /// Which log this is.
    pub fn identity(&self) -> Result<LogIdentity, LogError> {
        Ok(LogIdentity {
            kind: LogKind::Embedded,
            cluster: self.meta.cluster.clone(),
            topic: self.meta.topic.clone(),
        })
    }

    /// What a key's home lane follows from.
    pub fn founding(&self) -> Founding {
        self.meta.founding
    }

    /// What opening found, for the one who writes.
    pub fn open_report(&self) -> Option<OpenReport> {
        match &self.role {
            Role::Writer(appender) => Some(appender.report),
            Role::Reader(_) => None,
        }
    }

    /// What `lane` holds, as far as it is durable.
    pub fn watermarks(&self, lane: Lane) -> Result<Watermarks, LogError> {
        self.look()?;
        self.durable.watermarks(lane).ok_or_else(|| self.unknown_lane(lane))
    }

    /// A reader looks how far the writer has come.
    fn look(&self) -> Result<(), LogError> {
        let Role::Reader(end) = &self.role else {
            return Ok(());
        };
        let mut end = end.lock();
        let frames = self.frames.advance(&mut end)?;
        self.durable.advance(frames, &end.next);
        self.durable.set_low(self.frames.low()?);
        Ok(())
    }

    /// Reads the lanes of `from` on, without end.
    pub fn consume(
        &self,
        from: &BTreeMap<Lane, NextOffset>,
        bounds: ConsumeBounds,
    ) -> Result<Consumer, LogError> {
        self.look()?;
        let state = self.durable.now();
        let mut is_at_end = true;
        for (lane, next) in from {
            let marks = state.watermarks(*lane).ok_or_else(|| self.unknown_lane(*lane))?;
            if next.0 < marks.low.0 || *next > marks.high {
                let Watermarks { low, high } = marks;
                let topic = self.meta.topic.clone();
                return Err(LogError::OffsetOutOfRange {
                    topic,
                    lane: *lane,
                    next: *next,
                    low,
                    high,
                });
            }
            is_at_end &= *next == marks.high;
        }
        let start = if is_at_end { state.frames } else { self.frames.start(from)? };
        let (sender, consumer) = deliveries(&self.meta.topic, from, bounds);
        let durable = Arc::clone(&self.durable);
        let is_follower = matches!(self.role, Role::Reader(_));
        let tail =
            Tail::new(self.frames.clone(), durable, is_follower, start, from, (sender, bounds));
        let thread = spawn("log-tail", &self.path, move || tail.run())?;
        let durable = Arc::clone(&self.durable);
        Ok(consumer.with_thread(thread, move || durable.wake()))
    }

    /// One record, or `None` when the lane doesn't hold it.
    pub fn read_one(&self, lane: Lane, offset: Offset) -> Result<Option<StoredRecord>, LogError> {
        let Watermarks { low, high } = self.watermarks(lane)?;
        if offset < low || offset.next() > high {
            return Ok(None);
        }
        self.frames.record(lane, offset)
    }

    /// Appends, and resolves when every record is durable.
    ///
    /// # Errors
    /// `NoSpace` and `NotMade` (class Retry): none of these records was acknowledged, some may stand.
    /// `Failed`: an fsync failed, now or before.
    pub async fn append(&self, records: impl AsRef<[NewRecord]>) -> Result<Vec<Ack>, LogError> {
        let records = records.as_ref();
        let appender = self.appender()?;
        let portions = self.encode(records)?;
        let mut replies = Vec::with_capacity(portions.len());
        for portion in portions {
            let (reply, acks) = oneshot::channel();
            let permit = appender.queue.permit(portion.bytes()).await;
            let reply = Reply::Acks(reply, permit.ok_or_else(|| self.closed())?);
            if !appender.queue.push(Request { portion, reply }) {
                return Err(self.closed());
            }
            replies.push(acks);
        }
        let mut acks = Vec::with_capacity(records.len());
        for reply in replies {
            acks.extend(reply.await.map_err(|_| self.panicked())??);
        }
        Ok(acks)
    }

    /// Takes records over for [`EmbeddedLog::flush`] to confirm; blocks while too many bytes wait.
    pub fn append_blocking(&self, records: Vec<NewRecord>) -> Result<(), LogError> {
        let appender = self.appender()?;
        for portion in self.encode(&records)? {
            let reply = Reply::Flush;
            if !appender.queue.push_bulk(Request { portion, reply }) {
                return Err(self.closed());
            }
        }
        Ok(())
    }

    /// Waits until everything taken over before is durable.
    pub fn flush(&self) -> Result<(), LogError> {
        match &self.role {
            Role::Writer(appender) => appender.queue.flush(),
            Role::Reader(_) => Ok(()),
        }
    }

    /// Commits what waits, ends the committer, and lets another process write.
    pub fn shutdown(&self) -> Result<(), LogError> {
        let Role::Writer(appender) = &self.role else {
            return Ok(());
        };
        appender.queue.close();
        if let Some(committer) = appender.committer.lock().take() {
            committer.join().map_err(|_| self.panicked())?;
        }
        appender.queue.flush()
    }

    /// Why it takes nothing now; it tries again by itself, or its consumers end.
    pub fn trouble(&self) -> Option<String> {
        self.durable.trouble().map(|(Trouble::Passing(why) | Trouble::Lasting(why))| why)
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        match &self.role {
            Role::Writer(appender) => appender.writer.lock().bytes(),
            Role::Reader(_) => 0,
        }
    }

    fn appender(&self) -> Result<&Appender, LogError> {
        match &self.role {
            Role::Writer(appender) => Ok(appender),
            Role::Reader(_) => Err(LogError::ReadOnly { path: self.path.clone() }),
        }
    }

    fn unknown_lane(&self, lane: Lane) -> LogError {
        let topic = self.meta.topic.clone();
        LogError::UnknownLane { topic, lane, lanes: self.meta.founding.lanes }
    }

    fn closed(&self) -> LogError {
        LogError::Closed { topic: self.meta.topic.clone() }
    }

    fn panicked(&self) -> LogError {
        LogError::Panicked { topic: self.meta.topic.clone(), thread: committer::THREAD }
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        // Who wanted to know whether the last appends were kept has called shutdown or flush.
        let _ = self.shutdown();
    }
}

fn segments_dir(path: &Path) -> PathBuf {
    path.join(SEGMENTS)
}

/// Takes the one writer's lock.
fn lock(path: &Path) -> Result<FileLock, LogError> {
    let file = path.join("writer.lock");
    let taken = FileLock::take(&file);
    let taken = taken.map_err(|source| LogError::Io { what: "lock", path: file, source })?;
    taken.ok_or_else(|| LogError::Locked { path: path.to_owned() })
}

fn spawn(
    name: &'static str,
    path: &Path,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, LogError> {
    let spawned = thread::Builder::new().name(name.into()).spawn(run);
    spawned.map_err(|source| LogError::Io {
        what: "start a thread for",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
