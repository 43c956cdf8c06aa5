//! Where a contact is. It is looked for here and nowhere else:
//!
//! ```text
//! current generation ─► flushing generation ─► heap file in the page cache ─► ReadCache
//!                    ─► heap file on the disk ─► ReadCache ─► engine, where the heap file failed
//! ```
//!
//! A contact that is in neither generation and has no place in the heap file is nowhere. A
//! generation is dropped only when its contacts have their place there, so nothing can pass between
//! two steps of a read. No place is written twice, so what the cache keeps of one can't become older
//! than what was asked for; what the engine answered is kept until it is written again.

mod scan;

use std::sync::Arc;

use crate::domain::contact::ContactView;

use super::StoreError;
use super::cache::{CacheStats, ReadCache};
use super::codec::{StoredContact, contact_key, id_hash};
use super::commits::Commits;
use super::dirty::{DirtyContact, DirtySet, Facts, Generation};
use super::engine::Engine;
use super::heap::{Filler, Heap, HeapAddress, HeapStats, Location};

/// Every contact, in memory and on the disk.
#[derive(Debug)]
pub(crate) struct Contacts {
    /// Committed, not yet in the engine.
    pub(crate) dirty: DirtySet,
    /// sled, or the model in memory.
    pub(crate) engine: Engine,
    /// A copy of each contact that the engine holds.
    heap: Heap,
    /// What had to be waited for.
    cache: Arc<ReadCache>,
    /// Told of what can't be read.
    commits: Arc<Commits>,
}

impl Contacts {
    pub(crate) fn new(
        (dirty, engine, heap): (DirtySet, Engine, Heap),
        cache: Arc<ReadCache>,
        commits: Arc<Commits>,
    ) -> Self {
        Self { dirty, engine, heap, cache, commits }
    }

    /// The latest value of a contact, however long it takes.
    pub(crate) fn get(&self, id: &[u8]) -> Result<Option<StoredContact>, StoreError> {
        let hash = id_hash(id);
        match self.dirty.get(hash, id) {
            Some(value) => Ok(Some(value)),
            None => self.retired(hash, id),
        }
    }

    /// The same, if that can be said without waiting for the disk.
    pub(crate) fn get_at_once(&self, id: &[u8]) -> Option<Option<StoredContact>> {
        let hash = id_hash(id);
        if let Some(value) = self.dirty.get(hash, id) {
            return Some(Some(value));
        }
        match self.heap.find(hash) {
            Location::Nowhere => Some(None),
            Location::InEngine => None,
            Location::At(place) => self.read_at_once(place, id).map(Some),
        }
    }

    /// The latest value, `hash` being the id's, with what the writer has worked out of it already.
    pub(crate) fn get_for_change(
        &self,
        hash: u64,
        id: &[u8],
    ) -> Result<Option<(StoredContact, Option<Facts>)>, StoreError> {
        match self.dirty.get_with_facts(hash, id) {
            Some((value, facts)) => Ok(Some((value, Some(facts)))),
            None => Ok(self.retired(hash, id)?.map(|value| (value, None))),
        }
    }

    /// The latest value past the heap file, for scans: what is not in the dirty set is in the engine.
    pub(crate) fn get_in_engine(&self, id: &[u8]) -> Result<Option<StoredContact>, StoreError> {
        if let Some(value) = self.dirty.get(id_hash(id), id) {
            return Ok(Some(value));
        }
        self.in_engine(id)
    }

    /// A contact that the dirty set has not.
    fn retired(&self, hash: u64, id: &[u8]) -> Result<Option<StoredContact>, StoreError> {
        let place = match self.heap.find(hash) {
            Location::Nowhere => return Ok(None),
            Location::InEngine => return self.kept_or_in_engine(hash, id),
            Location::At(place) => place,
        };
        if let Some(value) = self.read_at_once(place, id) {
            return Ok(Some(value));
        }
        match self.heap.read_whole(place, hash, id) {
            Some(value) => {
                self.cache.keep_contact(ReadCache::at_place(place), id, &value);
                Ok(Some(value))
            }
            None => self.kept_or_in_engine(hash, id),
        }
    }

    fn read_at_once(&self, place: HeapAddress, id: &[u8]) -> Option<StoredContact> {
        let kept = || self.cache.contact(ReadCache::at_place(place), id);
        self.heap.read_at_once(place, id).or_else(kept)
    }

    /// The engine puts a whole leaf together for one contact, so what it answered is kept.
    fn kept_or_in_engine(&self, hash: u64, id: &[u8]) -> Result<Option<StoredContact>, StoreError> {
        let key = self.cache.in_engine(hash);
        if let Some(value) = self.cache.contact(key, id) {
            return Ok(Some(value));
        }
        let value = self.in_engine(id)?;
        if let Some(value) = &value {
            self.cache.keep_contact(key, id, value);
        }
        Ok(value)
    }

    fn in_engine(&self, id: &[u8]) -> Result<Option<StoredContact>, StoreError> {
        let found = self.engine.get(contact_key(id, &mut Vec::with_capacity(id.len() + 1)));
        let found = found.map_err(|error| self.commits.fail(error.into()))?;
        found.map(|bytes| self.parsed(id, &bytes)).transpose()
    }

    /// Lets readers go on without the flushing generation, all of which is in the engine. Whoever
    /// must have seen it is shown it in between.
    pub(crate) fn retire(
        &self,
        generation: &Generation,
        show: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.heap.fill(|filler| {
            let put = |filler: &mut Filler<'_>, at: &DirtyContact| {
                filler.put(at.hash, &at.id, at.value.bytes());
            };
            generation.for_each_in_parts(filler, put, Filler::write_much);
        });
        show()?;
        self.cache.engine_was_written();
        self.dirty.retire();
        Ok(())
    }

    /// Whether the heap file would not show other bytes than these, which the contact has.
    pub(crate) fn heap_agrees(&self, id: &[u8], bytes: &[u8]) -> bool {
        let hash = id_hash(id);
        if self.dirty.get(hash, id).is_some() {
            return true;
        }
        match self.heap.find(hash) {
            Location::Nowhere => false,
            Location::InEngine => true,
            Location::At(place) => {
                let value = self.heap.read_whole(place, hash, id);
                value.is_none_or(|value| value.bytes() == bytes)
            }
        }
    }

    /// A value's parts; a value that has none stops the store.
    pub(crate) fn view<'v>(
        &self,
        id: &[u8],
        value: &'v StoredContact,
    ) -> Result<ContactView<'v>, StoreError> {
        value.view().map_err(|error| self.unreadable(id, error.to_string()))
    }

    /// The engine's bytes as a contact.
    fn parsed(&self, id: &[u8], bytes: &[u8]) -> Result<StoredContact, StoreError> {
        let value = StoredContact::from_bytes(bytes.into());
        value.ok_or_else(|| self.unreadable(id, "its stored value has no known format"))
    }

    fn unreadable(&self, id: &[u8], detail: impl Into<String>) -> StoreError {
        let what = format!("contact {}", String::from_utf8_lossy(id));
        self.commits.fail(StoreError::damaged(what, detail))
    }

    pub(crate) fn stats(&self) -> (HeapStats, CacheStats) {
        (self.heap.stats(), self.cache.stats())
    }

    #[cfg(test)]
    pub(crate) fn heap(&self) -> &Heap {
        &self.heap
    }
}
