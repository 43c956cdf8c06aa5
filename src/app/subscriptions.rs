//! What tells subscribers, once the store is open.

use std::sync::Arc;

use crate::config::{Config, Secret, SubscriptionsConfig};
use crate::effects::subscriptions::{FanOut, Signer, SubscriptionOptions};
use crate::ingest::Control;
use crate::telemetry::Metrics;

/// What there is of it before the store is open.
#[derive(Clone)]
pub(super) struct SubscriptionSetup {
    config: SubscriptionsConfig,
    /// What secrets are made from, the present one first; none: in `dev` there need be none.
    secrets: Vec<Secret>,
}

impl SubscriptionSetup {
    pub(super) fn of(config: &Config) -> Self {
        let secrets = config.jwt.secret.iter().chain(&config.jwt.secret_previous);
        Self { config: config.subscriptions.clone(), secrets: secrets.cloned().collect() }
    }
}

pub(super) fn open_subscriptions(
    setup: &SubscriptionSetup,
    control: &Arc<Control>,
    metrics: &Metrics,
) -> FanOut {
    let SubscriptionSetup { config, mut secrets } = setup.clone();
    if secrets.is_empty() {
        // Whoever may read a directory of `dev` may as well know what signs there.
        let log = control.reader().position().log;
        secrets.push(Secret::new(format!("contactd dev {log:016x}")));
    }
    let options = SubscriptionOptions { config, signer: Signer::new(secrets) };
    FanOut::new(options, Arc::clone(control), metrics.subscriptions.clone())
}
