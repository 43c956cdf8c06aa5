//! The simulator, where it is on and has a secret to sign with.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::{Config, ConfigError, ConfigErrors};
use crate::effects::simulator::{Simulator, SimulatorOptions};
use crate::telemetry::Metrics;

/// Whose webhooks it makes.
const SOURCE: &str = "acme";

/// Whether there is one: it is on, and has something to sign with.
pub fn has_simulator(config: &Config) -> bool {
    let secret = config.webhooks.sources.get(SOURCE).and_then(|source| source.secret.as_ref());
    config.simulator.enabled && secret.is_some()
}

/// None: it is off. `own`: where this instance listens.
pub(super) fn open_simulator(
    config: &Config,
    own: SocketAddr,
    metrics: &Metrics,
) -> Result<Option<Arc<Simulator>>, ConfigErrors> {
    if !config.simulator.enabled {
        if config.simulator.fire_on_writes {
            tracing::warn!("simulator.fire_on_writes does nothing: simulator.enabled is false");
        }
        return Ok(None);
    }
    let source = config.webhooks.sources.get(SOURCE);
    let signs = source.and_then(|source| Some((source.signature.clone(), source.secret.clone()?)));
    let Some((form, secret)) = signs else {
        tracing::warn!("the simulator has nothing to sign with: set acme.webhook_secret");
        return Ok(None);
    };
    let options = SimulatorOptions {
        config: config.simulator.clone(),
        form,
        secret,
        own,
        speaks_tls: config.server.tls.is_some(),
    };
    let simulator = Simulator::new(&options, metrics.simulator.clone()).map_err(|error| {
        let (place, key) = ("configuration".to_owned(), "simulator.target".to_owned());
        ConfigErrors(vec![ConfigError::Invalid { place, key, problem: error.to_string() }])
    })?;
    Ok(Some(Arc::new(simulator)))
}
