//! Why a writing was not taken, or why what became of it is not known.

use crate::domain::Class;
use crate::domain::control::InvalidControl;
use crate::event_log::LogError;
use crate::store::StoreError;

/// Why a writing was not taken, or why what became of it is not known.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// It can't be written as a record.
    #[error(transparent)]
    Invalid(#[from] InvalidControl),
    /// The log did not take it. Where the class is Retry it may stand there all the same.
    #[error("the log did not take it: {0}")]
    Log(#[from] LogError),
    /// The store has stopped.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The control topic no longer holds its beginning, and the entry was not restated yet.
    #[error(
        "the control topic was not read from its beginning, and what stood there is not restated yet"
    )]
    Unsettled,
    /// It was not applied in time; it may be yet.
    #[error("it was not applied in time, and may be yet")]
    TimedOut,
}

impl IngestError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Invalid(_) => Class::Poison,
            Self::Log(error) => error.class(),
            Self::Store(error) => error.class(),
            Self::Unsettled | Self::TimedOut => Class::Retry,
        }
    }
}
