//! Contacts kept in memory for reading: those that had to be waited for.
//!
//! The [heap file](super::heap) answers what the system's page cache holds in less time than a
//! look-up takes here; what came from the disk itself is kept, by the place where it lay. Nothing is
//! ever written to a place again, so what is kept of one is right for as long as it is asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::codec::StoredContact;
use super::heap::Place;

/// What an entry costs beside its bytes: moka's node, the hash table, two allocations.
const ENTRY_OVERHEAD_BYTES: usize = 160;

/// The cache; without capacity it answers nothing and keeps nothing.
#[derive(Debug)]
pub struct ContactCache {
    entries: Option<moka::sync::Cache<Place, Cached>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What lay at a place, and whose it is: ids may share a hash, and so a place.
#[derive(Clone, Debug)]
struct Cached {
    id: Arc<[u8]>,
    value: StoredContact,
}

/// Figures since the start, and what is kept now (brought up to date lazily).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Reads that it answered.
    pub hits: u64,
    /// Reads that went to the disk.
    pub misses: u64,
    /// Contacts kept.
    pub entries: u64,
    /// Bytes they take.
    pub bytes: u64,
}

impl ContactCache {
    /// A cache of so many bytes, whose entries live for `ttl` at most. No bytes: no cache.
    pub fn new(bytes_max: u64, ttl: Duration) -> Self {
        let entries = (bytes_max > 0).then(|| {
            moka::sync::Cache::builder()
                .max_capacity(bytes_max)
                .weigher(|_, cached: &Cached| {
                    let bytes = cached.id.len() + cached.value.bytes().len() + ENTRY_OVERHEAD_BYTES;
                    u32::try_from(bytes).unwrap_or(u32::MAX)
                })
                .time_to_live(ttl)
                .build()
        });
        Self { entries, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// A contact that lay at a place.
    pub(crate) fn get(&self, place: Place, id: &[u8]) -> Option<StoredContact> {
        let found = self.entries.as_ref()?.get(&place).filter(|cached| *cached.id == *id)?;
        self.hits.fetch_add(1, Ordering::Relaxed);
        Some(found.value)
    }

    /// Keeps what the disk was waited for.
    pub(crate) fn fill(&self, place: Place, id: &[u8], value: &StoredContact) {
        self.misses.fetch_add(1, Ordering::Relaxed);
        if let Some(entries) = &self.entries {
            entries.insert(place, Cached { id: id.into(), value: value.clone() });
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

    fn place(offset: u64) -> Place {
        Place::new(3, offset, 64)
    }

    #[test]
    fn what_is_kept_is_found_by_its_place_and_its_id() {
        let cache = ContactCache::new(1 << 20, Duration::from_secs(60));
        cache.fill(place(64), b"ada", &value("ada's"));
        assert_eq!(cache.get(place(64), b"ada"), Some(value("ada's")));
        assert_eq!(cache.get(place(64), b"grace"), None, "of the same hash");
        assert_eq!(cache.get(place(128), b"ada"), None, "where it lies now");
        assert_eq!((cache.stats().hits, cache.stats().misses), (1, 1));
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let cache = ContactCache::new(4_000, Duration::from_secs(60));
        for n in 0..1_000 {
            cache.fill(place(64 * n), b"ada", &value(&n.to_string()));
        }
        if let Some(entries) = &cache.entries {
            entries.run_pending_tasks();
        }
        let stats = cache.stats();
        assert!(stats.entries > 0 && stats.bytes <= 4_000, "{stats:?}");
    }

    #[test]
    fn without_capacity_nothing_is_kept() {
        let cache = ContactCache::new(0, Duration::from_secs(60));
        cache.fill(place(64), b"ada", &value("ada's"));
        assert_eq!(cache.get(place(64), b"ada"), None);
        assert_eq!(cache.stats(), CacheStats { misses: 1, ..CacheStats::default() });
    }
}
