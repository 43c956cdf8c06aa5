//! Acme's client, where it is configured, and its desk once the store is open.

use std::sync::Arc;

use crate::acme::{Acme, AcmeClient};
use crate::config::{Config, ConfigError, ConfigErrors};
use crate::ingest::{Intake, PresentRules};
use crate::store::Reader;
use crate::telemetry::{AcmeMetrics, Metrics};

/// What there is of it before the store is open.
#[derive(Clone)]
pub(super) struct AcmeSetup {
    client: Arc<AcmeClient>,
    intake: Arc<Intake>,
    rules: PresentRules,
    source: String,
    metrics: AcmeMetrics,
}

/// None: there is no address to ask.
pub(super) fn open_acme(
    config: &Config,
    intake: &Arc<Intake>,
    rules: &PresentRules,
    metrics: &Metrics,
) -> Result<Option<AcmeSetup>, ConfigErrors> {
    let (Some(url), Some(key)) = (&config.acme.url, &config.acme.api_key) else {
        return Ok(None);
    };
    let metrics = metrics.acme.clone();
    let client = AcmeClient::new(url, key.clone(), config.acme.timeout, metrics.clone());
    let client = client.map_err(|error| {
        let (place, key) = (config.place("acme.url"), "acme.url".to_owned());
        ConfigErrors(vec![ConfigError::Invalid { place, key, problem: error.to_string() }])
    })?;
    tracing::info!(url, sync = config.acme.sync, "Acme is asked");
    Ok(Some(AcmeSetup {
        client: Arc::new(client),
        intake: Arc::clone(intake),
        rules: rules.clone(),
        source: config.acme.source.clone(),
        metrics,
    }))
}

impl AcmeSetup {
    pub(super) fn open(self, reader: Reader) -> Arc<Acme> {
        let Self { client, intake, rules, source, metrics } = self;
        Arc::new(Acme::new(client, reader, intake, rules, &source, metrics))
    }
}
