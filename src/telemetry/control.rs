//! Figures of control records and entries.

use prometheus::{Gauge, IntCounter, IntGauge};

use crate::domain::verdict::Verdict;

use super::registry::{Families, MetricsError};

/// Control records by verdict, and the entries that they have made.
pub struct ControlMetrics {
    records: Vec<IntCounter>,
    entries: IntGauge,
    bytes: IntGauge,
    log_ahead: IntGauge,
    taken: Gauge,
}

impl ControlMetrics {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        let records = families.counters(
            "contactd_control_records_total",
            "Control records by what became of them; apart from the contacts' events.",
            &["result"],
        )?;
        Ok(Self {
            records: Verdict::ALL
                .iter()
                .map(|verdict| records.with_label_values(&[verdict.as_str()]))
                .collect(),
            entries: families.gauge(
                "contactd_control_entries",
                "Control entries: sessions, revocations, cursors, jobs.",
            )?,
            bytes: families
                .gauge("contactd_control_bytes", "Bytes of memory that control entries take.")?,
            log_ahead: families.gauge(
                "contactd_clock_log_ahead_seconds",
                "How far the log's record times are ahead of this instance's clock as they come; negative: behind it.",
            )?,
            taken: families.ratio_gauge(
                "contactd_control_taken_ratio",
                "What is taken of the room for control entries; from 0.75 on nobody can sign in.",
            )?,
        })
    }

    /// Adds what was journalled, by `Verdict::index`.
    pub fn add_verdicts(&self, before: &[u64; Verdict::COUNT], after: &[u64; Verdict::COUNT]) {
        for ((counter, before), after) in self.records.iter().zip(before).zip(after) {
            counter.inc_by(after.saturating_sub(*before));
        }
    }

    /// Sets how far the log's clock is ahead; 0 where that is not known.
    pub fn set_log_ahead(&self, ms: i64) {
        self.log_ahead.set(ms / 1000);
    }

    /// Sets what there is now.
    pub fn set_entries(&self, (entries, bytes): (u64, u64), taken: f64) {
        self.taken.set(taken);
        self.entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
