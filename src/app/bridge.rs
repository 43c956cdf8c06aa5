//! Other topics in.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::event_log::{EventLog, LogError};
use crate::ingest::{Bridge, BridgeAgain, PresentRules};
use crate::schema_registry::SchemaRegistry;
use crate::telemetry::Metrics;

use super::partial::while_whole;
use super::watch::Watch;

/// How often it is looked whether the log is settled.
const SETTLED_LOOK: Duration = Duration::from_millis(100);

/// What decodes Avro records, those that are redriven too, where a registry is configured.
pub(crate) fn open_registry(
    config: &Config,
    rules: &PresentRules,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<BridgeAgain> {
    let open = |of| SchemaRegistry::new(of, Arc::clone(metrics)).map(Arc::new);
    let registry = config.schema_registry.as_ref().map(open).transpose();
    let registry = registry.context("schema_registry.ca_file can't be used")?;
    if let Some(registry) = &registry {
        registry.show();
    }
    Ok(BridgeAgain { config: config.bridge.clone(), rules: rules.clone(), registry })
}

/// Until told to stop, from the moment that it is known which lane is a contact's home.
pub(super) async fn run_bridge(
    config: Arc<Config>,
    rules: PresentRules,
    log: EventLog,
    watch: Watch,
    stop: CancellationToken,
) -> Result<(), LogError> {
    if config.bridge.is_on() {
        watch.metrics.bridge.set_member(0, false);
    }
    let (config, rules, log, watch) = (&*config, &rules, &log, &watch);
    let topics = while_whole(&watch.partial, &stop, |stop| async move {
        if !until(&stop, || watch.intake.is_settled()).await {
            return Ok(());
        }
        other_topics(config, rules, log, watch, &stop).await
    });
    let schemas = async {
        match &watch.registry {
            Some(registry) => registry.run(&stop).await,
            None => stop.cancelled().await,
        }
        Ok(())
    };
    // A failure of the one ends the other.
    tokio::try_join!(topics, schemas).map(|_ended| ())
}

/// False: told to stop before.
async fn until(stop: &CancellationToken, is_so: impl Fn() -> bool) -> bool {
    while !is_so() {
        let look = tokio::time::sleep(SETTLED_LOOK);
        if stop.run_until_cancelled(look).await.is_none() {
            return false;
        }
    }
    true
}

/// On a thread of its own, because reading and appending block.
async fn other_topics(
    config: &Config,
    rules: &PresentRules,
    log: &EventLog,
    watch: &Watch,
    stop: &CancellationToken,
) -> Result<(), LogError> {
    if !config.bridge.is_on() {
        stop.cancelled().await;
        return Ok(());
    }
    let bridge = Bridge {
        log: log.clone(),
        kafka: config.kafka.clone(),
        config: config.bridge.clone(),
        rules: rules.clone(),
        registry: watch.registry.clone(),
        metrics: Arc::clone(&watch.metrics),
    };
    let (runtime, stop) = (tokio::runtime::Handle::current(), stop.clone());
    let bridging = tokio::task::spawn_blocking(move || bridge.run(&runtime, &stop));
    let topic = || config.kafka.topic.clone();
    bridging.await.map_err(|_| LogError::Panicked { topic: topic(), thread: "bridge" })?
}
