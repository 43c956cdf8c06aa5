//! What a store makes of its settings, and what opening tells.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::{JournalRetention, StoreConfig};
use crate::segments::FileLock;

use super::StoreError;
use super::checkpoint::sync_dir;
use super::dead_letters::{FOLDER, LetterLimits};
use super::disk::total_bytes;
use super::trim::Retention;

/// A generation with more than this part of what may be dirty is one of a load.
const LOAD_PART: u64 = 4;
/// Of the journal, kept unless told otherwise: so much at most, and such a part of the disk.
const AUTO_RETENTION_BYTES_MAX: u64 = 8 << 30;
const AUTO_RETENTION_SHARE: u64 = 10;

/// A disk that can't be asked for its size is no reason not to open a store on it.
fn retention_bytes(config: &StoreConfig) -> Option<u64> {
    match config.journal_retention_bytes {
        JournalRetention::Unlimited => None,
        JournalRetention::Bytes(bytes) => Some(bytes),
        JournalRetention::Auto => {
            let made = config.path.ancestors().find(|path| path.exists());
            let disk = total_bytes(made.unwrap_or(Path::new("."))).ok();
            // Some file systems say that they have no size.
            let disk = disk.filter(|bytes| *bytes > 0).unwrap_or(u64::MAX);
            Some(AUTO_RETENTION_BYTES_MAX.min(disk / AUTO_RETENTION_SHARE))
        }
    }
}

fn bytes_max(config: &StoreConfig) -> Option<u64> {
    match config.journal_bytes_max {
        JournalRetention::Unlimited => None,
        JournalRetention::Bytes(bytes) => Some(bytes),
        JournalRetention::Auto => retention_bytes(config).map(|bytes| bytes.saturating_mul(2)),
    }
}

impl StoreConfig {
    pub(crate) fn journal_dir(&self) -> PathBuf {
        self.path.join("journal")
    }

    pub(crate) fn engine_dir(&self) -> PathBuf {
        self.path.join("sled")
    }

    pub(crate) fn heap_dir(&self) -> PathBuf {
        self.path.join("heap")
    }

    /// A generation of more bytes is one of a load.
    pub(crate) fn load_bytes(&self) -> u64 {
        self.dirty_bytes_max / LOAD_PART
    }

    pub(crate) fn retention(&self) -> Retention {
        Retention {
            age: self.journal_retention_age,
            bytes: retention_bytes(self),
            bytes_max: bytes_max(self),
        }
    }

    pub(crate) fn dead_letters(&self) -> LetterLimits {
        LetterLimits { bytes_max: self.dead_letters_bytes, age_max: self.dead_letters_age }
    }
}

/// What an opening is busy with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenProgress {
    /// Journal frames redone, of how many.
    Redoing {
        /// Done.
        done: u64,
        /// In all.
        total: u64,
    },
    /// Contacts of the engine read, of how many there should be.
    Scanning {
        /// Done.
        done: u64,
        /// In all.
        total: u64,
    },
    /// The engine can't be used; it is moved aside and filled again.
    Refilling {
        /// Why.
        why: String,
    },
    /// Contacts of a snapshot put into the engine, of how many.
    Restoring {
        /// Done.
        done: u64,
        /// In all.
        total: u64,
    },
}

impl std::fmt::Display for OpenProgress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = |done: &u64, total: &u64| done * 100 / (*total).max(1);
        match self {
            Self::Redoing { done, total } => {
                write!(f, "opening the store: redoing the journal, {} %", percent(done, total))
            }
            Self::Scanning { done, total } => {
                write!(f, "opening the store: reading the contacts, {} %", percent(done, total))
            }
            Self::Refilling { why } => write!(f, "opening the store: filling it again, as {why}"),
            Self::Restoring { done, total } => {
                write!(f, "opening the store: restoring the snapshot, {} %", percent(done, total))
            }
        }
    }
}

/// Takes the data directory for this process, for as long as the lock is held.
pub(crate) fn lock(dir: &Path) -> Result<FileLock, StoreError> {
    let path = dir.join("lock");
    let taken = FileLock::take(&path).map_err(StoreError::io("locking", &path))?;
    taken.ok_or_else(|| StoreError::Locked { path: dir.to_path_buf() })
}

/// A new folder for what a rebuild moves aside.
fn unused_folder(path: &Path) -> Result<PathBuf, StoreError> {
    let mut number = 1_u32;
    loop {
        let name = match number {
            1 => "before-rebuild".to_owned(),
            _ => format!("before-rebuild.{number}"),
        };
        let aside = path.join(name);
        match std::fs::create_dir(&aside) {
            Ok(()) => return Ok(aside),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(StoreError::io("making", &aside)(error)),
        }
    }
}

/// Moves all that a store consists of into a folder beside it within the data directory, so that
/// it can be built anew from its log. Returns that folder; earlier ones stay as they are.
pub fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let _lock = lock(path)?;
    let aside = unused_folder(path)?;
    // The identity goes last: without it beside the others the rest is refused, not misread.
    for name in ["checkpoint", "sled", "snapshots", "journal", FOLDER, "identity"] {
        let from = path.join(name);
        match std::fs::rename(&from, aside.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io("moving", &from)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    sync_dir(path)?;
    Ok(aside)
}
