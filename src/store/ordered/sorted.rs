//! A sorted list of slots in chunks, cheap to change anywhere.
//!
//! A list that changes often also keeps the first eight bytes of what it is sorted by, so that most
//! comparisons stay within it (twelve bytes an entry); any other asks the caller each time (four).

use std::cmp::Ordering;

/// Entries a chunk holds at most.
const CHUNK_MAX: usize = 512;
/// Entries below which a chunk is joined with its neighbour.
const CHUNK_MIN: usize = CHUNK_MAX / 4;
/// Entries a chunk gets when many are built at once, so that the first changes split nothing.
const CHUNK_BUILT: usize = CHUNK_MAX * 3 / 4;
/// Entries for which a full chunk takes room at a time: lists are long, so what is kept free counts.
const ROOM_STEP: usize = 48;

/// The first eight bytes of a sort key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Prefix(u64);

impl Prefix {
    pub(super) fn of_number(number: u64) -> Self {
        Self(number)
    }

    pub(super) fn of_text(text: &[u8]) -> Self {
        Self::padded(text, 0)
    }

    /// After every text that begins with this one.
    pub(super) fn after_text(text: &[u8]) -> Self {
        // No UTF-8 has this byte.
        Self::padded(text, 0xff)
    }

    fn padded(text: &[u8], rest: u8) -> Self {
        let mut first = [rest; 8];
        for (to, from) in first.iter_mut().zip(text) {
            *to = *from;
        }
        Self(u64::from_be_bytes(first))
    }
}

/// A slot and the beginning of its sort key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) prefix: Prefix,
    pub(super) slot: u32,
}

/// Between which entries of the list something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ListPosition {
    chunk: usize,
    index: usize,
}

#[derive(Debug, Default)]
struct Chunk {
    slots: Vec<u32>,
    /// Of each slot; empty in a list without.
    prefixes: Vec<Prefix>,
}

/// The list. Where entries are compared, `against(slot)` compares the full key of a slot with the
/// key in question; a list with prefixes asks only where those are equal.
#[derive(Debug)]
pub(super) struct Sorted {
    chunks: Vec<Chunk>,
    len: usize,
    has_prefixes: bool,
}

impl Chunk {
    fn len(&self) -> usize {
        self.slots.len()
    }

    fn of(entries: &[Entry], has_prefixes: bool) -> Self {
        let mut chunk = Self::default();
        chunk.slots.extend(entries.iter().map(|entry| entry.slot));
        if has_prefixes {
            chunk.prefixes.extend(entries.iter().map(|entry| entry.prefix));
        }
        chunk
    }

    fn insert(&mut self, index: usize, entry: Entry, has_prefix: bool) {
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact(ROOM_STEP);
        }
        self.slots.insert(index, entry.slot);
        if has_prefix {
            if self.prefixes.len() == self.prefixes.capacity() {
                self.prefixes.reserve_exact(ROOM_STEP);
            }
            self.prefixes.insert(index, entry.prefix);
        }
    }

    fn remove(&mut self, index: usize) {
        self.slots.remove(index);
        if index < self.prefixes.len() {
            self.prefixes.remove(index);
        }
    }

    /// Its second half, which it gives up.
    fn split(&mut self) -> Self {
        let at = self.len() / 2;
        let right = Self {
            slots: self.slots.split_off(at),
            prefixes: self.prefixes.split_off(at.min(self.prefixes.len())),
        };
        self.slots.shrink_to(at + ROOM_STEP);
        self.prefixes.shrink_to(at + ROOM_STEP);
        right
    }

    fn append(&mut self, other: Self) {
        self.slots.reserve_exact(other.slots.len());
        self.slots.extend(other.slots);
        self.prefixes.reserve_exact(other.prefixes.len());
        self.prefixes.extend(other.prefixes);
    }

    /// How the entry there compares with a key.
    fn compare(
        &self,
        index: usize,
        prefix: Prefix,
        against: &impl Fn(u32) -> Ordering,
    ) -> Ordering {
        let by_prefix = self.prefixes.get(index).map_or(Ordering::Equal, |at| at.cmp(&prefix));
        by_prefix.then_with(|| self.slots.get(index).map_or(Ordering::Less, |slot| against(*slot)))
    }

    /// How many entries at its beginning satisfy `is_before`; none of the others does.
    fn partition(&self, is_before: impl Fn(usize) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if is_before(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

impl Sorted {
    /// Takes entries that are already in order.
    pub(super) fn from_sorted(entries: &[Entry], has_prefixes: bool) -> Self {
        let chunks = entries.chunks(CHUNK_BUILT).map(|part| Chunk::of(part, has_prefixes));
        Self { chunks: chunks.collect(), len: entries.len(), has_prefixes }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The place before the first entry that is not less than the key.
    pub(super) fn lower(&self, prefix: Prefix, against: impl Fn(u32) -> Ordering) -> ListPosition {
        self.partition(|chunk, at| chunk.compare(at, prefix, &against) == Ordering::Less)
    }

    /// The place after the last entry that is not greater than the key.
    pub(super) fn upper(&self, prefix: Prefix, against: impl Fn(u32) -> Ordering) -> ListPosition {
        self.partition(|chunk, at| chunk.compare(at, prefix, &against) != Ordering::Greater)
    }

    fn partition(&self, is_before: impl Fn(&Chunk, usize) -> bool) -> ListPosition {
        let is_whole = |chunk: &Chunk| is_before(chunk, chunk.len().saturating_sub(1));
        let chunk = self.chunks.partition_point(is_whole);
        let within = |chunk: &Chunk| chunk.partition(|at| is_before(chunk, at));
        ListPosition { chunk, index: self.chunks.get(chunk).map_or(0, within) }
    }

    pub(super) fn insert(&mut self, entry: Entry, against: impl Fn(u32) -> Ordering) {
        let ListPosition { mut chunk, mut index } = self.lower(entry.prefix, against);
        let has_prefixes = self.has_prefixes;
        self.len += 1;
        // Past the last one: at the end of the last chunk, so that growth at the end fills chunks.
        if chunk == self.chunks.len() {
            match self.chunks.last() {
                Some(last) if last.len() < CHUNK_MAX => {
                    chunk -= 1;
                    index = last.len();
                }
                Some(_) | None => self.chunks.push(Chunk::default()),
            }
        }
        let Some(at) = self.chunks.get_mut(chunk) else {
            return;
        };
        if at.len() < CHUNK_MAX {
            at.insert(index, entry, has_prefixes);
            return;
        }
        let mut right = at.split();
        match index.checked_sub(at.len()) {
            Some(index) => right.insert(index, entry, has_prefixes),
            None => at.insert(index, entry, has_prefixes),
        }
        self.chunks.insert(chunk + 1, right);
    }

    /// Removes the slot of that key, if it is there.
    pub(super) fn remove(&mut self, entry: Entry, against: impl Fn(u32) -> Ordering) -> bool {
        let ListPosition { chunk, index } = self.lower(entry.prefix, against);
        let Some(at) = self.chunks.get_mut(chunk) else {
            return false;
        };
        if at.slots.get(index).is_none_or(|found| *found != entry.slot) {
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
        let len = |at: usize| self.chunks.get(at).map_or(CHUNK_MAX, Chunk::len);
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
            at.append(moved);
        }
    }

    /// The slot behind a place, and the place behind that.
    pub(super) fn after(&self, place: ListPosition) -> Option<(u32, ListPosition)> {
        let chunk = self.chunks.get(place.chunk)?;
        let slot = *chunk.slots.get(place.index)?;
        let next = if place.index + 1 < chunk.len() {
            ListPosition { index: place.index + 1, ..place }
        } else {
            ListPosition { chunk: place.chunk + 1, index: 0 }
        };
        Some((slot, next))
    }

    /// The slot before a place, and the place before that.
    pub(super) fn before(&self, place: ListPosition) -> Option<(u32, ListPosition)> {
        let next = match place.index.checked_sub(1) {
            Some(index) => ListPosition { index, ..place },
            None => {
                let chunk = place.chunk.checked_sub(1)?;
                ListPosition { chunk, index: self.chunks.get(chunk)?.len().checked_sub(1)? }
            }
        };
        let slot = *self.chunks.get(next.chunk)?.slots.get(next.index)?;
        Some((slot, next))
    }

    /// What the entry behind a place begins with, in a list that keeps that; the default elsewhere.
    pub(super) fn prefix(&self, place: ListPosition) -> Prefix {
        let chunk = self.chunks.get(place.chunk);
        chunk.and_then(|chunk| chunk.prefixes.get(place.index)).copied().unwrap_or_default()
    }

    /// Entries between two places.
    pub(super) fn between(&self, from: ListPosition, to: ListPosition) -> usize {
        if to <= from {
            return 0;
        }
        let chunks = self.chunks.get(from.chunk..to.chunk.min(self.chunks.len()));
        let whole: usize = chunks.unwrap_or_default().iter().map(Chunk::len).sum();
        (whole + to.index).saturating_sub(from.index)
    }

    /// The place so many entries behind another, or the end.
    pub(super) fn advanced(&self, from: ListPosition, by: usize) -> ListPosition {
        let mut left = from.index + by;
        for (at, chunk) in self.chunks.iter().enumerate().skip(from.chunk) {
            if left < chunk.len() {
                return ListPosition { chunk: at, index: left };
            }
            left -= chunk.len();
        }
        self.ends().1
    }

    /// The place so many entries before another, or the beginning.
    pub(super) fn receded(&self, from: ListPosition, by: usize) -> ListPosition {
        let (start, _) = self.ends();
        self.advanced(start, self.between(start, from).saturating_sub(by))
    }

    /// Slots from the beginning.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.chunks.iter().flat_map(|chunk| chunk.slots.iter().copied())
    }

    /// The places before everything and after it.
    pub(super) fn ends(&self) -> (ListPosition, ListPosition) {
        let end = ListPosition { chunk: self.chunks.len(), index: 0 };
        (ListPosition { chunk: 0, index: 0 }, end)
    }

    /// Bytes of memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        let of = |chunk: &Chunk| {
            chunk.slots.capacity() * size_of::<u32>()
                + chunk.prefixes.capacity() * size_of::<Prefix>()
        };
        self.chunks.iter().map(of).sum::<usize>() + self.chunks.capacity() * size_of::<Chunk>()
    }
}
