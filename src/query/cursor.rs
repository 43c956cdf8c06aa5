//! Where a page begins, as an opaque text.
//!
//! Layout: version 1 ‖ direction ‖ query hash u64 ‖ key ‖ check u64, little endian, base64url. The
//! query hash binds it to the order and filters that it was made for; the check finds what was cut
//! or mistyped (it is no signature).

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::base64url;

const VERSION: u8 = 1;
const CHECK_SEED: u64 = 0x636f_6e74_6163_7464;
/// Longer texts are not looked at.
const TEXT_BYTES_MAX: usize = 4096;

/// Which way a page goes from its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To what follows the key.
    Next,
    /// To what comes before it.
    Previous,
}

/// Why a text is not the cursor of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Not made here, cut, or mistyped.
    #[error("the cursor is not one that this service gave out")]
    Malformed,
    /// Made by a version that has other cursors.
    #[error("the cursor is of another version of this service; begin without one")]
    Version,
    /// Made for another order or other filters.
    #[error(
        "the cursor belongs to another query; keep the order and filters, or begin without one"
    )]
    AnotherQuery,
}

/// A place in the answer to one query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Which way to go.
    pub direction: Direction,
    /// The place itself; its format belongs to the query.
    pub key: Vec<u8>,
}

impl Cursor {
    /// The text for a query that `query` names in full (order and filters).
    pub fn encode(&self, query: &str) -> String {
        let mut bytes = Vec::with_capacity(18 + self.key.len());
        bytes.push(VERSION);
        bytes.push(match self.direction {
            Direction::Next => 0,
            Direction::Previous => 1,
        });
        bytes.extend_from_slice(&xxh3_64(query.as_bytes()).to_le_bytes());
        bytes.extend_from_slice(&self.key);
        let check = xxh3_64_with_seed(&bytes, CHECK_SEED);
        bytes.extend_from_slice(&check.to_le_bytes());
        base64url::encode(&bytes)
    }

    /// Back from the text, for the same query.
    ///
    /// # Errors
    /// When it was not made here, by another version, or for another query.
    pub fn decode(text: &str, query: &str) -> Result<Self, CursorError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(CursorError::Malformed);
        }
        let bytes = base64url::decode(text).ok_or(CursorError::Malformed)?;
        let (body, check) = bytes.split_last_chunk::<8>().ok_or(CursorError::Malformed)?;
        if xxh3_64_with_seed(body, CHECK_SEED) != u64::from_le_bytes(*check) {
            return Err(CursorError::Malformed);
        }
        let (version, rest) = body.split_first().ok_or(CursorError::Malformed)?;
        if *version != VERSION {
            return Err(CursorError::Version);
        }
        let (direction, rest) = rest.split_first().ok_or(CursorError::Malformed)?;
        let direction = match direction {
            0 => Direction::Next,
            1 => Direction::Previous,
            _ => return Err(CursorError::Malformed),
        };
        let (hash, key) = rest.split_first_chunk::<8>().ok_or(CursorError::Malformed)?;
        if u64::from_le_bytes(*hash) != xxh3_64(query.as_bytes()) {
            return Err(CursorError::AnotherQuery);
        }
        Ok(Self { direction, key: key.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_only_for_its_own_query() {
        let cursor = Cursor { direction: Direction::Previous, key: b"key".to_vec() };
        let text = cursor.encode("updatedAt desc");
        assert_eq!(Cursor::decode(&text, "updatedAt desc"), Ok(cursor));
        assert_eq!(Cursor::decode(&text, "updatedAt asc"), Err(CursorError::AnotherQuery));
    }

    #[test]
    fn a_changed_letter_is_noticed_wherever_it_is() {
        let text = Cursor { direction: Direction::Next, key: b"0123456789".to_vec() }.encode("q");
        for place in 0..text.len() {
            let mut letters = text.clone().into_bytes();
            letters[place] = if letters[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(letters).unwrap();
            assert_eq!(Cursor::decode(&changed, "q"), Err(CursorError::Malformed), "at {place}");
            assert_eq!(Cursor::decode(&text[..place], "q"), Err(CursorError::Malformed));
        }
    }
}
