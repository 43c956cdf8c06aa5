//! Figures of what goes to RabbitMQ, besides those of every follower.

use prometheus::IntCounter;

use super::registry::{Families, MetricsError};

/// Figures of the follower `rabbitmq`; cheap to clone.
#[derive(Clone, Debug)]
pub struct RabbitmqMetrics {
    returned: IntCounter,
}

impl RabbitmqMetrics {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        let returned = families.counter(
            "contactd_rabbitmq_returned_total",
            "Messages that RabbitMQ returned, because no queue is bound that takes them.",
        )?;
        Ok(Self { returned })
    }

    /// No queue took a message.
    pub fn returned(&self) {
        self.returned.inc();
    }

    /// How many that were since the start.
    pub fn returned_total(&self) -> u64 {
        self.returned.get()
    }
}
