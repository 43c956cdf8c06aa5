//! An import whose file is here, and what imports reach.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::job::{Job, JobState};
use super::spool::Spool;
use crate::ingest::{Control, Edits, Intake, PresentRules};
use crate::shares::Part;
use crate::store::Reader;
use crate::telemetry::Metrics;

/// How work on it came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All rows are done with.
    Done,
    /// Somebody stopped it.
    Cancelled,
    /// The process ends; it goes on with the next.
    Interrupted,
}

/// Whether a principal, by its name, may still do what it has ordered.
pub type MayStillImport = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// What imports reach.
pub(super) struct Around {
    pub(super) store: Reader,
    pub(super) intake: Arc<Intake>,
    pub(super) rules: PresentRules,
    pub(super) control: Arc<Control>,
    /// Takes back what was imported.
    pub(super) edits: Edits,
    pub(super) metrics: Arc<Metrics>,
    pub(super) may_still_import: MayStillImport,
}

/// An import whose file is here.
pub(super) struct Live {
    pub(super) id: String,
    pub(super) spool: Spool,
    pub(super) cancel: CancellationToken,
    pub(super) job: watch::Sender<Job>,
    /// Bytes of noted rows that are whole.
    pub(super) noted: AtomicU64,
    /// A task works on it.
    pub(super) is_taken: AtomicBool,
    /// What the file takes of the room.
    pub(super) room: Option<Arc<Part>>,
}

impl Live {
    pub(super) fn job(&self) -> Job {
        self.job.borrow().clone()
    }

    pub(super) fn edit(&self, edit: impl FnOnce(&mut Job)) {
        self.job.send_modify(edit);
    }

    pub(super) fn is_dry(&self) -> bool {
        self.job.borrow().options.dry_run
    }

    pub(super) fn noted_bytes(&self, bytes: u64) {
        self.noted.store(bytes, Ordering::Release);
    }

    /// Why it stops before its end.
    pub(super) fn end_of(&self, stop: &CancellationToken) -> End {
        if stop.is_cancelled() { End::Interrupted } else { End::Cancelled }
    }

    pub(super) fn state(&self) -> JobState {
        self.job.borrow().state
    }
}
