//! What the configuration says of how events are understood and applied.

use std::sync::Arc;

use crate::config::{Config, ConfigError, ConfigErrors};
use crate::domain::decode::Decoder;
use crate::domain::limits::Limits;
use crate::domain::rules::{RuleSet, RuleText};
use crate::ingest::PresentRules;

use super::schemas::configured_schemas;

/// How events are understood and applied, as configured here.
#[derive(Clone)]
pub struct ApplySetup {
    /// What the configuration says; what holds stands on the log.
    pub rules: Arc<RuleSet>,
    /// Understands records.
    pub decoder: Arc<Decoder>,
    /// How far an event may lie ahead of its record, in milliseconds.
    pub future_tolerance_ms: u64,
    /// What holds: the log's, once the store is open.
    pub present: PresentRules,
}

impl ApplySetup {
    /// From the configuration.
    ///
    /// # Errors
    /// Every schema that is none.
    pub fn new(config: &Config) -> Result<Self, ConfigErrors> {
        let limits =
            Limits { contact_bytes_max: config.apply.contact_bytes_max, ..Limits::default() };
        let tolerance = config.apply.future_tolerance.as_millis();
        let future_tolerance_ms = u64::try_from(tolerance).unwrap_or(u64::MAX);
        let mut text = RuleText::new(config.source_texts(), &limits, future_tolerance_ms);
        text.schemas = configured_schemas(config)?;
        text.payments = config.payments.enabled;
        let rules = RuleSet::compile(text).map_err(|error| {
            let place = "sources, schemas and apply".to_owned();
            ConfigErrors(vec![ConfigError::Syntax { place, problem: error.to_string() }])
        })?;
        let decoder = Arc::clone(rules.decoder());
        let rules = Arc::new(rules);
        let present = PresentRules::new(Arc::clone(&rules));
        Ok(Self { rules, decoder, future_tolerance_ms, present })
    }
}
