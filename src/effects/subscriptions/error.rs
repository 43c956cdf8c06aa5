//! Why something about subscriptions can't be done.

use crate::domain::Class;
use crate::effects::follower::FollowerError;
use crate::ingest::IngestError;
use crate::outbound::OutboundError;
use crate::store::StoreError;

/// Why something about subscriptions can't be done.
#[derive(Debug, thiserror::Error)]
pub enum SubscriptionError {
    /// There is none of that id.
    #[error("there is no such subscription")]
    NotFound,
    /// No message has that id.
    #[error("no message has this id, or the journal no longer has what it told")]
    DeliveryNotFound,
    /// What is wanted can't be had, by field.
    #[error("what is wanted can't be had")]
    Invalid(Vec<(&'static str, String)>),
    /// The address is none that may be sent to.
    #[error(transparent)]
    Target(#[from] OutboundError),
    /// There are as many as may be.
    #[error("there are {max} subscriptions, and no more may be (subscriptions.max)")]
    TooMany {
        /// How many may be.
        max: usize,
    },
    /// It is not in the state for this.
    #[error("the subscription is {state}, and {what}")]
    Conflict {
        /// How it is.
        state: &'static str,
        /// What that means.
        what: &'static str,
    },
    /// Too much was ordered and is not taken up yet.
    #[error("too many messages wait to be sent once more; try again in a moment")]
    TooManyOrders,
    /// What came since can't be told once more.
    #[error(transparent)]
    Replay(#[from] FollowerError),
    /// Others change it all the time.
    #[error("others change the subscription all the time; try again")]
    Contended,
    /// What was wanted may not be kept.
    #[error("{0}")]
    Refused(String),
    /// It could not be written.
    #[error(transparent)]
    Control(#[from] IngestError),
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SubscriptionError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::NotFound
            | Self::DeliveryNotFound
            | Self::Invalid(_)
            | Self::TooMany { .. }
            | Self::Conflict { .. }
            | Self::Replay(_)
            | Self::Refused(_) => Class::Poison,
            Self::TooManyOrders | Self::Contended => Class::Retry,
            Self::Target(error) => error.class(),
            Self::Control(error) => error.class(),
            Self::Store(error) => error.class(),
        }
    }
}
