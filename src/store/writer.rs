//! The one way into the store: stage a batch, commit it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::domain::Class;
use crate::domain::attempts::{Attempt, ENCODED_BYTES, Seen};
use crate::domain::control::{ControlState, Decision};
use crate::domain::position::{Lane, LogIdentity, NextOffset, Offset};
use crate::domain::rules::LaneRules;
use crate::domain::verdict::{DeadLetterReason, Verdict};
use crate::segments::{FrameNo, SegmentWriter};
use crate::telemetry::fault;

use super::StoreError;
use super::attempts::AttemptStage;
use super::checkpointer::CheckpointThread;
use super::codec::{ChangeRef, Links, StoredContact};
use super::commit::{CommitTimes, Committed};
use super::control::{ControlGap, ControlStage};
use super::cut::Cut;
use super::dead_letters::DeadLettersThread;
use super::digest::joined_hash;
use super::dirty::Facts;
use super::disk::DiskGuard;
use super::events::TablesThread;
use super::journal::{AwayRecord, DeadLetter, EntryMeta, FrameBuilder, FrameRange, LaneProgress};
use super::outcomes::PendingOutcome;
use super::overlay::Overlay;
use super::pinning::Pinning;
use super::rows::RowClass;
use super::shared::Shared;

/// Commits batches. There is one, and only apply has it.
#[derive(Debug)]
pub struct Writer {
    pub(super) shared: Arc<Shared>,
    segments: SegmentWriter,
    checkpoints: CheckpointThread,
    /// Ended with the writer.
    _followers: (TablesThread, DeadLettersThread),
    disk: DiskGuard,
    dirty_bytes_max: u64,
    /// What is committed; the staged batch adds to `staged`.
    committed: Cut,
    /// What will hold after the batch.
    pub(super) staged: Cut,
    overlay: Overlay,
    controls: ControlStage,
    attempts: AttemptStage,
    pub(super) frame: FrameBuilder,
    /// PendingOutcome records that someone waits for.
    expected: Vec<PendingOutcome>,
    payload: Vec<u8>,
    scratch: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        segments: SegmentWriter,
        checkpoints: CheckpointThread,
        followers: (TablesThread, DeadLettersThread),
        disk: DiskGuard,
        dirty_bytes_max: u64,
    ) -> Self {
        let committed = shared.commits.cut.lock().clone();
        let mut overlay = Overlay::default();
        overlay.clear();
        Self {
            staged: committed.clone(),
            committed,
            controls: ControlStage::new(shared.controls.snapshot()),
            attempts: AttemptStage::default(),
            shared,
            segments,
            checkpoints,
            _followers: followers,
            disk,
            dirty_bytes_max,
            overlay,
            frame: FrameBuilder::new(),
            expected: Vec::new(),
            payload: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Where to go on reading: the next offset of every lane that was ever read.
    pub fn next_offsets(&self) -> BTreeMap<Lane, NextOffset> {
        self.committed.next_offsets()
    }

    /// What was read last of every lane.
    pub fn lanes(&self) -> &BTreeMap<Lane, LaneProgress> {
        &self.committed.lanes
    }

    /// What holds before the staged batch.
    pub fn committed(&self) -> &Cut {
        &self.committed
    }

    /// Checks that a log is the one that the store follows, for a store that was opened while the
    /// log could not be asked.
    ///
    /// # Errors
    /// [`StoreError::AnotherLog`].
    pub fn require_log(&self, given: &LogIdentity) -> Result<(), StoreError> {
        match &self.shared.commits.log {
            Some(stored) if stored != given => Err(StoreError::AnotherLog {
                path: self.shared.path.clone(),
                stored: stored.to_string(),
                given: given.to_string(),
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// A contact's body, the staged batch's changes included.
    pub fn contact(&mut self, id: &[u8]) -> Result<Option<&[u8]>, StoreError> {
        let slot = self.slot(id)?;
        Ok(self.overlay.body(slot, &self.frame))
    }

    /// Stages a contact's new body; where the verdict is not `Applied`, no value in it is another.
    pub fn image(
        &mut self,
        meta: &EntryMeta<'_>,
        verdict: Verdict,
        id: &[u8],
        body: &[u8],
    ) -> Result<(), StoreError> {
        let slot = self.slot(id)?;
        let class = RowClass::of(id, body)?;
        let image = self.next_change();
        let slot = self.overlay.slot_to_change(slot, &mut self.scratch)?;
        let place = self.frame.image(meta, verdict, image, slot.links, id, body)?;
        let change = if verdict == Verdict::Applied { image } else { slot.links.change };
        slot.place = Some(place);
        (slot.links, slot.class) = (Links { image, change }, class);
        let links = slot.links;
        self.count(meta, verdict, Some((links, place)), None);
        Ok(())
    }

    /// Stages a verdict that changed nothing of a contact.
    pub fn settled(
        &mut self,
        meta: &EntryMeta<'_>,
        verdict: Verdict,
        id: &[u8],
    ) -> Result<(), StoreError> {
        self.frame.settled(meta, verdict)?;
        let first = self.expected.len();
        self.count(meta, verdict, None, None);
        if self.expected.len() > first {
            let slot = self.slot(id)?;
            let value = self.overlay.value(slot, &self.frame, &mut self.scratch);
            for staged in self.expected.iter_mut().skip(first) {
                staged.set_value(value.clone());
            }
        }
        Ok(())
    }

    /// Stages a record that is set aside.
    pub fn dead_letter(
        &mut self,
        meta: &EntryMeta<'_>,
        letter: &DeadLetter<'_>,
    ) -> Result<(), StoreError> {
        self.frame.dead_letter(meta, letter)?;
        let reason = Some((letter.reason, letter.detail));
        self.count(meta, Verdict::DeadLettered, None, reason);
        Ok(())
    }

    /// Stages a record that is to be decided in its contact's home lane.
    pub fn rehomed(
        &mut self,
        meta: &EntryMeta<'_>,
        record: &AwayRecord<'_>,
    ) -> Result<(), StoreError> {
        self.frame.rehomed(meta, record)?;
        self.count(meta, Verdict::Rehomed, None, None);
        Ok(())
    }

    /// What is remembered of an attempt at a command that was handed over when `lane_next` was the
    /// lane's next offset; the staged batch's included.
    pub fn seen(&self, lane: Lane, attempt: &Attempt, lane_next: NextOffset) -> Seen {
        self.shared.attempts.look_up(lane, attempt, lane_next)
    }

    /// Whether a command under that event id was done in that lane.
    pub fn is_done(&self, lane: Lane, id_hash: impl FnOnce() -> u64) -> bool {
        self.shared.attempts.is_done(lane, id_hash)
    }

    /// Stages a decided attempt; its stored form goes into its record's entry.
    pub fn note_attempt(
        &mut self,
        place: (Lane, Offset),
        attempt: Attempt,
        record_time_ms: i64,
    ) -> [u8; ENCODED_BYTES] {
        let (tables, digest) = (&self.shared.attempts, &mut self.staged.attempts);
        self.attempts.note(tables, place, attempt, record_time_ms, digest)
    }

    /// The control entries, the staged batch's changes included.
    pub fn controls(&self) -> &ControlState {
        self.controls.state()
    }

    /// The control lane goes on behind records that the log no longer holds: its entries are not all
    /// known until they were restated.
    pub fn begin_control_gap(&mut self, gap: ControlGap) {
        self.shared.controls.begin_gap();
        self.controls.begin_gap(gap);
    }

    /// What the next control record is the first one behind; none: it follows the last one.
    pub fn control_gap(&self) -> Option<ControlGap> {
        self.controls.gap()
    }

    /// Stages what was decided about a control record.
    pub fn control(
        &mut self,
        meta: &EntryMeta<'_>,
        key: &str,
        decision: &Decision,
    ) -> Result<(), StoreError> {
        let place = self.frame.control(meta, key, decision)?;
        self.controls.take(key, decision, &mut self.staged.control.digest);
        self.staged.control.count(decision.verdict);
        let image = decision.entry.as_ref().map(|_| (Links::NONE, place));
        self.expect(meta, decision.verdict, image, None);
        Ok(())
    }

    /// Stages a control record that is set aside.
    pub fn control_dead_letter(
        &mut self,
        meta: &EntryMeta<'_>,
        letter: &DeadLetter<'_>,
    ) -> Result<(), StoreError> {
        self.frame.dead_letter(meta, letter)?;
        self.staged.control.count(Verdict::DeadLettered);
        let reason = Some((letter.reason, letter.detail));
        self.expect(meta, Verdict::DeadLettered, None, reason);
        Ok(())
    }

    /// The rules of all lanes, the staged batch's changes included.
    pub fn rules(&self) -> &LaneRules {
        &self.staged.rules
    }

    /// Stages how far a lane was read.
    pub fn advance(&mut self, lane: Lane, progress: LaneProgress) {
        self.staged.lanes.insert(lane, progress);
    }

    /// Entries staged.
    pub fn staged(&self) -> usize {
        self.frame.entries()
    }

    /// Drops what is staged.
    pub fn abandon(&mut self) -> Result<(), StoreError> {
        self.staged.clone_from(&self.committed);
        self.overlay.clear();
        self.controls.abandon(&self.shared.controls);
        self.frame.clear();
        self.expected.clear();
        let Shared { attempts, contacts, .. } = &*self.shared;
        self.attempts.abandon(attempts, &contacts.engine, &contacts.dirty)
    }

    /// Commits what is staged: one journal append, then memory. Waits while the dirty set is full.
    ///
    /// # Errors
    /// Of class Retry when the disk has no room: nothing was changed, the batch is still staged and
    /// the same call may be made again. Everything else is fatal and stays so.
    pub fn commit(&mut self) -> Result<Committed, StoreError> {
        let started = Instant::now();
        self.checkpoints.wait_for_room(&self.shared, self.dirty_bytes_max)?;
        let mut times = CommitTimes { waited: started.elapsed(), ..CommitTimes::default() };
        if self.frame.entries() == 0 && self.staged.lanes == self.committed.lanes {
            return Ok(self.committed_as(self.segments.next(), times));
        }
        let started = Instant::now();
        let after = self.after();
        if fault::bug("offsets_apart") {
            let apart = Cut { lanes: self.committed.lanes.clone(), ..after.clone() };
            self.frame.finish(&apart, &mut self.payload);
        } else {
            self.frame.finish(&after, &mut self.payload);
        }
        self.disk.check(self.payload.len() as u64)?;
        times.encode = started.elapsed();
        let started = Instant::now();
        let frame = self.append()?;
        fault::point("journalled");
        times.append = started.elapsed();
        let started = Instant::now();
        self.publish(after);
        times.memory = started.elapsed();
        self.housekeeping()?;
        Ok(self.committed_as(frame, times))
    }

    /// Waits until everything committed so far is in a checkpoint.
    pub fn checkpoint_now(&mut self) -> Result<(), StoreError> {
        self.checkpoints.run_now(&self.shared)?;
        self.housekeeping()
    }

    /// Waits until all dead letters that were committed are in their archive, for `at_most`; until then the
    /// journal is not trimmed.
    pub fn wait_for_dead_letters(&self, at_most: Duration) {
        self.shared.dead_letters.wait_until_archived(at_most);
    }

    /// Waits until everything committed so far is in a checkpoint and a verified snapshot.
    pub fn snapshot_now(&mut self) -> Result<(), StoreError> {
        self.checkpoints.control().snapshot_now(&self.shared)?;
        self.housekeeping()
    }

    /// Tells the next offsets of every checkpoint, for commits to the broker.
    pub fn after_checkpoint(
        &self,
    ) -> tokio::sync::watch::Receiver<Arc<BTreeMap<Lane, NextOffset>>> {
        self.shared.commits.checkpointed.subscribe()
    }

    /// Tells the next offsets of every verified snapshot from now on: what the log need not keep
    /// for this store.
    pub fn after_snapshot(&self) -> tokio::sync::watch::Receiver<Arc<BTreeMap<Lane, NextOffset>>> {
        self.shared.commits.snapshotted.subscribe()
    }

    /// For who copies the store while it goes on.
    pub fn pinning(&self) -> Pinning {
        Pinning::new(Arc::clone(&self.shared), Arc::clone(self.checkpoints.control()))
    }

    /// A last checkpoint, then the background thread's end. What is staged is dropped.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.abandon()?;
        let last = self.checkpoint_now();
        self.checkpoints.stop();
        last
    }

    fn slot(&mut self, id: &[u8]) -> Result<usize, StoreError> {
        self.overlay.slot(id, &self.shared.contacts)
    }

    /// The ref of the entry staged next. Only this writer appends, so the frame's number is known.
    fn next_change(&self) -> ChangeRef {
        ChangeRef::new(self.segments.next(), self.frame.entries() as u16)
    }

    fn count(
        &mut self,
        meta: &EntryMeta<'_>,
        verdict: Verdict,
        image: Option<(Links, FrameRange)>,
        reason: Option<(DeadLetterReason, &str)>,
    ) {
        self.staged.counters.count(verdict);
        Arc::make_mut(&mut self.staged.sources).count(meta.source, verdict);
        self.staged.record_time_ms = self.staged.record_time_ms.max(meta.record_time_ms);
        self.expect(meta, verdict, image, reason);
    }

    /// Notes what is to be told of the record after the commit, if anyone waits for it.
    fn expect(
        &mut self,
        meta: &EntryMeta<'_>,
        verdict: Verdict,
        image: Option<(Links, FrameRange)>,
        reason: Option<(DeadLetterReason, &str)>,
    ) {
        let commits = &self.shared.commits;
        let log = || commits.log_fingerprint();
        self.expected.extend(commits.outcomes.staged(meta, verdict, image, reason, log));
    }

    /// What holds after the batch: the staged cut with the net effect of all changes.
    fn after(&mut self) -> Cut {
        let mut after = self.staged.clone();
        after.next_frame = self.segments.next().next();
        for (slot, place) in self.overlay.changed_mut() {
            if let Some(before) = slot.before() {
                after.digest.remove(before.digest);
                after.counters.of_class(before.class).into_iter().for_each(|count| *count -= 1);
            }
            slot.digest = joined_hash(self.frame.bytes(place.joined()));
            after.digest.add(slot.digest);
            after.counters.of_class(slot.class).into_iter().for_each(|count| *count += 1);
        }
        after
    }

    fn append(&mut self) -> Result<FrameNo, StoreError> {
        let expected = self.segments.next();
        let frame = match self.segments.append(&self.payload) {
            Ok(frame) => frame,
            Err(error) if error.class() == Class::Retry => return Err(error.into()),
            Err(error) => return Err(self.shared.commits.fail(error.into())),
        };
        if frame != expected {
            let detail = format!("frame {frame} came where {expected} was expected");
            return Err(self.shared.commits.fail(StoreError::damaged("journal", detail)));
        }
        let (figures, bytes) = (&self.shared.figures, self.payload.len() as u64);
        figures.journal_appended_bytes.fetch_add(bytes, Ordering::Relaxed);
        figures.journal_since_snapshot.fetch_add(bytes, Ordering::Relaxed);
        Ok(frame)
    }

    /// The memory phase, under the cut's lock: a swap comes before all of it or after.
    fn publish(&mut self, after: Cut) {
        self.shared.commits.announced.announce(&after);
        let mut cut = self.shared.commits.cut.lock();
        let generation = self.shared.contacts.dirty.current();
        for (slot, id, place) in self.overlay.changed() {
            let body = self.frame.bytes(place.body());
            let facts = Facts { digest: slot.digest, class: slot.class };
            self.shared.take(slot.class, id, slot.body_before(), body);
            let value = StoredContact::build(slot.links, body, &mut self.scratch);
            generation.put(slot.hash, id, value, facts);
        }
        self.controls.publish(&generation, &self.shared.controls);
        self.attempts.publish(&generation);
        cut.clone_from(&after);
        drop(cut);
        if !Arc::ptr_eq(&after.rules, &self.committed.rules) {
            *self.shared.commits.rules.write() = Arc::clone(&after.rules);
        }
        let frame = FrameNo(after.next_frame.0.saturating_sub(1));
        self.shared.events.add(self.segments.segment_base(), frame, self.frame.event_hashes());
        let expected = self.expected.drain(..);
        self.shared.commits.outcomes.committed(expected, &self.frame, &mut self.scratch);
        self.shared.commits.frames.send_replace(after.next_frame.0);
        self.shared.dead_letters.committed(&after);
        self.staged.clone_from(&after);
        self.committed = after;
        self.overlay.clear();
        self.frame.clear();
    }

    /// After a commit: wakes the checkpointer when there is much to do, gives back old segments.
    fn housekeeping(&mut self) -> Result<(), StoreError> {
        if self.shared.contacts.dirty.bytes().0 >= self.dirty_bytes_max {
            self.checkpoints.control().request();
        }
        if let Some(keep) = self.checkpoints.control().take_trim() {
            let segments: Vec<_> = self.segments.sealed().copied().collect();
            if let Some(keep) = keep.first_kept(&segments, self.segments.bytes()) {
                // What stays is asked for again by the next checkpoint.
                self.shared.journal.cache.journal_begins_at(keep);
                if let Err(error) = self.segments.trim_before(keep) {
                    tracing::warn!(%error, "old segments of the journal were not removed now");
                }
            }
        }
        self.shared.figures.journal_bytes.store(self.segments.bytes(), Ordering::Relaxed);
        Ok(())
    }

    fn committed_as(&self, frame: FrameNo, times: CommitTimes) -> Committed {
        Committed {
            frame,
            position: self.shared.commits.position_of(self.committed.next_offsets()),
            times,
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.commits.outcomes.close();
    }
}
