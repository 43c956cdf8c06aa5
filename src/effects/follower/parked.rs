//! Changes that their sink has refused too often: a control entry each, so that every instance shows
//! them, and they outlast their instance.

use serde::{Deserialize, Serialize};

use crate::domain::position::{Lane, Offset};
use crate::ingest::{Control, ControlOutcome, ControlWrite, IngestError};
use crate::store::Reader;

use super::Place;

const PREFIX: &str = "follower_parked/";
/// Changes of one follower that may be parked: then it waits until somebody looks at them.
pub(super) const PARKED_MAX: usize = 1_000;
/// Characters of a reason that are kept.
pub(super) const WHY_MAX: usize = 500;

/// A change that was refused too often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parked {
    /// Names it among those of its follower.
    #[serde(skip)]
    pub id: String,
    /// The contact, or whatever else stays in order.
    pub key: String,
    /// The contact's version after it; 0: it has none.
    pub version: u64,
    /// Where the change stands.
    pub lane: Lane,
    /// Where the change stands.
    pub offset: Offset,
    /// How often it was refused.
    pub attempts: u32,
    /// What the sink said last.
    pub why: String,
    /// When it was parked, in ms since 1970.
    pub at_ms: u64,
}

impl Parked {
    pub(super) fn new(key: &str, place: Place, version: u64, attempts: u32, why: &str) -> Self {
        Self {
            id: String::new(),
            key: key.to_owned(),
            version,
            lane: place.lane,
            offset: place.offset,
            attempts,
            why: why.chars().take(WHY_MAX).collect(),
            at_ms: crate::ingest::now_ms(),
        }
    }

    pub(super) fn place(&self) -> Place {
        Place { lane: self.lane, offset: self.offset }
    }

    /// What was told as it is has no place of its own.
    fn id_of(&self) -> String {
        if self.place() == Place::NOWHERE {
            return format!("c:{}", self.key);
        }
        format!("{}:{}", self.lane, self.offset)
    }

    /// Writes it down, and returns when that is done, or why there is no room for it.
    pub(super) async fn park(
        &self,
        control: &Control,
        follower: &str,
    ) -> Result<Result<(), String>, IngestError> {
        let write = ControlWrite {
            key: format!("{PREFIX}{follower}/{}", self.id_of()),
            value: serde_json::to_vec(self).ok(),
            ..ControlWrite::default()
        };
        Ok(match control.put(write).await? {
            ControlOutcome::Refused { detail, .. } => Err(detail),
            ControlOutcome::Applied { .. }
            | ControlOutcome::Unchanged { .. }
            | ControlOutcome::Conflict { .. } => Ok(()),
        })
    }
}

/// Those of a follower, in the order of their ids, strictly after one.
pub(super) fn of(
    reader: &Reader,
    follower: &str,
    after: Option<&str>,
    limit: usize,
) -> Vec<Parked> {
    let prefix = format!("{PREFIX}{follower}/");
    let after = after.map(|id| format!("{prefix}{id}"));
    let entries = reader.controls(&prefix, after.as_deref(), limit);
    let parked = entries.into_iter().filter_map(|(key, entry)| {
        let parked: Parked = serde_json::from_slice(&entry.value).ok()?;
        Some(Parked { id: key.strip_prefix(&prefix)?.to_owned(), ..parked })
    });
    parked.collect()
}

pub(super) fn one(reader: &Reader, follower: &str, id: &str) -> Option<Parked> {
    let entry = reader.control(&format!("{PREFIX}{follower}/{id}"))?;
    let parked: Parked = serde_json::from_slice(&entry.value).ok()?;
    Some(Parked { id: id.to_owned(), ..parked })
}

pub(super) fn count(reader: &Reader, follower: &str) -> usize {
    reader.control_count(&format!("{PREFIX}{follower}/"), PARKED_MAX)
}

/// It is parked no more.
pub(super) fn removal(follower: &str, id: &str) -> ControlWrite {
    ControlWrite { key: format!("{PREFIX}{follower}/{id}"), ..ControlWrite::default() }
}
