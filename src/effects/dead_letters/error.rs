//! Why something about dead letters can't be done.

use crate::domain::verdict::DeadLetterReason;
use crate::event_log::LogError;
use crate::ingest::{BridgeAgainError, IngestError};
use crate::store::StoreError;

/// Why something about dead letters can't be done.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    /// The archive was not read yet.
    #[error("the archive of dead letters is being read")]
    NotLoaded,
    /// No letter of that name is kept.
    #[error("no such dead letter is kept")]
    NotFound,
    /// No such redrive is known.
    #[error("no such redrive is known")]
    NoJob,
    /// Too many are under way.
    #[error("{running} redrives are under way; wait for one to end, or stop one")]
    TooMany {
        /// How many.
        running: usize,
    },
    /// Somebody changed it at the same moment.
    #[error("somebody else changed it at the same moment")]
    Conflict,
    /// The control entry may not be kept.
    #[error("the order can't be kept: {reason}: {detail}")]
    Refused {
        /// Why.
        reason: DeadLetterReason,
        /// Why, in words.
        detail: String,
    },
    /// It could not be written down.
    #[error("the order could not be written: {0}")]
    Control(#[from] IngestError),
    /// What is kept can't be written as JSON.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// What the bridge makes of a letter is not known yet.
    #[error("{0}")]
    Bridge(#[from] BridgeAgainError),
    /// The log failed.
    #[error("{0}")]
    Log(#[from] LogError),
    /// The store failed.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A thread of ours panicked.
    #[error("looking through the dead letters panicked: {0}")]
    Panicked(String),
}
