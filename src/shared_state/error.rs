//! What can be wrong with sharing.

use crate::domain::Class;

/// Redis as configured can't be used, or did not answer.
#[derive(Debug, thiserror::Error)]
pub enum SharedStateError {
    /// The address is none.
    #[error("redis: the configured address can't be used: {problem}")]
    Address {
        /// Without the address itself, which may hold a password.
        problem: String,
    },
    /// There is no connection at the moment.
    #[error("redis is away")]
    Away,
    /// No answer in time.
    #[error("redis did not answer within {timeout_ms} ms")]
    TooSlow {
        /// `redis.timeout`.
        timeout_ms: u128,
    },
    /// An answer that is an error, or a connection that broke.
    #[error("redis: {0}")]
    Redis(#[from] redis::RedisError),
}

impl SharedStateError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Address { .. } => Class::Fatal,
            Self::Away | Self::TooSlow { .. } | Self::Redis(_) => Class::Retry,
        }
    }

    /// Whether the connection is of no more use.
    pub(super) fn is_broken(&self) -> bool {
        match self {
            Self::Redis(error) => error.is_io_error() || error.is_unrecoverable_error(),
            Self::Address { .. } | Self::Away | Self::TooSlow { .. } => false,
        }
    }
}
