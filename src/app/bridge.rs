//! Other topics in.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::event_log::{EventLog, LogError};
use crate::ingest::{Bridge, Intake};
use crate::telemetry::Metrics;

use super::worker::ApplySetup;

/// How often it is looked whether the log is settled.
const SETTLED_LOOK: Duration = Duration::from_millis(100);

/// On a thread of its own, because reading and appending block; none: there are no inputs.
pub(super) fn start_bridge(
    config: &Config,
    setup: &ApplySetup,
    log: EventLog,
    intake: &Arc<Intake>,
    metrics: &Arc<Metrics>,
    stop: CancellationToken,
) -> Option<JoinHandle<Result<(), LogError>>> {
    if !config.bridge.is_on() {
        return None;
    }
    let bridge = Bridge {
        log,
        kafka: config.kafka.clone(),
        config: config.bridge.clone(),
        decoder: Arc::clone(&setup.decoder),
        metrics: Arc::clone(metrics),
    };
    let intake = Arc::clone(intake);
    let runtime = tokio::runtime::Handle::current();
    Some(tokio::task::spawn_blocking(move || {
        // Before, nobody knows which lane is a contact's home.
        while !intake.is_settled() {
            let look = tokio::time::sleep(SETTLED_LOOK);
            if runtime.block_on(stop.run_until_cancelled(look)).is_none() {
                return Ok(());
            }
        }
        bridge.run(&runtime, &stop)
    }))
}
