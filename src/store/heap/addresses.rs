//! Where each contact lies, by its id's hash: some 20 to 40 bytes a contact, in memory.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::RwLock;

use super::super::dirty::{SHARDS, shard};
use super::record::{RECORD_BYTES_MAX, UNIT};

/// Largest segment, in bytes.
pub(super) const SEGMENT_BYTES_MAX: u64 = (UNIT as u64) << OFFSET_BITS;
/// Segments that one process can name.
pub(super) const SEGMENT_NUMBERS: u32 = (1 << SEGMENT_BITS) - 1;

const LEN_BITS: u32 = 16;
const OFFSET_BITS: u32 = 26;
const SEGMENT_BITS: u32 = u64::BITS - OFFSET_BITS - LEN_BITS;
const _: () = assert!(RECORD_BYTES_MAX < UNIT << LEN_BITS);

/// A record's segment, offset and length.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct HeapAddress(u64);

impl HeapAddress {
    /// None here: the engine has it.
    pub(super) const ENGINE: Self = Self(u64::MAX);

    /// `offset` and `len` are multiples of [`UNIT`].
    pub(in super::super) fn new(segment: u32, offset: u64, len: usize) -> Self {
        let (offset, len) = (offset / UNIT as u64, (len / UNIT) as u64);
        Self((u64::from(segment) << OFFSET_BITS | offset) << LEN_BITS | len)
    }

    pub(super) fn segment(self) -> u32 {
        (self.0 >> (OFFSET_BITS + LEN_BITS)) as u32
    }

    pub(super) fn offset(self) -> u64 {
        (self.0 >> LEN_BITS & ((1 << OFFSET_BITS) - 1)) * UNIT as u64
    }

    pub(super) fn len(self) -> usize {
        (self.0 & ((1 << LEN_BITS) - 1)) as usize * UNIT
    }
}

impl std::fmt::Debug for HeapAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == Self::ENGINE {
            return f.write_str("in the engine");
        }
        write!(f, "{}:{}+{}", self.segment(), self.offset(), self.len())
    }
}

/// Hashes of ids, each with its place.
type Shard = RwLock<HashTable<(u64, HeapAddress)>>;

#[derive(Debug)]
pub(super) struct Addresses {
    shards: Box<[Shard]>,
}

impl Default for Addresses {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }
}

impl Addresses {
    pub(super) fn get(&self, hash: u64) -> Option<HeapAddress> {
        let shard = shard(&self.shards, hash)?.read();
        shard.find(hash, |at| at.0 == hash).map(|at| at.1)
    }

    /// Sets a contact's place and returns the one before.
    pub(super) fn set(&self, hash: u64, place: HeapAddress) -> Option<HeapAddress> {
        let mut shard = shard(&self.shards, hash)?.write();
        match shard.entry(hash, |at| at.0 == hash, |at| at.0) {
            Entry::Occupied(mut at) => Some(std::mem::replace(&mut at.get_mut().1, place)),
            Entry::Vacant(at) => {
                at.insert((hash, place));
                None
            }
        }
    }

    /// Sets it, if it is still as it was.
    pub(super) fn replace(&self, hash: u64, old: HeapAddress, new: HeapAddress) {
        let Some(shard) = shard(&self.shards, hash) else {
            return;
        };
        if let Some(at) = shard.write().find_mut(hash, |at| *at == (hash, old)) {
            at.1 = new;
        }
    }

    /// Leaves all that lies in a segment to the engine.
    pub(super) fn forget(&self, segment: u32) {
        for shard in &self.shards {
            let mut shard = shard.write();
            shard
                .iter_mut()
                .filter(|at| at.1 != HeapAddress::ENGINE && at.1.segment() == segment)
                .for_each(|at| at.1 = HeapAddress::ENGINE);
        }
    }
}
