//! Figures of an instance's own backups.

use prometheus::{Gauge, IntCounter, IntGauge};

use super::registry::{Families, MetricsError};

/// Figures of the backups that an instance keeps; cheap to clone.
#[derive(Clone)]
pub struct BackupMetrics {
    success: Gauge,
    failures: IntCounter,
    bytes: IntGauge,
    seconds: Gauge,
}

impl BackupMetrics {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        Ok(Self {
            success: families.seconds_gauge(
                "contactd_backup_last_success_timestamp_seconds",
                "When the newest backup in backup.to was made, in Unix time; 0: there is none.",
            )?,
            failures: families
                .counter("contactd_backup_failures_total", "Backups for backup.to that failed.")?,
            bytes: families.gauge(
                "contactd_backup_last_bytes",
                "Bytes of the last backup in backup.to; 0: none was made since the start.",
            )?,
            seconds: families.seconds_gauge(
                "contactd_backup_last_duration_seconds",
                "How long the last backup in backup.to took; 0: none was made since the start.",
            )?,
        })
    }

    /// One was made before the start, in ms since 1970.
    pub fn kept_before(&self, at_ms: u64) {
        self.success.set(at_ms as f64 / 1000.0);
    }

    /// One was made.
    pub fn made(&self, at_ms: u64, bytes: u64, seconds: f64) {
        self.kept_before(at_ms);
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.seconds.set(seconds);
    }

    /// One was not.
    pub fn failed(&self) {
        self.failures.inc();
    }
}
