//! Figures of the rules by which records are judged.

use prometheus::IntGauge;

use super::registry::{Families, MetricsError};

/// Which rules hold, and whether this instance's own files say the same.
pub struct RulesMetrics {
    number: IntGauge,
    lacking: IntGauge,
    differ: IntGauge,
}

impl RulesMetrics {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        Ok(Self {
            number: families
                .gauge("contactd_rules_number", "Number of the newest rules on the log.")?,
            lacking: families.gauge(
                "contactd_rules_lacking_partitions",
                "Partitions that have not come to the newest rules.",
            )?,
            differ: families.gauge(
                "contactd_rules_differ",
                "1: this instance's own files differ from the log's rules.",
            )?,
        })
    }

    /// Sets how it stands.
    pub fn set(&self, number: u64, lacking: usize, differ: bool) {
        self.number.set(i64::try_from(number).unwrap_or(i64::MAX));
        self.lacking.set(i64::try_from(lacking).unwrap_or(i64::MAX));
        self.differ.set(i64::from(differ));
    }
}
