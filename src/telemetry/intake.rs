//! Figures of what comes in by webhook, and of what waits for Kafka.

use prometheus::{Gauge, IntCounter, IntGauge};

use super::registry::{Families, MetricsError, set};

/// What became of an event that came by webhook, or of a request that was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookOutcome {
    /// Kept on the contact log.
    OnLog = 0,
    /// Kept in the outbox.
    InOutbox,
    /// Refused for what it says.
    Rejected,
    /// Not believed.
    Unauthenticated,
    /// Neither the log nor the outbox took it.
    Unavailable,
}

impl WebhookOutcome {
    /// Every one.
    pub const ALL: [Self; 5] =
        [Self::OnLog, Self::InOutbox, Self::Rejected, Self::Unauthenticated, Self::Unavailable];

    /// Label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnLog => "log",
            Self::InOutbox => "outbox",
            Self::Rejected => "rejected",
            Self::Unauthenticated => "unauthenticated",
            Self::Unavailable => "unavailable",
        }
    }
}

/// What the outbox says of itself at a scrape.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OutboxGauges {
    /// Records that wait.
    pub records: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// Age of the oldest that waits, in seconds; 0: nothing waits.
    pub oldest_age_seconds: f64,
}

pub(super) struct IntakeFamilies {
    webhooks: Vec<IntCounter>,
    outbox_records: IntGauge,
    outbox_bytes: IntGauge,
    outbox_oldest: Gauge,
}

impl IntakeFamilies {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        let webhooks = families.counters(
            "contactd_webhook_events_total",
            "Webhook events by where they are kept (log, outbox), or why they are not (rejected, unauthenticated, unavailable).",
            &["outcome"],
        )?;
        Ok(Self {
            webhooks: WebhookOutcome::ALL
                .iter()
                .map(|outcome| webhooks.with_label_values(&[outcome.as_str()]))
                .collect(),
            outbox_records: families.gauge(
                "contactd_outbox_records",
                "Events that wait on this instance's disk for Kafka.",
            )?,
            outbox_bytes: families.gauge("contactd_outbox_bytes", "Bytes of the outbox.")?,
            outbox_oldest: families.seconds_gauge(
                "contactd_outbox_oldest_age_seconds",
                "Age of the oldest event that waits for Kafka.",
            )?,
        })
    }

    pub(super) fn webhook(&self, outcome: WebhookOutcome, events: u64) {
        if let Some(counter) = self.webhooks.get(outcome as usize) {
            counter.inc_by(events);
        }
    }

    pub(super) fn set_outbox(&self, gauges: OutboxGauges) {
        set(&self.outbox_records, gauges.records);
        set(&self.outbox_bytes, gauges.bytes);
        self.outbox_oldest.set(gauges.oldest_age_seconds);
    }
}
