//! When an event happened, totally ordered, from nothing but the event's own bytes.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Seed of the hash of source and id; changing it changes every clock.
const ID_SEED: u64 = 0x6576_656e_745f_6964;
/// Between source and id in what is hashed; neither may hold it.
const SEPARATOR: u8 = 0x1f;
/// Source and id up to this many bytes together are hashed without an allocation.
const SHORT_BYTES: usize = 192;

/// Orders events: time, then the source's version (none < any), then a hash that breaks ties.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Clock {
    /// Event time in whole microseconds since 1970.
    pub ts_us: u64,
    /// The source's version of the contact, where it has one.
    pub version: Option<u64>,
    /// [`id_hash`] of source and event id.
    pub hash: u64,
}

impl Clock {
    /// One microsecond after `other`, for what must come after it.
    pub(crate) fn after(other: &Self, hash: u64) -> Self {
        Self { ts_us: other.ts_us.saturating_add(1), version: None, hash }
    }
}

/// 64-bit hash (XXH3, fixed seed) of source, 0x1f, id.
pub fn id_hash(source: &[u8], id: &[u8]) -> u64 {
    let len = source.len() + 1 + id.len();
    let mut buffer = [0_u8; SHORT_BYTES];
    if let Some(bytes) = buffer.get_mut(..len) {
        let (head, tail) = bytes.split_at_mut(source.len());
        head.copy_from_slice(source);
        if let Some((separator, tail)) = tail.split_first_mut() {
            *separator = SEPARATOR;
            tail.copy_from_slice(id);
        }
        return xxh3_64_with_seed(bytes, ID_SEED);
    }
    xxh3_64_with_seed(&[source, &[SEPARATOR], id].concat(), ID_SEED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_then_version_then_hash() {
        let clock = |ts_us, version, hash| Clock { ts_us, version, hash };
        let ascending = [
            clock(1, Some(9), 9),
            clock(2, None, 9),
            clock(2, Some(0), 1),
            clock(2, Some(0), 2),
            clock(2, Some(1), 0),
        ];
        assert!(ascending.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn short_and_long_ids_hash_alike() {
        for len in [0, 1, SHORT_BYTES - 5, SHORT_BYTES - 4, SHORT_BYTES + 100] {
            let id = vec![b'x'; len];
            let whole = [b"src".as_slice(), &[SEPARATOR], &id].concat();
            assert_eq!(id_hash(b"src", &id), xxh3_64_with_seed(&whole, ID_SEED));
        }
    }
}
