//! Every figure that `/metrics` shows.
//!
//! Names and labels follow Prometheus (base units, `_total`), HTTP those of OpenTelemetry's stable
//! conventions. Labels are bounded: never an id, an address or free text. Children are resolved
//! once, here; every counter stands at 0 from the start, so that `rate()` sees the first one. Only the
//! histogram by route and status has its children when they are first used: most never are.

use parking_lot::Mutex;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Encoder as _, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Registry, TextEncoder,
};

use crate::domain::verdict::{DeadLetterReason, Verdict};

use super::access_log::AccessLogMetrics;
use super::acme::AcmeMetrics;
use super::auth::AuthMetrics;
use super::backup::BackupMetrics;
use super::bridge::BridgeMetrics;
use super::build::Build;
use super::control::ControlMetrics;
use super::dead_letters::DeadLetterMetrics;
use super::events::RequestLines;
use super::exports::ExportMetrics;
use super::feed::FeedMetrics;
use super::figures::Figures;
use super::followers::FollowerMetrics;
use super::imports::ImportMetrics;
use super::intake::{IntakeFamilies, OutboxGauges, WebhookOutcome};
use super::lanes::{LaneFamilies, LaneMetrics};
use super::limits::LimitMetrics;
use super::payments::PaymentMetrics;
use super::pools::{PoolFamilies, PoolMetrics};
use super::process::ProcessMetrics;
use super::registry::{
    BATCH_RECORDS, Families, FamilyInfo, HTTP_SECONDS, MetricsError, STAGE_SECONDS,
};
use super::rules::RulesMetrics;
use super::schemas::SchemaMetrics;
use super::security::SecurityLog;
use super::simulator::SimulatorMetrics;
use super::store::{StoreFamilies, StoreGauges};
use super::subscriptions::SubscriptionMetrics;
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
    /// Exports.
    pub exports: ExportMetrics,
    /// The feed's.
    pub feed: FeedMetrics,
    /// Payments.
    pub payments: PaymentMetrics,
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
    /// The access log's.
    pub access_log: AccessLogMetrics,
    /// Deliveries to subscribers.
    pub subscriptions: SubscriptionMetrics,
    /// Files in.
    pub imports: ImportMetrics,
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
    /// Whether it is ready, and its certificate.
    pub process: ProcessMetrics,
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
            http_failed: http_failed(&families)?,
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
            exports: ExportMetrics::register(&families)?,
            feed: FeedMetrics::register(&families)?,
            payments: PaymentMetrics::register(&families)?,
            control: ControlMetrics::register(&families)?,
            rules: RulesMetrics::register(&families)?,
            security: SecurityLog::default(),
            verdicts: verdict_children(&families)?,
            set_aside: dead_letter_children(&families)?,
            dead_letters: DeadLetterMetrics::register(&families)?,
            retries: retries(&families)?,
            dependencies: dependencies(&families)?,
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
            access_log: AccessLogMetrics::register(&families)?,
            subscriptions: SubscriptionMetrics::register(&families)?,
            imports: ImportMetrics::register(&families)?,
            acme: AcmeMetrics::register(&families)?,
            backup: BackupMetrics::register(&families)?,
            bridge: BridgeMetrics::register(&families)?,
            schemas: SchemaMetrics::register(&families)?,
            followers: FollowerMetrics::register(&families)?,
            auth: AuthMetrics::register(&families)?,
            pools: PoolFamilies::register(&families)?,
            process: ProcessMetrics::register(&families)?,
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
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&self.gather(), &mut text)?;
        Ok(text)
    }

    /// Every figure as it is now, after the hooks have run. Blocks on the disk.
    pub fn figures(&self) -> Figures {
        Figures::of(self.gather())
    }

    fn gather(&self) -> Vec<MetricFamily> {
        for hook in self.hooks.lock().iter() {
            hook(self);
        }
        self.registry.gather()
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

const RETRY_REASONS: [&str; 6] =
    ["disk_full", "file_not_made", "log_unavailable", "redis_unavailable", "redrive", "other"];

fn http_failed(families: &Families<'_>) -> Result<IntCounterVec, MetricsError> {
    families.counters(
        "contactd_http_requests_failed_total",
        "HTTP requests that were answered with a status of 500 or more, by error code.",
        &["code"],
    )
}

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

fn dependencies(families: &Families<'_>) -> Result<IntGaugeVec, MetricsError> {
    families.gauges(
        "contactd_dependency_up",
        "1 while the dependency answers, else 0; there for those that are configured.",
        &["dependency"],
    )
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
