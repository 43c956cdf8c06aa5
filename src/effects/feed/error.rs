//! Why a client can't listen.

use crate::domain::Class;
use crate::shares::Full;
use crate::store::StoreError;

/// Why a client can't listen.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The store is not open yet.
    #[error("the store is not open yet")]
    NotOpen,
    /// Another log's position.
    #[error("the position belongs to another log")]
    AnotherLog,
    /// The journal begins later.
    #[error("the journal no longer holds all that came after the position")]
    Gone,
    /// No place.
    #[error("the feed has {clients_max} clients{of}, more than it takes", of = of(.full))]
    TooManyClients {
        /// Clients at once.
        clients_max: usize,
        /// Of whom.
        full: Full,
    },
    /// Too many read all contacts.
    #[error("{states_max} clients{of} are being sent all contacts, more than at once", of = of(.full))]
    TooManyStates {
        /// Clients at once.
        states_max: usize,
        /// Of whom.
        full: Full,
    },
    /// The process is ending.
    #[error("the process is ending")]
    Closing,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A part of the work panicked.
    #[error("reading the journal ended early: {0}")]
    Panicked(String),
}

fn of(full: &Full) -> &'static str {
    match full {
        Full::All => "",
        Full::Part => " with these credentials",
    }
}

impl FeedError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::NotOpen
            | Self::TooManyClients { .. }
            | Self::TooManyStates { .. }
            | Self::Closing => Class::Retry,
            Self::AnotherLog | Self::Gone => Class::Poison,
            Self::Store(error) if error.is_trimmed() => Class::Poison,
            Self::Store(error) => error.class(),
            Self::Panicked(_) => Class::Fatal,
        }
    }

    /// Whether what came after the position can't be had any more.
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Gone | Self::AnotherLog => true,
            // What is damaged does not come back either.
            Self::Store(error) => error.is_trimmed() || error.is_about_data(),
            Self::NotOpen
            | Self::TooManyClients { .. }
            | Self::TooManyStates { .. }
            | Self::Closing
            | Self::Panicked(_) => false,
        }
    }
}
