//! Whether a follower is this instance's still, for a sink that delivers later than it answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::ingest::Lease;
use crate::store::Reader;

/// What a follower is held by; cheap to clone.
#[derive(Clone)]
pub struct Hold {
    pub(super) reader: Reader,
    pub(super) lease: Arc<Lease>,
    /// The control entry that says whose it is.
    pub(super) role: String,
    /// The entry's revision when it was taken.
    pub(super) tenure: u64,
    /// Whether there is no control topic, so that every instance has it.
    pub(super) is_free: bool,
    /// Whether somebody paused it.
    pub(super) is_paused: Arc<AtomicBool>,
}

impl Hold {
    /// Nobody has taken the role since, and the lease holds.
    pub fn is_ours(&self) -> bool {
        let revision = || self.reader.control(&self.role).map_or(0, |entry| entry.revision);
        self.is_free || self.lease.is_held() && self.tenure == revision()
    }

    /// It is ours, and delivers.
    pub fn may_deliver(&self) -> bool {
        !self.is_paused.load(Ordering::Acquire) && self.is_ours()
    }
}
