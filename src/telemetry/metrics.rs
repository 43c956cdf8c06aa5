//! Every figure that `/metrics` shows.
//!
//! Names and labels follow Prometheus (base units, `_total`), HTTP those of OpenTelemetry's stable
//! conventions. Labels are bounded: never an id, an address or free text. Children are resolved
//! once, here; every counter stands at 0 from the start, so that `rate()` sees the first one. Only the
//! histogram by route and status has its children when they are first used: most never are.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder as _, Gauge, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Registry, TextEncoder,
};

use crate::domain::verdict::{DeadLetterReason, Verdict};

use super::acme::AcmeMetrics;
use super::auth::AuthMetrics;
use super::backup::BackupMetrics;
use super::bridge::BridgeMetrics;
use super::build::Build;
use super::control::ControlMetrics;
use super::dead_letters::DeadLetterMetrics;
use super::events::RequestLines;
use super::feed::FeedMetrics;
use super::followers::FollowerMetrics;
use super::intake::{IntakeFamilies, OutboxGauges, WebhookOutcome};
use super::lanes::{LaneFamilies, LaneMetrics};
use super::limits::LimitMetrics;
use super::pools::{PoolFamilies, PoolMetrics};
use super::registry::{
    BATCH_RECORDS, Families, FamilyInfo, HTTP_SECONDS, MetricsError, STAGE_SECONDS, set,
};
use super::rules::RulesMetrics;
use super::schemas::SchemaMetrics;
use super::security::SecurityLog;
use super::simulator::SimulatorMetrics;
use super::throttle::Throttle;

/// Refreshes gauges just before a scrape is answered.
type ScrapeHook = Box<dyn Fn(&Metrics) + Send + Sync>;

/// What the program needs from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependency {
    /// The brokers.
    Kafka,
    /// Where instances share limits and revocations.
    Redis,
    /// Where the schemas of other topics' records are.
    SchemaRegistry,
}

impl Dependency {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Kafka, Self::Redis, Self::SchemaRegistry];

    /// Label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Redis => "redis",
            Self::SchemaRegistry => "schema_registry",
        }
    }
}

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
struct StoreFamilies {
    contacts_active: IntGauge,
    contacts_deleted: IntGauge,
    engine_bytes: IntGauge,
    heap_bytes: IntGauge,
    heap_failures: Mirror,
    journal_bytes: IntGauge,
    dirty_bytes: IntGauge,
    last_flush: Gauge,
    checkpoint_number: IntGauge,
    cache_hits: Mirror,
    cache_misses: Mirror,
    cache_entries: IntGauge,
}

/// Every figure, in one registry.
pub struct Metrics {
    registry: Registry,
    hooks: Mutex<Vec<ScrapeHook>>,
    /// Duration of HTTP requests by method, route template and status.
    pub(crate) http_requests: HistogramVec,
    /// Those of them that were answered with 500 or more, by code.
    pub(crate) http_failed: IntCounterVec,
    /// HTTP requests under way.
    pub(crate) http_active: IntGauge,
    /// Records a commit.
    pub batch_records: Histogram,
    /// Seconds to decode a batch.
    pub stage_decode: Histogram,
    /// Seconds to plan a batch.
    pub stage_plan: Histogram,
    /// Seconds of a whole commit: journal and memory.
    pub stage_encode: Histogram,
    /// Seconds of a commit's journal append.
    pub stage_journal: Histogram,
    /// Seconds of a commit's part in memory.
    pub stage_memory: Histogram,
    /// Seconds of a checkpoint.
    pub stage_checkpoint: Histogram,
    /// Received → readable, in seconds.
    pub end_to_end: Histogram,
    /// Seconds to commit offsets to the broker.
    pub commit_duration: Histogram,
    /// The feed's.
    pub feed: FeedMetrics,
    /// Control records and entries.
    pub control: ControlMetrics,
    /// By what records are judged.
    pub rules: RulesMetrics,
    /// Incidents; a line each.
    pub security: SecurityLog,
    verdicts: Vec<IntCounter>,
    set_aside: Vec<(DeadLetterReason, IntCounter)>,
    /// Dead letters kept, published and redriven.
    pub dead_letters: DeadLetterMetrics,
    retries: IntCounterVec,
    dependencies: IntGaugeVec,
    build_info: IntGaugeVec,
    lanes: LaneFamilies,
    store: StoreFamilies,
    /// Requests that came too often, and who counts them.
    pub limits: LimitMetrics,
    intake: IntakeFamilies,
    /// Webhooks that are made here.
    pub simulator: SimulatorMetrics,
    /// The sync with Acme.
    pub acme: AcmeMetrics,
    /// An instance's own backups.
    pub backup: BackupMetrics,
    /// What comes in from other topics.
    pub bridge: BridgeMetrics,
    /// The schema registry.
    pub schemas: SchemaMetrics,
    /// What follows from what was applied.
    pub followers: FollowerMetrics,
    /// Signing in, and being let in.
    pub auth: AuthMetrics,
    pools: PoolFamilies,
    pub(super) dead_letter_lines: Throttle,
    pub(super) request_lines: RequestLines,
    families: Vec<FamilyInfo>,
}

impl Metrics {
    /// All families, registered, with the children that are known from the start at 0.
    ///
    /// # Errors
    /// When two families have one name, which a test would have shown.
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let families = Families::of(&registry);
        let [stage_decode, stage_plan, stage_encode, stage_journal, stage_memory, stage_checkpoint] =
            stage_children(&families)?;
        let metrics = Self {
            hooks: Mutex::new(Vec::new()),
            http_requests: http_requests(&families)?,
            http_failed: families.counters(
                "contactd_http_requests_failed_total",
                "HTTP requests that were answered with a status of 500 or more, by error code.",
                &["code"],
            )?,
            http_active: families
                .gauge("http_server_active_requests", "HTTP requests under way.")?,
            batch_records: families.histogram(
                "contactd_batch_size_records",
                "Records a commit.",
                &BATCH_RECORDS,
            )?,
            stage_decode,
            stage_plan,
            stage_encode,
            stage_journal,
            stage_memory,
            stage_checkpoint,
            end_to_end: end_to_end(&families)?,
            commit_duration: families.histogram(
                "contactd_consumer_commit_duration_seconds",
                "Seconds to commit offsets to the broker.",
                &HTTP_SECONDS,
            )?,
            feed: FeedMetrics::register(&families)?,
            control: ControlMetrics::register(&families)?,
            rules: RulesMetrics::register(&families)?,
            security: SecurityLog::default(),
            verdicts: verdict_children(&families)?,
            set_aside: dead_letter_children(&families)?,
            dead_letters: DeadLetterMetrics::register(&families)?,
            retries: retries(&families)?,
            dependencies: families.gauges(
                "contactd_dependency_up",
                "1 while the dependency answers, else 0; there for those that are configured.",
                &["dependency"],
            )?,
            build_info: families.gauges(
                "contactd_build_info",
                "Always 1; the labels say which build this is.",
                &["version", "commit", "log_backend"],
            )?,
            lanes: LaneFamilies::register(&families)?,
            store: StoreFamilies::register(&families)?,
            limits: LimitMetrics::register(&families)?,
            intake: IntakeFamilies::register(&families)?,
            simulator: SimulatorMetrics::register(&families)?,
            acme: AcmeMetrics::register(&families)?,
            backup: BackupMetrics::register(&families)?,
            bridge: BridgeMetrics::register(&families)?,
            schemas: SchemaMetrics::register(&families)?,
            followers: FollowerMetrics::register(&families)?,
            auth: AuthMetrics::register(&families)?,
            pools: PoolFamilies::register(&families)?,
            dead_letter_lines: Throttle::default(),
            request_lines: RequestLines::default(),
            families: families.into_infos(),
            registry,
        };
        metrics.registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(metrics)
    }

    /// What there is to say of every family of ours.
    pub fn families(&self) -> &[FamilyInfo] {
        &self.families
    }

    /// The counter of one verdict.
    pub fn verdict(&self, verdict: Verdict) -> Option<&IntCounter> {
        self.verdicts.get(verdict.index())
    }

    /// Adds to the counters of verdicts, by `Verdict::index`.
    pub fn add_verdicts(&self, counts: &[u64]) {
        for (counter, count) in self.verdicts.iter().zip(counts) {
            counter.inc_by(*count);
        }
    }

    /// The figures of what clients share.
    pub fn pool(&self, pool: &str) -> PoolMetrics {
        self.pools.of(pool)
    }

    /// The counter of one reason to dead-letter.
    pub fn dead_letter(&self, reason: DeadLetterReason) -> Option<&IntCounter> {
        self.set_aside.iter().find(|(known, _)| *known == reason).map(|(_, counter)| counter)
    }

    /// Counts one more try; a reason that is none of those known is `other`.
    pub fn retried(&self, reason: &str) {
        let reason = RETRY_REASONS.iter().find(|known| **known == reason).unwrap_or(&"other");
        self.retries.with_label_values(&[*reason]).inc();
    }

    /// Says which build this is and what kind of log it follows (`kafka` or `embedded`).
    pub fn set_build(&self, build: Build, log_backend: &str) {
        self.build_info.with_label_values(&[build.version, build.commit, log_backend]).set(1);
    }

    /// 1 or 0, from the moment that the dependency is configured.
    pub fn set_dependency_up(&self, dependency: Dependency, up: bool) {
        self.dependencies.with_label_values(&[dependency.as_str()]).set(i64::from(up));
    }

    /// The children of a topic's lanes; all stand at 0 from now, lag at NaN.
    pub fn lanes(&self, topic: &str, lanes: u16) -> LaneMetrics {
        self.lanes.lanes(topic, lanes)
    }

    /// Sets what the store says of itself.
    pub fn set_store(&self, gauges: &StoreGauges) {
        self.store.set(gauges);
    }

    /// Counts events that came by webhook, or a request that was none.
    pub fn webhook(&self, outcome: WebhookOutcome, events: u64) {
        self.intake.webhook(outcome, events);
    }

    /// Sets what the outbox says of itself.
    pub fn set_outbox(&self, gauges: OutboxGauges) {
        self.intake.set_outbox(gauges);
    }

    /// Runs `hook` before every scrape, to refresh gauges.
    pub fn on_scrape(&self, hook: impl Fn(&Self) + Send + Sync + 'static) {
        self.hooks.lock().push(Box::new(hook));
    }

    /// The text format, version 0.0.4, after the hooks have run.
    ///
    /// # Errors
    /// When a family can't be written in it.
    pub fn render(&self) -> Result<Vec<u8>, MetricsError> {
        for hook in self.hooks.lock().iter() {
            hook(self);
        }
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

const RETRY_REASONS: [&str; 6] =
    ["disk_full", "file_not_made", "log_unavailable", "redis_unavailable", "redrive", "other"];

fn http_requests(families: &Families<'_>) -> Result<HistogramVec, MetricsError> {
    families.histograms(
        "http_server_request_duration_seconds",
        "Duration of HTTP server requests; a series comes with its first request.",
        &["http_request_method", "http_route", "http_response_status_code"],
        &HTTP_SECONDS,
    )
}

fn stage_children(families: &Families<'_>) -> Result<[Histogram; 6], MetricsError> {
    let family = families.histograms(
        "contactd_batch_apply_duration_seconds",
        "Seconds of each stage of a batch; encode holds waiting for room too.",
        &["stage"],
        &STAGE_SECONDS,
    )?;
    let stages = ["decode", "plan", "encode", "journal", "memory", "checkpoint"];
    Ok(stages.map(|stage| family.with_label_values(&[stage])))
}

fn end_to_end(families: &Families<'_>) -> Result<Histogram, MetricsError> {
    let family = families.histograms(
        "contactd_event_end_to_end_seconds",
        "From the record's time to readable.",
        &["origin"],
        &HTTP_SECONDS,
    )?;
    Ok(family.with_label_values(&["topic"]))
}

fn retries(families: &Families<'_>) -> Result<IntCounterVec, MetricsError> {
    let family = families.counters(
        "contactd_retries_total",
        "Tries again after a passing failure.",
        &["reason"],
    )?;
    for reason in RETRY_REASONS {
        family.with_label_values(&[reason]);
    }
    Ok(family)
}

fn verdict_children(families: &Families<'_>) -> Result<Vec<IntCounter>, MetricsError> {
    let family = families.counters(
        "contactd_events_applied_total",
        "Events by what became of them; their sum is all that were received.",
        &["result"],
    )?;
    Ok(Verdict::ALL.iter().map(|verdict| family.with_label_values(&[verdict.as_str()])).collect())
}

fn dead_letter_children(
    families: &Families<'_>,
) -> Result<Vec<(DeadLetterReason, IntCounter)>, MetricsError> {
    let family = families.counters(
        "contactd_dead_letter_total",
        "Records kept as dead letters, by reason.",
        &["reason"],
    )?;
    Ok(DeadLetterReason::ALL
        .iter()
        .map(|reason| (*reason, family.with_label_values(&[reason.as_str()])))
        .collect())
}

impl StoreFamilies {
    fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
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

    fn set(&self, gauges: &StoreGauges) {
        set(&self.contacts_active, gauges.contacts_active);
        set(&self.contacts_deleted, gauges.contacts_deleted);
        set(&self.engine_bytes, gauges.engine_bytes);
        set(&self.heap_bytes, gauges.heap_bytes);
        self.heap_failures.follow(gauges.heap_failures);
        set(&self.journal_bytes, gauges.journal_bytes);
        set(&self.dirty_bytes, gauges.dirty_bytes);
        set(&self.checkpoint_number, gauges.checkpoint_number);
        self.last_flush.set(gauges.checkpoint_unix_seconds);
        self.cache_hits.follow(gauges.cache.hits);
        self.cache_misses.follow(gauges.cache.misses);
        set(&self.cache_entries, gauges.cache.entries);
    }
}
