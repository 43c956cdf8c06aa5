//! Which letters are meant, and what they are called.

use serde::{Deserialize, Serialize};

use crate::domain::position::{CONTROL_LANE, Lane, Offset};
use crate::domain::verdict::DeadLetterReason;
use crate::store::LetterRow;

/// The topics that letters come from, and with them the names of letters: `topic:partition:offset`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// Of contacts.
    pub contacts: String,
    /// Of control records.
    pub control: String,
}

impl Topics {
    /// Topic and partition of a lane.
    pub fn of(&self, lane: Lane) -> (&str, u16) {
        if lane == CONTROL_LANE { (&self.control, 0) } else { (&self.contacts, lane.0) }
    }

    /// A letter's name.
    pub fn id(&self, lane: Lane, offset: Offset) -> String {
        let (topic, partition) = self.of(lane);
        format!("{topic}:{partition}:{offset}")
    }

    /// The place that a name names: `topic:partition:offset`, or `partition:offset` of the contacts.
    pub fn place(&self, id: &str) -> Option<(Lane, Offset)> {
        let mut parts = id.rsplitn(3, ':');
        let offset = Offset(number(parts.next()?)?);
        let lane = Lane(u16::try_from(number(parts.next()?)?).ok()?);
        let place = match parts.next() {
            None => (lane, offset),
            Some(topic) if topic == self.contacts => (lane, offset),
            Some(topic) if topic == self.control && lane == Lane(0) => {
                return Some((CONTROL_LANE, offset));
            }
            Some(_) => return None,
        };
        (lane != CONTROL_LANE).then_some(place)
    }
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Which letters are meant; without anything, all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Selection {
    /// Only this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one: Option<(Lane, Offset)>,
    /// Set aside for this reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<DeadLetterReason>,
    /// Control records, or only others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_control: Option<bool>,
    /// Records of this time or later, in ms since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<i64>,
    /// Records from before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
}

impl Selection {
    /// Only the letter at that place.
    pub fn one(lane: Lane, offset: Offset) -> Self {
        Self { one: Some((lane, offset)), ..Self::default() }
    }

    /// Whether it names all letters.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a letter is meant.
    pub fn has(&self, row: &LetterRow) -> bool {
        self.one.is_none_or(|place| place == (row.lane, row.offset))
            && self.reason.is_none_or(|reason| reason == row.reason)
            && self.is_control.is_none_or(|is_control| is_control == row.is_control())
            && self.since_ms.is_none_or(|since| row.record_time_ms >= since)
            && self.until_ms.is_none_or(|until| row.record_time_ms < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways_and_others_are_none() {
        let topics = Topics { contacts: "my:contacts".to_owned(), control: "control".to_owned() };
        for (lane, offset, id) in
            [(Lane(3), 17, "my:contacts:3:17"), (CONTROL_LANE, 4, "control:0:4")]
        {
            assert_eq!(topics.id(lane, Offset(offset)), id);
            assert_eq!(topics.place(id), Some((lane, Offset(offset))));
        }
        assert_eq!(topics.place("3:17"), Some((Lane(3), Offset(17))));
        for none in ["", ":", "3", "3:", "other:3:17", "control:1:4", "65535:4", "3:-1", "3:+1"] {
            assert_eq!(topics.place(none), None, "{none}");
        }
    }

    #[test]
    fn a_selection_goes_by_time_from_its_start_to_before_its_end() {
        let row = LetterRow {
            record_time_ms: 100,
            offset: Offset(1),
            lane: Lane(0),
            reason: DeadLetterReason::Schema,
            hops: 0,
            is_truncated: false,
        };
        let between = |since, until| Selection {
            since_ms: Some(since),
            until_ms: Some(until),
            ..Selection::default()
        };
        assert!(between(100, 101).has(&row));
        assert!(!between(100, 100).has(&row) && !between(101, 200).has(&row));
        let reason = Some(DeadLetterReason::WrongType);
        assert!(!Selection { reason, ..Selection::default() }.has(&row));
        assert!(Selection::one(Lane(0), Offset(1)).has(&row));
        assert!(!Selection::one(Lane(1), Offset(1)).has(&row));
    }
}
