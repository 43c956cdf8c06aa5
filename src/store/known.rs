//! Which ids the engine may hold, so that it is not searched in vain for every new contact: a Bloom
//! filter of two bytes an id, in memory. One in some hundred new ids is searched for nevertheless.
//!
//! What it must never do is forget: an id is taken in before its contact can leave the dirty set,
//! and contacts never go.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

/// Ids that the first filter takes; each further one takes twice as many as the one before.
const FIRST_IDS: usize = if cfg!(test) { 64 } else { 65_536 };
const BLOCK_BITS: usize = 512;
/// Of room, for each id.
const BITS_AN_ID: usize = 16;
/// Set by each id, all within one block.
const BITS_SET: u32 = 6;

/// A block lies within one cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Block([AtomicU64; BLOCK_BITS / 64]);

#[derive(Debug)]
struct Filter {
    blocks: Box<[Block]>,
    /// Ids that it still takes.
    room: AtomicU64,
}

impl Filter {
    fn of_ids(ids: usize) -> Self {
        let blocks = (ids * BITS_AN_ID).div_ceil(BLOCK_BITS);
        Self {
            blocks: (0..blocks).map(|_| Block::default()).collect(),
            room: AtomicU64::new(ids as u64),
        }
    }

    /// The words of an id's bits, each with its bit.
    fn bits(&self, hash: u64) -> impl Iterator<Item = (&AtomicU64, u64)> {
        let at = ((hash >> 32) * self.blocks.len() as u64) >> 32;
        let block = self.blocks.get(at as usize);
        // The block goes by the high bits; mixed anew, all of them tell ids of one block apart.
        let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (0..BITS_SET).filter_map(move |number| {
            let bit = (mixed >> (9 * number)) as usize % BLOCK_BITS;
            Some((block?.0.get(bit / 64)?, 1 << (bit % 64)))
        })
    }

    fn may_hold(&self, hash: u64) -> bool {
        self.bits(hash).all(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// False: it is full.
    fn insert(&self, hash: u64) -> bool {
        let room = self.room.load(Ordering::Relaxed);
        if room == 0 {
            return false;
        }
        self.room.store(room - 1, Ordering::Relaxed);
        for (word, bit) in self.bits(hash) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
        true
    }
}

/// The ids, by [`super::codec::id_hash`].
#[derive(Debug, Default)]
pub(crate) struct KnownIds {
    filters: RwLock<Vec<Filter>>,
}

impl KnownIds {
    /// False only where the id was never taken in.
    pub(crate) fn may_hold(&self, hash: u64) -> bool {
        self.filters.read().iter().rev().any(|filter| filter.may_hold(hash))
    }

    /// Takes an id in. One thread at a time. Whoever is to see it must be told by other means that
    /// it is there, as by the dirty set's lock when a generation is dropped.
    pub(crate) fn insert(&self, hash: u64) {
        if self.may_hold(hash) {
            return;
        }
        if self.filters.read().last().is_some_and(|filter| filter.insert(hash)) {
            return;
        }
        // Made before the lock is taken: it takes a while.
        let filter = Filter::of_ids(FIRST_IDS << self.filters.read().len());
        filter.insert(hash);
        self.filters.write().push(filter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::codec::id_hash;

    #[test]
    fn no_id_is_forgotten_and_few_others_are_taken_for_known() {
        let known = KnownIds::default();
        let hash = |kind: &str, number: u32| id_hash(format!("{kind}-{number}").as_bytes());
        let ids = 50_000;
        assert!(!known.may_hold(hash("contact", 0)));
        for number in 0..ids {
            known.insert(hash("contact", number));
        }
        assert!((0..ids).all(|number| known.may_hold(hash("contact", number))));
        let taken = (0..ids).filter(|number| known.may_hold(hash("another", *number))).count();
        assert!(taken < ids as usize / 50, "{taken} of {ids}");
        let filters = known.filters.read().len();
        (0..ids).for_each(|number| known.insert(hash("contact", number)));
        assert_eq!(known.filters.read().len(), filters, "what is known takes no more room");
    }
}
