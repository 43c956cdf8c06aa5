//! What ends the stream's side of the process.

use std::path::{Path, PathBuf};

use crate::apply::ApplyError;
use crate::backup::BackupError;
use crate::domain::Class;
use crate::event_log::LogError;
use crate::store::StoreError;

use super::founding::FoundingError;

/// What ends the stream's side when it was not told to.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The log can't be read on.
    #[error("{0}")]
    Log(#[from] LogError),
    /// Applying can't go on.
    #[error("{0}")]
    Apply(#[from] ApplyError),
    /// The store can't be opened, written or closed, or doesn't belong to this log.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// Nothing may be judged before the log says by which rules.
    #[error("topic {topic} does not say by which rules its records are judged: {why}")]
    Unfounded {
        /// The log's topic.
        topic: String,
        /// Why that could not be mended.
        why: String,
        /// Whether waiting does not mend it.
        is_lasting: bool,
    },
    /// The log is not founded, or otherwise than this store knows it.
    #[error("{0}")]
    Founding(#[from] FoundingError),
    /// A store that was brought back may hold what was erased since.
    #[error(
        "the store in {path} was restored from a backup and is not served before it has applied what the log has \
         had since, as contacts may have been erased: {why}; restore a newer backup, or, where there is none, \
         start with --accept-gap --sole and erase them again", path = .path.display()
    )]
    NotCaughtUp {
        /// The data directory.
        path: PathBuf,
        /// Why it can't.
        why: String,
    },
    /// The data directory is not one that may be served, or its marks can't be changed.
    #[error("{0}")]
    Backup(#[from] BackupError),
}

impl WorkerError {
    /// For a store that was brought back.
    pub(super) fn not_caught_up(path: &Path, why: impl Into<String>) -> Self {
        Self::NotCaughtUp { path: path.to_owned(), why: why.into() }
    }

    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Log(error) => error.class(),
            Self::Apply(error) => error.class(),
            Self::Store(error) => error.class(),
            Self::Unfounded { .. } => Class::Retry,
            Self::Founding(error) => error.class(),
            Self::NotCaughtUp { .. } | Self::Backup(_) => Class::Fatal,
        }
    }
}
