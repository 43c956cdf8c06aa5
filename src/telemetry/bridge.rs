//! Figures of what comes in from other topics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use prometheus::{IntCounter, IntCounterVec, IntGaugeVec};

use super::registry::{Families, MetricsError, set};

/// Topics beyond so many share a label: patterns may mean many.
const TOPICS_MAX: usize = 128;
const OTHER: &str = "other";

/// What an input's record became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BridgeOutcome {
    /// An event on its contact's lane.
    Event = 0,
    /// Appended as it came, for applying to keep as a dead letter.
    Unreadable,
    /// Appended in part, because the contact log would not take it whole or with its time.
    Reduced,
    /// It came from the contact log itself.
    Returned,
    /// A null value that says nothing in its source, or what another contact log says to itself.
    Ignored,
}

impl BridgeOutcome {
    /// Every one.
    pub const ALL: [Self; 5] =
        [Self::Event, Self::Unreadable, Self::Reduced, Self::Returned, Self::Ignored];

    /// Label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Unreadable => "unreadable",
            Self::Reduced => "reduced",
            Self::Returned => "returned",
            Self::Ignored => "ignored",
        }
    }
}

/// What can fail, to be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BridgeStep {
    /// Joining the group and reading.
    Read = 0,
    /// Appending to the contact log.
    Append,
    /// Committing to the group.
    Commit,
}

impl BridgeStep {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Read, Self::Append, Self::Commit];

    fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Append => "append",
            Self::Commit => "commit",
        }
    }
}

/// Records by topic, and how the group stands.
pub struct BridgeMetrics {
    records: IntCounterVec,
    lag: IntGaugeVec,
    partitions: IntGaugeVec,
    waiting: IntGaugeVec,
    errors: Vec<IntCounter>,
    rebalances: IntCounter,
    /// Of the present member, as counted.
    rebalances_seen: AtomicU64,
    /// Without a value where there is nothing to bridge, so that an alert on 0 is one.
    up: IntGaugeVec,
    topics: Mutex<BTreeSet<String>>,
}

impl BridgeMetrics {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        let errors = families.counters(
            "contactd_bridge_errors_total",
            "What failed in the bridge and was tried again: read, append, commit.",
            &["step"],
        )?;
        Ok(Self {
            records: families.counters(
                "contactd_bridge_records_total",
                "Records of other topics by what they became: event, unreadable (a dead letter), reduced (kept in part), returned (from the contact log, left there), ignored (a null value that says nothing, what another contact log says to itself).",
                &["topic", "outcome"],
            )?,
            lag: families.gauges(
                "contactd_bridge_lag_records",
                "Records of this instance's partitions that are not bridged yet.",
                &["topic"],
            )?,
            partitions: families.gauges(
                "contactd_bridge_assigned_partitions",
                "Partitions of other topics that this instance bridges.",
                &["topic"],
            )?,
            waiting: families.gauges(
                "contactd_bridge_waiting_partitions",
                "Partitions of other topics that wait for a schema at this instance.",
                &["topic"],
            )?,
            errors: BridgeStep::ALL
                .iter()
                .map(|step| errors.with_label_values(&[step.as_str()]))
                .collect(),
            rebalances: families
                .counters(
                    "contactd_bridge_rebalances_total",
                    "How often partitions came to this instance or went.",
                    &[],
                )?
                .with_label_values::<&str>(&[]),
            rebalances_seen: AtomicU64::new(0),
            up: families.gauges(
                "contactd_bridge_up",
                "1 while the bridge's inputs can be read, else 0; not there without inputs.",
                &[],
            )?,
            topics: Mutex::default(),
        })
    }

    fn label<'a>(&self, topic: &'a str) -> &'a str {
        let mut topics = self.topics.lock();
        if topics.contains(topic) {
            return topic;
        }
        if topics.len() >= TOPICS_MAX {
            return OTHER;
        }
        topics.insert(topic.to_owned());
        topic
    }

    /// All counters of a topic stand at 0 from now.
    pub fn begin(&self, topic: &str) {
        for outcome in BridgeOutcome::ALL {
            self.count(topic, outcome, 0);
        }
    }

    /// So many more.
    pub fn count(&self, topic: &str, outcome: BridgeOutcome, records: u64) {
        self.records.with_label_values(&[self.label(topic), outcome.as_str()]).inc_by(records);
    }

    /// One more failure.
    pub fn failed(&self, step: BridgeStep) {
        if let Some(counter) = self.errors.get(step as usize) {
            counter.inc();
        }
    }

    /// How the topics stand at this instance: its partitions of each, what is still to come, and how many
    /// partitions wait for a schema.
    pub fn set_topics<'a>(&self, topics: impl Iterator<Item = (&'a str, [u64; 3])>) {
        let mut sums: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
        for (topic, figures) in topics {
            let sum = sums.entry(self.label(topic)).or_default();
            sum.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
        }
        for (label, figures) in sums {
            let gauges = [&self.partitions, &self.lag, &self.waiting];
            for (gauge, figure) in gauges.into_iter().zip(figures) {
                set(&gauge.with_label_values(&[label]), figure);
            }
        }
    }

    /// How this member of the group stands.
    pub fn set_member(&self, rebalances: u64, is_up: bool) {
        let before = self.rebalances_seen.swap(rebalances, Ordering::Relaxed);
        // A member that was made anew begins at 0.
        self.rebalances.inc_by(rebalances.checked_sub(before).unwrap_or(rebalances));
        self.up.with_label_values::<&str>(&[]).set(i64::from(is_up));
    }
}
