//! The simulator's figures.

use prometheus::IntCounter;

use super::registry::{Families, MetricsError};

/// How a delivery of the simulator ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimulatorOutcome {
    /// The target took it.
    Delivered = 0,
    /// The target refused it for good.
    Rejected,
    /// It could not be delivered, however often it was tried.
    Failed,
}

impl SimulatorOutcome {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Delivered, Self::Rejected, Self::Failed];

    /// Label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }
}

/// The simulator's figures; cheap to clone.
#[derive(Clone, Debug)]
pub struct SimulatorMetrics {
    deliveries: Vec<IntCounter>,
    attempts: IntCounter,
}

impl SimulatorMetrics {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        let deliveries = families.counters(
            "contactd_simulator_deliveries_total",
            "Webhooks of the simulator by how they ended.",
            &["outcome"],
        )?;
        let attempts = families.counters(
            "contactd_simulator_attempts_total",
            "Tries to deliver a webhook of the simulator.",
            &[],
        )?;
        let of = |outcome: &SimulatorOutcome| deliveries.with_label_values(&[outcome.as_str()]);
        Ok(Self {
            deliveries: SimulatorOutcome::ALL.iter().map(of).collect(),
            attempts: attempts.with_label_values(&[] as &[&str]),
        })
    }

    /// A delivery ended.
    pub fn delivery(&self, outcome: SimulatorOutcome) {
        if let Some(counter) = self.deliveries.get(outcome as usize) {
            counter.inc();
        }
    }

    /// A try was made.
    pub fn attempt(&self) {
        self.attempts.inc();
    }
}
