//! A sorted list of slots in chunks: twelve bytes an entry, cheap to change anywhere.
//!
//! An entry carries the first eight bytes of what it is sorted by, so most comparisons stay within
//! the list; only equal beginnings ask the caller for the rest.

use std::cmp::Ordering;

/// Entries a chunk holds at most.
const CHUNK_MAX: usize = 512;
/// Entries below which a chunk is joined with its neighbour.
const CHUNK_MIN: usize = CHUNK_MAX / 4;
/// Entries a chunk gets when many are built at once, so that the first changes split nothing.
const CHUNK_BUILT: usize = CHUNK_MAX * 3 / 4;

/// The first eight bytes of a sort key, in an alignment that wastes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Prefix {
    high: u32,
    low: u32,
}

impl Prefix {
    pub(super) fn of_number(number: u64) -> Self {
        Self { high: (number >> 32) as u32, low: number as u32 }
    }

    pub(super) fn of_text(text: &[u8]) -> Self {
        let mut first = [0; 8];
        for (to, from) in first.iter_mut().zip(text) {
            *to = *from;
        }
        Self::of_number(u64::from_be_bytes(first))
    }
}

/// A slot and the beginning of its sort key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) prefix: Prefix,
    pub(super) slot: u32,
}

/// Between which entries of the list something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    chunk: usize,
    index: usize,
}

/// The list. Where entries are compared, `against(slot)` compares the full key of a slot with the
/// key in question; it is asked only when the prefixes are equal.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    chunks: Vec<Vec<Entry>>,
    len: usize,
}

impl Sorted {
    /// Takes entries that are already in order.
    pub(super) fn from_sorted(entries: &[Entry]) -> Self {
        let chunks = entries.chunks(CHUNK_BUILT).map(|part| {
            let mut chunk = Vec::with_capacity(CHUNK_MAX);
            chunk.extend_from_slice(part);
            chunk
        });
        Self { chunks: chunks.collect(), len: entries.len() }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The place before the first entry that is not less than the key.
    pub(super) fn lower(&self, prefix: Prefix, against: impl Fn(u32) -> Ordering) -> Place {
        self.partition(|at| compare(at, prefix, &against) == Ordering::Less)
    }

    /// The place after the last entry that is not greater than the key.
    pub(super) fn upper(&self, prefix: Prefix, against: impl Fn(u32) -> Ordering) -> Place {
        self.partition(|at| compare(at, prefix, &against) != Ordering::Greater)
    }

    fn partition(&self, is_before: impl Fn(&Entry) -> bool) -> Place {
        let chunk = self.chunks.partition_point(|chunk| chunk.last().is_some_and(&is_before));
        let index = self.chunks.get(chunk).map_or(0, |chunk| chunk.partition_point(is_before));
        Place { chunk, index }
    }

    pub(super) fn insert(&mut self, entry: Entry, against: impl Fn(u32) -> Ordering) {
        let Place { mut chunk, mut index } = self.lower(entry.prefix, against);
        self.len += 1;
        // Past the last one: at the end of the last chunk, so that growth at the end fills chunks.
        if chunk == self.chunks.len() {
            match self.chunks.last() {
                Some(last) if last.len() < CHUNK_MAX => {
                    chunk -= 1;
                    index = last.len();
                }
                Some(_) | None => self.chunks.push(Vec::with_capacity(CHUNK_MAX)),
            }
        }
        let Some(at) = self.chunks.get_mut(chunk) else {
            return;
        };
        if at.len() < CHUNK_MAX {
            at.insert(index, entry);
            return;
        }
        let mut right = Vec::with_capacity(CHUNK_MAX);
        right.extend(at.drain(CHUNK_MAX / 2..));
        match index.checked_sub(at.len()) {
            Some(index) => right.insert(index, entry),
            None => at.insert(index, entry),
        }
        self.chunks.insert(chunk + 1, right);
    }

    /// Removes the entry of that key, if it is there.
    pub(super) fn remove(&mut self, entry: Entry, against: impl Fn(u32) -> Ordering) -> bool {
        let Place { chunk, index } = self.lower(entry.prefix, against);
        let Some(at) = self.chunks.get_mut(chunk) else {
            return false;
        };
        if at.get(index).is_none_or(|found| found.slot != entry.slot) {
            return false;
        }
        at.remove(index);
        self.len -= 1;
        if at.len() < CHUNK_MIN {
            self.join(chunk);
        }
        true
    }

    /// Gives a small chunk's entries to a neighbour that has room for them.
    fn join(&mut self, chunk: usize) {
        let len = |at: usize| self.chunks.get(at).map_or(CHUNK_MAX, Vec::len);
        let left = if chunk > 0 && len(chunk - 1) + len(chunk) <= CHUNK_BUILT {
            chunk - 1
        } else if len(chunk) + len(chunk + 1) <= CHUNK_BUILT {
            chunk
        } else if len(chunk) == 0 {
            self.chunks.remove(chunk);
            return;
        } else {
            return;
        };
        let moved = self.chunks.remove(left + 1);
        if let Some(at) = self.chunks.get_mut(left) {
            at.extend(moved);
        }
    }

    /// Slots from a place on.
    pub(super) fn forward(&self, from: Place) -> impl Iterator<Item = u32> + '_ {
        self.chunks.iter().enumerate().skip(from.chunk).flat_map(move |(at, chunk)| {
            let skip = if at == from.chunk { from.index } else { 0 };
            chunk.iter().skip(skip).map(|entry| entry.slot)
        })
    }

    /// Slots from before a place, backwards.
    pub(super) fn backward(&self, from: Place) -> impl Iterator<Item = u32> + '_ {
        let whole = self.chunks.len().saturating_sub(from.chunk + 1);
        let whole = if from.chunk >= self.chunks.len() { 0 } else { whole };
        self.chunks.iter().enumerate().rev().skip(whole).flat_map(move |(at, chunk)| {
            let take = if at == from.chunk { from.index } else { chunk.len() };
            chunk.iter().take(take).rev().map(|entry| entry.slot)
        })
    }

    /// The places before everything and after it.
    pub(super) fn ends(&self) -> (Place, Place) {
        let end = Place { chunk: self.chunks.len(), index: 0 };
        (Place { chunk: 0, index: 0 }, end)
    }

    /// Bytes of memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        let entries: usize = self.chunks.iter().map(Vec::capacity).sum();
        entries * size_of::<Entry>() + self.chunks.capacity() * size_of::<Vec<Entry>>()
    }
}

fn compare(at: &Entry, prefix: Prefix, against: &impl Fn(u32) -> Ordering) -> Ordering {
    at.prefix.cmp(&prefix).then_with(|| against(at.slot))
}
