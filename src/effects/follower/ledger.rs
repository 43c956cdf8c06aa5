//! What is written down of a follower: one control entry, by compare-and-set.
//!
//! Who has the follower writes how far it is; whoever is asked writes what is ordered. An order that
//! moves the cursor begins a new `epoch`, and what was done under another is not written any more.

use serde::{Deserialize, Serialize};

use crate::domain::position::{CONTROL_LANE, Lane, NextOffset, Offset, Position};

use super::Place;

/// Keys of the entries begin with it.
const PREFIX: &str = "follower/";
const ROLE_PREFIX: &str = "follower_role/";

pub(super) fn key(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// Who has it delivers.
pub(super) fn role(name: &str) -> String {
    format!("{ROLE_PREFIX}{name}")
}

/// A key and where its first change stands that is owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owed(pub(super) String, Lane, Offset);

impl Owed {
    pub(super) fn new(key: &str, place: Place) -> Self {
        Self(key.to_owned(), place.lane, place.offset)
    }

    pub(super) fn place(&self) -> Place {
        Place { lane: self.1, offset: self.2 }
    }
}

/// Somebody stopped it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Paused {
    pub(super) by: String,
    pub(super) at_ms: u64,
}

/// Why nothing is delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Trouble {
    pub(super) why: String,
    pub(super) since_ms: u64,
}

/// How far a follower is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ledger {
    /// All before it is done, but for `waiting`.
    pub(super) position: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) waiting: Vec<Owed>,
    /// All contacts up to this id were put among those that wait, and the others are to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) scanned: Option<String>,
    #[serde(default)]
    pub(super) epoch: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) paused: Option<Paused>,
    /// What is to be delivered once more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) again: Vec<Owed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trouble: Option<Trouble>,
    #[serde(default)]
    pub(super) delivered: u64,
    /// How often the journal did not reach back.
    #[serde(default)]
    pub(super) overruns: u64,
    /// When the last of them was, in ms since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) overrun_at_ms: Option<u64>,
}

impl Ledger {
    /// With nothing owed before a position.
    pub(super) fn at(position: &Position, reads_control: bool) -> Self {
        let mut ledger = Self::default();
        ledger.set_position(position, reads_control);
        ledger
    }

    /// The position, where it is one of this log.
    pub(super) fn position(&self, log: u64) -> Option<Position> {
        Position::decode(&self.position).ok().filter(|position| position.log == log)
    }

    /// Control records come all the time; a follower that does not read them keeps none of their offsets.
    pub(super) fn set_position(&mut self, position: &Position, reads_control: bool) {
        let mut position = position.clone();
        if !reads_control {
            position.next.remove(&CONTROL_LANE);
        }
        self.position = position.encode();
    }

    /// Before all that is owed: what the journal is kept for.
    pub(super) fn needs(&self, log: u64) -> Option<Position> {
        let owed = self.waiting.iter().chain(&self.again).map(Owed::place);
        self.position(log).map(|position| before(position, owed))
    }

    /// It goes on elsewhere, whatever was owed.
    pub(super) fn move_to(&mut self, position: &Position) {
        let mut position = position.clone();
        // What clients know says nothing of control records.
        let control =
            self.position(position.log).and_then(|own| own.next.get(&CONTROL_LANE).copied());
        if let Some(next) = control {
            position.next.entry(CONTROL_LANE).or_insert(next);
        }
        self.set_position(&position, control.is_some());
        (self.waiting, self.again, self.scanned) = (Vec::new(), Vec::new(), None);
        self.epoch += 1;
    }

    /// One key's changes are done without. False: it is not waiting.
    pub(super) fn skip(&mut self, key: &str) -> bool {
        let before = self.waiting.len() + self.again.len();
        self.waiting.retain(|owed| owed.0 != key);
        self.again.retain(|owed| owed.0 != key);
        let is_any = self.waiting.len() + self.again.len() < before;
        self.epoch += u64::from(is_any);
        is_any
    }

    /// The journal did not reach back to where it was.
    pub(super) fn overrun(&mut self, now_ms: u64) {
        self.overruns += 1;
        self.overrun_at_ms = Some(now_ms);
    }
}

/// A position that has seen none of some places.
pub(super) fn before(mut position: Position, places: impl Iterator<Item = Place>) -> Position {
    for Place { lane, offset } in places {
        if offset == Place::NOWHERE.offset {
            continue;
        }
        let next = position.next.entry(lane).or_default();
        *next = NextOffset(offset.0).min(*next);
    }
    position
}
