//! Why a question has no answer.

use std::time::Duration;

use crate::domain::Class;
use crate::domain::contact::CorruptContact;
use crate::store::StoreError;

use super::cursor::CursorError;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The cursor can't be used here.
    #[error(transparent)]
    Cursor(#[from] CursorError),
    /// The position is one of another log.
    #[error("the position belongs to another log")]
    AnotherLog,
    /// The position was not reached.
    #[error("the position was not reached within {wait:?}")]
    NotInTime {
        /// How long it was waited for.
        wait: Duration,
    },
    /// A contact that can't be read.
    #[error("contact {id}: {source}")]
    Corrupt {
        /// The contact.
        id: String,
        /// What is wrong with it.
        #[source]
        source: CorruptContact,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl QueryError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Cursor(_) | Self::AnotherLog => Class::Poison,
            Self::NotInTime { .. } => Class::Retry,
            Self::Corrupt { .. } => Class::Fatal,
            Self::Store(error) => error.class(),
        }
    }
}
