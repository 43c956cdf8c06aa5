//! What is written down of a follower: one control entry, by compare-and-set.
//!
//! Who has the follower writes how far it is; whoever is asked writes what is ordered. An order that
//! moves the cursor begins a new `epoch`, and what was done under another is not written any more.

use serde::{Deserialize, Serialize};

use crate::domain::position::{CONTROL_LANE, Lane, NextOffset, Offset, Position};
use crate::store::{FollowerNeed, LEDGERS};

use super::Place;

const ROLE_PREFIX: &str = "follower_role/";

pub(super) fn key(name: &str) -> String {
    format!("{LEDGERS}{name}")
}

/// Who has it delivers; `founding`: under that one of the log, where it begins anew with each. Who works
/// under one that is over keeps nobody from it.
pub(super) fn role(name: &str, founding: Option<u64>) -> String {
    match founding {
        Some(founding) => format!("{ROLE_PREFIX}{name}/{founding}"),
        None => format!("{ROLE_PREFIX}{name}"),
    }
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
    /// How many of what its sink counts stood before the position; none: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) count: Option<u64>,
    /// Under which founding of the log; none: of whichever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) founding: Option<u64>,
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
        // Before the log's beginning there was nothing.
        let count = position.next.is_empty().then_some(0);
        let mut ledger = Self { count, ..Self::default() };
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

    /// What the journal is kept for, before all that is owed.
    pub(super) fn needs(&self, log: u64, is_unbounded: bool) -> Option<FollowerNeed> {
        let owed = self.waiting.iter().chain(&self.again).map(Owed::place);
        let position = self.position(log)?;
        let count = self.count.filter(|_| self.waiting.is_empty() && self.again.is_empty());
        Some(FollowerNeed { position: before(position, owed), is_unbounded, count })
    }

    /// It goes on with what comes after a position, whatever was owed, and never further back.
    pub(super) fn skip_to(&mut self, end: &Position) {
        let own = self.position(end.log).unwrap_or_else(|| end.clone());
        let reads_control = own.next.contains_key(&CONTROL_LANE);
        let mut position = own;
        position.advance_to(end.next.iter().map(|(lane, next)| (*lane, *next)));
        self.set_position(&position, reads_control);
        (self.waiting, self.again, self.scanned) = (Vec::new(), Vec::new(), None);
        self.count = None;
        self.epoch += 1;
    }

    /// All that came since a position is owed once more, besides what is owed.
    pub(super) fn replay_from(&mut self, asked: &Position) {
        let mut position = self.position(asked.log).unwrap_or_else(|| asked.clone());
        for (lane, next) in &mut position.next {
            // What clients know says nothing of control records.
            if *lane != CONTROL_LANE {
                *next = asked.next_of(*lane).min(*next);
            }
        }
        // The others are come by on the way.
        let is_before = |owed: &Owed| {
            let Place { lane, offset } = owed.place();
            let next = position.next_of(lane);
            owed.place() == Place::NOWHERE || offset.0 < next.0
        };
        self.waiting.retain(is_before);
        self.again.retain(is_before);
        let reads_control = position.next.contains_key(&CONTROL_LANE);
        self.set_position(&position, reads_control);
        self.count = None;
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn position(next: &[(u16, u64)]) -> Position {
        let next = next.iter().map(|(lane, next)| (Lane(*lane), NextOffset(*next)));
        Position::of_lanes(7, next.collect::<BTreeMap<_, _>>())
    }

    fn owed(key: &str, lane: u16, offset: u64) -> Owed {
        Owed::new(key, Place { lane: Lane(lane), offset: Offset(offset) })
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::at(&position(&[(0, 100), (1, 50)]), false);
        ledger.count = Some(9);
        ledger.scanned = Some("m".to_owned());
        ledger.waiting = vec![owed("a", 0, 10), owed("b", 0, 80), Owed::new("c", Place::NOWHERE)];
        ledger.again = vec![owed("d", 1, 5), owed("e", 1, 45)];
        ledger
    }

    #[test]
    fn a_replay_never_loses_what_is_owed_and_never_moves_forward() {
        let mut back = ledger();
        back.replay_from(&position(&[(0, 70), (1, 40), (2, 9)]));
        assert_eq!(back.position(7), Some(position(&[(0, 70), (1, 40)])));
        assert_eq!(back.waiting, [owed("a", 0, 10), Owed::new("c", Place::NOWHERE)]);
        assert_eq!(back.again, [owed("d", 1, 5)]);
        assert_eq!((back.scanned.as_deref(), back.epoch), (Some("m"), 1));
        let mut forward = ledger();
        forward.replay_from(&position(&[(0, 500), (1, 500)]));
        assert_eq!(forward, Ledger { epoch: 1, count: None, ..ledger() });
    }

    #[test]
    fn a_skip_never_moves_back() {
        let mut skipped = ledger();
        skipped.skip_to(&position(&[(0, 90), (1, 60), (2, 9)]));
        assert_eq!(skipped.position(7), Some(position(&[(0, 100), (1, 60), (2, 9)])));
        assert_eq!((skipped.waiting.len(), skipped.again.len(), skipped.scanned), (0, 0, None));
        assert_eq!(skipped.count, None, "how many were passed nobody knows here");
    }
}
