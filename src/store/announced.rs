//! How far the log is applied, for those who read: an upper bound of all that they can have seen.
//!
//! It moves before a commit's memory phase, so whoever has seen a change of that commit finds its
//! number here, without the lock under which the changes are published.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::domain::position::{Lane, NextOffset};

use super::cut::Cut;

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
