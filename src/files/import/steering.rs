//! Imports begun, stopped and taken back, and their rows looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use super::desk::Imports;
use super::error::ImportError;
use super::job::{Job, JobState, UndoCounts};
use super::live::Live;
use super::noted::{self, NotedRow, NotedVerdict};
use super::refused_file::RefusedFile;
use crate::ingest::now_ms;

impl Imports {
    /// Begins it, or lets it go on.
    ///
    /// # Errors
    /// When it can't be begun.
    pub async fn start(&self, id: &str) -> Result<Job, ImportError> {
        let live = self.here(id)?;
        match live.state() {
            JobState::Ready | JobState::Cancelled | JobState::Failed => {
                let live = self.renewed(&live, |job| {
                    (job.state, job.why, job.ended_ms) = (JobState::Waiting, None, None);
                });
                self.write(&live).await?;
                self.0.wake.notify_one();
                Ok(live.job())
            }
            JobState::Waiting | JobState::Running => Ok(live.job()),
            state @ (JobState::Done | JobState::Undoing | JobState::Undone) => {
                let advice = "give the file again with again=true to import it once more";
                Err(ImportError::Conflict { state: state.as_str(), advice })
            }
        }
    }

    /// The same import with a token that is not cancelled.
    fn renewed(&self, live: &Arc<Live>, edit: impl FnOnce(&mut Job)) -> Arc<Live> {
        let renewed = Arc::new(Live {
            id: live.id.clone(),
            spool: live.spool.clone(),
            cancel: CancellationToken::new(),
            job: live.job.clone(),
            noted: AtomicU64::new(live.noted.load(Ordering::Acquire)),
            is_taken: AtomicBool::new(false),
            room: live.room.clone(),
        });
        renewed.edit(edit);
        self.0.lives.lock().insert(live.id.clone(), Arc::clone(&renewed));
        renewed
    }

    /// Stops it. Rows that are applied stay so.
    ///
    /// # Errors
    /// When it is not under way, or not here.
    pub async fn cancel(&self, id: &str) -> Result<Job, ImportError> {
        let live = self.here(id)?;
        match live.state() {
            JobState::Ready | JobState::Waiting if !live.is_taken.load(Ordering::Acquire) => {
                live.edit(|job| {
                    (job.state, job.ended_ms) = (JobState::Cancelled, Some(now_ms()));
                });
                self.write(&live).await?;
            }
            JobState::Ready | JobState::Waiting | JobState::Running => live.cancel.cancel(),
            JobState::Cancelled => {}
            state @ (JobState::Done | JobState::Failed | JobState::Undoing | JobState::Undone) => {
                let advice = "only one that is under way can be cancelled";
                return Err(ImportError::Conflict { state: state.as_str(), advice });
            }
        }
        Ok(live.job())
    }

    /// Takes back what it changed and nobody has changed since.
    ///
    /// # Errors
    /// When it is under way, or its file is not here any more.
    pub async fn undo(&self, id: &str, by: &str) -> Result<Job, ImportError> {
        let live = self.here(id)?;
        let state = live.state();
        let is_over = matches!(state, JobState::Done | JobState::Cancelled | JobState::Failed);
        if state == JobState::Undoing {
            return Ok(live.job());
        }
        if !is_over || live.is_dry() || live.job().started_us.is_none() {
            let advice = "only one that has ended, and was no dry run, can be undone";
            return Err(ImportError::Conflict { state: state.as_str(), advice });
        }
        let live = self.renewed(&live, |job| {
            (job.state, job.undo) = (JobState::Undoing, Some(UndoCounts::default()));
            (job.why, job.undo_by) = (None, Some(by.to_owned()));
        });
        self.write(&live).await?;
        self.0.wake.notify_one();
        Ok(live.job())
    }

    fn here(&self, id: &str) -> Result<Arc<Live>, ImportError> {
        match self.live(id) {
            Some(live) => Ok(live),
            None if self.entry(id).is_some() => Err(ImportError::Gone(
                "its file is not on this instance: it was given to another one, or was deleted after \
                 imports.keep; give it again here",
            )),
            None => Err(ImportError::NotFound),
        }
    }

    /// Rows of a verdict, from a place on; with the next place. Waits for the disk.
    ///
    /// # Errors
    /// When its file is not here.
    pub fn rows(
        &self,
        id: &str,
        verdict: NotedVerdict,
        from: u64,
        limit: usize,
    ) -> Result<(Vec<NotedRow>, Option<u64>), ImportError> {
        let live = self.here(id)?;
        let bytes = live.noted.load(Ordering::Acquire);
        Ok(noted::read(&live.spool.noted(), bytes, verdict, from, limit)?)
    }

    /// The rows of a verdict as they came, ready to be mended and given again.
    ///
    /// # Errors
    /// When its file is not here.
    pub fn rows_as_file(
        &self,
        id: &str,
        verdict: NotedVerdict,
    ) -> Result<RefusedFile, ImportError> {
        let live = self.here(id)?;
        let bytes = live.noted.load(Ordering::Acquire);
        RefusedFile::open(&live, bytes, verdict)
    }
}
