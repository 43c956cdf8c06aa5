//! Contacts kept in memory for reading, behind the dirty set and in front of the engine.
//!
//! The applier never touches it. When a generation retires, what of it is cached is replaced and
//! the stripes of all its keys move; then the generation is dropped. A reader that missed takes a
//! [`FillTicket`] before it reads the engine and may fill only while its stripe has not moved, so
//! it can't leave behind a value that was replaced while it read. Checking and filling hold the
//! stripe's lock, and so does moving it: there is no moment between the two.

use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::Equivalent;
use parking_lot::Mutex;

use super::codec::StoredContact;
use super::dirty::Generation;

/// Stripes of the generations; a power of two.
const STRIPES: usize = 1024;
/// What an entry costs beside its bytes: moka's node, the hash table, two allocations.
const ENTRY_OVERHEAD_BYTES: usize = 160;

/// The cache; without capacity it answers nothing and keeps nothing.
#[derive(Debug)]
pub struct ContactCache {
    entries: Option<moka::sync::Cache<CacheKey, StoredContact, BuildHasherDefault<GivenHash>>>,
    /// How often keys of the stripe were replaced.
    stripes: Box<[Mutex<u64>]>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// The right to fill, as long as nothing of its stripe was replaced.
#[derive(Clone, Copy, Debug)]
pub struct FillTicket {
    hash: u64,
    generation: u64,
}

/// Figures since the start, and what is kept now (brought up to date lazily).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Reads that it answered.
    pub hits: u64,
    /// Reads that it did not.
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
                .weigher(|key: &CacheKey, value: &StoredContact| {
                    let bytes = key.id.len() + value.bytes().len() + ENTRY_OVERHEAD_BYTES;
                    u32::try_from(bytes).unwrap_or(u32::MAX)
                })
                .time_to_live(ttl)
                .build_with_hasher(BuildHasherDefault::default())
        });
        Self {
            entries,
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// A cached contact. Only for one that the dirty set does not have.
    pub fn get(&self, hash: u64, id: &[u8]) -> Option<StoredContact> {
        let found = self.entries.as_ref()?.get(&KeyRef { hash, id });
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// To be taken after a miss and before the engine is read.
    pub fn ticket(&self, hash: u64) -> Option<FillTicket> {
        self.entries.as_ref()?;
        Some(FillTicket { hash, generation: *self.stripe(hash)?.lock() })
    }

    /// Keeps what the engine answered, unless it may have been replaced since.
    pub fn fill(&self, ticket: Option<FillTicket>, id: &[u8], value: &StoredContact) {
        let (Some(entries), Some(ticket)) = (&self.entries, ticket) else {
            return;
        };
        let Some(stripe) = self.stripe(ticket.hash) else {
            return;
        };
        let generation = stripe.lock();
        if *generation == ticket.generation {
            entries.insert(CacheKey::new(ticket.hash, id), value.clone());
        }
    }

    /// Takes a generation's values for the older ones, once all of it is in the engine and before
    /// the dirty set drops it.
    pub fn retire(&self, generation: &Generation) {
        if self.entries.is_some() {
            generation.for_each(|at| self.replace(at.hash, &at.id, &at.value));
        }
    }

    fn replace(&self, hash: u64, id: &[u8], value: &StoredContact) {
        let (Some(entries), Some(stripe)) = (&self.entries, self.stripe(hash)) else {
            return;
        };
        let mut generation = stripe.lock();
        *generation += 1;
        if entries.contains_key(&KeyRef { hash, id }) {
            entries.insert(CacheKey::new(hash, id), value.clone());
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

    /// moka's segments go by the high bits, so stripes go by the low ones.
    fn stripe(&self, hash: u64) -> Option<&Mutex<u64>> {
        self.stripes.get(hash as usize & (STRIPES - 1))
    }
}

#[derive(Debug, PartialEq, Eq)]
struct CacheKey {
    hash: u64,
    id: Box<[u8]>,
}

impl CacheKey {
    fn new(hash: u64, id: &[u8]) -> Self {
        Self { hash, id: id.into() }
    }
}

impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// A key to look up with, without an allocation.
struct KeyRef<'a> {
    hash: u64,
    id: &'a [u8],
}

impl Hash for KeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Equivalent<CacheKey> for KeyRef<'_> {
    fn equivalent(&self, key: &CacheKey) -> bool {
        *self.id == *key.id
    }
}

/// Passes on the hash that the key brings along.
#[derive(Debug, Default)]
struct GivenHash(u64);

impl Hasher for GivenHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::codec::{ChangeRef, id_hash};
    use crate::store::dirty::Facts;

    const ID: &[u8] = b"ada";

    fn value(text: &str) -> StoredContact {
        StoredContact::build(ChangeRef::NONE, text.as_bytes(), &mut Vec::new())
    }

    fn retired(text: &str) -> Generation {
        let generation = Generation::with_capacity(0);
        generation.put(id_hash(ID), ID, value(text), Facts::default());
        generation
    }

    fn body(cache: &ContactCache) -> Option<String> {
        let found = cache.get(id_hash(ID), ID)?;
        Some(String::from_utf8_lossy(found.body()).into_owned())
    }

    #[test]
    fn a_fill_that_a_replacement_overtook_is_refused() {
        let cache = ContactCache::new(1 << 20, Duration::from_secs(60));
        let ticket = cache.ticket(id_hash(ID));
        cache.retire(&retired("new"));
        cache.fill(ticket, ID, &value("old"));
        assert_eq!(body(&cache), None);
        cache.fill(cache.ticket(id_hash(ID)), ID, &value("new"));
        assert_eq!(body(&cache).as_deref(), Some("new"));
    }

    #[test]
    fn retiring_replaces_what_is_cached_and_adds_nothing() {
        let cache = ContactCache::new(1 << 20, Duration::from_secs(60));
        cache.retire(&retired("new"));
        assert_eq!(body(&cache), None);
        cache.fill(cache.ticket(id_hash(ID)), ID, &value("old"));
        cache.retire(&retired("new"));
        assert_eq!(body(&cache).as_deref(), Some("new"));
        assert_eq!((cache.stats().hits, cache.stats().misses), (1, 1));
    }

    #[test]
    fn without_capacity_nothing_is_kept() {
        let cache = ContactCache::new(0, Duration::from_secs(60));
        cache.fill(cache.ticket(id_hash(ID)), ID, &value("old"));
        cache.retire(&retired("new"));
        assert_eq!(body(&cache), None);
        assert_eq!(cache.stats(), CacheStats::default());
    }
}
