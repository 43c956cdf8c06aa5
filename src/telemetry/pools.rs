//! What is there for all clients together, how much of it is taken, and who was refused.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::registry::{Families, MetricsError, set};

/// Every pool; the documents name what each is bounded by.
const POOLS: [&str; 16] = [
    "connections",
    "streams",
    "streams_unknown",
    "telemetry_connections",
    "telemetry_streams",
    "telemetry_streams_unknown",
    "requests",
    "bodies",
    "bodies_unknown",
    "waiting_reads",
    "feed_clients",
    "feed_snapshots",
    "exports",
    "imports",
    "import_bytes",
    "import_streams",
];

/// The families of all pools.
pub(super) struct PoolFamilies {
    taken: IntGaugeVec,
    max: IntGaugeVec,
    part_max: IntGaugeVec,
    refused: IntCounterVec,
}

/// The figures of one pool; cheap to clone.
#[derive(Clone, Debug)]
pub struct PoolMetrics {
    taken: IntGauge,
    max: IntGauge,
    part_max: IntGauge,
    refused_all: IntCounter,
    refused_part: IntCounter,
}

impl PoolFamilies {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        let pools = Self {
            taken: families.gauges(
                "contactd_pool_taken",
                "What is taken of what all clients share: connections, streams of HTTP/2 beside their first, requests, bytes of bodies, waiting reads, the feed's clients and snapshots, exports, imports, their bytes and streams.",
                &["pool"],
            )?,
            max: families.gauges("contactd_pool_max", "What there is in all of what clients share.", &["pool"])?,
            part_max: families.gauges(
                "contactd_pool_part_max",
                "What one address, user or key may have of what clients share.",
                &["pool"],
            )?,
            refused: families.counters(
                "contactd_pool_refused_total",
                "Clients that got nothing of what is shared or had to give way: because all was taken, or their own part.",
                &["pool", "full"],
            )?,
        };
        for pool in POOLS {
            pools.of(pool);
        }
        Ok(pools)
    }

    pub(super) fn of(&self, pool: &str) -> PoolMetrics {
        PoolMetrics {
            taken: self.taken.with_label_values(&[pool]),
            max: self.max.with_label_values(&[pool]),
            part_max: self.part_max.with_label_values(&[pool]),
            refused_all: self.refused.with_label_values(&[pool, "all"]),
            refused_part: self.refused.with_label_values(&[pool, "part"]),
        }
    }
}

impl PoolMetrics {
    /// What there is, and what one may have of it.
    pub fn set_bounds(&self, max: usize, part_max: usize) {
        set(&self.max, max as u64);
        set(&self.part_max, part_max as u64);
    }

    /// So much more is taken.
    pub fn taken(&self, more: usize) {
        self.taken.add(i64::try_from(more).unwrap_or(i64::MAX));
    }

    /// So much was given back.
    pub fn given_back(&self, amount: usize) {
        self.taken.sub(i64::try_from(amount).unwrap_or(i64::MAX));
    }

    /// What is taken now.
    pub fn set_taken(&self, taken: usize) {
        set(&self.taken, taken as u64);
    }

    /// Counts one who got nothing, because of its own part or of all.
    pub fn refused(&self, is_part: bool) {
        if is_part { self.refused_part.inc() } else { self.refused_all.inc() }
    }
}
