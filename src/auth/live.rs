//! The users and keys that count now: the file, read again whenever it has changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::telemetry::{Metrics, UsersFileBad, UsersFileRead};

use super::changes::changes;
use super::users::Directory;
use super::users_file::{UsersFileError, Version, is_open_to_others, read};

/// How soon a change counts.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(super) struct LiveUsers {
    path: PathBuf,
    directory: RwLock<Arc<Directory>>,
    /// Of the file that was read last, good or bad.
    seen: Mutex<Version>,
    generation: AtomicU64,
}

impl LiveUsers {
    /// Reads the file for the first time.
    pub(super) fn open(path: PathBuf) -> Result<Self, UsersFileError> {
        let seen = Version::of(&path)?;
        let directory = read(&path)?;
        if is_open_to_others(&path) {
            tracing::warn!(
                path = %path.display(),
                "others than its owner can read the file of users; chmod 600 it"
            );
        }
        Ok(Self {
            path,
            directory: RwLock::new(Arc::new(directory)),
            seen: Mutex::new(seen),
            generation: AtomicU64::new(1),
        })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Something of the directory, without holding on to all of it.
    pub(super) fn with<T>(&self, look: impl FnOnce(&Directory) -> T) -> T {
        look(&self.directory.read())
    }

    /// Moves with every change.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Reads the file again if it has changed. A bad one changes nothing.
    pub(super) fn look(&self, metrics: &Metrics) {
        let mut seen = self.seen.lock();
        let version = match Version::of(&self.path) {
            Ok(version) if version == *seen => return,
            Ok(version) => version,
            Err(error) => {
                UsersFileBad { error: &error.to_string() }.emit(metrics);
                return;
            }
        };
        *seen = version;
        match read(&self.path) {
            Ok(directory) => {
                let before = self.directory.read().clone();
                let incidents = changes(&before, &directory);
                *self.directory.write() = Arc::new(directory);
                self.generation.fetch_add(1, Ordering::AcqRel);
                UsersFileRead { path: &self.path }.emit(metrics);
                for incident in incidents {
                    metrics.security.tell(incident);
                }
            }
            Err(error) => UsersFileBad { error: &error.to_string() }.emit(metrics),
        }
    }

    pub(super) async fn run(&self, metrics: &Metrics, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.look(metrics);
            metrics.security.sweep();
        }
        metrics.security.flush();
    }
}
