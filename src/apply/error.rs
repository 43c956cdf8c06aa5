//! What stops applying.

use crate::domain::Class;
use crate::domain::contact::CorruptContact;
use crate::domain::founding::Founding;
use crate::domain::position::{Lane, Offset};
use crate::event_log::LogError;
use crate::store::StoreError;

/// Why the pipeline ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The log can't go on from where the store stands.
    #[error("the log stopped: {0}")]
    Log(#[from] LogError),
    /// The store failed.
    #[error("the store stopped: {0}")]
    Store(#[from] StoreError),
    /// A stored contact can't be read, so nothing may be built on it.
    #[error(
        "the stored contact {id} can't be read, met at partition {lane} offset {offset}: {source}"
    )]
    CorruptContact {
        /// The contact's id.
        id: String,
        /// Where the event stands that met it.
        lane: Lane,
        /// Where the event stands that met it.
        offset: Offset,
        /// What is wrong with it.
        #[source]
        source: CorruptContact,
    },
    /// Records can't be judged before the log is founded.
    #[error("nothing says by which rules the log is judged")]
    NoRules,
    /// A run that was to end at the log's end can't get there.
    #[error("{0}")]
    Impassable(Impassable),
    /// The log says that it was founded otherwise than it was applied here.
    #[error(
        "two foundings: this instance applied the log under {here}, the log says {there}; stop all instances, find out which one holds, and rebuild the stores of the other"
    )]
    TwoFoundings {
        /// What the store goes by.
        here: Founding,
        /// What the control entry says.
        there: Founding,
    },
    /// The log was given a base that this store does not come from.
    #[error("the log was given the base {id}, which this store does not come from")]
    AnotherBase {
        /// The base.
        id: String,
    },
    /// A stage's thread panicked.
    #[error("the {stage} stage panicked")]
    Panicked {
        /// The stage's name.
        stage: &'static str,
    },
}

impl ApplyError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Log(error) => error.class(),
            Self::Store(error) => error.class(),
            Self::CorruptContact { .. }
            | Self::NoRules
            | Self::Impassable(_)
            | Self::TwoFoundings { .. }
            | Self::AnotherBase { .. }
            | Self::Panicked { .. } => Class::Fatal,
        }
    }
}

/// A marker that this program can't go on behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impassable {
    /// Its lane.
    pub lane: Lane,
    /// Where it stands.
    pub offset: Offset,
    /// What to do.
    pub why: String,
}

impl std::fmt::Display for Impassable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { lane, offset, why } = self;
        write!(f, "partition {lane} is not applied from offset {offset} on: {why}")
    }
}
