//! From where on the log is whole again, after records were lost that nobody had read.

use serde::{Deserialize, Serialize};

/// The control entry that holds it.
pub const BASE_KEY: &str = "log/base";

/// A store that somebody declared to be what the log goes on from: what came before it, and is in no
/// store that comes from it, is given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Base {
    /// Random.
    pub id: String,
    /// The store's digest at the position, hex.
    pub digest: String,
    /// Up to where it had read the log.
    pub position: String,
    /// Records that are done without, by lane: from the first number up to the second.
    pub gaps: Vec<(u16, u64, u64)>,
}

impl Base {
    /// From a control entry's value; none where it is none.
    pub fn parse(value: &[u8]) -> Option<Self> {
        serde_json::from_slice(value).ok()
    }

    /// As a control entry's value.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// What applying does when the log is given a base.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BaseRule {
    /// It must be this one: the store comes from it; none: the store comes from a whole log.
    #[default]
    Whole,
    /// It must be this one.
    Only(String),
    /// Whatever it is: no contact is applied.
    Any,
}

impl BaseRule {
    /// Whether a base of that id is none of the store's.
    pub fn refuses(&self, id: &str) -> bool {
        match self {
            Self::Whole => true,
            Self::Only(ours) => ours != id,
            Self::Any => false,
        }
    }
}
