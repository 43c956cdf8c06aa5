//! The store's figures as they are shown.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::position::{CONTROL_LANE, Lane};
use crate::domain::verdict::Verdict;
use crate::store::StoreStats;

/// What `GET /api/stats` answers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatsReport {
    contacts: ContactFigures,
    events: EventFigures,
    /// Why the store does not know everything, where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    partial: Option<String>,
    /// Order-free sum over all contacts, hex; equal at equal positions and fingerprints.
    digest: String,
    /// The same over all control entries.
    control_digest: String,
    /// Of the rules that the latest batch was applied under, hex.
    fingerprint: String,
    /// Opaque.
    position: String,
    /// By partition, `control` for control records: the next offset to apply.
    next_offsets: BTreeMap<String, u64>,
    checkpoint: CheckpointFigures,
    storage: StorageFigures,
    cache: CacheFigures,
}

#[derive(Clone, Debug, Serialize)]
struct ContactFigures {
    total: u64,
    active: u64,
    deleted: u64,
}

#[derive(Clone, Debug, Serialize)]
struct EventFigures {
    received: u64,
    verdicts: BTreeMap<&'static str, u64>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CheckpointFigures {
    number: u64,
    age_ms: u64,
    took_ms: u64,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StorageFigures {
    journal_bytes: u64,
    journal_frames: u64,
    engine_bytes: u64,
    heap_bytes: u64,
    snapshot_bytes: u64,
    dirty_bytes: u64,
    index_bytes: u64,
}

#[derive(Clone, Debug, Serialize)]
struct CacheFigures {
    hits: u64,
    misses: u64,
    entries: u64,
    bytes: u64,
}

impl StatsReport {
    /// Why the store does not know everything, where it does not.
    #[must_use]
    pub fn with_partial(self, partial: Option<&str>) -> Self {
        Self { partial: partial.map(str::to_owned), ..self }
    }

    pub(super) fn of(stats: &StoreStats) -> Self {
        let counters = &stats.counters;
        let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            contacts: ContactFigures {
                total: counters.active + counters.deleted,
                active: counters.active,
                deleted: counters.deleted,
            },
            events: EventFigures {
                received: counters.received(),
                verdicts: Verdict::ALL
                    .iter()
                    .map(|verdict| (verdict.as_str(), counters.verdict(*verdict)))
                    .collect(),
            },
            partial: None,
            digest: stats.digest.to_string(),
            control_digest: stats.control.digest.to_string(),
            fingerprint: stats.rules.fingerprint().to_string(),
            position: stats.position.encode(),
            next_offsets: stats
                .position
                .next
                .iter()
                .map(|(lane, next)| (name_of(*lane), next.0))
                .collect(),
            checkpoint: CheckpointFigures {
                number: stats.checkpoint_number,
                age_ms: ms(stats.checkpoint_age),
                took_ms: ms(stats.checkpoint_took),
            },
            storage: StorageFigures {
                journal_bytes: stats.journal_bytes,
                journal_frames: stats.frames,
                engine_bytes: stats.engine_disk_bytes,
                heap_bytes: stats.heap.bytes,
                snapshot_bytes: stats.snapshot_bytes,
                dirty_bytes: stats.dirty_bytes + stats.flushing_bytes,
                index_bytes: stats.index_bytes,
            },
            cache: CacheFigures {
                hits: stats.cache.hits,
                misses: stats.cache.misses,
                entries: stats.cache.entries,
                bytes: stats.cache.bytes,
            },
        }
    }
}

fn name_of(lane: Lane) -> String {
    if lane == CONTROL_LANE { "control".to_owned() } else { lane.to_string() }
}
