//! A store that was brought back from a backup: what the log has had since is applied before anybody is answered,
//! as contacts may have been erased since.

use std::sync::Arc;

use crate::apply::{Progress, Terms};
use crate::backup::{BackupError, is_half_restored, is_restored, settled};
use crate::store::Writer;

use super::error::WorkerError;
use super::worker::{Following, Worker};

impl Worker {
    /// What a restore did not get done with is no store.
    pub(super) fn refuse_half_restored(&self) -> Result<(), WorkerError> {
        let data = &self.config.store.path;
        if is_half_restored(data) {
            return Err(BackupError::HalfRestored { path: data.clone() }.into());
        }
        Ok(())
    }

    /// Reads the log to its present end, if the store was brought back and not served since. Where the log no
    /// longer reaches back so far nobody knows what was erased.
    pub(super) fn catch_up_restored(&self, writer: &mut Writer) -> Result<(), WorkerError> {
        let data = &self.config.store.path;
        if !is_restored(data) {
            return Ok(());
        }
        if !self.options.accepts_gap {
            self.watch.catching_up_restored();
            self.catch_up(writer)?;
            if self.stop.is_cancelled() {
                return Ok(());
            }
            tracing::info!("restored from a backup, and caught up with the log");
        }
        Ok(settled(data)?)
    }

    fn catch_up(&self, writer: &mut Writer) -> Result<(), WorkerError> {
        let (mut partial, mut proposed) = (None, None);
        let consuming =
            self.wait_for(|| self.consume(writer, None, &mut partial, &mut proposed))?;
        let Some(Following { identity, founding, base, mut consumer }) = consuming else {
            return Ok(());
        };
        if let Some(why) = partial {
            return Err(WorkerError::not_caught_up(&self.config.store.path, why));
        }
        let terms = Terms { founding, base };
        let pipeline = self.pipeline(terms, &identity, Arc::new(Progress::default()), true);
        Ok(pipeline.run(&mut consumer, writer, &self.stop)?)
    }
}
