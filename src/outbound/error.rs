//! Why a request was not sent, or not answered.

use std::net::IpAddr;

use crate::domain::Class;

/// What keeps a request from its answer. Texts hold no more of a target than its host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// No address that a request can go to.
    #[error("the target {problem}")]
    Url {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Nobody has allowed this host.
    #[error("the host {host} is not among the allowed targets")]
    HostNotAllowed {
        /// As the target names it.
        host: String,
    },
    /// The host is, or is said to be, at an address that nobody has allowed.
    #[error("{host} is at {address}, which is no public address and in no allowed network")]
    AddressNotAllowed {
        /// As the target names it.
        host: String,
        /// Where it is.
        address: IpAddr,
    },
    /// The host's addresses can't be had.
    #[error("the addresses of {host} can't be found: {detail}")]
    Unresolved {
        /// As the target names it.
        host: String,
        /// What the resolver says.
        detail: String,
    },
    /// Nobody answers there, or not as HTTP.
    #[error("{0}")]
    Exchange(String),
    /// It took too long.
    #[error("no answer within {ms} ms")]
    Timeout {
        /// How long was waited.
        ms: u128,
    },
}

impl OutboundError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Url { .. } | Self::HostNotAllowed { .. } | Self::AddressNotAllowed { .. } => {
                Class::Poison
            }
            Self::Unresolved { .. } | Self::Exchange(_) | Self::Timeout { .. } => Class::Retry,
        }
    }
}
