//! Where a page begins, as an opaque text that nobody else can make.
//!
//! Layout: version 2 ‖ direction ‖ query hash u64 ‖ skip u16 ‖ key ‖ first 16 bytes of the HMAC-SHA256
//! of all before, little endian, base64url. The query hash binds it to the order and filters that it
//! was made for. The key of the HMAC comes from the secret that signs tokens, so every instance takes
//! the cursors of every other.

use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use xxhash_rust::xxh3::xxh3_64;

const VERSION: u8 = 2;
const TAG_BYTES: usize = 16;
/// Longer texts are not looked at.
const TEXT_BYTES_MAX: usize = 4096;
/// What the key is for, so that it signs nothing else.
const PURPOSE: &[u8] = b"contactd cursors 2";

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

/// What cursors are signed with.
#[derive(Clone)]
pub struct CursorKeys(Arc<ArcSwap<Keys>>);

struct Keys {
    current: Hmac<Sha256>,
    /// Of the secrets that were signed with before.
    previous: Vec<Hmac<Sha256>>,
}

impl CursorKeys {
    /// From the secret in use, and those whose cursors are still taken.
    pub fn of_secrets(current: &[u8], previous: &[&[u8]]) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(Keys::of_secrets(current, previous))))
    }

    /// From now on it is these, for every clone.
    pub fn set_secrets(&self, current: &[u8], previous: &[&[u8]]) {
        self.0.store(Arc::new(Keys::of_secrets(current, previous)));
    }

    /// Of this process only: cursors end with it, and no other instance takes them.
    pub fn random() -> Self {
        let mut secret = [0; 32];
        if getrandom::fill(&mut secret).is_err() {
            // Without a source of randomness nothing else would have started either.
            fastrand::fill(&mut secret);
        }
        Self::of_secrets(&secret, &[])
    }

    fn sign(&self, bytes: &mut Vec<u8>) {
        let tag = self.0.load().current.clone().chain_update(&*bytes).finalize().into_bytes();
        bytes.extend(tag.iter().take(TAG_BYTES));
    }

    fn verify(&self, body: &[u8], tag: &[u8]) -> bool {
        let keys = self.0.load();
        std::iter::once(&keys.current)
            .chain(&keys.previous)
            .any(|key| key.clone().chain_update(body).verify_truncated_left(tag).is_ok())
    }
}

impl Keys {
    fn of_secrets(current: &[u8], previous: &[&[u8]]) -> Self {
        Self {
            current: derived(current),
            previous: previous.iter().map(|secret| derived(secret)).collect(),
        }
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length, so there is no error to meet.
    Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()))
}

fn derived(secret: &[u8]) -> Hmac<Sha256> {
    keyed(&keyed(secret).chain_update(PURPOSE).finalize().into_bytes())
}

/// A place in the answer to one query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Which way to go.
    pub direction: Direction,
    /// Entries to leave out first.
    pub skip: u16,
    /// The place itself; its format belongs to the query.
    pub key: Vec<u8>,
}

impl Cursor {
    /// The text for a query that `query` names in full (order and filters).
    pub fn encode(&self, query: &str, keys: &CursorKeys) -> String {
        let mut bytes = Vec::with_capacity(12 + self.key.len() + TAG_BYTES);
        bytes.push(VERSION);
        bytes.push(match self.direction {
            Direction::Next => 0,
            Direction::Previous => 1,
        });
        bytes.extend_from_slice(&xxh3_64(query.as_bytes()).to_le_bytes());
        bytes.extend_from_slice(&self.skip.to_le_bytes());
        bytes.extend_from_slice(&self.key);
        keys.sign(&mut bytes);
        URL_SAFE_NO_PAD.encode(&bytes)
    }

    /// Back from the text, for the same query.
    ///
    /// # Errors
    /// When it was not made here, by another version, or for another query.
    pub fn decode(text: &str, query: &str, keys: &CursorKeys) -> Result<Self, CursorError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(CursorError::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError::Malformed)?;
        let (body, tag) = bytes.split_last_chunk::<TAG_BYTES>().ok_or(CursorError::Malformed)?;
        let (version, rest) = body.split_first().ok_or(CursorError::Malformed)?;
        if !keys.verify(body, tag) {
            return Err(match *version {
                // The first version had no signature.
                1 => CursorError::Version,
                _ => CursorError::Malformed,
            });
        }
        if *version != VERSION {
            return Err(CursorError::Version);
        }
        let (direction, rest) = rest.split_first().ok_or(CursorError::Malformed)?;
        let direction = match direction {
            0 => Direction::Next,
            1 => Direction::Previous,
            _ => return Err(CursorError::Malformed),
        };
        let (hash, rest) = rest.split_first_chunk::<8>().ok_or(CursorError::Malformed)?;
        let (skip, key) = rest.split_first_chunk::<2>().ok_or(CursorError::Malformed)?;
        if u64::from_le_bytes(*hash) != xxh3_64(query.as_bytes()) {
            return Err(CursorError::AnotherQuery);
        }
        Ok(Self { direction, skip: u16::from_le_bytes(*skip), key: key.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor() -> Cursor {
        Cursor { direction: Direction::Previous, skip: 7, key: b"0123456789".to_vec() }
    }

    #[test]
    fn a_cursor_comes_back_only_for_its_own_query() {
        let keys = CursorKeys::random();
        let text = cursor().encode("updatedAt desc", &keys);
        assert_eq!(Cursor::decode(&text, "updatedAt desc", &keys), Ok(cursor()));
        let other = Cursor::decode(&text, "updatedAt asc", &keys);
        assert_eq!(other, Err(CursorError::AnotherQuery));
    }

    #[test]
    fn a_changed_letter_is_noticed_wherever_it_is() {
        let keys = CursorKeys::random();
        let text = cursor().encode("q", &keys);
        for place in 0..text.len() {
            let mut letters = text.clone().into_bytes();
            letters[place] = if letters[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(letters).unwrap();
            assert!(Cursor::decode(&changed, "q", &keys).is_err(), "at {place}");
            assert!(Cursor::decode(&text[..place], "q", &keys).is_err(), "cut at {place}");
        }
        for wrong in ["", "Z", "Zm9=", "Zm8+", "Zm 8", "Zäm8", &text.repeat(99)] {
            assert_eq!(Cursor::decode(wrong, "q", &keys), Err(CursorError::Malformed), "{wrong}");
        }
    }

    #[test]
    fn instances_with_one_secret_take_each_others_cursors_and_nobody_elses() {
        let (old, new) = (b"a secret of the year before".as_slice(), b"another one".as_slice());
        let text = cursor().encode("q", &CursorKeys::of_secrets(old, &[]));
        let decode = |keys: &CursorKeys| Cursor::decode(&text, "q", keys);
        assert_eq!(decode(&CursorKeys::of_secrets(old, &[])), Ok(cursor()));
        assert_eq!(decode(&CursorKeys::of_secrets(new, &[old])), Ok(cursor()));
        assert_eq!(decode(&CursorKeys::of_secrets(new, &[])), Err(CursorError::Malformed));
        assert_eq!(decode(&CursorKeys::random()), Err(CursorError::Malformed));
    }
}
