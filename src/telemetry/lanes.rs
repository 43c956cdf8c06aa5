//! The consumer's figures, one child a lane.

use parking_lot::RwLock;
use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, IntGaugeVec};

use crate::domain::position::Lane;

use super::registry::{Families, MetricsError};

/// With more partitions than this, all lanes share the child `all`: series stay bounded.
const LANES_APART_MAX: u16 = 256;

/// The families; the children come with the topic, once it is known.
#[derive(Clone)]
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
        let metrics = LaneMetrics {
            children: RwLock::default(),
            topic: topic.to_owned(),
            families: self.clone(),
            is_shared: lanes > LANES_APART_MAX,
        };
        metrics.grow_to(lanes);
        metrics
    }

    fn child(&self, topic: &str, lane: &str) -> LaneChild {
        let labels = [topic, lane];
        let child = LaneChild {
            records: self.records.with_label_values(&labels),
            lag_records: self.lag_records.with_label_values(&labels),
            lag_seconds: self.lag_seconds.with_label_values(&labels),
        };
        child.lag_records.set(f64::NAN);
        child.lag_seconds.set(f64::NAN);
        child
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

/// The children of one topic's lanes, resolved once; more come with partitions that are added.
pub struct LaneMetrics {
    children: RwLock<Vec<LaneChild>>,
    topic: String,
    families: LaneFamilies,
    /// There is one child for all.
    is_shared: bool,
}

impl LaneMetrics {
    /// The topic has so many partitions now.
    fn grow_to(&self, lanes: u16) {
        self.families.assigned.with_label_values(&[&self.topic]).set(i64::from(lanes));
        let mut children = self.children.write();
        if self.is_shared {
            if children.is_empty() {
                children.push(self.families.child(&self.topic, "all"));
            }
            return;
        }
        for lane in children.len()..usize::from(lanes.min(LANES_APART_MAX)) {
            children.push(self.families.child(&self.topic, &lane.to_string()));
        }
    }

    /// `count` more records of the lane are journalled.
    pub fn journalled(&self, lane: Lane, count: u64) {
        let place = if self.is_shared { 0 } else { usize::from(lane.0) };
        if self.children.read().len() <= place {
            self.grow_to(lane.0.saturating_add(1));
        }
        if let Some(child) = self.children.read().get(place) {
            child.records.inc_by(count);
        }
    }

    /// Sets every lane's lag, at scrape. Lanes that share a child show the sum of records and the
    /// greatest age; a lane that is left out shows NaN.
    pub fn set_lags(&self, lags: &[LaneLag]) {
        let last = lags.iter().map(|lag| usize::from(lag.lane.0) + 1).max().unwrap_or(0);
        if !self.is_shared && last > self.children.read().len() {
            self.grow_to(u16::try_from(last).unwrap_or(u16::MAX));
        }
        let children = self.children.read();
        for (index, child) in children.iter().enumerate() {
            let mut own = lags
                .iter()
                .filter(|lag| self.is_shared || usize::from(lag.lane.0) == index)
                .peekable();
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
}
