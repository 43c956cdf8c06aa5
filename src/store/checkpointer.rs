//! The background thread: takes generations to the engine, writes checkpoints and snapshots.
//!
//! One checkpoint: swap (the cut) → journal fsync → engine, sorted, the checkpoint's number last →
//! engine flush → checkpoint file → retire. Between two checkpoints nothing writes the engine, so a
//! snapshot, made there, is a plain scan of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::config::StoreConfig;
use crate::domain::Class;
use crate::segments::{FrameNo, SegmentSync};
use crate::telemetry::fault;

use super::StoreError;
use super::checkpoint::Checkpoint;
use super::cut::Cut;
use super::dirty::Generation;
use super::insertion::{insert, insert_helped, stamp};
use super::shared::Shared;
use super::snapshot;
use super::trim::{Retention, Trim};

/// Wakes nobody; guards against a wake that came between look and wait.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Before a checkpoint's file is made again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// A snapshot is not due by growth before this many journal segments have filled.
const SNAPSHOT_SEGMENTS_MIN: u64 = 4;
/// A snapshot that would hold the writer up waits for a calmer moment until it is so much overdue.
const SNAPSHOT_OVERDUE: u64 = 4;

/// What the writer and the thread say to each other.
#[derive(Debug, Default)]
pub(crate) struct Control {
    state: Mutex<State>,
    /// To the thread: something was asked for.
    wake: Condvar,
    /// To the writer: room was made, or something asked for is done.
    done: Condvar,
}

/// Requests are numbered, so that a wait is for what was asked before it.
#[derive(Debug, Default)]
struct State {
    checkpoints_asked: u64,
    checkpoints_done: u64,
    /// The last one that the writer stands still for.
    checkpoints_awaited: u64,
    snapshots_asked: u64,
    snapshots_done: u64,
    stop: bool,
    trim: Option<Trim>,
}

impl Control {
    /// Asks for a checkpoint without waiting. One that is under way counts, though its swap may be
    /// over: who needs a later one asks again after it.
    pub(crate) fn request(&self) {
        self.request_in(&mut self.state.lock());
    }

    fn request_in(&self, state: &mut State) {
        if state.checkpoints_asked == state.checkpoints_done {
            state.checkpoints_asked += 1;
            self.wake.notify_one();
        }
    }

    pub(crate) fn take_trim(&self) -> Option<Trim> {
        self.state.lock().trim.take()
    }

    /// Returns once all that was committed is in a verified snapshot, or the thread was told to end.
    pub(crate) fn snapshot_now(&self, shared: &Shared) -> Result<(), StoreError> {
        let asked = self.ask(|state| {
            state.snapshots_asked += 1;
            state.snapshots_asked
        });
        self.wait(shared, |state| state.snapshots_done >= asked || state.stop)
    }

    fn ask(&self, note: impl FnOnce(&mut State) -> u64) -> u64 {
        let mut state = self.state.lock();
        state.checkpoints_asked += 1;
        self.wake.notify_one();
        note(&mut state)
    }

    fn wait(&self, shared: &Shared, is_done: impl Fn(&State) -> bool) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        while !is_done(&state) {
            shared.commits.check()?;
            self.done.wait_for(&mut state, LOOK_AGAIN);
        }
        shared.commits.check()
    }
}

/// The writer's end of the thread; joined when it is dropped.
#[derive(Debug)]
pub(crate) struct CheckpointThread {
    control: Arc<Control>,
    thread: Option<JoinHandle<()>>,
}

impl CheckpointThread {
    /// Starts the thread.
    pub(crate) fn start(
        shared: Arc<Shared>,
        sync: SegmentSync,
        config: StoreConfig,
        last: Checkpoint,
        is_recovering: bool,
    ) -> Result<Self, StoreError> {
        let control = Arc::new(Control::default());
        let dir = config.path.clone();
        let mut checkpointer = Checkpointer {
            snapshot_at: Instant::now(),
            shared,
            control: Arc::clone(&control),
            sync,
            // The disk's size is asked once, so that the bound stays what it was.
            retention: config.retention(),
            config,
            last,
            is_recovering,
        };
        let thread = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn(move || checkpointer.run())
            .map_err(StoreError::io("starting a thread for", &dir))?;
        Ok(Self { control, thread: Some(thread) })
    }

    pub(crate) fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Returns once the current generation has room.
    pub(crate) fn wait_for_room(&self, shared: &Shared, bytes_max: u64) -> Result<(), StoreError> {
        shared.commits.check()?;
        if shared.contacts.dirty.bytes().0 < bytes_max {
            return Ok(());
        }
        let started = Instant::now();
        let mut state = self.control.state.lock();
        while shared.contacts.dirty.bytes().0 >= bytes_max {
            shared.commits.check()?;
            self.control.request_in(&mut state);
            state.checkpoints_awaited = state.checkpoints_asked;
            self.control.done.wait_for(&mut state, LOOK_AGAIN);
        }
        drop(state);
        let waited = started.elapsed().as_micros() as u64;
        let total = &shared.figures.backpressure_micros;
        total.fetch_add(waited, Ordering::Relaxed);
        Ok(())
    }

    /// Returns once all that was committed is in a checkpoint.
    pub(crate) fn run_now(&self, shared: &Shared) -> Result<(), StoreError> {
        let asked = self.control.ask(|state| {
            state.checkpoints_awaited = state.checkpoints_asked;
            state.checkpoints_asked
        });
        self.control.wait(shared, |state| state.checkpoints_done >= asked)
    }

    /// Ends the thread after what it is doing.
    pub(crate) fn stop(&mut self) {
        self.control.state.lock().stop = true;
        self.control.wake.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the checkpoint thread panicked");
        }
    }
}

impl Drop for CheckpointThread {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The thread's own state.
struct Checkpointer {
    shared: Arc<Shared>,
    control: Arc<Control>,
    sync: SegmentSync,
    config: StoreConfig,
    retention: Retention,
    last: Checkpoint,
    /// The first checkpoint follows a redo.
    is_recovering: bool,
    /// When the last snapshot was written, or the store opened.
    snapshot_at: Instant,
}

/// What the writer or the clock wants.
struct Work {
    checkpoints: u64,
    is_asked: bool,
    is_awaited: bool,
    snapshots: u64,
    is_snapshot_asked: bool,
}

impl Checkpointer {
    fn run(&mut self) {
        while let Some(work) = self.next_work() {
            let done = catch_unwind(AssertUnwindSafe(|| self.work(&work)));
            let done = done.unwrap_or_else(|_| {
                Err(StoreError::damaged("the checkpoint thread", "it panicked"))
            });
            if let Err(error) = done {
                self.shared.commits.fail(error);
                self.control.done.notify_all();
                return;
            }
            let mut state = self.control.state.lock();
            state.checkpoints_done = work.checkpoints;
            state.snapshots_done = work.snapshots;
            self.control.done.notify_all();
        }
    }

    fn next_work(&self) -> Option<Work> {
        let due = Instant::now() + self.config.checkpoint_interval;
        let mut state = self.control.state.lock();
        let mut is_calm = false;
        loop {
            if state.stop {
                return None;
            }
            let is_asked = state.checkpoints_asked > state.checkpoints_done;
            if is_asked || is_calm || Instant::now() >= due {
                return Some(Work {
                    checkpoints: state.checkpoints_asked,
                    is_asked,
                    is_awaited: state.checkpoints_awaited > state.checkpoints_done,
                    snapshots: state.snapshots_asked,
                    is_snapshot_asked: state.snapshots_asked > state.snapshots_done,
                });
            }
            is_calm = self.wait(&mut state, due);
        }
    }

    /// Waits to be woken. Whether a load is over by which the lists were put off.
    fn wait(&self, state: &mut MutexGuard<'_, State>, due: Instant) -> bool {
        let Shared { ordered, commits, bounds, .. } = &*self.shared;
        if !ordered.are_put_off() {
            self.control.wake.wait_until(state, due);
            return false;
        }
        let frames = *commits.frames.borrow();
        let until = due.min(Instant::now() + bounds.pause);
        let has_passed = self.control.wake.wait_until(state, until).timed_out();
        has_passed && frames == *commits.frames.borrow()
    }

    fn work(&mut self, work: &Work) -> Result<(), StoreError> {
        self.checkpoint(work)?;
        if work.is_snapshot_asked || self.is_snapshot_due() {
            self.snapshot()?;
        }
        self.allow_trim()
    }

    /// One checkpoint, if anything was committed since the last; with both hands if it is awaited.
    fn checkpoint(&mut self, work: &Work) -> Result<(), StoreError> {
        let started = Instant::now();
        let Some((cut, generation)) = self.swap() else {
            // Asked for, it says nothing of whether a load goes on.
            return if work.is_asked { Ok(()) } else { self.index() };
        };
        self.control.done.notify_all();
        fault::point("swapped");
        let is_out_of_order = fault::bug("sled_before_sync");
        if !is_out_of_order {
            self.sync_journal(&cut)?;
        }
        let number = self.last.number + 1;
        if work.is_awaited {
            insert_helped(&self.shared.contacts.engine, &generation, || self.index())?;
        } else {
            insert(&self.shared.contacts.engine, &generation)?;
        }
        stamp(&self.shared.contacts.engine, number, self.last.store)?;
        self.shared.contacts.engine.flush()?;
        fault::point("sled_flushed");
        if is_out_of_order {
            self.sync_journal(&cut)?;
        }
        let cut = if fault::bug("counters_at_write") {
            let now = self.shared.commits.cut.lock().clone();
            Cut { counters: now.counters, digest: now.digest, ..cut }
        } else {
            cut
        };
        let checkpoint = Checkpoint { number, store: self.last.store, cut };
        self.write(&checkpoint)?;
        fault::point("checkpoint_written");
        self.last = checkpoint;
        self.shared.contacts.retire(&generation, || self.index())?;
        self.tell(started);
        if std::mem::take(&mut self.is_recovering) {
            fault::point("recovered_checkpoint");
        }
        Ok(())
    }

    /// Tries until the file can be made: what the swap took out of the dirty set has no way back.
    fn write(&self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        loop {
            let error = match checkpoint.write(&self.config.path) {
                Err(error) if error.class() == Class::Retry => error,
                written => {
                    if self.shared.commits.waiting.lock().take().is_some() {
                        tracing::info!("checkpoints go on");
                    }
                    return written;
                }
            };
            let before = self.shared.commits.waiting.lock().replace(error.to_string());
            if before.is_none() {
                tracing::warn!(%error, "checkpoints wait; this one is tried again");
            }
            let mut state = self.control.state.lock();
            if state.stop {
                return Err(error);
            }
            self.control.wake.wait_for(&mut state, TRY_AGAIN);
        }
    }

    /// The cut between two batches. None: nothing was committed since the last checkpoint.
    fn swap(&self) -> Option<(Cut, Arc<Generation>)> {
        let cut = self.shared.commits.cut.lock();
        if cut.next_frame == self.last.cut.next_frame {
            return None;
        }
        let generation = self.shared.contacts.dirty.swap()?;
        Some((cut.clone(), generation))
    }

    fn sync_journal(&self, cut: &Cut) -> Result<(), StoreError> {
        let synced = self.sync.sync()?;
        if synced < cut.next_frame {
            let detail = format!("synced to frame {synced} of {}", cut.next_frame);
            return Err(StoreError::damaged("journal", detail));
        }
        let figure = &self.shared.figures.journal_synced_next;
        figure.store(synced.0, Ordering::Relaxed);
        fault::point("journal_synced");
        Ok(())
    }

    fn index(&self) -> Result<(), StoreError> {
        Ok(self.shared.ordered.take(&self.shared.contacts.dirty)?)
    }

    fn tell(&self, started: Instant) {
        let figures = &self.shared.figures;
        figures.checkpoints.fetch_add(1, Ordering::Relaxed);
        figures.checkpoint_number.store(self.last.number, Ordering::Relaxed);
        let at = self.shared.opened.elapsed().as_micros() as u64;
        figures.checkpoint_at_micros.store(at, Ordering::Relaxed);
        let took = started.elapsed().as_micros() as u64;
        figures.checkpoint_micros_last.store(took, Ordering::Relaxed);
        let next = Arc::new(self.last.cut.next_offsets());
        self.shared.commits.checkpointed.send_replace(next);
        self.control.done.notify_all();
    }

    fn is_snapshot_due(&self) -> bool {
        let figures = &self.shared.figures;
        let first_unheld = figures.snapshot_next_frame.load(Ordering::Relaxed);
        if first_unheld == self.last.cut.next_frame.0 {
            return false;
        }
        if self.snapshot_at.elapsed() >= self.config.snapshot_interval {
            return true;
        }
        let twice = figures.snapshot_bytes.load(Ordering::Relaxed).saturating_mul(2);
        let least = self.config.journal_segment_bytes.saturating_mul(SNAPSHOT_SEGMENTS_MIN);
        let since = figures.journal_since_snapshot.load(Ordering::Relaxed);
        // The next generation fills while the last one was flushed.
        let is_busy = self.shared.contacts.dirty.bytes().0 > self.config.load_bytes();
        let overdue = if is_busy { SNAPSHOT_OVERDUE } else { 1 };
        since > twice.max(least).saturating_mul(overdue)
    }

    /// A verified image of the checkpoint. One that can't be made now is left for later: it is
    /// wanted, not needed, and the journal is kept meanwhile.
    fn snapshot(&mut self) -> Result<(), StoreError> {
        self.snapshot_at = Instant::now();
        let figures = &self.shared.figures;
        let since = figures.journal_since_snapshot.swap(0, Ordering::Relaxed);
        let log = self.shared.commits.log.as_ref();
        let written =
            snapshot::write(&self.config.path, log, &self.last, &self.shared.contacts.engine);
        let written = match written {
            Ok(written) => written,
            Err(error) if error.class() == Class::Retry => {
                tracing::warn!(%error, "no snapshot now; the next one is tried when it is due");
                figures.journal_since_snapshot.fetch_add(since, Ordering::Relaxed);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        tracing::info!(path = %written.path.display(), bytes = written.bytes, "snapshot written");
        figures.snapshots.fetch_add(1, Ordering::Relaxed);
        figures.snapshot_bytes.store(written.bytes, Ordering::Relaxed);
        let at = snapshot::written_at_seconds(&written.path);
        figures.snapshot_at_seconds.store(at, Ordering::Relaxed);
        let held = self.last.cut.next_frame;
        figures.snapshot_next_frame.store(held.0, Ordering::Relaxed);
        let next = Arc::new(self.last.cut.next_offsets());
        self.shared.commits.snapshotted.send_replace(next);
        Ok(())
    }

    /// Lets the writer give back what the last verified snapshot holds and retention gives up.
    fn allow_trim(&self) -> Result<(), StoreError> {
        let below = FrameNo(self.shared.figures.snapshot_next_frame.load(Ordering::Relaxed));
        if below != snapshot::NONE {
            let Shared { followers, journal, controls, commits, .. } = &*self.shared;
            let log = commits.log_fingerprint();
            let held = followers.of(journal, controls, log, &self.last.cut)?;
            let below =
                below.min(held.always).min(self.shared.dead_letters.needs_from(&self.last.cut));
            let retention = self.retention;
            let trim = Trim { below, held_from: held.bounded, retention };
            self.control.state.lock().trim = Some(trim);
        }
        Ok(())
    }
}
