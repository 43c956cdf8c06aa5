//! Figures of followers: what follows from what was applied.

use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec};

use super::rabbitmq::RabbitmqMetrics;
use super::registry::{Families, MetricsError};

/// How followers of one label stand on this instance.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FollowerFigures {
    /// Deliveries since the start.
    pub delivered: u64,
    /// Deliveries that failed, since the start.
    pub failures: u64,
    /// How often the journal did not reach back, since the start.
    pub overruns: u64,
    /// Records of the log that are yet to be looked at.
    pub lag_records: u64,
    /// Age of the oldest change that is owed.
    pub lag_seconds: f64,
    /// Contacts of which something is owed.
    pub waiting: u64,
    /// Changes that are owed, where they are counted.
    pub owed: u64,
    /// Changes that were refused too often.
    pub parked: u64,
}

/// Followers' families.
pub struct FollowerMetrics {
    deliveries: IntCounterVec,
    failures: IntCounterVec,
    overruns: IntCounterVec,
    lag_records: IntGaugeVec,
    lag_seconds: GaugeVec,
    waiting: IntGaugeVec,
    owed: IntGaugeVec,
    parked: IntGaugeVec,
    /// Of the follower that tells RabbitMQ.
    pub rabbitmq: RabbitmqMetrics,
}

impl FollowerMetrics {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        let label = &["follower"];
        Ok(Self {
            deliveries: families.counters(
                "contactd_follower_deliveries_total",
                "Changes that this instance delivered, by follower.",
                label,
            )?,
            failures: families.counters(
                "contactd_follower_failures_total",
                "Deliveries that failed, each tried again or parked, by follower.",
                label,
            )?,
            overruns: families.counters(
                "contactd_follower_overruns_total",
                "How often the journal no longer reached back to what a follower was owed.",
                label,
            )?,
            lag_records: families.gauges(
                "contactd_follower_lag_records",
                "Records that were applied and that the follower has not looked at; 0 on instances that don't run it.",
                label,
            )?,
            lag_seconds: families.float_gauges(
                "contactd_follower_lag_seconds",
                "Age of the oldest change that the follower still owes, by its record's time.",
                label,
            )?,
            waiting: families.gauges(
                "contactd_follower_waiting_contacts",
                "Contacts of which the follower owes a change.",
                label,
            )?,
            owed: families.gauges(
                "contactd_follower_owed_changes",
                "Changes that the follower owes, applied here and not delivered yet; 0 where they are not counted.",
                label,
            )?,
            parked: families.gauges(
                "contactd_follower_parked_changes",
                "Changes that were refused too often, and wait for somebody to look at them.",
                label,
            )?,
            rabbitmq: RabbitmqMetrics::register(families)?,
        })
    }

    /// What there is now.
    pub fn set(&self, label: &str, figures: &FollowerFigures) {
        let counters = [
            (&self.deliveries, figures.delivered),
            (&self.failures, figures.failures),
            (&self.overruns, figures.overruns),
        ];
        for (family, total) in counters {
            let counter = family.with_label_values(&[label]);
            counter.inc_by(total.saturating_sub(counter.get()));
        }
        let gauges = [
            (&self.lag_records, figures.lag_records),
            (&self.waiting, figures.waiting),
            (&self.owed, figures.owed),
            (&self.parked, figures.parked),
        ];
        for (family, value) in gauges {
            super::registry::set(&family.with_label_values(&[label]), value);
        }
        self.lag_seconds.with_label_values(&[label]).set(figures.lag_seconds);
    }
}
