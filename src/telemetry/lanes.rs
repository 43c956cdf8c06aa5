//! The consumer's figures, one child a lane.

use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::domain::position::Lane;

use super::registry::{Families, MetricsError};

/// With more partitions than this, all lanes share the child `all`: series stay bounded.
const LANES_APART_MAX: u16 = 256;

/// The families; the children come with the topic, once it is known.
pub(super) struct LaneFamilies {
    records: IntCounterVec,
    lag_records: GaugeVec,
    lag_seconds: GaugeVec,
    assigned: IntGaugeVec,
}

impl LaneFamilies {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        let lane = ["topic", "partition"];
        Ok(Self {
            records: families.counters(
                "contactd_consumer_records_total",
                "Records whose effects and position are in the journal.",
                &lane,
            )?,
            lag_records: families.float_gauges(
                "contactd_consumer_lag_records",
                "Records between the journal and the end of the log; NaN while unknown.",
                &lane,
            )?,
            lag_seconds: families.float_gauges(
                "contactd_consumer_lag_seconds",
                "Age of the last applied record while behind; 0 when caught up, NaN while unknown.",
                &lane,
            )?,
            assigned: families.gauges(
                "contactd_consumer_assigned_partitions",
                "Partitions that this instance reads.",
                &["topic"],
            )?,
        })
    }

    pub(super) fn lanes(&self, topic: &str, lanes: u16) -> LaneMetrics {
        self.assigned.with_label_values(&[topic]).set(i64::from(lanes));
        let names: Vec<String> = if lanes > LANES_APART_MAX {
            vec!["all".to_owned()]
        } else {
            (0..lanes).map(|lane| lane.to_string()).collect()
        };
        let children = names
            .iter()
            .map(|name| {
                let labels = [topic, name.as_str()];
                let child = LaneChild {
                    records: self.records.with_label_values(&labels),
                    lag_records: self.lag_records.with_label_values(&labels),
                    lag_seconds: self.lag_seconds.with_label_values(&labels),
                };
                child.lag_records.set(f64::NAN);
                child.lag_seconds.set(f64::NAN);
                child
            })
            .collect();
        LaneMetrics { children, assigned: self.assigned.with_label_values(&[topic]) }
    }
}

struct LaneChild {
    records: IntCounter,
    lag_records: Gauge,
    lag_seconds: Gauge,
}

/// How far a lane is behind the log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LaneLag {
    /// The lane.
    pub lane: Lane,
    /// High watermark − next journalled offset.
    pub records: u64,
    /// Now − time of the last applied record; only looked at while records > 0.
    pub seconds: f64,
}

/// The children of one topic's lanes, resolved once.
pub struct LaneMetrics {
    children: Vec<LaneChild>,
    assigned: IntGauge,
}

impl LaneMetrics {
    fn child(&self, lane: Lane) -> Option<&LaneChild> {
        self.children.get(usize::from(lane.0)).or_else(|| self.children.first())
    }

    /// `count` more records of the lane are journalled.
    pub fn journalled(&self, lane: Lane, count: u64) {
        if let Some(child) = self.child(lane) {
            child.records.inc_by(count);
        }
    }

    /// Sets every lane's lag, at scrape. Lanes that share a child show the sum of records and the
    /// greatest age; a lane that is left out shows NaN.
    pub fn set_lags(&self, lags: &[LaneLag]) {
        for (index, child) in self.children.iter().enumerate() {
            let shared = self.children.len() == 1;
            let mut own =
                lags.iter().filter(|lag| shared || usize::from(lag.lane.0) == index).peekable();
            if own.peek().is_none() {
                child.lag_records.set(f64::NAN);
                child.lag_seconds.set(f64::NAN);
                continue;
            }
            let (mut records, mut seconds) = (0_u64, 0.0_f64);
            for lag in own {
                records += lag.records;
                if lag.records > 0 {
                    seconds = seconds.max(lag.seconds);
                }
            }
            child.lag_records.set(records as f64);
            child.lag_seconds.set(seconds);
        }
    }

    /// How many of the topic's partitions are read now.
    pub fn set_assigned(&self, partitions: u16) {
        self.assigned.set(i64::from(partitions));
    }
}
