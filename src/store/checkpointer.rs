//! The background thread: takes generations to the engine, writes checkpoints and snapshots.
//!
//! One checkpoint: swap (the cut) → journal fsync → engine, sorted, the checkpoint's number last →
//! engine flush → checkpoint file → retire. Between two checkpoints nothing writes the engine, so a
//! snapshot, made there, is a plain scan of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::domain::Class;
use crate::segments::{FrameNo, SegmentSync};
use crate::telemetry::fault;

use super::StoreError;
use super::checkpoint::Checkpoint;
use super::dirty::{DirtyContact, Generation};
use super::heap::Filler;
use super::insertion::{insert, insert_helped, stamp};
use super::shared::{Cut, Shared};
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
/// A generation with more than this part of what may be dirty is one of a load.
const LOAD_PART: u64 = 4;

/// What the thread goes by.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The data directory.
    pub(crate) dir: PathBuf,
    pub(crate) store: u64,
    pub(crate) checkpoint_interval: Duration,
    pub(crate) snapshot_interval: Duration,
    pub(crate) journal_segment_bytes: u64,
    pub(crate) dirty_bytes_max: u64,
    pub(crate) retention: Retention,
}

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
    /// Whether lists that were put off are to be made.
    are_lists_asked: bool,
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

    /// Asks for a checkpoint, and for the lists after it.
    pub(crate) fn request_lists(&self) {
        self.state.lock().are_lists_asked = true;
        self.wake.notify_one();
    }

    pub(crate) fn take_trim(&self) -> Option<Trim> {
        self.state.lock().trim.take()
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
        plan: Plan,
        last: Checkpoint,
        is_recovering: bool,
    ) -> Result<Self, StoreError> {
        let control = Arc::new(Control::default());
        let dir = plan.dir.clone();
        let mut checkpointer = Checkpointer {
            snapshot_at: Instant::now(),
            shared,
            control: Arc::clone(&control),
            sync,
            plan,
            last,
            is_recovering,
        };
        let thread = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn(move || checkpointer.run())
            .map_err(StoreError::io("starting a thread for", &dir))?;
        Ok(Self { control, thread: Some(thread) })
    }

    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    /// Returns once the current generation has room.
    pub(crate) fn wait_for_room(&self, shared: &Shared, bytes_max: u64) -> Result<(), StoreError> {
        shared.check()?;
        if shared.dirty.bytes().0 < bytes_max {
            return Ok(());
        }
        let started = Instant::now();
        let mut state = self.control.state.lock();
        while shared.dirty.bytes().0 >= bytes_max {
            shared.check()?;
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
        let asked = {
            let mut state = self.control.state.lock();
            state.checkpoints_asked += 1;
            state.checkpoints_awaited = state.checkpoints_asked;
            self.control.wake.notify_one();
            state.checkpoints_asked
        };
        self.wait(shared, |state| state.checkpoints_done >= asked)
    }

    /// Returns once all that was committed is in a verified snapshot.
    pub(crate) fn snapshot_now(&self, shared: &Shared) -> Result<(), StoreError> {
        let asked = {
            let mut state = self.control.state.lock();
            state.checkpoints_asked += 1;
            state.snapshots_asked += 1;
            self.control.wake.notify_one();
            state.snapshots_asked
        };
        self.wait(shared, |state| state.snapshots_done >= asked)
    }

    fn wait(&self, shared: &Shared, is_done: impl Fn(&State) -> bool) -> Result<(), StoreError> {
        let mut state = self.control.state.lock();
        while !is_done(&state) {
            shared.check()?;
            self.control.done.wait_for(&mut state, LOOK_AGAIN);
        }
        shared.check()
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
    plan: Plan,
    last: Checkpoint,
    /// The first checkpoint follows a redo.
    is_recovering: bool,
    /// When the last snapshot was written, or the store opened.
    snapshot_at: Instant,
}

/// What the writer or the clock wants.
struct Work {
    checkpoints: u64,
    is_awaited: bool,
    snapshots: u64,
    is_snapshot_asked: bool,
    are_lists_asked: bool,
}

impl Checkpointer {
    fn run(&mut self) {
        while let Some(work) = self.next_work() {
            let done = catch_unwind(AssertUnwindSafe(|| self.work(&work)));
            let done = done.unwrap_or_else(|_| {
                Err(StoreError::damaged("the checkpoint thread", "it panicked"))
            });
            if let Err(error) = done {
                self.shared.fail(error);
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
        let due = Instant::now() + self.plan.checkpoint_interval;
        let mut state = self.control.state.lock();
        loop {
            if state.stop {
                return None;
            }
            let is_asked =
                state.checkpoints_asked > state.checkpoints_done || state.are_lists_asked;
            if is_asked || Instant::now() >= due {
                return Some(Work {
                    checkpoints: state.checkpoints_asked,
                    is_awaited: state.checkpoints_awaited > state.checkpoints_done,
                    snapshots: state.snapshots_asked,
                    is_snapshot_asked: state.snapshots_asked > state.snapshots_done,
                    are_lists_asked: std::mem::take(&mut state.are_lists_asked),
                });
            }
            self.control.wake.wait_until(&mut state, due);
        }
    }

    fn work(&mut self, work: &Work) -> Result<(), StoreError> {
        self.checkpoint(work.is_awaited)?;
        if work.are_lists_asked {
            drop(self.shared.lists()?);
        }
        if work.is_snapshot_asked || self.is_snapshot_due() {
            self.snapshot()?;
        }
        self.allow_trim()
    }

    /// One checkpoint, if anything was committed since the last; with both hands if it is awaited.
    fn checkpoint(&mut self, is_awaited: bool) -> Result<(), StoreError> {
        let started = Instant::now();
        let Some((cut, generation)) = self.swap() else {
            return Ok(());
        };
        self.control.done.notify_all();
        fault::point("swapped");
        let is_out_of_order = fault::bug("sled_before_sync");
        if !is_out_of_order {
            self.sync_journal(&cut)?;
        }
        let number = self.last.number + 1;
        if is_awaited {
            insert_helped(&self.shared.engine, &generation, || self.index(&generation))?;
        } else {
            insert(&self.shared.engine, &generation)?;
        }
        stamp(&self.shared.engine, number, self.plan.store)?;
        self.shared.engine.flush()?;
        fault::point("sled_flushed");
        if is_out_of_order {
            self.sync_journal(&cut)?;
        }
        let cut = if fault::bug("counters_at_write") {
            let now = self.shared.cut.lock().clone();
            Cut { counters: now.counters, digest: now.digest, ..cut }
        } else {
            cut
        };
        let checkpoint = Checkpoint { number, store: self.plan.store, cut };
        self.write(&checkpoint)?;
        fault::point("checkpoint_written");
        self.last = checkpoint;
        self.retire(&generation)?;
        self.tell(started);
        if std::mem::take(&mut self.is_recovering) {
            fault::point("recovered_checkpoint");
        }
        Ok(())
    }

    /// Tries until the file can be made: what the swap took out of the dirty set has no way back.
    fn write(&self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        loop {
            let error = match checkpoint.write(&self.plan.dir) {
                Err(error) if error.class() == Class::Retry => error,
                written => {
                    if self.shared.waiting.lock().take().is_some() {
                        tracing::info!("checkpoints go on");
                    }
                    return written;
                }
            };
            let before = self.shared.waiting.lock().replace(error.to_string());
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
        let cut = self.shared.cut.lock();
        if cut.next_frame == self.last.cut.next_frame {
            return None;
        }
        let generation = self.shared.dirty.swap()?;
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

    /// Lets readers go on without the generation; see the module's head for the order.
    fn retire(&self, generation: &Generation) -> Result<(), StoreError> {
        self.copy(generation);
        self.index(generation)?;
        self.shared.cache.engine_was_written();
        self.shared.dirty.retire();
        Ok(())
    }

    fn copy(&self, generation: &Generation) {
        self.shared.heap.fill(|filler| {
            let put = |filler: &mut Filler<'_>, at: &DirtyContact| {
                filler.put(at.hash, &at.id, at.value.bytes());
            };
            generation.for_each_in_parts(filler, put, Filler::write_much);
        });
    }

    fn index(&self, generation: &Generation) -> Result<(), StoreError> {
        let is_load = self.is_load(generation.bytes());
        let indexed = self.shared.ordered.take(&self.shared.dirty, is_load);
        indexed.map_err(|error| StoreError::damaged("a contact", error.to_string()))
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
        self.shared.checkpointed.send_replace(next);
        self.control.done.notify_all();
    }

    fn is_snapshot_due(&self) -> bool {
        let figures = &self.shared.figures;
        let first_unheld = figures.snapshot_next_frame.load(Ordering::Relaxed);
        if first_unheld == self.last.cut.next_frame.0 {
            return false;
        }
        if self.snapshot_at.elapsed() >= self.plan.snapshot_interval {
            return true;
        }
        let twice = figures.snapshot_bytes.load(Ordering::Relaxed).saturating_mul(2);
        let least = self.plan.journal_segment_bytes.saturating_mul(SNAPSHOT_SEGMENTS_MIN);
        let since = figures.journal_since_snapshot.load(Ordering::Relaxed);
        // The next generation fills while the last one was flushed.
        let is_busy = self.is_load(self.shared.dirty.bytes().0);
        let overdue = if is_busy { SNAPSHOT_OVERDUE } else { 1 };
        since > twice.max(least).saturating_mul(overdue)
    }

    /// Whether a generation of so many bytes is one of a load.
    fn is_load(&self, bytes: u64) -> bool {
        bytes > self.plan.dirty_bytes_max / LOAD_PART
    }

    /// A verified image of the checkpoint. One that can't be made now is left for later: it is
    /// wanted, not needed, and the journal is kept meanwhile.
    fn snapshot(&mut self) -> Result<(), StoreError> {
        self.snapshot_at = Instant::now();
        let figures = &self.shared.figures;
        let since = figures.journal_since_snapshot.swap(0, Ordering::Relaxed);
        let log = self.shared.identity.as_ref();
        let written = snapshot::write(&self.plan.dir, log, &self.last, &self.shared.engine);
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
        let held = self.last.cut.next_frame;
        figures.snapshot_next_frame.store(held.0, Ordering::Relaxed);
        let next = Arc::new(self.last.cut.next_offsets());
        self.shared.snapshotted.send_replace(next);
        Ok(())
    }

    /// Lets the writer give back what the last verified snapshot holds and retention gives up.
    fn allow_trim(&self) -> Result<(), StoreError> {
        let below = FrameNo(self.shared.figures.snapshot_next_frame.load(Ordering::Relaxed));
        if below != snapshot::NONE {
            let held = self.shared.followers.of(&self.shared.journal, &self.last.cut)?;
            let below = below
                .min(held.always)
                .min(self.shared.dead_letters.needs_from(&self.last.cut))
                .min(self.shared.brought_home.needs_from(&self.last.cut));
            let retention = self.plan.retention;
            let trim = Trim { below, held_from: held.bounded, retention };
            self.control.state.lock().trim = Some(trim);
        }
        Ok(())
    }
}
