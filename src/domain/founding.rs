//! What every contact's home lane follows from, for the log's whole life.

use serde::{Deserialize, Serialize};

use super::partitioner::Partitioner;
use super::position::{CONTROL_LANE, Lane};

/// The control entry that holds it, where the log does not hold it itself.
pub const FOUNDING_KEY: &str = "log/founding";

/// Written once, when the log's first record is yet to be judged. However many partitions the topic
/// has later, and whoever fills them, a contact's home stays the same. Every marker of the rules says it
/// too, so that it is on the log itself where there is no control topic, or where that has lost it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, bincode::Encode, bincode::Decode,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Founding {
    /// The way from key to lane.
    pub partitioner: Partitioner,
    /// The lanes that are homes: those that the topic had.
    pub lanes: u16,
}

fn can_be_homes(lanes: u16) -> bool {
    lanes != 0 && lanes != CONTROL_LANE.0
}

/// A founding that can't be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log's founding can't be read: {0}")]
pub struct InvalidFounding(pub(crate) String);

impl Founding {
    /// Of a log with so many lanes.
    pub fn first(partitioner: Partitioner, lanes: u16) -> Self {
        Self { partitioner, lanes }
    }

    /// As a header has it: `murmur2 4`.
    pub fn to_header(self) -> String {
        format!("{} {}", self.partitioner, self.lanes)
    }

    /// From a header; none where it says something else.
    pub fn from_header(text: &str) -> Option<Self> {
        let (name, lanes) = text.split_once(' ')?;
        let partitioner = Partitioner::ALL.into_iter().find(|known| known.as_str() == name)?;
        let digits = Some(lanes).filter(|at| at.bytes().all(|byte| byte.is_ascii_digit()))?;
        let lanes = digits.parse().ok().filter(|lanes| can_be_homes(*lanes))?;
        Some(Self { partitioner, lanes })
    }

    /// A contact's home.
    pub fn home(&self, contact_id: &[u8]) -> Lane {
        self.partitioner.lane(contact_id, self.lanes)
    }

    /// From a control entry's value.
    ///
    /// # Errors
    /// An unknown partitioner or member, no lanes or too many.
    pub fn parse(value: &[u8]) -> Result<Self, InvalidFounding> {
        let founding: Self =
            serde_json::from_slice(value).map_err(|error| InvalidFounding(error.to_string()))?;
        if !can_be_homes(founding.lanes) {
            return Err(InvalidFounding("the number of lanes must be 1 to 65534".to_owned()));
        }
        Ok(founding)
    }

    /// As a control entry's value.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl std::fmt::Display for Founding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} over {} lanes", self.partitioner, self.lanes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_and_what_is_none_is_refused() {
        let founding = Founding::first(Partitioner::Crc32, 8);
        assert_eq!(Founding::parse(&founding.to_json()), Ok(founding));
        assert_eq!(Founding::from_header(&founding.to_header()), Some(founding));
        for bad in
            ["", "crc32", "md5 8", "crc32 0", "crc32 65535", "crc32 +8", "crc32 8 ", "crc32 8x"]
        {
            assert_eq!(Founding::from_header(bad), None, "{bad}");
        }
        for bad in [
            "{",
            r#"{"partitioner":"md5","lanes":8}"#,
            r#"{"partitioner":"crc32","lanes":0}"#,
            r#"{"partitioner":"crc32","lanes":65535}"#,
            r#"{"partitioner":"crc32","lanes":8,"more":1}"#,
        ] {
            Founding::parse(bad.as_bytes()).unwrap_err();
        }
    }
}
