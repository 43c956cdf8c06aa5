//! Contacts that are committed but not yet in the engine: two generations, readable by everyone.
//!
//! The writer puts into the current one, the checkpointer empties the flushing one. Values are
//! shared pointers, so a reader takes one out in a few nanoseconds.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::{Mutex, RwLock};

use super::codec::{self, StoredContact};
use super::engine::{Change, Engine, EngineError};
use super::rows::RowClass;

/// Shards of a generation; a power of two.
pub(super) const SHARDS: usize = 64;
/// What an entry costs beside its bytes: table slot, two allocations, key-by-key overhead.
const CONTACT_OVERHEAD: u64 = 136;
/// What an engine key mostly takes: its prefix and a UUID.
const KEY_BYTES: usize = 40;

/// A changed contact as a generation holds it.
#[derive(Debug)]
pub struct DirtyContact {
    /// [`super::codec::id_hash`] of the id.
    pub hash: u64,
    /// The contact's id.
    pub id: Box<[u8]>,
    /// Its latest value.
    pub value: StoredContact,
    /// What the writer knows of that value, so that it need not work it out again.
    pub(crate) facts: Facts,
    /// Whether the ordered indexes have this value.
    indexed: bool,
}

/// What the store derives from a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Its summand in the digest.
    pub(crate) digest: u128,
    /// What it counts as.
    pub(crate) class: RowClass,
}

/// Entries other than contacts as the engine has them, by whole key; none: dropped.
pub(crate) type DirtyEntries = BTreeMap<Box<[u8]>, Option<Box<[u8]>>>;

/// What changed between two swaps.
#[derive(Debug)]
pub struct Generation {
    contacts: Box<[RwLock<HashTable<DirtyContact>>]>,
    entries: Mutex<DirtyEntries>,
    bytes: AtomicU64,
    len: AtomicU64,
}

impl Generation {
    /// An empty generation with room for so many contacts.
    pub(crate) fn with_capacity(contacts: usize) -> Self {
        let shard = contacts / SHARDS;
        Self {
            contacts: (0..SHARDS).map(|_| RwLock::new(HashTable::with_capacity(shard))).collect(),
            entries: Mutex::default(),
            bytes: AtomicU64::new(0),
            len: AtomicU64::new(0),
        }
    }

    /// Contacts in it.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed) as usize
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory it takes, about.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The value of a contact changed in it.
    pub(crate) fn get_with_facts(&self, hash: u64, id: &[u8]) -> Option<(StoredContact, Facts)> {
        let shard = shard(&self.contacts, hash)?.read();
        let found = shard.find(hash, |at| &*at.id == id)?;
        Some((found.value.clone(), found.facts))
    }

    pub(crate) fn put(&self, hash: u64, id: &[u8], value: StoredContact, facts: Facts) {
        let Some(shard) = shard(&self.contacts, hash) else {
            return;
        };
        let mut shard = shard.write();
        match shard.entry(hash, |at| &*at.id == id, |at| at.hash) {
            Entry::Occupied(mut at) => {
                let at = at.get_mut();
                let (old, new) = (at.value.bytes().len() as u64, value.bytes().len() as u64);
                at.value = value;
                at.facts = facts;
                at.indexed = false;
                // Wraps to the right sum where the new value is the shorter one.
                self.bytes.fetch_add(new.wrapping_sub(old), Ordering::Relaxed);
            }
            Entry::Vacant(at) => {
                let bytes = (id.len() + value.bytes().len()) as u64 + CONTACT_OVERHEAD;
                self.bytes.fetch_add(bytes, Ordering::Relaxed);
                self.len.fetch_add(1, Ordering::Relaxed);
                at.insert(DirtyContact { hash, id: id.into(), value, facts, indexed: false });
            }
        }
    }

    /// Sets the stored bytes of an entry that is no contact; none: it is dropped.
    pub(crate) fn put_entry(&self, key: &[u8], value: Option<Box<[u8]>>) {
        let bytes = |value: &Option<Box<[u8]>>| value.as_ref().map_or(0, |at| at.len()) as u64;
        let new = bytes(&value) + key.len() as u64 + CONTACT_OVERHEAD;
        let old = self.entries.lock().insert(key.into(), value);
        let old = old.map_or(0, |old| bytes(&old) + key.len() as u64 + CONTACT_OVERHEAD);
        // Wraps to the right sum where the new value is the shorter one.
        self.bytes.fetch_add(new.wrapping_sub(old), Ordering::Relaxed);
    }

    /// Puts the entries that are no contacts into the engine.
    pub(crate) fn insert_entries(&self, engine: &Engine) -> Result<(), EngineError> {
        let entries = self.entries.lock();
        engine.insert_sorted(entries.iter().map(|(key, value)| (&**key, value.as_deref())))?;
        Ok(())
    }

    /// Shows every contact of it, in no order. Don't look up in it from within.
    pub fn for_each(&self, mut each: impl FnMut(&DirtyContact)) {
        for shard in &self.contacts {
            shard.read().iter().for_each(&mut each);
        }
    }

    /// The same; in between nothing is locked, for `between` to take its time.
    pub(crate) fn for_each_in_parts<T>(
        &self,
        to: &mut T,
        mut each: impl FnMut(&mut T, &DirtyContact),
        mut between: impl FnMut(&mut T),
    ) {
        for shard in &self.contacts {
            shard.read().iter().for_each(|at| each(to, at));
            between(to);
        }
    }

    /// Engine keys and values of the contacts, sorted.
    pub(crate) fn sorted_contacts(&self) -> SortedContacts {
        let mut all = SortedContacts {
            keys: Vec::with_capacity(self.len() * KEY_BYTES),
            entries: Vec::with_capacity(self.len()),
        };
        self.for_each(|at| {
            let start = all.keys.len();
            all.keys.push(codec::CONTACT);
            all.keys.extend_from_slice(&at.id);
            all.entries.push((start..all.keys.len(), at.value.clone()));
        });
        let SortedContacts { keys, entries } = &mut all;
        entries.sort_unstable_by(|a, b| keys.get(a.0.clone()).cmp(&keys.get(b.0.clone())));
        all
    }

    fn drain_changed(&self, each: &mut impl FnMut(&DirtyContact)) {
        for shard in &self.contacts {
            for at in shard.write().iter_mut().filter(|at| !at.indexed) {
                at.indexed = true;
                each(at);
            }
        }
    }
}

/// A generation's contacts as the engine takes them.
#[derive(Debug, Default)]
pub(crate) struct SortedContacts {
    keys: Vec<u8>,
    entries: Vec<(Range<usize>, StoredContact)>,
}

impl SortedContacts {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Some of them as the engine takes them.
    pub(crate) fn changes(&self, places: Range<usize>) -> impl Iterator<Item = Change<'_>> {
        let places = places.start..places.end.min(self.len());
        self.entries.get(places).unwrap_or_default().iter().map(|(key, value)| {
            let key = self.keys.get(key.clone()).unwrap_or_default();
            (key, Some(value.bytes()))
        })
    }
}

/// Table buckets go by the low bits and tags by the high ones, so shards go by those between.
pub(super) fn shard<T>(shards: &[RwLock<T>], hash: u64) -> Option<&RwLock<T>> {
    shards.get((hash >> 32) as usize & (SHARDS - 1))
}

/// The two generations.
#[derive(Debug)]
pub struct DirtySet {
    generations: RwLock<Generations>,
}

#[derive(Debug)]
struct Generations {
    current: Arc<Generation>,
    flushing: Option<Arc<Generation>>,
}

impl DirtySet {
    /// Empty; the first generation is the one that redo fills.
    pub(crate) fn new() -> Self {
        Self {
            generations: RwLock::new(Generations {
                current: Arc::new(Generation::with_capacity(0)),
                flushing: None,
            }),
        }
    }

    /// A contact's latest value, if it is not yet in the engine.
    pub fn get(&self, hash: u64, id: &[u8]) -> Option<StoredContact> {
        self.get_with_facts(hash, id).map(|(value, _)| value)
    }

    /// The same, with what the writer knows of it.
    pub(crate) fn get_with_facts(&self, hash: u64, id: &[u8]) -> Option<(StoredContact, Facts)> {
        let both = self.generations.read();
        both.current
            .get_with_facts(hash, id)
            .or_else(|| both.flushing.as_ref()?.get_with_facts(hash, id))
    }

    /// Ids of all contacts in either generation, sorted, each once. For scans: the union of these,
    /// taken *before* the engine's scan begins, and the engine's ids is every contact there was.
    pub fn sorted_ids(&self) -> Vec<Box<[u8]>> {
        let (current, flushing) = self.both();
        let mut ids = Vec::with_capacity(current.len());
        current.for_each(|at| ids.push(at.id.clone()));
        if let Some(flushing) = flushing {
            flushing.for_each(|at| ids.push(at.id.clone()));
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Hands out every contact whose value the ordered indexes have not seen, older values first,
    /// and marks them seen. Calls must not overlap.
    pub fn drain_changed(&self, mut each: impl FnMut(&DirtyContact)) {
        let (current, flushing) = self.both();
        if let Some(flushing) = flushing {
            flushing.drain_changed(&mut each);
        }
        current.drain_changed(&mut each);
    }

    /// The same with those of the flushing generation alone.
    pub(crate) fn drain_flushing(&self, mut each: impl FnMut(&DirtyContact)) {
        if let (_, Some(flushing)) = self.both() {
            flushing.drain_changed(&mut each);
        }
    }

    /// Entries of a prefix that are not in the engine as they are, by the key behind it.
    pub(crate) fn entries(&self, prefix: u8) -> DirtyEntries {
        let (current, flushing) = self.both();
        let mut all = DirtyEntries::new();
        for generation in flushing.into_iter().chain([current]) {
            let entries = generation.entries.lock();
            let of_prefix = entries.iter().filter(|(key, _)| key.first() == Some(&prefix));
            let behind = |key: &[u8]| key.get(1..).unwrap_or_default().into();
            all.extend(of_prefix.map(|(key, value)| (behind(key), value.clone())));
        }
        all
    }

    /// Bytes of the current and of the flushing generation.
    pub fn bytes(&self) -> (u64, u64) {
        let both = self.generations.read();
        let flushing = both.flushing.as_ref().map_or(0, |at| at.bytes());
        (both.current.bytes(), flushing)
    }

    pub(crate) fn current(&self) -> Arc<Generation> {
        Arc::clone(&self.generations.read().current)
    }

    fn both(&self) -> (Arc<Generation>, Option<Arc<Generation>>) {
        let both = self.generations.read();
        (Arc::clone(&both.current), both.flushing.clone())
    }

    /// Makes the current generation the flushing one; none while one is still being flushed.
    /// The caller holds the cut's lock.
    pub(crate) fn swap(&self) -> Option<Arc<Generation>> {
        let mut both = self.generations.write();
        if both.flushing.is_some() {
            return None;
        }
        let next = Arc::new(Generation::with_capacity(both.current.len()));
        let flushing = std::mem::replace(&mut both.current, next);
        both.flushing = Some(Arc::clone(&flushing));
        Some(flushing)
    }

    /// Drops the flushing generation: all of it is in the engine.
    pub(crate) fn retire(&self) {
        let retired = self.generations.write().flushing.take();
        // Freed here, outside the lock.
        drop(retired);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::codec::{ChangeRef, id_hash};

    fn value(text: &str) -> StoredContact {
        StoredContact::build(ChangeRef(1), text.as_bytes(), &mut Vec::new())
    }

    fn put(generation: &Generation, id: &str, text: &str) {
        generation.put(id_hash(id.as_bytes()), id.as_bytes(), value(text), Facts::default());
    }

    fn get(dirty: &DirtySet, id: &str) -> Option<String> {
        let found = dirty.get(id_hash(id.as_bytes()), id.as_bytes())?;
        Some(String::from_utf8_lossy(found.body()).into_owned())
    }

    #[test]
    fn newest_generation_answers_first_and_bytes_are_net() {
        let dirty = DirtySet::new();
        put(&dirty.current(), "a", "long old value");
        put(&dirty.current(), "a", "old");
        let bytes = dirty.current().bytes();
        assert_eq!(bytes, 1 + 17 + 3 + CONTACT_OVERHEAD);
        assert_eq!(dirty.swap().map(|at| at.len()), Some(1));
        assert!(dirty.swap().is_none(), "one flush at a time");
        assert_eq!(get(&dirty, "a").as_deref(), Some("old"));
        put(&dirty.current(), "a", "new");
        assert_eq!(get(&dirty, "a").as_deref(), Some("new"));
        dirty.retire();
        assert_eq!(get(&dirty, "a").as_deref(), Some("new"));
        assert_eq!(dirty.sorted_ids().len(), 1);
    }

    #[test]
    fn feed_hands_out_each_change_once_older_first() {
        let dirty = DirtySet::new();
        put(&dirty.current(), "a", "1");
        dirty.swap();
        put(&dirty.current(), "a", "2");
        let mut seen = Vec::new();
        dirty.drain_changed(|at| seen.push(at.value.body().to_vec()));
        assert_eq!(seen, [b"1".to_vec(), b"2".to_vec()]);
        seen.clear();
        dirty.drain_changed(|at| seen.push(at.value.body().to_vec()));
        assert!(seen.is_empty());
        put(&dirty.current(), "a", "3");
        dirty.drain_changed(|at| seen.push(at.value.body().to_vec()));
        assert_eq!(seen, [b"3".to_vec()]);
    }
}
