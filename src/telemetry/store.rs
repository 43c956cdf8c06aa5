//! Figures of the store and its cache.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::{Gauge, IntCounter, IntGauge};

use super::registry::{Families, MetricsError, set};

/// What the store says of itself at a scrape.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StoreGauges {
    /// Contacts with status ACTIVE.
    pub contacts_active: u64,
    /// Contacts with status DELETED.
    pub contacts_deleted: u64,
    /// Bytes of sled's directory.
    pub engine_bytes: u64,
    /// Bytes of the heap file.
    pub heap_bytes: u64,
    /// Its failures since the start; absolute.
    pub heap_failures: u64,
    /// Bytes of the journal.
    pub journal_bytes: u64,
    /// Bytes of contacts that are not in sled yet.
    pub dirty_bytes: u64,
    /// Bytes that the data directory's disk has left; none: it does not say.
    pub disk_free_bytes: Option<u64>,
    /// Bytes that it must have left for applying to go on.
    pub disk_min_free_bytes: u64,
    /// Part of the sum over all contacts, small enough for a figure.
    pub digest: u64,
    /// The same of the position that the sum belongs to.
    pub position: u64,
    /// Unix time in seconds of the last checkpoint.
    pub checkpoint_unix_seconds: f64,
    /// Checkpoints since the store was made.
    pub checkpoint_number: u64,
    /// The cache's.
    pub cache: CacheTotals,
}

/// What the cache has counted since the start; absolute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheTotals {
    /// Answered from it.
    pub hits: u64,
    /// Read from the disk.
    pub misses: u64,
    /// Entries now.
    pub entries: u64,
}

/// A counter that follows an absolute total kept elsewhere.
struct Mirror {
    counter: IntCounter,
    seen: AtomicU64,
}

impl Mirror {
    fn new(counter: IntCounter) -> Self {
        Self { counter, seen: AtomicU64::new(0) }
    }

    fn follow(&self, total: u64) {
        let before = self.seen.fetch_max(total, Ordering::Relaxed);
        self.counter.inc_by(total.saturating_sub(before));
    }
}

/// The store's and the cache's families.
pub(super) struct StoreFamilies {
    contacts_active: IntGauge,
    contacts_deleted: IntGauge,
    engine_bytes: IntGauge,
    heap_bytes: IntGauge,
    heap_failures: Mirror,
    journal_bytes: IntGauge,
    dirty_bytes: IntGauge,
    disk_free_bytes: IntGauge,
    disk_min_free_bytes: IntGauge,
    digest: IntGauge,
    position: IntGauge,
    last_flush: Gauge,
    checkpoint_number: IntGauge,
    cache_hits: Mirror,
    cache_misses: Mirror,
    cache_entries: IntGauge,
}

impl StoreFamilies {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        let contacts =
            families.gauges("contactd_store_contacts", "Contacts by status.", &["state"])?;
        let cache = families.counters(
            "contactd_cache_requests_total",
            "Reads of contacts that would have waited for the disk, by what the cache knew.",
            &["result"],
        )?;
        Ok(Self {
            contacts_active: contacts.with_label_values(&["active"]),
            contacts_deleted: contacts.with_label_values(&["deleted"]),
            engine_bytes: families
                .gauge("contactd_store_size_bytes", "Bytes of sled's directory.")?,
            heap_bytes: families.gauge("contactd_store_heap_bytes", "Bytes of the heap file.")?,
            heap_failures: Mirror::new(families.counter(
                "contactd_store_heap_failures_total",
                "Writes and reads of the heap file that failed; sled answers instead.",
            )?),
            journal_bytes: families
                .gauge("contactd_store_journal_bytes", "Bytes of the journal.")?,
            dirty_bytes: families
                .gauge("contactd_store_dirty_bytes", "Bytes of contacts not in sled yet.")?,
            disk_free_bytes: families.gauge(
                "contactd_disk_free_bytes",
                "Bytes that the disk of the data directory has left; 0 while unknown.",
            )?,
            disk_min_free_bytes: families.gauge(
                "contactd_disk_min_free_bytes",
                "Bytes that it must have left (store.min_free_bytes); below, applying pauses.",
            )?,
            digest: families.gauge(
                "contactd_store_digest",
                "52 bits of the sum over all contacts: equal on instances whose contactd_store_position is equal.",
            )?,
            position: families.gauge(
                "contactd_store_position",
                "52 bits of a hash of the contact log's position that is applied.",
            )?,
            last_flush: families.seconds_gauge(
                "contactd_store_last_flush_timestamp_seconds",
                "Unix time of the last checkpoint.",
            )?,
            checkpoint_number: families.gauge(
                "contactd_store_checkpoint_number",
                "Checkpoints since the store was made.",
            )?,
            cache_hits: Mirror::new(cache.with_label_values(&["hit"])),
            cache_misses: Mirror::new(cache.with_label_values(&["miss"])),
            cache_entries: families.gauge("contactd_cache_entries", "Contacts in the cache.")?,
        })
    }

    pub(super) fn set(&self, gauges: &StoreGauges) {
        set(&self.contacts_active, gauges.contacts_active);
        set(&self.contacts_deleted, gauges.contacts_deleted);
        set(&self.engine_bytes, gauges.engine_bytes);
        set(&self.heap_bytes, gauges.heap_bytes);
        self.heap_failures.follow(gauges.heap_failures);
        set(&self.journal_bytes, gauges.journal_bytes);
        set(&self.dirty_bytes, gauges.dirty_bytes);
        set(&self.disk_free_bytes, gauges.disk_free_bytes.unwrap_or(0));
        set(&self.disk_min_free_bytes, gauges.disk_min_free_bytes);
        set(&self.digest, gauges.digest);
        set(&self.position, gauges.position);
        set(&self.checkpoint_number, gauges.checkpoint_number);
        self.last_flush.set(gauges.checkpoint_unix_seconds);
        self.cache_hits.follow(gauges.cache.hits);
        self.cache_misses.follow(gauges.cache.misses);
        set(&self.cache_entries, gauges.cache.entries);
    }
}
