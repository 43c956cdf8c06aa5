//! The feed's figures.

use prometheus::{IntCounter, IntGauge};

use crate::domain::event::EventKind;

use super::registry::{Families, MetricsError};

/// Why streams end that the client could have gone on with.
const RESETS: [&str; 3] = ["too_slow", "position_gone", "failed"];

/// The feed's figures; cheap to clone.
#[derive(Clone, Debug)]
pub struct FeedMetrics {
    /// Clients now.
    pub clients: IntGauge,
    changes: Vec<IntCounter>,
    states: IntCounter,
    resets: Vec<(&'static str, IntCounter)>,
}

impl FeedMetrics {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        let events = families.counters(
            "contactd_feed_events_total",
            "Events sent to clients of the feed, each as often as it was sent.",
            &["type"],
        )?;
        let resets = families.counters(
            "contactd_feed_resets_total",
            "Streams ended by `event: reset`.",
            &["reason"],
        )?;
        let kind = |kind: EventKind| events.with_label_values(&[kind.as_str()]);
        Ok(Self {
            clients: families.gauge("contactd_feed_clients", "Clients of the feed now.")?,
            changes: EventKind::ALL.map(kind).to_vec(),
            states: events.with_label_values(&["state"]),
            resets: RESETS.map(|reason| (reason, resets.with_label_values(&[reason]))).to_vec(),
        })
    }

    /// Adds changes that were sent, by [`EventKind`] as a number.
    pub fn changes(&self, counts: &[u64]) {
        for (counter, count) in self.changes.iter().zip(counts) {
            if *count > 0 {
                counter.inc_by(*count);
            }
        }
    }

    /// Adds contacts that were sent as they are.
    pub fn states(&self, count: u64) {
        self.states.inc_by(count);
    }

    /// Counts a stream that was ended.
    pub fn reset(&self, reason: &str) {
        if let Some((_, counter)) = self.resets.iter().find(|(known, _)| *known == reason) {
            counter.inc();
        }
    }
}
