//! Why Acme did not do what was asked of it.

use std::time::Duration;

use crate::domain::Class;
use crate::telemetry::AcmeResult;

/// What came instead. Texts hold Acme's status and code, and nothing of a contact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcmeError {
    /// No answer in time.
    #[error("Acme did not answer within {ms} ms (acme.timeout)")]
    TimedOut {
        /// How long was waited.
        ms: u128,
    },
    /// Nobody is there, or what is there hung up.
    #[error("Acme can't be reached: {0}")]
    Unreachable(String),
    /// An error of Acme's API.
    #[error("Acme answered {status} {code}")]
    Answered {
        /// Its status.
        status: u16,
        /// Its code; `-` where it names none.
        code: String,
        /// When to ask again, where it says so.
        after: Option<Duration>,
    },
    /// An answer that is none of Acme's API.
    #[error("what answers at acme.url is not Acme's API: it {problem} (status {status})")]
    NotAcme {
        /// Its status.
        status: u16,
        /// What is wrong with it, as the rest of a sentence.
        problem: &'static str,
    },
}

impl AcmeError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        if self.blames_request() { Class::Poison } else { Class::Retry }
    }

    /// Acme's status, where it answered.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answered { status, .. } | Self::NotAcme { status, .. } => Some(*status),
            Self::TimedOut { .. } | Self::Unreachable(_) => None,
        }
    }

    /// Acme's code, where it named one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Answered { code, .. } => Some(code),
            Self::TimedOut { .. } | Self::Unreachable(_) | Self::NotAcme { .. } => None,
        }
    }

    /// When Acme wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answered { after, .. } => *after,
            Self::TimedOut { .. } | Self::Unreachable(_) | Self::NotAcme { .. } => None,
        }
    }

    /// Whether it is this request that Acme does not take: others may fare better.
    pub fn blames_request(&self) -> bool {
        matches!(self, Self::Answered { status: 400 | 409 | 413 | 422, .. })
    }

    /// Whether asking again in a while is what Acme expects.
    pub(super) fn passes(&self) -> bool {
        matches!(self, Self::Answered { status: 429 | 500.., .. })
    }

    pub(super) fn is(&self, expected: u16) -> bool {
        matches!(self, Self::Answered { status, .. } if *status == expected)
    }

    pub(super) fn result(&self) -> AcmeResult {
        match self {
            Self::TimedOut { .. } | Self::Unreachable(_) => AcmeResult::NoAnswer,
            Self::NotAcme { .. } => AcmeResult::Unreadable,
            // A contact that is not there is an answer as well.
            Self::Answered { status: 404, .. } => AcmeResult::Done,
            Self::Answered { status: 429, .. } => AcmeResult::Limited,
            Self::Answered { status: 500.., .. } => AcmeResult::Failed,
            Self::Answered { .. } => AcmeResult::Refused,
        }
    }
}
