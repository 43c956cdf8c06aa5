//! Requests that came too often, and who counts them.

use prometheus::{IntCounter, IntGauge};

use super::registry::{Families, MetricsError};

/// The kinds of requests that are limited apart; `shared_state` has the same words.
const CLASSES: [&str; 6] = ["auth", "account", "read", "write", "webhook", "sign_in"];

/// Figures of rate limits.
pub struct LimitMetrics {
    limited: Vec<(&'static str, IntCounter)>,
    by_redis: IntGauge,
    by_instance: IntGauge,
}

impl LimitMetrics {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        let limited = families.counters(
            "contactd_rate_limited_total",
            "Requests answered 429, by what limited them.",
            &["class"],
        )?;
        let backend = families.gauges(
            "contactd_rate_limit_backend",
            "1 for who counts requests now: redis, or each instance for itself.",
            &["backend"],
        )?;
        let metrics = Self {
            limited: CLASSES
                .map(|class| (class, limited.with_label_values(&[class])))
                .into_iter()
                .collect(),
            by_redis: backend.with_label_values(&["redis"]),
            by_instance: backend.with_label_values(&["instance"]),
        };
        metrics.set_shared(false);
        Ok(metrics)
    }

    /// Counts one request that was answered 429.
    pub fn limited(&self, class: &str) {
        if let Some((_, counter)) = self.limited.iter().find(|(known, _)| *known == class) {
            counter.inc();
        }
    }

    /// Whether Redis counts.
    pub fn set_shared(&self, is_shared: bool) {
        self.by_redis.set(i64::from(is_shared));
        self.by_instance.set(i64::from(!is_shared));
    }
}
