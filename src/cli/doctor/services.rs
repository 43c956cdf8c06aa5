//! Redis and the schema registry, tried once each.

use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::config::Config;
use crate::schema_registry::SchemaRegistry;
use crate::shared_state::SharedState;
use crate::telemetry::Metrics;

use super::finding::Finding;
use super::setup::Setup;

fn redis_time(config: &Config, runtime: &Runtime) -> Result<Option<u64>, String> {
    let metrics = Arc::new(Metrics::new().map_err(|error| error.to_string())?);
    let shared = SharedState::new(config, &metrics).map_err(|error| error.to_string())?;
    runtime.block_on(shared.try_once()).map_err(|error| error.to_string())
}

/// Milliseconds since 1970, where Redis says it.
pub(super) fn redis_time_ms(config: &Config, runtime: &Runtime) -> Option<u64> {
    redis_time(config, runtime).ok().flatten()
}

pub(super) fn redis(setup: &mut Setup) -> Finding {
    match redis_time(&setup.config, &setup.runtime) {
        Ok(Some(_)) => Finding::right("it answers, and counts a limit"),
        Ok(None) => Finding::not_looked("there is none: redis.url and redis.host are empty"),
        Err(error) => Finding::warning(error),
    }
}

pub(super) fn schema_registry(setup: &mut Setup) -> Finding {
    let Some(config) = &setup.config.schema_registry else {
        return Finding::not_looked("there is none: schema_registry.url is empty");
    };
    let tried = || {
        let metrics = Arc::new(Metrics::new().map_err(|error| error.to_string())?);
        let registry = SchemaRegistry::new(config, metrics).map_err(|error| error.to_string())?;
        setup.runtime.block_on(registry.try_once()).map_err(|error| error.to_string())
    };
    match tried() {
        Ok(()) => Finding::right("it answers"),
        Err(error) => Finding::fault(error),
    }
}
