//! How a store is opened, and what opening tells.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{JournalRetention, StoreConfig};

use super::checkpoint::sync_dir;
use super::dead_letters::{FOLDER, LetterLimits};
use super::disk::total_bytes;
use super::trim::Retention;
use super::{Reader, StoreError, Writer};

/// Of the journal, kept unless told otherwise: so much at most, and such a part of the disk.
const AUTO_RETENTION_BYTES_MAX: u64 = 8 << 30;
const AUTO_RETENTION_SHARE: u64 = 10;

/// Settings of a store.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The data directory.
    pub path: PathBuf,
    /// Keep the engine in memory: it is then filled from the journal at each opening.
    pub engine_in_memory: bool,
    /// Bytes of contacts cached that the disk was waited for; 0: no cache.
    pub cache_bytes: u64,
    /// How long a contact stays cached.
    pub cache_ttl: Duration,
    /// Bytes of pages that sled keeps in memory.
    pub sled_cache_bytes: u64,
    /// Bytes of contacts in a generation at most; more holds up the writer.
    pub dirty_bytes_max: u64,
    /// How often contacts go to the engine, at least.
    pub checkpoint_interval: Duration,
    /// How often a snapshot is written, at least.
    pub snapshot_interval: Duration,
    /// A journal segment of more bytes is closed.
    pub journal_segment_bytes: u64,
    /// How long history is kept; none: for ever.
    pub journal_retention_age: Option<Duration>,
    /// Bytes of journal kept; none: no limit.
    pub journal_retention_bytes: Option<u64>,
    /// Bytes of journal that are never passed for a follower that is behind; none: it is waited for.
    pub journal_bytes_max: Option<u64>,
    /// How much is kept of what could not be applied.
    pub dead_letters: LetterLimits,
    /// Free bytes on the disk below which nothing is committed.
    pub min_free_bytes: u64,
    /// Size of the file that is given up when a full disk is opened; 0: none.
    pub ballast_bytes: u64,
}

impl From<&StoreConfig> for StoreOptions {
    fn from(config: &StoreConfig) -> Self {
        Self {
            path: config.path.clone(),
            engine_in_memory: false,
            cache_bytes: config.cache_bytes,
            cache_ttl: config.cache_ttl,
            sled_cache_bytes: config.sled_cache_bytes,
            dirty_bytes_max: config.dirty_bytes_max,
            checkpoint_interval: config.checkpoint_interval,
            snapshot_interval: config.snapshot_interval,
            journal_segment_bytes: config.journal_segment_bytes,
            journal_retention_age: config.journal_retention_age,
            journal_retention_bytes: retention_bytes(config),
            journal_bytes_max: bytes_max(config),
            dead_letters: LetterLimits {
                bytes_max: config.dead_letters_bytes,
                age_max: config.dead_letters_age,
            },
            min_free_bytes: config.min_free_bytes,
            ballast_bytes: config.ballast_bytes,
        }
    }
}

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

impl StoreOptions {
    /// Sensible settings for a directory, as the built-in configuration has them.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            engine_in_memory: false,
            cache_bytes: 48 << 20,
            cache_ttl: Duration::from_secs(600),
            sled_cache_bytes: 64 << 20,
            dirty_bytes_max: 64 << 20,
            checkpoint_interval: Duration::from_secs(5),
            snapshot_interval: Duration::from_secs(24 * 60 * 60),
            journal_segment_bytes: 64 << 20,
            journal_retention_age: None,
            journal_retention_bytes: None,
            journal_bytes_max: None,
            dead_letters: LetterLimits::default(),
            min_free_bytes: 0,
            ballast_bytes: 0,
        }
    }

    pub(crate) fn journal_dir(&self) -> PathBuf {
        self.path.join("journal")
    }

    pub(crate) fn engine_dir(&self) -> PathBuf {
        self.path.join("sled")
    }

    pub(crate) fn heap_dir(&self) -> PathBuf {
        self.path.join("heap")
    }

    pub(crate) fn retention(&self) -> Retention {
        Retention {
            age: self.journal_retention_age,
            bytes: self.journal_retention_bytes,
            bytes_max: self.journal_bytes_max,
        }
    }
}

/// An open store.
#[derive(Debug)]
pub struct Opened {
    /// For apply alone.
    pub writer: Writer,
    /// For everyone.
    pub reader: Reader,
    /// What opening found and did.
    pub report: RecoveryReport,
}

/// What opening found and did.
#[derive(Clone, Debug, Default)]
pub struct RecoveryReport {
    /// Journal frames redone after the checkpoint or snapshot.
    pub frames_redone: u64,
    /// Contacts found.
    pub contacts: u64,
    /// Bytes of a torn frame cut off the journal's end.
    pub journal_truncated_bytes: u64,
    /// Why the engine was moved aside and filled again, if it was.
    pub refilled: Option<String>,
    /// Whether the ballast was given up because the disk was full.
    pub ballast_released: bool,
    /// How long it took.
    pub took: Duration,
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

/// Takes the data directory for this process, for as long as the file is held.
pub(crate) fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(StoreError::io("opening", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: dir.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(StoreError::io("locking", &path)(error)),
    }
}

/// Moves all that a store consists of into a folder beside it within the data directory, so that
/// it can be built anew from its log. Returns that folder; one earlier one is dropped.
pub fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let _lock = lock(path)?;
    let aside = path.join("before-rebuild");
    match std::fs::remove_dir_all(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(StoreError::io("removing", &aside)(error));
        }
        Ok(()) | Err(_) => {}
    }
    std::fs::create_dir(&aside).map_err(StoreError::io("making", &aside))?;
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
