//! What is answered about the instance, as it is sent and as it is described.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::position::{CONTROL_LANE, LogIdentity};
use crate::domain::verdict::Verdict;
use crate::query::{SourceVerdicts, StoreStats};

use super::spread::{ContactsInTime, GroupedContacts, PaymentsTogether, Spread};

/// What the store holds and how far it has come. Figures for people: members may be added.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stats {
    contacts: ContactCounts,
    events: EventCounts,
    /// Why the store does not know everything, and what to do; only where it does not.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    partial: Option<String>,
    /// An order-free sum over all contacts: equal on instances that hold the same.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    digest: String,
    /// The same over all control entries.
    control_digest: String,
    /// Of the rules (sources, limits) by which events are applied.
    fingerprint: String,
    position: String,
    /// The next offset of each partition.
    next_offsets: BTreeMap<String, u64>,
    checkpoint: BTreeMap<String, u64>,
    /// The last verified one; empty where there is none yet.
    snapshot: BTreeMap<String, u64>,
    storage: BTreeMap<String, u64>,
    cache: BTreeMap<String, u64>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    by_source: Option<GroupedContacts>,
    /// Companies are the same in any case, and where their first 254 bytes are.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    by_company: Option<GroupedContacts>,
    /// 72 hours, the present one last.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    by_hour: Option<Vec<ContactsInTime>>,
    /// 400 days, the present one last.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    by_day: Option<Vec<ContactsInTime>>,
    /// Payments by currency, and by status and day (the last 400) where these are asked for.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    payments: Option<Vec<PaymentsTogether>>,
}

impl Stats {
    pub(super) fn of(stats: &StoreStats, partial: Option<&str>, spread: Spread) -> Self {
        let counters = &stats.counters;
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let verdicts = Verdict::ALL.iter();
        let verdicts = verdicts.map(|it| (it.as_str().to_owned(), counters.verdict(*it)));
        let next_offsets = stats.position.next.iter().map(|(lane, next)| {
            let is_control = *lane == CONTROL_LANE;
            (if is_control { "control".to_owned() } else { lane.to_string() }, next.0)
        });
        Self {
            contacts: ContactCounts {
                total: counters.active + counters.deleted,
                active: counters.active,
                deleted: counters.deleted,
            },
            events: EventCounts {
                received: counters.received(),
                verdicts: verdicts.collect(),
                by_source: EventsBySource::of(&stats.sources),
            },
            partial: partial.map(str::to_owned),
            digest: stats.digest.to_string(),
            control_digest: stats.control.digest.to_string(),
            fingerprint: stats.rules.fingerprint().to_string(),
            position: stats.position.encode(),
            next_offsets: next_offsets.collect(),
            checkpoint: figures([
                ("number", stats.checkpoint_number),
                ("ageMs", ms(stats.checkpoint_age)),
                ("tookMs", ms(stats.checkpoint_took)),
            ]),
            snapshot: stats
                .snapshot_age
                .map(|age| ("ageMs".to_owned(), ms(age)))
                .into_iter()
                .collect(),
            storage: figures([
                ("journalBytes", stats.journal_bytes),
                ("journalFrames", stats.frames),
                ("engineBytes", stats.engine_disk_bytes),
                ("heapBytes", stats.heap.bytes),
                ("snapshotBytes", stats.snapshot_bytes),
                ("dirtyBytes", stats.dirty_bytes + stats.flushing_bytes),
                ("indexBytes", stats.index_bytes),
            ]),
            cache: figures([
                ("hits", stats.cache.hits),
                ("misses", stats.cache.misses),
                ("entries", stats.cache.entries),
                ("bytes", stats.cache.bytes),
            ]),
            by_source: spread.by_source,
            by_company: spread.by_company,
            by_hour: spread.by_hour,
            by_day: spread.by_day,
            payments: spread.payments,
        }
    }
}

fn figures<const N: usize>(named: [(&str, u64); N]) -> BTreeMap<String, u64> {
    named.map(|(name, figure)| (name.to_owned(), figure)).into()
}

#[derive(Serialize, ToSchema)]
pub(super) struct ContactCounts {
    total: u64,
    active: u64,
    deleted: u64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventCounts {
    received: u64,
    /// By what became of them; their sum is `received`.
    verdicts: BTreeMap<String, u64>,
    by_source: EventsBySource,
}

/// The same by who said it. The first 64 sources that came have figures of their own.
#[derive(Serialize, ToSchema)]
pub(super) struct EventsBySource {
    /// The one with the most first.
    named: Vec<SourceEvents>,
    /// Of all other sources.
    other: EventFigures,
    /// Of records whose source could not be read.
    none: EventFigures,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SourceEvents {
    name: String,
    #[serde(flatten)]
    figures: EventFigures,
}

#[derive(Serialize, ToSchema)]
pub(super) struct EventFigures {
    received: u64,
    /// Those that were given.
    verdicts: BTreeMap<String, u64>,
}

impl EventsBySource {
    fn of(sources: &SourceVerdicts) -> Self {
        let mut none = EventFigures::of(&[0; Verdict::COUNT]);
        let mut named = Vec::new();
        for (source, verdicts) in sources.named() {
            let figures = EventFigures::of(verdicts);
            match source {
                [] => none = figures,
                _ => named.push(SourceEvents {
                    name: String::from_utf8_lossy(source).into_owned(),
                    figures,
                }),
            }
        }
        named.sort_by_key(|source| std::cmp::Reverse(source.figures.received));
        Self { named, other: EventFigures::of(sources.other()), none }
    }
}

impl EventFigures {
    fn of(verdicts: &[u64; Verdict::COUNT]) -> Self {
        let counted = Verdict::ALL.iter().zip(verdicts).filter(|(_, count)| **count > 0);
        Self {
            received: verdicts.iter().sum(),
            verdicts: counted
                .map(|(verdict, count)| (verdict.as_str().to_owned(), *count))
                .collect(),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Liveness {
    /// `live`.
    pub(super) status: &'static str,
}

/// Whether the instance is ready for requests.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReadyStatus {
    Ready,
    NotReady,
}

impl ReadyStatus {
    pub(super) fn of(is_ready: bool) -> Self {
        if is_ready { Self::Ready } else { Self::NotReady }
    }
}

#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Readiness {
    pub(super) status: ReadyStatus,
    /// Those that are not ready; with `verbose` all.
    pub(super) parts: BTreeMap<String, PartReadiness>,
}

#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PartReadiness {
    pub(super) ready: bool,
    /// What is waited for.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// What is worth knowing though it is ready; with `verbose` only.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
}

/// Which build this is and what it follows.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Health {
    pub(super) status: ReadyStatus,
    pub(super) version: &'static str,
    pub(super) commit: &'static str,
    /// Of the rules by which events are applied; null until they are known.
    #[schema(required = true)]
    pub(super) fingerprint: Option<String>,
    #[schema(required = true)]
    pub(super) log: Option<LogName>,
}

/// The contact log that is followed.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogName {
    kind: &'static str,
    cluster: String,
    topic: String,
}

impl LogName {
    pub(super) fn of(log: &LogIdentity) -> Self {
        let LogIdentity { kind, cluster, topic } = log;
        Self { kind: kind.as_str(), cluster: cluster.clone(), topic: topic.clone() }
    }
}

#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PathIndex)]
pub(super) struct Index {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    /// The paths that there are.
    pub(super) routes: Vec<&'static str>,
}
