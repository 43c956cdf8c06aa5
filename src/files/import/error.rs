//! Why an import is not taken, or can't do what is asked of it.

use crate::domain::Class;
use crate::event_log::LogError;
use crate::ingest::IngestError;
use crate::shares::Full;
use crate::store::StoreError;

use super::mapping::MappingError;

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is none that can be read.
    #[error("the file {0}")]
    Unreadable(String),
    /// Its columns can't be told.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// It has more bytes than one may have.
    #[error("the file has more than {bytes_max} bytes (imports.file_bytes_max)")]
    TooLarge {
        /// What it may have.
        bytes_max: u64,
    },
    /// There is no room for another file.
    #[error("{}", match full {
        Full::Part => "your files that wait or are kept take all the room that one may have; undo or wait until they are deleted (imports.keep)",
        Full::All => "all the room for files to import is taken (imports.bytes_max); try again later",
    })]
    Full {
        /// Whether it is the client's own part.
        full: Full,
    },
    /// The body stopped coming.
    #[error("the file did not come whole: {0}")]
    Broken(String),
    /// There is no such import.
    #[error("there is no import of this id")]
    NotFound,
    /// The spool was deleted, or is another instance's.
    #[error("{0}")]
    Gone(&'static str),
    /// It stands in the way of what is asked for.
    #[error("the import is {state}: {advice}")]
    Conflict {
        /// How it stands.
        state: &'static str,
        /// What can be done.
        advice: &'static str,
    },
    /// The job's entry can't be written.
    #[error(transparent)]
    Control(#[from] IngestError),
    /// The store has failed, or is being closed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log refuses what is appended.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The spool's disk.
    #[error("the import's files: {0}")]
    Disk(#[from] std::io::Error),
    /// Our fault.
    #[error("it ended early: {0}")]
    Ended(String),
    /// Who ordered it may no longer import.
    #[error("{by} may no longer import")]
    NotAllowed {
        /// Who.
        by: String,
    },
}

impl ImportError {
    /// A thread of ours panicked.
    pub(super) fn ended(error: tokio::task::JoinError) -> Self {
        Self::Ended(error.to_string())
    }

    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Unreadable(_)
            | Self::Mapping(_)
            | Self::TooLarge { .. }
            | Self::Broken(_)
            | Self::NotFound
            | Self::Gone(_)
            | Self::Conflict { .. }
            | Self::Ended(_)
            | Self::NotAllowed { .. } => Class::Poison,
            Self::Full { .. } => Class::Retry,
            Self::Control(error) => error.class(),
            Self::Store(error) => error.class(),
            Self::Log(error) => error.class(),
            Self::Disk(_) => Class::Retry,
        }
    }
}
