//! What every contact's home lane follows from, for the log's whole life.

use serde::{Deserialize, Serialize};

use super::partitioner::Partitioner;
use super::position::{CONTROL_LANE, Lane};

/// The control entry that holds it, where the log does not hold it itself.
pub const FOUNDING_KEY: &str = "log/founding";

/// Written once, when the log's first record is yet to be judged. However many partitions the topic
/// has later, and whoever fills them, a contact's home stays the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, bincode::Encode, bincode::Decode)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Founding {
    /// The way from key to lane.
    pub partitioner: Partitioner,
    /// The lanes that are homes: those that the topic had.
    pub lanes: u16,
    /// Hash of the rules of the beginning, 16 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<String>,
}

/// A founding that can't be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log's founding can't be read: {0}")]
pub struct InvalidFounding(String);

impl Founding {
    /// Of a log with so many lanes.
    pub fn first(partitioner: Partitioner, lanes: u16) -> Self {
        Self { partitioner, lanes, rules: None }
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
        if founding.lanes == 0 || founding.lanes == CONTROL_LANE.0 {
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
        let Self { partitioner, lanes, rules } = self;
        write!(f, "{partitioner} over {lanes} lanes")?;
        match rules {
            Some(rules) => write!(f, ", rules {rules}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_and_what_is_none_is_refused() {
        let founding = Founding::first(Partitioner::Crc32, 8);
        assert_eq!(Founding::parse(&founding.to_json()), Ok(founding.clone()));
        let ruled = Founding { rules: Some("00ff".into()), ..founding };
        assert_eq!(Founding::parse(&ruled.to_json()), Ok(ruled));
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
