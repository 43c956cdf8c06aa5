//! Places in the contact log: lanes, offsets, which log it is, and the opaque Position of clients.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::digits::write_hex;

/// Seed of a log identity's hash; part of every Position's text form.
const IDENTITY_SEED: u64 = 0x636f_6e74_6163_7464;
/// First characters of a Position's text form: its version, and whether it speaks of all lanes or
/// names the place behind one record.
const POSITION_PREFIX: &str = "p1";
const PLACE_PREFIX: &str = "w1";

/// A partition of the contact log.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    bincode::Encode,
    bincode::Decode,
)]
#[serde(transparent)]
pub struct Lane(pub u16);

/// Where control records are: beside the contact log's partitions, which end below it.
pub const CONTROL_LANE: Lane = Lane(u16::MAX);

/// The offset of one record in its lane.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    bincode::Encode,
    bincode::Decode,
)]
#[serde(transparent)]
pub struct Offset(pub u64);

/// The offset from which a lane is to be read on: one past the last record taken.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    bincode::Encode,
    bincode::Decode,
)]
#[serde(transparent)]
pub struct NextOffset(pub u64);

impl Offset {
    /// Where reading goes on after this record.
    pub fn next(self) -> NextOffset {
        NextOffset(self.0.saturating_add(1))
    }
}

impl NextOffset {
    /// The last record before it; `None` at the very start.
    pub fn last(self) -> Option<Offset> {
        self.0.checked_sub(1).map(Offset)
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for NextOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which of the two logs it is.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    bincode::Encode,
    bincode::Decode,
)]
#[serde(rename_all = "snake_case")]
pub enum LogKind {
    /// A Kafka topic.
    Kafka,
    /// The log in our own directory.
    Embedded,
}

impl LogKind {
    /// Stable lower-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Embedded => "embedded",
        }
    }
}

/// What makes a log that log; a store follows exactly one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, bincode::Encode, bincode::Decode)]
pub struct LogIdentity {
    /// Kafka or embedded.
    pub kind: LogKind,
    /// Kafka's cluster id, or the embedded log's own random one.
    pub cluster: String,
    /// Topic name.
    pub topic: String,
}

impl LogIdentity {
    /// A 64-bit hash of all its parts, for Positions.
    pub fn fingerprint(&self) -> u64 {
        let mut bytes = Vec::with_capacity(64);
        for part in [self.kind.as_str(), &self.cluster, &self.topic] {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        xxh3_64_with_seed(&bytes, IDENTITY_SEED)
    }
}

impl fmt::Display for LogIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, cluster, topic } = self;
        write!(f, "{} {topic} of {cluster}", kind.as_str())
    }
}

/// How far a reader is: the next offsets of the lanes it speaks of. Opaque to clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Position {
    /// [`LogIdentity::fingerprint`] of the log it speaks of.
    pub log: u64,
    /// Next offset per lane; a lane that is absent stands at 0.
    pub next: BTreeMap<Lane, NextOffset>,
    /// Whether it only names the place behind one record: enough to wait for, and none to go on from.
    pub is_place: bool,
}

/// A Position's text that is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a position")]
pub struct InvalidPosition;

impl Position {
    /// Of all lanes; those that are absent stand at 0.
    pub fn of_lanes(log: u64, next: BTreeMap<Lane, NextOffset>) -> Self {
        Self { log, next, is_place: false }
    }

    /// Behind one record.
    pub fn behind(log: u64, lane: Lane, offset: Offset) -> Self {
        Self { log, next: BTreeMap::from([(lane, offset.next())]), is_place: true }
    }

    /// The text form: letters, digits, `-` and `.` only.
    pub fn encode(&self) -> String {
        let mut text = Vec::with_capacity(20 + 12 * self.next.len());
        self.write(&mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    /// Appends the text form.
    pub fn write(&self, out: &mut Vec<u8>) {
        let prefix = if self.is_place { PLACE_PREFIX } else { POSITION_PREFIX };
        out.extend_from_slice(prefix.as_bytes());
        out.push(b'-');
        write_hex(self.log, 16, out);
        for (lane, next) in &self.next {
            out.push(b'-');
            write_hex(lane.0.into(), 1, out);
            out.push(b'.');
            write_hex(next.0, 1, out);
        }
    }

    /// Moves every lane to where it is further.
    pub fn advance_to(&mut self, next: impl IntoIterator<Item = (Lane, NextOffset)>) {
        for (lane, next) in next {
            let at = self.next.entry(lane).or_default();
            *at = next.max(*at);
        }
    }

    /// Reads the text form; lanes must be ascending and numbers as short as they can be, so that one
    /// position has one text.
    pub fn decode(text: &str) -> Result<Self, InvalidPosition> {
        let mut parts = text.split('-');
        let is_place = match parts.next() {
            Some(POSITION_PREFIX) => false,
            Some(PLACE_PREFIX) => true,
            Some(_) | None => return Err(InvalidPosition),
        };
        let log = parts.next().filter(|log| log.len() == 16).ok_or(InvalidPosition)?;
        let mut position = Self { log: hex(log)?, next: BTreeMap::new(), is_place };
        for part in parts {
            let (lane, next) = part.split_once('.').ok_or(InvalidPosition)?;
            let lane = Lane(u16::try_from(number(lane)?).map_err(|_| InvalidPosition)?);
            if position.next.last_key_value().is_some_and(|(last, _)| *last >= lane) {
                return Err(InvalidPosition);
            }
            position.next.insert(lane, NextOffset(number(next)?));
        }
        if is_place && position.next.len() != 1 {
            return Err(InvalidPosition);
        }
        Ok(position)
    }

    /// Up to where a lane was seen; its beginning where nothing is said of it.
    pub fn next_of(&self, lane: Lane) -> NextOffset {
        self.next.get(&lane).copied().unwrap_or_default()
    }

    /// Whether everything that `other` has seen has been seen here too; never for another log.
    pub fn covers(&self, other: &Self) -> bool {
        self.log == other.log && other.next.iter().all(|(lane, next)| self.next_of(*lane) >= *next)
    }
}

fn number(text: &str) -> Result<u64, InvalidPosition> {
    if text.len() > 1 && text.starts_with('0') { Err(InvalidPosition) } else { hex(text) }
}

fn hex(text: &str) -> Result<u64, InvalidPosition> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if !is_hex {
        return Err(InvalidPosition);
    }
    u64::from_str_radix(text, 16).map_err(|_| InvalidPosition)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(log: u64, next: &[(u16, u64)]) -> Position {
        let next = next.iter().map(|(lane, next)| (Lane(*lane), NextOffset(*next))).collect();
        Position::of_lanes(log, next)
    }

    #[test]
    fn text_form_goes_both_ways() {
        let at = position(0xfeed, &[(0, 17), (3, u64::MAX)]);
        assert_eq!(at.encode(), "p1-000000000000feed-0.11-3.ffffffffffffffff");
        assert_eq!(Position::decode(&at.encode()), Ok(at));
        let behind = Position::behind(0xfeed, Lane(3), Offset(17));
        assert_eq!(behind.encode(), "w1-000000000000feed-3.12");
        assert_eq!(Position::decode(&behind.encode()), Ok(behind));
    }

    #[test]
    fn foreign_text_is_refused() {
        for text in [
            "",
            "p1",
            "p2-000000000000feed",
            "w1-000000000000feed",
            "w1-000000000000feed-0.1-1.1",
            "p1-feed",
            "p1-000000000000feed-0",
            "p1-000000000000feed-1.0-0.0",
            "p1-000000000000feed-+1.2",
            "p1-000000000000feed-10000.0",
            "p1-000000000000feed-00.1",
            "p1-000000000000feed-0.01",
        ] {
            assert_eq!(Position::decode(text), Err(InvalidPosition), "{text}");
        }
    }

    #[test]
    fn covering_needs_the_same_log_and_every_lane() {
        let ahead = position(1, &[(0, 5), (1, 2)]);
        assert!(ahead.covers(&position(1, &[(0, 5)])));
        assert!(ahead.covers(&position(1, &[(2, 0)])));
        assert!(!ahead.covers(&position(1, &[(1, 3)])));
        assert!(!ahead.covers(&position(2, &[(0, 1)])));
    }

    #[test]
    fn identity_hash_depends_on_every_part() {
        let one = LogIdentity { kind: LogKind::Kafka, cluster: "a".into(), topic: "bc".into() };
        let others = [
            LogIdentity { kind: LogKind::Embedded, ..one.clone() },
            LogIdentity { cluster: "ab".into(), topic: "c".into(), ..one.clone() },
        ];
        assert!(others.iter().all(|other| other.fingerprint() != one.fingerprint()));
    }
}
