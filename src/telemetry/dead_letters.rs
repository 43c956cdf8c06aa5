//! Figures of records that can't be applied, after they were set aside.

use prometheus::{Gauge, IntCounter, IntGauge};

use crate::domain::verdict::DeadLetterReason;

use super::metrics::set;
use super::registry::{Families, MetricsError};

/// What the archive says of itself at a scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeadLetterGauges {
    /// Letters kept, by reason.
    pub kept: Vec<(DeadLetterReason, u64)>,
    /// Bytes on the disk.
    pub bytes: u64,
    /// Age of the oldest one, in seconds; 0: there is none.
    pub oldest_age_seconds: f64,
}

/// Dead letters kept, published and redriven.
pub struct DeadLetterMetrics {
    kept: Vec<IntGauge>,
    published: Vec<IntCounter>,
    redriven: Vec<IntCounter>,
    bytes: IntGauge,
    oldest: Gauge,
}

impl DeadLetterMetrics {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        let kept = families.gauges(
            "contactd_dead_letters",
            "Dead letters kept, by reason.",
            &["reason"],
        )?;
        let published = families.counters(
            "contactd_dead_letters_published_total",
            "Dead letters published to their topic by this instance, by reason.",
            &["reason"],
        )?;
        let redriven = families.counters(
            "contactd_dead_letters_redriven_total",
            "Dead letters redriven by this instance, by reason.",
            &["reason"],
        )?;
        let reasons = || DeadLetterReason::ALL.iter().map(|reason| reason.as_str());
        Ok(Self {
            kept: reasons().map(|reason| kept.with_label_values(&[reason])).collect(),
            published: reasons().map(|reason| published.with_label_values(&[reason])).collect(),
            redriven: reasons().map(|reason| redriven.with_label_values(&[reason])).collect(),
            bytes: families.gauge("contactd_dead_letters_bytes", "Bytes of their archive.")?,
            oldest: families.seconds_gauge(
                "contactd_dead_letters_oldest_age_seconds",
                "Age of the oldest dead letter that is kept, by its record's time.",
            )?,
        })
    }

    /// One more is on its topic.
    pub fn published(&self, reason: DeadLetterReason) {
        count(&self.published, reason);
    }

    /// One more is on the contact log again.
    pub fn redriven(&self, reason: DeadLetterReason) {
        count(&self.redriven, reason);
    }

    /// Sets what there is now.
    pub fn set(&self, gauges: &DeadLetterGauges) {
        for (reason, kept) in &gauges.kept {
            if let Some(gauge) = self.kept.get(usize::from(reason.code())) {
                set(gauge, *kept);
            }
        }
        set(&self.bytes, gauges.bytes);
        self.oldest.set(gauges.oldest_age_seconds);
    }
}

fn count(counters: &[IntCounter], reason: DeadLetterReason) {
    if let Some(counter) = counters.get(usize::from(reason.code())) {
        counter.inc();
    }
}
