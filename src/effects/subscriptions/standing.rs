//! What is written down of subscriptions that are not simply where their follower is: a few control entries,
//! each for some of them.
//!
//! They stand among the ledgers of followers, and name the earliest position of theirs as one, so that the
//! journal is kept for them like for any follower.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::domain::control::VALUE_BYTES_MAX;
use crate::domain::position::{Lane, NextOffset, Offset, Position};
use crate::store::{FollowerNeed, LEDGERS, Reader};

use super::message::Place;

/// The follower that all of them share.
pub(super) const FOLLOWER: &str = "subscriptions";
/// Entries for all of them.
pub(super) const PARTS: usize = 64;
/// Tried messages of one subscription that are written down by their places; with more it counts as having
/// all of them to be read again.
pub(super) const WAITING_MAX: usize = 64;
/// Bytes of a reason that are kept.
const WHY_BYTES_MAX: usize = 160;

/// How one subscription stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Standing {
    /// All before it is done, but for `waiting`; none: where its follower is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<String>,
    /// Messages that were tried and are not done, and how often.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) waiting: Vec<(Lane, Offset, u32)>,
    /// Failures in a row.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) failures: u32,
    /// Since when, in ms since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since_ms: Option<u64>,
    /// When it is tried again, by the clock of whoever sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
    /// Orders up to this number are done.
    pub(super) orders_done: u64,
    /// Messages that were given up.
    pub(super) given_up: u64,
    /// How often the journal did not reach back to what it was owed.
    pub(super) overruns: u64,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Standing {
    pub(super) fn set_why(&mut self, why: &str) {
        let end = (0..=why.len().min(WHY_BYTES_MAX)).rev().find(|end| why.is_char_boundary(*end));
        self.why = why.get(..end.unwrap_or(0)).map(str::to_owned);
    }

    pub(super) fn position(&self) -> Option<Position> {
        Position::decode(self.at.as_deref()?).ok()
    }
}

/// Some of them, as one entry has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Part {
    /// Before all that is owed to any of them; none: nothing is that their follower does not owe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) position: Option<String>,
    pub(super) subscriptions: BTreeMap<String, Standing>,
}

/// Which entry a subscription stands in.
pub(super) fn part_of(id: &str) -> usize {
    usize::try_from(xxh3_64(id.as_bytes()) % PARTS as u64).unwrap_or(0)
}

pub(super) fn key(part: usize) -> String {
    format!("{LEDGERS}{FOLLOWER}/{part:02}")
}

impl Part {
    pub(super) fn read(reader: &Reader, part: usize) -> (u64, Self) {
        let Some(entry) = reader.control(&key(part)) else {
            return (0, Self::default());
        };
        let read = serde_json::from_slice(&entry.value).unwrap_or_else(|error| {
            tracing::error!(part, %error, "how subscriptions stand can't be read");
            Self::default()
        });
        (entry.revision, read)
    }

    /// Of those given; `everything`: where nothing is owed; `holds`: whether the journal is kept for one.
    pub(super) fn of(
        subscriptions: BTreeMap<String, Standing>,
        everything: &Position,
        holds: impl Fn(&str) -> bool,
    ) -> Self {
        let is_owed = |it: &Standing| it.at.is_some() || !it.waiting.is_empty();
        let owed = subscriptions.iter().filter(|(id, it)| is_owed(it) && holds(id));
        let positions = owed.map(|(_, standing)| {
            let waiting = standing.waiting.iter().map(|(lane, offset, _)| (*lane, *offset));
            let at = standing.position().unwrap_or_else(|| everything.clone());
            super::message::before(at, waiting)
        });
        let position = positions.reduce(earlier).map(|position| position.encode());
        Self { position, subscriptions }
    }

    /// As an entry has it: without the single places where there is no room for them.
    pub(super) fn encode(&self) -> Vec<u8> {
        let whole = serde_json::to_vec(self).unwrap_or_default();
        if whole.len() <= VALUE_BYTES_MAX {
            return whole;
        }
        let mut less = self.clone();
        for standing in less.subscriptions.values_mut() {
            let places: Vec<Place> =
                standing.waiting.drain(..).map(|(lane, offset, _)| (lane, offset)).collect();
            if let Some(position) = standing.position() {
                standing.at = Some(super::message::before(position, places.into_iter()).encode());
            }
            standing.why = None;
        }
        serde_json::to_vec(&less).unwrap_or_default()
    }

    /// What the journal is kept for.
    pub(super) fn tell(&self, reader: &Reader, part: usize, log: u64) {
        let position = self.position.as_deref().and_then(|text| Position::decode(text).ok());
        // Where none is owed, what is told is that everything is done.
        let lanes = || reader.position().next.into_keys().map(|lane| (lane, NextOffset(u64::MAX)));
        let position = position.filter(|position| position.log == log);
        let position = position.unwrap_or_else(|| Position::of_lanes(log, lanes().collect()));
        let need = FollowerNeed { position, is_unbounded: false, count: None };
        reader.follower_needs(&format!("{FOLLOWER}/{part:02}"), need);
    }
}

/// What both have seen.
pub(super) fn earlier(mut one: Position, other: Position) -> Position {
    // A lane that one knows nothing of it has seen nothing of.
    one.next.retain(|lane, _| other.next.contains_key(lane));
    for (lane, next) in &mut one.next {
        *next = other.next_of(*lane).min(*next);
    }
    one
}
