//! What the writer, the background thread and every reader share.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::RwLockReadGuard;

use super::StoreError;
use super::attempts::LaneAttempts;
use super::bounds::Bounds;
use super::commits::Commits;
use super::contacts::Contacts;
use super::control::Controls;
use super::dead_letters::DeadLetters;
use super::erased::Erased;
use super::events::Rolling;
use super::external_ids::ExternalIds;
use super::follower_needs::FollowerNeeds;
use super::journal::Journal;
use super::ordered::{Lists, OrderedIndexes};
use super::payments::Payments;
use super::rows::RowClass;

/// All parts of an open store. Whoever needs one of them is given that one.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Every contact.
    pub(crate) contacts: Contacts,
    /// How far the log is applied.
    pub(crate) commits: Arc<Commits>,
    /// Control entries.
    pub(crate) controls: Controls,
    /// Attempts at commands, those of the batch in hand included.
    pub(crate) attempts: LaneAttempts,
    /// The orders in which lists are answered.
    pub(crate) ordered: OrderedIndexes,
    /// Contacts that were erased.
    pub(crate) erased: Erased,
    /// Contacts by the ids that sources have for them.
    pub(crate) external_ids: ExternalIds,
    /// Payments by contact, by id and by day.
    pub(crate) payments: Payments,
    /// Where events stand in the segments that have no table yet.
    pub(crate) events: Rolling,
    /// What the journal is kept for.
    pub(crate) followers: FollowerNeeds,
    /// What could not be applied, kept beyond the journal.
    pub(crate) dead_letters: DeadLetters,
    /// For history and as-of reads.
    pub(crate) journal: Journal,
    pub(crate) figures: Figures,
    /// The data directory.
    pub(crate) path: PathBuf,
    pub(crate) opened: Instant,
    pub(crate) bounds: Bounds,
    /// Keeps other processes out for as long as anyone holds the store.
    #[expect(dead_code, reason = "held, never read")]
    pub(crate) lock: crate::segments::FileLock,
}

impl Shared {
    /// Takes what a row has become into what is kept of it in memory; `before`: the body that it had.
    pub(crate) fn take(&self, class: RowClass, id: &[u8], before: Option<&[u8]>, body: &[u8]) {
        match class {
            RowClass::Active | RowClass::Deleted => {
                self.external_ids.take(id, before, body);
                self.erased.take(id, body);
            }
            RowClass::Payment => {
                if let Err(error) = self.payments.take(id, before, body) {
                    self.commits.fail(error.into());
                }
            }
        }
    }

    /// The lists, with everything that is committed.
    pub(crate) fn lists(&self) -> Result<RwLockReadGuard<'_, Lists>, StoreError> {
        // Not the number of frames, which moves later: who was told of a write finds it in the lists.
        let visible = self.commits.cut.lock().next_frame.0;
        let lists = self.ordered.lists(&self.contacts.dirty, visible);
        lists.map_err(|error| self.commits.fail(error.into()))
    }

    /// The same, if they have that and nobody is changing them.
    pub(crate) fn lists_at_once(&self) -> Option<RwLockReadGuard<'_, Lists>> {
        let visible = self.commits.cut.try_lock()?.next_frame.0;
        self.ordered.lists_at_once(visible)
    }

    /// Time since the last verified snapshot was written.
    pub(crate) fn snapshot_age(&self) -> Option<Duration> {
        let at = self.figures.snapshot_at_seconds.load(Ordering::Relaxed);
        let at = UNIX_EPOCH + Duration::from_secs(at);
        (at != UNIX_EPOCH).then(|| SystemTime::now().duration_since(at).unwrap_or_default())
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
    /// When the last verified snapshot was written, in seconds since 1970; 0: there is none.
    pub(crate) snapshot_at_seconds: AtomicU64,
    /// First journal frame that the last verified snapshot does not hold; `u64::MAX`: no snapshot.
    pub(crate) snapshot_next_frame: AtomicU64,
    pub(crate) journal_bytes: AtomicU64,
    pub(crate) journal_appended_bytes: AtomicU64,
    /// Journal bytes appended since the last snapshot's cut, or the opening.
    pub(crate) journal_since_snapshot: AtomicU64,
    pub(crate) journal_synced_next: AtomicU64,
    pub(crate) backpressure_micros: AtomicU64,
}
