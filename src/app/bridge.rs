//! Other topics in, and records of the contact log that are not at home.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::domain::decode::Decoder;
use crate::event_log::{EventLog, LogError};
use crate::ingest::{Bridge, Rehoming};

use super::watch::Watch;

/// How often it is looked whether the log is settled.
const SETTLED_LOOK: Duration = Duration::from_millis(100);

/// Until told to stop, from the moment that it is known which lane is a contact's home.
pub(super) async fn run_bridge(
    config: Arc<Config>,
    decoder: Arc<Decoder>,
    log: EventLog,
    watch: Watch,
    stop: CancellationToken,
) -> Result<(), LogError> {
    while !watch.intake.is_settled() {
        let look = tokio::time::sleep(SETTLED_LOOK);
        if stop.run_until_cancelled(look).await.is_none() {
            return Ok(());
        }
    }
    let topics = other_topics(&config, &decoder, &log, &watch, &stop);
    let misplaced = rehome(&config, &decoder, &log, &watch, &stop);
    tokio::try_join!(topics, misplaced).map(|_both| ())
}

/// On a thread of its own, because reading and appending block.
async fn other_topics(
    config: &Config,
    decoder: &Arc<Decoder>,
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
        decoder: Arc::clone(decoder),
        metrics: Arc::clone(&watch.metrics),
    };
    let (runtime, stop) = (tokio::runtime::Handle::current(), stop.clone());
    let bridging = tokio::task::spawn_blocking(move || bridge.run(&runtime, &stop));
    let topic = || config.kafka.topic.clone();
    bridging.await.map_err(|_| LogError::Panicked { topic: topic(), thread: "bridge" })?
}

/// Nobody but ourselves appends to an embedded log, so nothing there is misplaced.
async fn rehome(
    config: &Config,
    decoder: &Arc<Decoder>,
    log: &EventLog,
    watch: &Watch,
    stop: &CancellationToken,
) -> Result<(), LogError> {
    let identity = tokio::task::spawn_blocking({
        let log = log.clone();
        move || log.identity()
    });
    let is_on = watch.is_kafka && config.bridge.rehome;
    let (Some(reader), true) = (watch.reader.get().cloned(), is_on) else {
        stop.cancelled().await;
        return Ok(());
    };
    // The store knows it since it was opened; only its changes would be an error, and the worker's.
    let Ok(Ok(identity)) = identity.await else {
        stop.cancelled().await;
        return Ok(());
    };
    let (decoder, metrics) = (Arc::clone(decoder), Arc::clone(&watch.metrics));
    let rehoming =
        Rehoming::new(log.clone(), identity.topic, identity.lanes, decoder, reader, metrics);
    rehoming.run(stop).await;
    Ok(())
}
