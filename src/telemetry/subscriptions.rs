//! Figures of deliveries to subscribers.

use prometheus::{HistogramVec, IntGauge, IntGaugeVec};

use super::registry::{Families, MetricsError, set};

/// How an attempt ended.
const OUTCOMES: [&str; 3] = ["delivered", "pending", "failed"];
/// How a subscription is.
const STATES: [&str; 4] = ["active", "failing", "paused", "disabled"];
/// Seconds until an answer.
const BOUNDS: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0];

/// Figures of deliveries to subscribers; cheap to clone.
#[derive(Clone, Debug)]
pub struct SubscriptionMetrics {
    attempts: HistogramVec,
    under_way: IntGauge,
    subscriptions: IntGaugeVec,
}

impl SubscriptionMetrics {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        let metrics = Self {
            attempts: families.histograms(
                "contactd_subscription_attempt_duration_seconds",
                "Time until subscribers answered, by what became of the message: delivered, pending (tried again) or failed.",
                &["outcome"],
                &BOUNDS,
            )?,
            under_way: families.gauge(
                "contactd_subscription_deliveries_under_way",
                "Messages on their way to subscribers.",
            )?,
            subscriptions: families.gauges(
                "contactd_subscriptions",
                "Subscriptions by how they are: active, failing, paused or disabled.",
                &["state"],
            )?,
        };
        for outcome in OUTCOMES {
            metrics.attempts.with_label_values(&[outcome]);
        }
        metrics.set_states([0; STATES.len()]);
        Ok(metrics)
    }

    /// A subscriber answered, or did not.
    pub fn attempt(&self, outcome: &str, seconds: f64) {
        self.attempts.with_label_values(&[outcome]).observe(seconds);
    }

    /// Messages on their way.
    pub fn set_under_way(&self, messages: usize) {
        set(&self.under_way, messages as u64);
    }

    /// How many are active, failing, paused and disabled.
    pub fn set_states(&self, counts: [u64; 4]) {
        for (state, count) in STATES.into_iter().zip(counts) {
            set(&self.subscriptions.with_label_values(&[state]), count);
        }
    }
}
