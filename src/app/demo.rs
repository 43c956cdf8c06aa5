//! Events for a first look, a few a second.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::Class;
use crate::event_log::{EventLog, LogError};
use crate::ingest::now_ms;
use crate::simulate::{LoadGenerator, LoadOptions};

/// Contacts that the demo is about.
const CONTACTS: u32 = 200;
/// So that every demo is about the same contacts.
const SEED: u64 = 42;
/// Events that are there at once, so that the first question has an answer.
const FIRST_EVENTS: usize = 50;

/// What the demo does.
#[derive(Clone, Copy, Debug)]
pub struct DemoOptions {
    /// Events a second.
    pub rate: f64,
}

/// A contact that the demo's first events are about.
pub(super) fn first_contact() -> String {
    generator(0).contact_id(0)
}

/// Appends events until told to stop.
pub(super) async fn run(
    log: EventLog,
    options: DemoOptions,
    stop: CancellationToken,
) -> Result<(), LogError> {
    let mut generator = generator(now_ms());
    let first = (0..FIRST_EVENTS).map(|_| generator.record_at(now_ms()).into()).collect();
    log.append(first).await?;
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / options.rate));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        match log.append(vec![generator.record_at(now_ms()).into()]).await {
            Ok(_) => {}
            // A demo event more or less: the log says what is wrong.
            Err(error) if error.class() == Class::Retry => {
                tracing::warn!(%error, "demo event not kept")
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn generator(start_ms: u64) -> LoadGenerator {
    LoadGenerator::new(&LoadOptions {
        events: u64::MAX,
        contacts: CONTACTS,
        seed: SEED,
        start_ms,
        ..LoadOptions::default()
    })
}
