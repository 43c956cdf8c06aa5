//! What reading had to wait for, kept in memory: contacts that came from the disk or from the engine, and
//! what was unpacked of the journal.
//!
//! The [heap file](super::heap) answers what the system's page cache holds in less time than a
//! look-up takes here; what came from the disk itself is kept, by the place where it lay. Nothing is
//! ever written to a place again, and no frame changes, so what is kept of one is right for as long as
//! it is asked for. What the engine answered is kept until the engine is written again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::segments::FrameNo;

use super::codec::StoredContact;
use super::heap::HeapAddress;
use super::journal::FrameHead;

/// What an entry costs beside its bytes: moka's node, the hash table, two allocations.
const ENTRY_OVERHEAD_BYTES: usize = 160;

/// The cache; without capacity it answers nothing and keeps nothing.
#[derive(Debug)]
pub struct ReadCache {
    entries: Option<moka::sync::Cache<Key, CacheEntry>>,
    /// How often the engine was written.
    engine_writes: AtomicU64,
    /// What the journal held before was trimmed away.
    journal_first: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What is kept of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum BlockKey {
    /// Its head.
    Head,
    /// The block of that number.
    Block(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Heap(HeapAddress),
    /// After so many writes of the engine, by the id's hash.
    Engine(u64, u64),
    Journal(FrameNo, BlockKey),
}

/// Something kept.
#[derive(Clone, Debug)]
pub(crate) enum CacheEntry {
    /// A contact, and whose it is: ids may share a hash, and so a place.
    Contact(Arc<[u8]>, StoredContact),
    /// A frame's head.
    Head(Arc<FrameHead>),
    /// The bytes of a block's entries.
    Block(Arc<[u8]>),
}

impl CacheEntry {
    fn bytes(&self) -> usize {
        match self {
            Self::Contact(id, value) => id.len() + value.bytes().len(),
            Self::Head(head) => head.bytes(),
            Self::Block(bytes) => bytes.len(),
        }
    }
}

/// Where a contact lies that the heap file can't be asked for at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContactKey(Key);

/// Figures since the start, and what is kept now (brought up to date lazily).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Reads that it answered.
    pub hits: u64,
    /// Reads that went on to the disk, the engine or the journal.
    pub misses: u64,
    /// Contacts, heads and blocks kept.
    pub entries: u64,
    /// Bytes they take.
    pub bytes: u64,
}

impl ReadCache {
    /// A cache of so many bytes, whose entries live for `ttl` at most. No bytes: no cache.
    pub fn new(bytes_max: u64, ttl: Duration) -> Self {
        let entries = (bytes_max > 0).then(|| {
            moka::sync::Cache::builder()
                .max_capacity(bytes_max)
                .weigher(|_, kept: &CacheEntry| {
                    u32::try_from(kept.bytes() + ENTRY_OVERHEAD_BYTES).unwrap_or(u32::MAX)
                })
                .time_to_live(ttl)
                .build()
        });
        Self {
            entries,
            engine_writes: AtomicU64::new(0),
            journal_first: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// A contact at a place of the heap file.
    pub(crate) fn at_place(place: HeapAddress) -> ContactKey {
        ContactKey(Key::Heap(place))
    }

    /// A contact that only the engine has; to be taken before the engine is asked.
    pub(crate) fn in_engine(&self, id_hash: u64) -> ContactKey {
        ContactKey(Key::Engine(self.engine_writes.load(Ordering::Acquire), id_hash))
    }

    /// What the engine answered before is not asked for any more. To be called once it holds a
    /// generation, and before that is dropped: until then the generation answers.
    pub(crate) fn engine_was_written(&self) {
        self.engine_writes.fetch_add(1, Ordering::Release);
    }

    /// A contact that was kept.
    pub(crate) fn contact(&self, key: ContactKey, id: &[u8]) -> Option<StoredContact> {
        match self.entries.as_ref()?.get(&key.0)? {
            CacheEntry::Contact(whose, value) if *whose == *id => {
                self.hits.fetch_add(1, Ordering::Relaxed);
                Some(value)
            }
            CacheEntry::Contact(..) | CacheEntry::Head(_) | CacheEntry::Block(_) => None,
        }
    }

    /// Keeps a contact that was waited for.
    pub(crate) fn keep_contact(&self, key: ContactKey, id: &[u8], value: &StoredContact) {
        self.keep(key.0, || CacheEntry::Contact(id.into(), value.clone()));
    }

    /// A part of a frame that was kept.
    pub(crate) fn block(&self, (no, part): (FrameNo, BlockKey)) -> Option<CacheEntry> {
        if no.0 < self.journal_first.load(Ordering::Acquire) {
            return None;
        }
        let kept = self.entries.as_ref()?.get(&Key::Journal(no, part))?;
        self.hits.fetch_add(1, Ordering::Relaxed);
        Some(kept)
    }

    /// Keeps a part of a frame.
    pub(crate) fn keep_block(&self, (no, part): (FrameNo, BlockKey), kept: CacheEntry) {
        self.keep(Key::Journal(no, part), || kept);
    }

    /// Frames before this one are gone, and not answered any more.
    pub(crate) fn journal_begins_at(&self, first: FrameNo) {
        self.journal_first.fetch_max(first.0, Ordering::Release);
    }

    fn keep(&self, key: Key, kept: impl FnOnce() -> CacheEntry) {
        self.misses.fetch_add(1, Ordering::Relaxed);
        if let Some(entries) = &self.entries {
            entries.insert(key, kept());
        }
    }

    /// Figures for statistics.
    pub fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            entries: self.entries.as_ref().map_or(0, |at| at.entry_count()),
            bytes: self.entries.as_ref().map_or(0, |at| at.weighted_size()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::codec::ChangeRef;

    fn value(text: &str) -> StoredContact {
        StoredContact::build(ChangeRef::NONE, text.as_bytes(), &mut Vec::new())
    }

    fn place(offset: u64) -> ContactKey {
        ReadCache::at_place(HeapAddress::new(3, offset, 64))
    }

    fn cache(bytes_max: u64) -> ReadCache {
        ReadCache::new(bytes_max, Duration::from_secs(60))
    }

    #[test]
    fn what_is_kept_is_found_by_its_place_and_its_id() {
        let cache = cache(1 << 20);
        cache.keep_contact(place(64), b"ada", &value("ada's"));
        assert_eq!(cache.contact(place(64), b"ada"), Some(value("ada's")));
        assert_eq!(cache.contact(place(64), b"grace"), None, "of the same hash");
        assert_eq!(cache.contact(place(128), b"ada"), None, "where it lies now");
        assert_eq!((cache.stats().hits, cache.stats().misses), (1, 1));
    }

    #[test]
    fn what_the_engine_said_is_kept_until_it_is_written() {
        let cache = cache(1 << 20);
        let key = cache.in_engine(7);
        cache.keep_contact(key, b"ada", &value("before"));
        assert_eq!(cache.contact(cache.in_engine(7), b"ada"), Some(value("before")));
        cache.engine_was_written();
        assert_eq!(cache.contact(cache.in_engine(7), b"ada"), None);
        // Whoever asked the engine before it was written keeps that for nobody.
        cache.keep_contact(key, b"ada", &value("before"));
        assert_eq!(cache.contact(cache.in_engine(7), b"ada"), None);
    }

    #[test]
    fn nothing_is_answered_of_frames_that_were_trimmed() {
        let cache = cache(1 << 20);
        let key = |no| (FrameNo(no), BlockKey::Block(0));
        for no in [4, 5] {
            cache.keep_block(key(no), CacheEntry::Block(Arc::from(*b"entries")));
        }
        cache.journal_begins_at(FrameNo(5));
        assert!(cache.block(key(4)).is_none());
        assert!(cache.block(key(5)).is_some());
        assert!(cache.block((FrameNo(5), BlockKey::Head)).is_none());
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let cache = cache(4_000);
        for n in 0..1_000 {
            cache.keep_contact(place(64 * n), b"ada", &value(&n.to_string()));
        }
        if let Some(entries) = &cache.entries {
            entries.run_pending_tasks();
        }
        let stats = cache.stats();
        assert!(stats.entries > 0 && stats.bytes <= 4_000, "{stats:?}");
    }

    #[test]
    fn without_capacity_nothing_is_kept() {
        let cache = cache(0);
        cache.keep_contact(place(64), b"ada", &value("ada's"));
        assert_eq!(cache.contact(place(64), b"ada"), None);
        assert_eq!(cache.stats(), CacheStats { misses: 1, ..CacheStats::default() });
    }
}
