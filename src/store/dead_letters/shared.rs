//! The archive as readers, the writer and its thread see it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::watch;

use crate::domain::position::{Lane, Offset};
use crate::domain::verdict::DeadLetterReason;
use crate::segments::{FrameNo, SegmentReader};

use super::super::StoreError;
use super::super::cut::Cut;
use super::archive;
use super::entry::KeptLetter;
use super::index::{Index, LetterRow};
use super::{FOLDER, LetterLimits};

/// What the archive says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterFigures {
    /// Letters kept.
    pub letters: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// The record's time of the oldest one, in ms; none: there is none.
    pub oldest_ms: Option<i64>,
    /// How many for each reason.
    pub by_reason: Vec<(DeadLetterReason, u64)>,
    /// Letters committed and not archived yet.
    pub behind: u64,
}

/// The archive of dead letters, read by any number of threads.
#[derive(Debug)]
pub struct DeadLetters {
    index: RwLock<Index>,
    segments: SegmentReader,
    bytes: AtomicU64,
    /// The archive was read; until then nothing is known of it.
    is_loaded: AtomicBool,
    /// Letters that the journal holds, or has held.
    committed: AtomicU64,
    /// Of these, the first ones that are archived and synced.
    archived: AtomicU64,
    /// All letters of the journal's frames before this one are.
    read_to: AtomicU64,
    /// The store's own id, by which instances are told apart.
    instance: u64,
    stop: Mutex<bool>,
    wake: Condvar,
    /// What was committed is archived, or more of it.
    settled: Condvar,
    /// The frame after the last archived letter.
    changed: watch::Sender<u64>,
    pub(super) limits: LetterLimits,
}

impl DeadLetters {
    pub(crate) fn new(
        dir: &Path,
        limits: LetterLimits,
        instance: u64,
        cut: &Cut,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            index: RwLock::default(),
            segments: archive::reader(&dir.join(FOLDER))?,
            bytes: AtomicU64::new(0),
            is_loaded: AtomicBool::new(false),
            committed: AtomicU64::new(cut.dead_letters()),
            archived: AtomicU64::new(0),
            read_to: AtomicU64::new(0),
            instance,
            stop: Mutex::new(false),
            wake: Condvar::new(),
            settled: Condvar::new(),
            changed: watch::Sender::new(0),
            limits,
        })
    }

    /// Whether the archive was read; until then it seems to be empty.
    pub fn is_loaded(&self) -> bool {
        self.is_loaded.load(Ordering::Acquire)
    }

    /// Tells instances apart, and is the same after a restart.
    pub fn instance(&self) -> u64 {
        self.instance
    }

    /// Moves when letters were archived.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The first frame and the one behind the last.
    pub fn range(&self) -> (u64, u64) {
        let index = self.index.read();
        (index.first, index.end())
    }

    /// What the archive says of itself.
    pub fn figures(&self) -> LetterFigures {
        let index = self.index.read();
        let committed = self.committed.load(Ordering::Acquire);
        LetterFigures {
            letters: index.len() as u64,
            bytes: self.bytes.load(Ordering::Relaxed),
            oldest_ms: index.oldest_ms(),
            by_reason: index.by_reason().collect(),
            behind: committed.saturating_sub(self.archived.load(Ordering::Acquire)),
        }
    }

    /// The frame of the letter at a place on the log.
    pub fn frame_of(&self, lane: Lane, offset: Offset) -> Option<u64> {
        self.index.read().frame_of(lane, offset)
    }

    /// Some letters with their frames, from a frame on, oldest first.
    pub fn rows_from(&self, frame: u64, max: usize) -> Vec<(u64, LetterRow)> {
        let index = self.index.read();
        let first = frame.max(index.first);
        let rows = (first..index.end()).take(max);
        rows.filter_map(|frame| index.get(frame).map(|row| (frame, *row))).collect()
    }

    /// Some letters with their frames, before a frame, newest first.
    pub fn rows_before(&self, frame: u64, max: usize) -> Vec<(u64, LetterRow)> {
        let index = self.index.read();
        let rows = (index.first..frame.min(index.end())).rev().take(max);
        rows.filter_map(|frame| index.get(frame).map(|row| (frame, *row))).collect()
    }

    /// A letter's bytes; none when it is not kept any more.
    pub fn letter(&self, frame: u64) -> Result<Option<KeptLetter>, StoreError> {
        match self.segments.frame(FrameNo(frame))? {
            Some(bytes) => KeptLetter::decode(&bytes).map(Some),
            None => Ok(None),
        }
    }

    /// The writer has committed.
    pub(crate) fn committed(&self, cut: &Cut) {
        let letters = cut.dead_letters();
        if self.committed.swap(letters, Ordering::AcqRel) != letters {
            // Under the lock, so that a thread about to wait has seen it.
            let _stop = self.stop.lock();
            self.wake.notify_one();
        }
    }

    /// The first frame of the journal that is still needed for letters up to a cut.
    pub(crate) fn needs_from(&self, cut: &Cut) -> FrameNo {
        let is_archived =
            self.is_loaded() && self.archived.load(Ordering::Acquire) >= cut.dead_letters();
        if is_archived { FrameNo(u64::MAX) } else { FrameNo(self.read_to.load(Ordering::Acquire)) }
    }

    pub(super) fn loaded(&self, index: Index, bytes: u64) {
        let end = index.end();
        *self.index.write() = index;
        self.bytes.store(bytes, Ordering::Relaxed);
        self.is_loaded.store(true, Ordering::Release);
        self.changed.send_replace(end);
    }

    /// Letters up to `archived` are synced, and all frames of the journal before `read_to` done.
    pub(super) fn archived(&self, rows: Vec<LetterRow>, archived: u64, read_to: FrameNo) {
        let is_news = !rows.is_empty();
        let end = {
            let mut index = self.index.write();
            rows.into_iter().for_each(|row| index.push(row));
            index.end()
        };
        self.read_to.store(read_to.0, Ordering::Release);
        {
            // Under the lock, so that who is about to wait has seen it.
            let _stop = self.stop.lock();
            self.archived.store(archived, Ordering::Release);
            self.settled.notify_all();
        }
        if is_news {
            self.changed.send_replace(end);
        }
    }

    pub(super) fn retained(&self, first: FrameNo, bytes: u64) {
        self.index.write().drop_before(first.0);
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Waits until more than `archived` letters are committed, or for `at_most`. False: told to stop.
    pub(super) fn wait_for_more(&self, archived: u64, at_most: Duration) -> bool {
        let end = Instant::now() + at_most;
        let mut stop = self.stop.lock();
        while !*stop && self.committed.load(Ordering::Acquire) <= archived {
            if self.wake.wait_until(&mut stop, end).timed_out() {
                break;
            }
        }
        !*stop
    }

    /// Waits until all that is committed is archived, for `at_most`.
    pub(crate) fn wait_until_archived(&self, at_most: Duration) {
        let end = Instant::now() + at_most;
        let mut stop = self.stop.lock();
        while !*stop {
            let archived = self.archived.load(Ordering::Acquire);
            if self.is_loaded() && archived >= self.committed.load(Ordering::Acquire) {
                break;
            }
            if self.settled.wait_until(&mut stop, end).timed_out() {
                break;
            }
        }
    }

    /// Waits, whatever is committed. False: told to stop.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut stop = self.stop.lock();
        while !*stop && !self.wake.wait_until(&mut stop, end).timed_out() {}
        !*stop
    }

    pub(super) fn tell_to_stop(&self) {
        *self.stop.lock() = true;
        self.wake.notify_all();
    }
}
