//! Keeps what came in while Kafka is away: on this disk, in the order it came, until the brokers
//! have acknowledged it.
//!
//! ```text
//! keep ─► embedded log of one lane (fsynced) ─► forward ─► contact log (acks=all) ─► cursor
//! ```
//!
//! The cursor moves after the acknowledgement, so a record may be forwarded twice, and never not at
//! all. Applying an event twice changes nothing; of a command it is known whether the log may have it
//! already (`hand_over.rs`).

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::{RwLock, RwLockReadGuard};
use tokio_util::sync::CancellationToken;

use crate::domain::Class;
use crate::domain::position::{Lane, NextOffset};
use crate::domain::record::{Record, RecordBatch, header_refs, owned_headers};
use crate::event_log::embedded::{EmbeddedLog, EmbeddedOptions};
use crate::event_log::{ConsumeBounds, Consumer, Delivery, EventLog, LogError, NewRecord};
use crate::telemetry::fault;

use super::Pause;
use super::hand_over::{HANDED_OVER, HandOver, Waiting, WaitingCommand};

/// Acknowledged records that the contact log refused for good, a JSON object a line.
const REFUSED: &str = "refused.ndjson";
/// How far it was forwarded.
const CURSOR: &str = "forwarded";
/// What lies beside its log, in the order in which it is copied.
pub const OUTBOX_FILES: [&str; 3] = [CURSOR, HANDED_OVER, REFUSED];
/// Its only lane: one order for everything.
const LANE: Lane = Lane(0);
/// How much is forwarded at once.
const FORWARD_BOUNDS: ConsumeBounds = ConsumeBounds { records_max: 1024, bytes_max: 4 << 20 };
/// How long the forwarder waits before it looks again whether it should stop.
const STOP_LOOK: Duration = Duration::from_millis(100);
/// How long one try may take.
const APPEND_TIMEOUT: Duration = Duration::from_secs(30);
/// More than that is forwarded while more may be kept.
const HAND_OVER_RECORDS_MAX: u64 = 1024;
/// How long keeping may be held up at most.
const HAND_OVER_TIME_MAX: Duration = Duration::from_secs(1);
/// Largest segment; what is forwarded is given back a segment at a time.
const SEGMENT_BYTES_MAX: u64 = 16 << 20;

/// Told of a command by its event id's hash, and why it is refused.
pub(super) type Refusals<'r> = &'r (dyn Fn(u64, &str) + Sync);

/// What cannot be kept now.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// It holds as much as it may.
    #[error("the outbox is full: it holds {bytes} bytes, at most {bytes_max} are kept")]
    Full {
        /// What it holds.
        bytes: u64,
        /// What it may hold.
        bytes_max: u64,
    },
    /// The disk, or the files on it.
    #[error("the outbox: {0}")]
    Log(#[from] LogError),
    /// The file beside it, of the cursor or of what was refused.
    #[error("the outbox's file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
}

impl OutboxError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Full { .. } => Class::Retry,
            Self::Log(error) => error.class(),
            Self::File { .. } => Class::Fatal,
        }
    }
}

/// Events that are kept, but not yet on the contact log.
pub struct Outbox {
    log: Arc<EmbeddedLog>,
    cursor: PathBuf,
    bytes_max: u64,
    /// The first offset that is not forwarded.
    forwarded: AtomicU64,
    /// When the oldest one waiting came, in ms since 1970.
    oldest_ms: AtomicI64,
    /// Held to read by who keeps something, to write while the last of it goes to the contact log:
    /// else a steady stream would go through the outbox for ever.
    gate: RwLock<()>,
}

impl Outbox {
    /// Opens the outbox in a directory, made if need be.
    ///
    /// # Errors
    /// When its files can't be opened.
    pub fn open(dir: &Path, bytes_max: u64) -> Result<Self, OutboxError> {
        let log = EmbeddedLog::open(EmbeddedOptions {
            path: dir.to_owned(),
            topic: "outbox".to_owned(),
            partitions: 1,
            segment_bytes_max: SEGMENT_BYTES_MAX.min(bytes_max / 4),
            retention_bytes: None,
            // What is forwarded is not needed any more.
            retention_age: Some(Duration::ZERO),
        })?;
        let cursor = dir.join(CURSOR);
        let marks = log.watermarks(LANE)?;
        let forwarded = read_cursor(&cursor).clamp(marks.low.0, marks.high.0);
        Ok(Self {
            log: Arc::new(log),
            cursor,
            bytes_max,
            forwarded: AtomicU64::new(forwarded),
            oldest_ms: AtomicI64::new(0),
            gate: RwLock::new(()),
        })
    }

    /// Records that wait.
    pub fn records(&self) -> u64 {
        let high = self.log.watermarks(LANE).map_or(0, |marks| marks.high.0);
        high.saturating_sub(self.forwarded.load(Ordering::Acquire))
    }

    /// Bytes on the disk.
    pub fn bytes(&self) -> u64 {
        self.log.bytes()
    }

    /// Whether more may be kept.
    fn has_room(&self) -> bool {
        self.records() == 0 || self.bytes() < self.bytes_max
    }

    /// Whether it has room, and nothing keeps it from writing.
    pub fn takes_more(&self) -> bool {
        self.has_room() && self.log.trouble().is_none()
    }

    /// When the oldest that waits came, in ms since 1970; none: nothing waits.
    pub fn oldest_ms(&self) -> Option<i64> {
        (self.records() > 0).then(|| self.oldest_ms.load(Ordering::Relaxed))
    }

    /// Stay in while deciding whether to keep something, and while keeping it.
    pub async fn enter(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().await
    }

    /// Keeps records, behind all that is kept already. They are durable on return.
    ///
    /// # Errors
    /// `Full`, or what the disk says.
    pub async fn keep(&self, records: Vec<NewRecord>) -> Result<(), OutboxError> {
        if !self.has_room() {
            return Err(OutboxError::Full { bytes: self.bytes(), bytes_max: self.bytes_max });
        }
        if self.records() == 0 {
            let first = records.first().map_or(0, |record| record.timestamp_ms);
            self.oldest_ms.store(first, Ordering::Relaxed);
        }
        let records = records.into_iter().map(|mut record| {
            record.lane = Some(LANE);
            record
        });
        self.log.append(records.collect::<Vec<_>>()).await?;
        Ok(())
    }

    /// Shows the commands that wait, each with its contact. Blocks while it reads.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn commands(
        &self,
        mut show: impl FnMut(&[u8], &WaitingCommand),
    ) -> Result<(), OutboxError> {
        let from = NextOffset(self.forwarded.load(Ordering::Acquire));
        let end = self.log.watermarks(LANE)?.high;
        if from >= end {
            return Ok(());
        }
        let mut consumer = self.log.consume(&BTreeMap::from([(LANE, from)]), FORWARD_BOUNDS)?;
        loop {
            let Some(Delivery::Batch(batch)) = consumer.next(STOP_LOOK)? else {
                continue;
            };
            for (_, record) in waiting(&batch) {
                if let Some(command) = WaitingCommand::of(&record) {
                    show(&record.key, &command);
                }
            }
            if batch.next >= end {
                return Ok(());
            }
        }
    }

    /// Forwards what waits, in order, until told to stop. Blocks the calling thread. `refused` is told
    /// of commands that the log will never take.
    ///
    /// # Errors
    /// What can't heal by waiting: damage, or the contact log refusing a record for good.
    pub(super) fn forward(
        &self,
        to: &EventLog,
        runtime: &Handle,
        stop: &CancellationToken,
        refused: Refusals<'_>,
    ) -> Result<(), OutboxError> {
        let dir = self.cursor.with_file_name("");
        let to = &mut HandOver::open(to, dir)?;
        let from = NextOffset(self.forwarded.load(Ordering::Acquire));
        let mut consumer = self.log.consume(&BTreeMap::from([(LANE, from)]), FORWARD_BOUNDS)?;
        while !stop.is_cancelled() {
            let Some(Delivery::Batch(batch)) = consumer.next(STOP_LOOK)? else {
                continue;
            };
            if let Some(first) = batch.records.first() {
                self.oldest_ms.store(first.timestamp_ms, Ordering::Relaxed);
            }
            let Some(batch) = self.hand_over(batch, &mut consumer, to, runtime)? else {
                continue;
            };
            if !self.send(waiting(&batch), to, (runtime, stop), refused)? {
                return Ok(());
            }
            self.advance(batch.next);
        }
        Ok(())
    }

    /// Where little waits, forwards it all while nothing more is kept, so that the way to the contact
    /// log is free again. Returns what could not be forwarded in that short time.
    fn hand_over(
        &self,
        mut batch: RecordBatch,
        consumer: &mut Consumer,
        to: &mut HandOver<'_>,
        runtime: &Handle,
    ) -> Result<Option<RecordBatch>, OutboxError> {
        let mut records = waiting(&batch);
        let is_much = self.records() > HAND_OVER_RECORDS_MAX;
        if is_much || to.must_look(&records) || to.ask_ends(&records).is_err() {
            return Ok(Some(batch));
        }
        let _gate = runtime.block_on(self.gate.write());
        let deadline = Instant::now() + HAND_OVER_TIME_MAX;
        loop {
            if to.begin(&mut records).is_err() {
                return Ok(Some(batch));
            }
            let append = tokio::time::timeout_at(deadline.into(), to.log().append(new(&records)));
            if !matches!(runtime.block_on(append), Ok(Ok(_))) {
                return Ok(Some(batch));
            }
            self.advance(batch.next);
            // Who kept something is out, so what is there now is all.
            batch = loop {
                if self.records() == 0 || Instant::now() >= deadline {
                    return Ok(None);
                }
                if let Some(Delivery::Batch(next)) = consumer.next(STOP_LOOK)? {
                    break next;
                }
            };
            records = waiting(&batch);
            if to.must_look(&records) || !to.knows_ends(&records) {
                return Ok(Some(batch));
            }
        }
    }

    /// What of it fails is done with the next batch: an older cursor only means that some is forwarded
    /// again.
    fn advance(&self, next: NextOffset) {
        fault::point("outbox_appended");
        self.forwarded.store(next.0, Ordering::Release);
        if let Err(error) = write_cursor(&self.cursor, next.0) {
            tracing::warn!(%error, path = %self.cursor.display(), "not written now");
            return;
        }
        if let Err(error) =
            self.log.retain(&BTreeMap::from([(LANE, next)]), std::time::SystemTime::now())
        {
            tracing::warn!(%error, "what was forwarded was not removed now");
        }
    }

    /// Tries until the contact log has taken all of these. False: told to stop before.
    fn send(
        &self,
        mut waiting: Vec<Waiting>,
        to: &mut HandOver<'_>,
        (runtime, stop): (&Handle, &CancellationToken),
        refused: Refusals<'_>,
    ) -> Result<bool, OutboxError> {
        let mut pause = Pause::default();
        // At once, until it is to be known which one the log does not take.
        let mut part = usize::MAX;
        loop {
            let looked = to.ask_ends(&waiting).and_then(|()| to.look(&mut waiting, stop));
            let mut failed = looked.err();
            while failed.is_none() && !waiting.is_empty() {
                let some = waiting.len().min(part);
                let (now, _) = waiting.split_at_mut(some);
                match try_append(now, to, runtime, stop) {
                    None => return Ok(false),
                    Some(Ok(())) => {}
                    Some(Err(error)) if error.class() == Class::Poison && some == 1 => {
                        let record = now.iter().map(|(_, record)| record);
                        let kept = record.map(|record| self.set_aside(record, &error));
                        if let Err(error) = kept.collect::<Result<(), _>>() {
                            tracing::warn!(%error, "it is tried again");
                            if !pause.wait(runtime, stop) {
                                return Ok(false);
                            }
                            continue;
                        }
                        let commands = now.iter().map(|(_, record)| WaitingCommand::of(record));
                        for command in commands.flatten() {
                            refused(command.event_hash(), &error.to_string());
                        }
                    }
                    Some(Err(error)) => {
                        failed = Some(error);
                        break;
                    }
                }
                waiting.drain(..some);
            }
            match failed {
                None => return Ok(true),
                Some(error) if error.class() == Class::Poison => part = 1,
                Some(error) => {
                    tracing::debug!(%error, "the outbox waits for the contact log");
                    if !pause.wait(runtime, stop) {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// What was acknowledged and the contact log will never take is kept as a line of a file, synced:
    /// the intake bounds records well below what a topic takes, unless that is set lower.
    fn set_aside(&self, record: &NewRecord, why: &LogError) -> Result<(), OutboxError> {
        let path = self.cursor.with_file_name(REFUSED);
        let text = |bytes: &[u8]| BASE64.encode(bytes);
        let headers = header_refs(&record.headers);
        let headers = headers.map(|(name, value)| json!([name, value.map(text)]));
        let line = json!({
            "refused": why.to_string(),
            "timestampMs": record.timestamp_ms,
            "keyBase64": text(&record.key),
            "headersBase64": headers.collect::<Vec<_>>(),
            "valueBase64": record.value.as_deref().map(text),
        });
        let line = format!("{line}\n");
        let kept = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        kept.and_then(|mut file| file.write_all(line.as_bytes()).and_then(|()| file.sync_all()))
            .map_err(|source| OutboxError::File { path: path.clone(), source })?;
        tracing::error!(
            error = %why, path = %path.display(),
            "the contact log will never take a record of the outbox; it is kept in a file"
        );
        Ok(())
    }

    /// Ends its thread; what waits is forwarded at the next start.
    pub fn shutdown(&self) -> Result<(), OutboxError> {
        Ok(self.log.shutdown()?)
    }
}

/// None: told to stop.
fn try_append(
    waiting: &mut [Waiting],
    to: &mut HandOver<'_>,
    runtime: &Handle,
    stop: &CancellationToken,
) -> Option<Result<(), LogError>> {
    let log = to.log();
    let topic = || log.identity().map(|identity| identity.topic).unwrap_or_default();
    let failed = |detail: String| LogError::Unreachable { topic: topic(), detail };
    if let Err(error) = to.begin(waiting) {
        return Some(Err(failed(error.to_string())));
    }
    let append = tokio::time::timeout(APPEND_TIMEOUT, log.append(new(waiting)));
    match runtime.block_on(stop.run_until_cancelled(append))? {
        Ok(appended) => Some(appended.map(|_acks| ())),
        Err(_elapsed) => Some(Err(failed("it did not acknowledge in time".to_owned()))),
    }
}

/// What waits, as the contact log is to have it.
fn waiting(batch: &RecordBatch) -> Vec<Waiting> {
    let record = |record: &Record| NewRecord {
        key: batch.key(record).unwrap_or_default().to_vec(),
        value: batch.value(record).map(<[u8]>::to_vec),
        headers: owned_headers(batch.headers(record)),
        timestamp_ms: record.timestamp_ms,
        lane: None,
    };
    batch.records.iter().map(|at| (at.offset, record(at))).collect()
}

fn new(waiting: &[Waiting]) -> Vec<NewRecord> {
    waiting.iter().map(|(_, record)| record.clone()).collect()
}

/// What was forwarded; 0 where that is not known: then everything still there is forwarded again.
fn read_cursor(path: &Path) -> u64 {
    fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Not synced: an older cursor only means that some is forwarded again.
fn write_cursor(path: &Path, next: u64) -> std::io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, next.to_string())?;
    fs::rename(&new, path)
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
