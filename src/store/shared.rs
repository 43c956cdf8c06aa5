//! What the writer, the background thread and every reader share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::watch;

use crate::domain::position::{Lane, LogIdentity, NextOffset, Position};
use crate::domain::rules::LaneRules;
use crate::domain::verdict::Verdict;
use crate::segments::FrameNo;

use super::StoreError;
use super::announced::Announced;
use super::attempts::LaneAttempts;
use super::cache::ReadCache;
use super::codec::{StoredContact, contact_key, id_hash};
use super::control::{ControlSums, Controls};
use super::dead_letters::{DeadLetters, letters_up_to};
use super::digest::Digest;
use super::dirty::DirtySet;
use super::engine::Engine;
use super::events::Rolling;
use super::export;
use super::followers::FollowerNeeds;
use super::heap::{Heap, Known, Place};
use super::journal::{Counters, Journal, LaneProgress};
use super::ordered::{Lists, OrderedIndexes};
use super::outcomes::Outcomes;
use super::rehoming::BroughtHome;

/// What holds between two batches: taken whole, written whole, never in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The first journal frame that is not in this state.
    pub next_frame: FrameNo,
    /// How far every lane was read.
    pub lanes: BTreeMap<Lane, LaneProgress>,
    /// Verdicts and contacts so far.
    pub counters: Counters,
    /// Sum over all contacts.
    pub digest: Digest,
    /// Control records and entries.
    pub control: ControlSums,
    /// What records are judged by, lane by lane.
    pub rules: Arc<LaneRules>,
    /// Sum over the attempts that are remembered.
    pub attempts: Digest,
    /// Greatest record timestamp seen, in ms.
    pub record_time_ms: i64,
}

impl Default for Cut {
    fn default() -> Self {
        Self::empty()
    }
}

impl Cut {
    pub(crate) fn empty() -> Self {
        Self {
            next_frame: FrameNo(0),
            lanes: BTreeMap::new(),
            counters: Counters::default(),
            digest: Digest::default(),
            control: ControlSums::default(),
            rules: Arc::default(),
            attempts: Digest::default(),
            record_time_ms: 0,
        }
    }

    /// Records that were set aside, contacts' and control records.
    pub fn dead_letters(&self) -> u64 {
        letters_up_to(self)
    }

    /// Records that stood away from their contact's home lane.
    pub fn rehomed(&self) -> u64 {
        self.counters.verdict(Verdict::Rehomed)
    }

    /// The next offset of every lane.
    pub fn next_offsets(&self) -> BTreeMap<Lane, NextOffset> {
        self.lanes.iter().map(|(lane, at)| (*lane, at.next)).collect()
    }
}

/// Figures of the background work; all relaxed, for statistics only.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) checkpoint_number: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    pub(crate) checkpoint_micros_last: AtomicU64,
    /// Microseconds from the store's opening to the last checkpoint's end.
    pub(crate) checkpoint_at_micros: AtomicU64,
    pub(crate) snapshots: AtomicU64,
    pub(crate) snapshot_bytes: AtomicU64,
    /// First journal frame that the last verified snapshot does not hold; `u64::MAX`: no snapshot.
    pub(crate) snapshot_next_frame: AtomicU64,
    pub(crate) journal_bytes: AtomicU64,
    pub(crate) journal_appended_bytes: AtomicU64,
    /// Journal bytes appended since the last snapshot's cut, or the opening.
    pub(crate) journal_since_snapshot: AtomicU64,
    pub(crate) journal_synced_next: AtomicU64,
    pub(crate) backpressure_micros: AtomicU64,
}

/// The shared state. Readers hold an `Arc` of it.
#[derive(Debug)]
pub struct Shared {
    /// Committed, not yet in the engine.
    pub(crate) dirty: DirtySet,
    /// sled, or the model in memory.
    pub(crate) engine: Engine,
    /// A copy of each contact that the engine holds.
    pub(crate) heap: Heap,
    /// What had to be waited for.
    pub(crate) cache: Arc<ReadCache>,
    /// Control entries.
    pub(crate) controls: Controls,
    /// Attempts at commands, those of the batch in hand included.
    pub(crate) attempts: LaneAttempts,
    /// The orders in which lists are answered.
    pub(crate) ordered: OrderedIndexes,
    /// Where events stand in the segments that have no table yet.
    pub(crate) events: Rolling,
    /// How far what stood away from home is brought there.
    pub(crate) brought_home: BroughtHome,
    /// What the journal is kept for.
    pub(crate) followers: FollowerNeeds,
    /// What could not be applied, kept beyond the journal.
    pub(crate) dead_letters: DeadLetters,
    /// For history and as-of reads.
    pub(crate) journal: Journal,
    /// The latest committed state. A commit's memory phase holds this lock, and so does the swap.
    pub(crate) cut: Mutex<Cut>,
    /// Its rules, for those who must not wait for a commit.
    pub(crate) rules: RwLock<Arc<LaneRules>>,
    /// The position that answers name.
    pub(crate) announced: Announced,
    /// Number of frames committed and visible; changes after each commit, for those who wait.
    pub(crate) committed: watch::Sender<u64>,
    /// Next offsets that the last checkpoint holds, for commits to the broker.
    pub(crate) checkpointed: watch::Sender<Arc<BTreeMap<Lane, NextOffset>>>,
    /// Next offsets that the last verified snapshot holds, for the log's retention.
    pub(crate) snapshotted: watch::Sender<Arc<BTreeMap<Lane, NextOffset>>>,
    /// Who waits for what becomes of a record.
    pub(crate) outcomes: Outcomes,
    /// The first fatal error; nothing is committed after it.
    pub(crate) failure: OnceLock<Arc<StoreError>>,
    /// Why the background thread does not get on now.
    pub(crate) waiting: Mutex<Option<String>>,
    pub(crate) figures: Figures,
    /// The log that the store follows; none in a store that has not been told.
    pub(crate) identity: Option<LogIdentity>,
    /// The data directory.
    pub(crate) path: PathBuf,
    pub(crate) opened: Instant,
    /// Keeps other processes out for as long as anyone holds the store.
    #[expect(dead_code, reason = "held, never read")]
    pub(crate) lock: std::fs::File,
}

impl Shared {
    /// The position of everything committed and visible.
    pub fn position(&self) -> Position {
        let next = self.cut.lock().next_offsets();
        self.position_of(next)
    }

    pub(crate) fn position_of(&self, next: BTreeMap<Lane, NextOffset>) -> Position {
        let log = self.identity.as_ref().map_or(0, LogIdentity::fingerprint);
        Position::of_lanes(log, next)
    }

    /// A contact that the dirty set has not, `hash` being its id's; none: the disk would have to be
    /// waited for.
    pub(crate) fn retired_at_once(&self, hash: u64, id: &[u8]) -> Option<Option<StoredContact>> {
        match self.heap.find(hash) {
            Known::Nowhere => Some(None),
            Known::InEngine => None,
            Known::At(place) => self.read_at_once(place, id).map(Some),
        }
    }

    /// The same, however long it takes.
    pub(crate) fn retired(
        &self,
        hash: u64,
        id: &[u8],
    ) -> Result<Option<StoredContact>, StoreError> {
        let place = match self.heap.find(hash) {
            Known::Nowhere => return Ok(None),
            Known::InEngine => return self.kept_or_in_engine(hash, id),
            Known::At(place) => place,
        };
        if let Some(value) = self.read_at_once(place, id) {
            return Ok(Some(value));
        }
        match self.heap.read_whole(place, hash, id) {
            Some(value) => {
                self.cache.keep_contact(ReadCache::at_place(place), id, &value);
                Ok(Some(value))
            }
            None => self.kept_or_in_engine(hash, id),
        }
    }

    /// The engine puts a whole leaf together for one contact, so what it answered is kept.
    fn kept_or_in_engine(&self, hash: u64, id: &[u8]) -> Result<Option<StoredContact>, StoreError> {
        let key = self.cache.in_engine(hash);
        if let Some(value) = self.cache.contact(key, id) {
            return Ok(Some(value));
        }
        let value = self.in_engine(id)?;
        if let Some(value) = &value {
            self.cache.keep_contact(key, id, value);
        }
        Ok(value)
    }

    fn read_at_once(&self, place: Place, id: &[u8]) -> Option<StoredContact> {
        let kept = || self.cache.contact(ReadCache::at_place(place), id);
        self.heap.read_at_once(place, id).or_else(kept)
    }

    /// Whether the heap file would not show other bytes than these, which the contact has.
    pub(crate) fn heap_agrees(&self, id: &[u8], bytes: &[u8]) -> bool {
        let hash = id_hash(id);
        if self.dirty.get(hash, id).is_some() {
            return true;
        }
        match self.heap.find(hash) {
            Known::Nowhere => false,
            Known::InEngine => true,
            Known::At(place) => {
                let value = self.heap.read_whole(place, hash, id);
                value.is_none_or(|value| value.bytes() == bytes)
            }
        }
    }

    /// What the engine holds of a contact.
    pub(crate) fn in_engine(&self, id: &[u8]) -> Result<Option<StoredContact>, StoreError> {
        let found = self.engine.get(contact_key(id, &mut Vec::new()));
        let Some(bytes) = found.map_err(|error| self.fail(error.into()))? else {
            return Ok(None);
        };
        export::stored(self, id, &bytes).map(Some)
    }

    /// The lists, with everything that is committed.
    pub(crate) fn lists(&self) -> Result<RwLockReadGuard<'_, Lists>, StoreError> {
        // Not `committed`, which moves later: who was told of a write finds it in the lists.
        let visible = self.cut.lock().next_frame.0;
        let lists = self.ordered.lists(&self.dirty, visible);
        lists.map_err(|error| self.fail(StoreError::damaged("a contact", error.to_string())))
    }

    /// The same, if they have that and nobody is changing them.
    pub(crate) fn lists_at_once(&self) -> Option<RwLockReadGuard<'_, Lists>> {
        let visible = self.cut.try_lock()?.next_frame.0;
        self.ordered.lists_at_once(visible)
    }

    /// The first fatal error, as an error of the call that meets it.
    pub fn check(&self) -> Result<(), StoreError> {
        match self.failure.get() {
            None => Ok(()),
            Some(error) => Err(StoreError::Stopped(Arc::clone(error))),
        }
    }

    /// Remembers the first fatal error.
    pub(crate) fn fail(&self, error: StoreError) -> StoreError {
        if let StoreError::Stopped(_) = error {
            return error;
        }
        tracing::error!(%error, "the store stops");
        let error = Arc::clone(self.failure.get_or_init(|| Arc::new(error)));
        self.outcomes.close();
        StoreError::Stopped(error)
    }

    /// Time since the last checkpoint, or since the opening.
    pub(crate) fn checkpoint_age(&self) -> std::time::Duration {
        let at = self.figures.checkpoint_at_micros.load(Ordering::Relaxed);
        let at = std::time::Duration::from_micros(at);
        self.opened.elapsed().saturating_sub(at)
    }
}
