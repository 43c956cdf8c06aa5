//! Webhooks in, and the outbox behind them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::config::Config;
use crate::event_log::EventLog;
use crate::http::WebhookIntake;
use crate::ingest::{Intake, IntakeOptions, Outbox, PresentRules, WebhookSetupError, Webhooks};

use super::setup::ApplySetup;
use super::tasks::{Stage, Tasks};

/// How long the end waits for what is being written to the outbox.
const OUTBOX_DRAIN: Duration = Duration::from_secs(5);

/// The way in for webhooks, with an outbox where the log can be away.
pub(super) fn open_webhooks(
    config: &Config,
    setup: &ApplySetup,
    log: EventLog,
) -> anyhow::Result<WebhookIntake> {
    let has_outbox = config.follows_kafka() && config.outbox.bytes_max > 0;
    let outbox = has_outbox
        .then(|| Outbox::open(&config.outbox.path, config.outbox.bytes_max))
        .transpose()
        .context("can't open the outbox")?;
    let options = IntakeOptions {
        ack_timeout: config.outbox.ack_timeout,
        path: config.store.path.clone(),
        min_free_bytes: config.store.min_free_bytes,
    };
    let intake = Arc::new(Intake::new(log, outbox.map(Arc::new), options));
    let webhooks = webhooks_of(config, setup.present.clone())?;
    for (source, signature, _) in webhooks.sources() {
        tracing::info!(source, signature, "webhooks are taken");
    }
    for source in setup.decoder.sources().iter() {
        for (field, why) in source.one_way() {
            let source = source.name();
            tracing::info!(
                source,
                field,
                why,
                "a field is taken from a source and never sent there"
            );
        }
    }
    Ok(WebhookIntake::new(webhooks, intake))
}

/// Who may send, and what with.
pub(super) fn webhooks_of(
    config: &Config,
    present: PresentRules,
) -> Result<Webhooks, WebhookSetupError> {
    let acme = &config.acme;
    let synced = (acme.url.is_some() && acme.sync).then(|| acme.source.clone());
    Ok(Webhooks::new(&config.webhooks, present)?.with_synced(synced))
}

/// On a thread of its own, because reading the outbox blocks.
pub(super) fn start_forwarding(tasks: &Tasks, intake: &Arc<Intake>) -> anyhow::Result<()> {
    if intake.outbox().is_none() {
        return Ok(());
    }
    let (intake, runtime) = (Arc::clone(intake), tokio::runtime::Handle::current());
    tasks.start_thread("outbox", Stage::Behind, move |stop| intake.forward(&runtime, &stop))
}

/// What waits is forwarded at the next start.
pub(super) async fn shut_outbox(intake: Arc<Intake>) {
    let shut = tokio::task::spawn_blocking(move || intake.outbox().map(|outbox| outbox.shutdown()));
    match tokio::time::timeout(OUTBOX_DRAIN, shut).await {
        Ok(Ok(None | Some(Ok(())))) => {}
        Ok(Ok(Some(Err(error)))) => tracing::warn!(%error, "the outbox did not end well"),
        Ok(Err(_)) | Err(_) => tracing::warn!("the outbox did not end in time"),
    }
}
