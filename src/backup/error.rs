//! Why there is no backup, or none is brought back.

use std::io;
use std::path::{Path, PathBuf};

use crate::domain::position::LogIdentity;
use crate::event_log::LogError;
use crate::segments::SegmentError;
use crate::store::StoreError;

use super::storage_error::is_of_storage;

/// Why a backup could not be made, or be brought back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// An I/O call failed.
    #[error("{doing} {path}: {source}", path = .path.display())]
    Io {
        /// What was being done, as in "reading".
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The store's files.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The embedded log's, or the outbox's.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Segments of either.
    #[error(transparent)]
    Segments(#[from] SegmentError),
    /// A file is not what was written.
    #[error("the backup is damaged: {file}: {why}; nothing of it was brought back")]
    Damaged {
        /// By its name in the backup.
        file: String,
        /// What does not fit.
        why: String,
    },
    /// It was not written to its end.
    #[error("{path} is no whole backup: {why}", path = .path.display())]
    Incomplete {
        /// The backup.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// It was written by a version that this one does not know.
    #[error(
        "the backup has format {found}, this version reads up to {known}; contactd {written_by}, which wrote it, reads it"
    )]
    NewerFormat {
        /// The format found.
        found: u32,
        /// The newest one known here.
        known: u32,
        /// The version that wrote it.
        written_by: String,
    },
    /// There is something already where it is to go.
    #[error("{path} holds something: {what} goes into an empty directory, or one that is not there yet", path = .path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// A backup, or a restore.
        what: &'static str,
    },
    /// Another process brings one back there.
    #[error("another restore to {path} is under way", path = .path.display())]
    RestoreUnderWay {
        /// The directory.
        path: PathBuf,
    },
    /// What was there before is a restore that was cut off.
    #[error(
        "{path} holds a restore that was cut off, and is not served: remove it, and restore again", path = .path.display()
    )]
    HalfRestored {
        /// The directory.
        path: PathBuf,
    },
    /// It is of another log than the configured one.
    #[error("the backup is of {backup}, the configuration follows {configured}: {advice}")]
    AnotherLog {
        /// The log that it was taken of.
        backup: LogIdentity,
        /// The log that is configured.
        configured: String,
        /// What to do.
        advice: &'static str,
    },
    /// One is made already.
    #[error("a backup is being made already; wait for its end")]
    UnderWay,
    /// The store is not open.
    #[error("the store is not open yet")]
    NotOpen,
    /// There is nowhere to keep it.
    #[error(
        "backup.to names no directory and no bucket, so this instance keeps no backups; GET /api/backups/stream \
         hands one out"
    )]
    NoPath,
    /// The address of a bucket leads nowhere.
    #[error("{url} is no place for backups: {why}")]
    NoBucket {
        /// As it was given.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// It was built without what reaches them.
    #[error("s3:// needs a contactd that was built with the feature s3")]
    NoBuckets,
    /// Storage elsewhere fails, or can't be reached.
    #[error("{doing} {path}: {source}", path = .path.display())]
    Storage {
        /// What was being done, as in "reading".
        doing: &'static str,
        /// The object.
        path: PathBuf,
        /// The storage's answer.
        #[source]
        source: io::Error,
    },
    /// Told to end.
    #[error("the backup was given up, as contactd is ending or its reader is gone")]
    GivenUp,
    /// The instance that was to send it says why it can't.
    #[error("the instance can't make a backup: {0}")]
    Told(String),
}

impl BackupError {
    /// Whether the data itself is the matter, not the machine.
    pub fn is_about_data(&self) -> bool {
        match self {
            Self::Store(error) => error.is_about_data(),
            Self::Segments(error) => error.is_damage(),
            Self::Damaged { .. }
            | Self::Incomplete { .. }
            | Self::NewerFormat { .. }
            | Self::NotEmpty { .. }
            | Self::HalfRestored { .. }
            | Self::AnotherLog { .. } => true,
            Self::Log(LogError::CorruptFrame { .. } | LogError::Meta { .. }) => true,
            Self::Io { .. }
            | Self::Log(_)
            | Self::RestoreUnderWay { .. }
            | Self::UnderWay
            | Self::NotOpen
            | Self::NoPath
            | Self::NoBucket { .. }
            | Self::NoBuckets
            | Self::Storage { .. }
            | Self::GivenUp
            | Self::Told(_) => false,
        }
    }

    /// For `map_err` on an I/O call, of this machine or of storage elsewhere.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| match is_of_storage(&source) {
            true => Self::Storage { doing, path, source },
            false => Self::Io { doing, path, source },
        }
    }

    pub(super) fn damaged(file: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Damaged { file: file.into(), why: why.into() }
    }
}
