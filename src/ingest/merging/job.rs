//! A merge that is under way, or has ended, as its control entry says.
//!
//! An entry that does not expire is still to be worked on; one that has ended does.

use serde::{Deserialize, Serialize};

use crate::domain::command::Condition;
use crate::domain::contact::StateTag;

/// A merge that is under way, or has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MergeJob {
    /// The survivor.
    pub into: String,
    /// The other.
    pub from: String,
    /// What the client expects of the survivor.
    pub(super) condition: Condition,
    /// Set where the request came with an `Idempotency-Key`.
    pub(super) request_hash: Option<[u8; 16]>,
    /// What the ids of its commands begin with.
    pub(super) commands: String,
    /// Up to where the two were read before it was begun.
    pub(super) seen: String,
    /// Who wants it.
    pub principal: String,
    /// By which request.
    pub(super) request_id: String,
    /// When it was begun, in ms since 1970.
    pub at_ms: u64,
    /// How it ended; where it failed, the other may still be bound.
    pub end: Option<MergeEnd>,
}

/// How a merge ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MergeEnd {
    /// Both halves are done.
    #[serde(rename_all = "camelCase")]
    Done {
        /// The survivor's version once it had taken the other in.
        version: u64,
        /// From where on both halves can be read.
        position: String,
    },
    /// The other is there as before.
    Failed(MergeFailure),
}

/// Why two contacts were not made one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MergeFailure {
    /// The survivor is not there, or is deleted.
    SurvivorGone,
    /// The other is not there, or is deleted.
    OtherGone,
    /// The survivor is not in the state that the client expects.
    #[serde(rename_all = "camelCase")]
    PreconditionFailed {
        /// The state that it is in.
        tag: StateTag,
    },
    /// One of the two is being merged elsewhere.
    Merging {
        /// Which.
        id: String,
        /// Into whom.
        into: String,
    },
    /// Others change the two all the time.
    Contended,
    /// A half can't be applied.
    Refused {
        /// As applying names it.
        reason: String,
        /// What is wrong.
        detail: String,
    },
}
