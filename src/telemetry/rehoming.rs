//! Figures of records that are brought to their contact's home lane.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::{IntCounter, IntGauge};

use super::metrics::set;
use super::registry::{Families, MetricsError};

/// How many were brought, and how many are still to be.
pub struct RehomingMetrics {
    brought: IntCounter,
    failures: IntCounter,
    owed: IntGauge,
    owed_now: AtomicU64,
}

impl RehomingMetrics {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        let counter = |name, help| {
            Ok::<_, MetricsError>(
                families.counters(name, help, &[])?.with_label_values::<&str>(&[]),
            )
        };
        Ok(Self {
            brought: counter(
                "contactd_rehoming_records_total",
                "Records of the contact log that this instance brought to their home partition.",
            )?,
            failures: counter(
                "contactd_rehoming_errors_total",
                "Failures to bring records home, each tried again.",
            )?,
            owed: families.gauge(
                "contactd_rehoming_owed_records",
                "Records of the contact log that are still to be brought to their home partition.",
            )?,
            owed_now: AtomicU64::new(0),
        })
    }

    /// One more is at home.
    pub fn brought(&self) {
        self.brought.inc();
    }

    /// One more failure.
    pub fn failed(&self) {
        self.failures.inc();
    }

    /// So many are to be brought.
    pub fn set_owed(&self, records: u64) {
        self.owed_now.store(records, Ordering::Relaxed);
        set(&self.owed, records);
    }

    /// How many are to be brought.
    pub fn owed(&self) -> u64 {
        self.owed_now.load(Ordering::Relaxed)
    }
}
