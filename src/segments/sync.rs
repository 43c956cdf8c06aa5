//! Making appended frames durable, from any thread, and remembering that it once failed.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::telemetry::fault;

use super::{FrameNo, SegmentError, SegmentKind};

/// What the writer and its sync handles share.
#[derive(Debug)]
pub(super) struct Shared {
    dir: PathBuf,
    kind: SegmentKind,
    /// The active segment and the frame after the last one in it. Everything in older segments was
    /// synced before this one was made.
    written: Mutex<(Arc<File>, FrameNo)>,
    /// Frames below this are synced.
    synced: AtomicU64,
    /// The first failure after which the state of the disk is not known.
    failure: OnceLock<String>,
    /// One fsync at a time: a second caller waits, and mostly finds its work done.
    syncing: Mutex<()>,
}

impl Shared {
    pub(super) fn new(
        dir: PathBuf,
        kind: SegmentKind,
        file: Arc<File>,
        next: FrameNo,
    ) -> Arc<Self> {
        Arc::new(Self {
            dir,
            kind,
            written: Mutex::new((file, next)),
            synced: AtomicU64::new(next.0),
            failure: OnceLock::new(),
            syncing: Mutex::new(()),
        })
    }

    pub(super) fn synced(&self) -> FrameNo {
        FrameNo(self.synced.load(Ordering::Acquire))
    }

    pub(super) fn set_written(&self, next: FrameNo) {
        self.written.lock().1 = next;
    }

    pub(super) fn set_active(&self, file: Arc<File>) {
        self.written.lock().0 = file;
    }

    /// Fails when anything failed before.
    pub(super) fn check(&self) -> Result<(), SegmentError> {
        match self.failure.get() {
            None => Ok(()),
            Some(detail) => {
                Err(SegmentError::Failed { path: self.dir.clone(), detail: detail.clone() })
            }
        }
    }

    /// Remembers a failure for good and returns it.
    pub(super) fn fail(&self, detail: String) -> SegmentError {
        let detail = self.failure.get_or_init(|| detail).clone();
        SegmentError::Failed { path: self.dir.clone(), detail }
    }

    pub(super) fn sync(&self) -> Result<FrameNo, SegmentError> {
        let _one = self.syncing.lock();
        self.check()?;
        let (file, next) = {
            let written = self.written.lock();
            (Arc::clone(&written.0), written.1)
        };
        if self.synced() >= next {
            return Ok(next);
        }
        let synced = fault::io(self.kind.faults().sync)
            .and_then(|()| fault::synced(&file, || file.sync_data()));
        synced.map_err(|error| self.fail(format!("fsync: {error}")))?;
        self.synced.fetch_max(next.0, Ordering::AcqRel);
        Ok(next)
    }
}

/// Syncs what a [`super::SegmentWriter`] has appended, from another thread while it goes on.
#[derive(Clone, Debug)]
pub struct SegmentSync {
    pub(super) shared: Arc<Shared>,
}

impl SegmentSync {
    /// Makes every frame appended before this call durable, in all segments, and returns the next
    /// frame after them.
    ///
    /// # Errors
    /// `Failed`, for ever after the first failure: a second fsync would say yes to lost pages.
    pub fn sync(&self) -> Result<FrameNo, SegmentError> {
        self.shared.sync()
    }

    /// Frames below this are known to be synced.
    pub fn synced(&self) -> FrameNo {
        self.shared.synced()
    }
}
