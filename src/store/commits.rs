//! What is committed, who is told of it, and why nothing more is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::domain::position::{Lane, LogIdentity, NextOffset, Position};
use crate::domain::rules::LaneRules;

use super::StoreError;
use super::cut::Cut;
use super::outcomes::Outcomes;

/// How far the log is applied, as readers and the background work see it.
#[derive(Debug)]
pub(crate) struct Commits {
    /// The latest committed state. A commit's memory phase holds this lock, and so does the swap.
    pub(crate) cut: Mutex<Cut>,
    /// Its rules, for those who must not wait for a commit.
    pub(crate) rules: RwLock<Arc<LaneRules>>,
    /// The position that answers name.
    pub(crate) announced: Announced,
    /// Number of frames committed and visible; changes after each commit, for those who wait.
    pub(crate) frames: watch::Sender<u64>,
    /// Next offsets that the last checkpoint holds, for commits to the broker.
    pub(crate) checkpointed: watch::Sender<Arc<BTreeMap<Lane, NextOffset>>>,
    /// Next offsets that the last verified snapshot holds, for the log's retention.
    pub(crate) snapshotted: watch::Sender<Arc<BTreeMap<Lane, NextOffset>>>,
    /// Who waits for what becomes of a record.
    pub(crate) outcomes: Outcomes,
    /// Why the background thread does not get on now.
    pub(crate) waiting: Mutex<Option<String>>,
    /// The log that the store follows; none in a store that has not been told.
    pub(crate) log: Option<LogIdentity>,
    /// The first fatal error; nothing is committed after it.
    failure: OnceLock<Arc<StoreError>>,
}

impl Commits {
    pub(crate) fn new(cut: Cut, checkpointed: &Cut, log: Option<LogIdentity>) -> Self {
        Self {
            rules: RwLock::new(Arc::clone(&cut.rules)),
            announced: Announced::new(&cut),
            frames: watch::Sender::new(cut.next_frame.0),
            checkpointed: watch::Sender::new(Arc::new(checkpointed.next_offsets())),
            snapshotted: watch::Sender::default(),
            outcomes: Outcomes::default(),
            waiting: Mutex::new(None),
            log,
            failure: OnceLock::new(),
            cut: Mutex::new(cut),
        }
    }

    /// The position of everything committed and visible.
    pub(crate) fn position(&self) -> Position {
        let next = self.cut.lock().next_offsets();
        self.position_of(next)
    }

    pub(crate) fn position_of(&self, next: BTreeMap<Lane, NextOffset>) -> Position {
        Position::of_lanes(self.log_fingerprint(), next)
    }

    /// Of the log's identity; 0 where the store has not been told.
    pub(crate) fn log_fingerprint(&self) -> u64 {
        self.log.as_ref().map_or(0, LogIdentity::fingerprint)
    }

    /// The first fatal error, as an error of the call that meets it.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
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
}

/// An upper bound of all that readers can have seen. It moves before a commit's memory phase, so
/// whoever has seen a change of that commit finds its number here, without the lock under which the
/// changes are published.
#[derive(Debug)]
pub(crate) struct Announced {
    commit: AtomicU64,
    /// The same number, with its next offsets.
    next: RwLock<(u64, BTreeMap<Lane, NextOffset>)>,
}

impl Announced {
    pub(crate) fn new(cut: &Cut) -> Self {
        let commit = cut.next_frame.0;
        Self { commit: AtomicU64::new(commit), next: RwLock::new((commit, cut.next_offsets())) }
    }

    /// Before anything of the commit can be seen.
    pub(crate) fn announce(&self, after: &Cut) {
        let commit = after.next_frame.0;
        *self.next.write() = (commit, after.next_offsets());
        self.commit.store(commit, Ordering::Release);
    }

    /// Moves with every commit.
    pub(crate) fn commit(&self) -> u64 {
        self.commit.load(Ordering::Acquire)
    }

    /// The number, and the next offsets that belong to it.
    pub(crate) fn next(&self) -> (u64, BTreeMap<Lane, NextOffset>) {
        self.next.read().clone()
    }
}
