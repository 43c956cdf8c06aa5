//! Configuration: the built-in `config/contactd.toml`, under a file, a `.env`, the environment and
//! flags.
//!
//! ```text
//! Sources ─► layers (texts by key, each with its origin) ─► validate (all errors at once) ─► Config
//! ```
//!
//! [`load`] is pure: what it reads comes in as [`Sources`], so a test sets no environment.

mod acme;
mod backup;
mod bridge;
mod dead_letters;
mod dotenv;
mod environment;
mod error;
mod fields;
mod imports;
mod layers;
mod limits;
mod log_choice;
mod print;
mod publish;
mod reload;
mod rules;
mod schema_registry;
mod secret;
mod secret_strength;
mod sections;
mod signature;
mod simulator;
mod source_tables;
mod sources;
mod subscriptions;
mod suggest;
mod telemetry;
pub mod units;
mod validate;
mod webhook_secret;
mod webhooks;

#[cfg(test)]
mod source_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::domain::sources::SourceTexts;

pub use backup::{BUCKET_SCHEME, BackupConfig, BackupPlace, BucketConfig};
pub use bridge::{BridgeConfig, InputConfig};
pub use dotenv::dotenv_variables;
pub use error::{ConfigError, ConfigErrors};
pub use imports::ImportsConfig;
pub use limits::{AllowConfig, ForwardedHeader, LimitsConfig, ProxyConfig, RateLimit, TlsFiles};
pub use publish::{PublishConfig, RabbitmqConfig};
pub use reload::{ReloadConfig, Reloaded};
pub use rules::{AdoptChoice, RulesConfig};
pub use schema_registry::SchemaRegistryConfig;
pub use secret::Secret;
pub use sections::{
    AccessLogTarget, AcmeConfig, ApplyConfig, AuthConfig, DeadLettersConfig, EmbeddedLogConfig,
    ExportsConfig, FeedConfig, JournalRetention, JwtConfig, KafkaConfig, LogChoice, LogConfig,
    LogFormat, OutboxConfig, PageConfig, PartitionerChoice, PaymentsConfig, RedisConfig,
    SecurityProtocol, ServerConfig, StoreConfig, TelemetryConfig, WebhookSourceConfig,
    WebhooksConfig,
};
pub use signature::{Algorithm, Encoding, HeaderPart, HeaderSet, Part, SignatureForm};
pub use simulator::SimulatorConfig;
pub use source_tables::{SourceTable, Tombstones};
pub use sources::{FileText, FlagSetting, Sources};
pub use subscriptions::SubscriptionsConfig;
pub use suggest::nearest;
pub use webhook_secret::webhook_key;

/// The built-in default: every key there is, with what it means.
pub const BUILT_IN: &str = include_str!("../../config/contactd.toml");

/// What the process is run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// On a developer's machine, with demo events.
    Dev,
    /// For real.
    Serve,
}

/// Everything that can be set, validated.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the process is run as; no key, decided by the command.
    pub mode: Mode,
    /// Where and how HTTP is served.
    pub server: ServerConfig,
    /// How often requests may come.
    pub limits: LimitsConfig,
    /// From where they may come.
    pub allow: AllowConfig,
    /// Which contact log is followed.
    pub log: LogConfig,
    /// The log on this machine's disk.
    pub embedded_log: EmbeddedLogConfig,
    /// The Kafka topic that is followed.
    pub kafka: KafkaConfig,
    /// The store.
    pub store: StoreConfig,
    /// How records are applied.
    pub apply: ApplyConfig,
    /// What is said of each source, but for how it signs; `sources.path` was read for it too.
    pub sources: BTreeMap<String, SourceTable>,
    /// The feed of changes.
    pub feed: FeedConfig,
    /// Contacts out, as files.
    pub exports: ExportsConfig,
    /// Logs.
    pub telemetry: TelemetryConfig,
    /// What instances share: limits and revocations.
    pub redis: RedisConfig,
    /// Users, API keys and sign-ins.
    pub auth: AuthConfig,
    /// Access tokens.
    pub jwt: JwtConfig,
    /// The Acme CRM.
    pub acme: AcmeConfig,
    /// Webhooks in.
    pub webhooks: WebhooksConfig,
    /// What is kept while Kafka is away.
    pub outbox: OutboxConfig,
    /// Webhooks as Acme sends them, made here.
    pub simulator: SimulatorConfig,
    /// Whoever wants to be told of changes.
    pub subscriptions: SubscriptionsConfig,
    /// The page for people.
    pub page: PageConfig,
    /// Payments.
    pub payments: PaymentsConfig,
    /// When an instance backs itself up.
    pub backup: BackupConfig,
    /// Files in.
    pub imports: ImportsConfig,
    /// Other topics in.
    pub bridge: BridgeConfig,
    /// Where the schemas of their Avro records are; none: such records are dead letters.
    pub schema_registry: Option<SchemaRegistryConfig>,
    /// Records that can't be applied.
    pub dead_letters: DeadLettersConfig,
    /// Topics for others to follow.
    pub publish: PublishConfig,
    /// Where changes are notified of; none: nowhere.
    pub rabbitmq: Option<RabbitmqConfig>,
    /// When its own rules are put onto the log.
    pub rules: RulesConfig,
    /// What `dev` and `serve` can't start with, though other commands can do without: secrets, brokers.
    pub unfit_to_serve: Vec<ConfigError>,
    /// One line each, to be logged once at the start.
    pub warnings: Vec<String>,
    /// Every key with its text and origin, secrets redacted, in the order of the built-in file.
    effective: Vec<print::Effective>,
}

impl Config {
    /// The built-in default alone.
    ///
    /// # Errors
    /// None, as long as the built-in file is right (a test sees to it).
    pub fn built_in(mode: Mode) -> Result<Self, ConfigErrors> {
        load(&Sources::new(mode))
    }

    /// What `dev` and `serve` need over what any command needs.
    ///
    /// # Errors
    /// All of it that is missing or of no use.
    pub fn require_fit_to_serve(&self) -> Result<(), ConfigErrors> {
        match self.unfit_to_serve.as_slice() {
            [] => Ok(()),
            errors => Err(ConfigErrors(errors.to_vec())),
        }
    }

    /// Whether the contact log is a Kafka topic; else it is the embedded one.
    pub fn follows_kafka(&self) -> bool {
        match self.log.kind {
            LogChoice::Auto => !self.kafka.brokers.is_empty(),
            LogChoice::Kafka => true,
            LogChoice::Embedded => false,
        }
    }

    /// Where data is kept, each directory once.
    pub fn data_directories(&self) -> Vec<&Path> {
        let store = self.store.path.as_path();
        let others = [&*self.embedded_log.path, &*self.outbox.path, &*self.imports.path];
        let elsewhere = others.into_iter().filter(|path| !path.starts_with(store));
        std::iter::once(store).chain(elsewhere).collect()
    }

    /// By source, what the rules say of it.
    pub fn source_texts(&self) -> SourceTexts {
        source_tables::texts(&self.sources)
    }

    /// Whether the rules of its own are put onto the log at the start.
    pub fn adopts_by_itself(&self) -> bool {
        match self.rules.adopt {
            AdoptChoice::ByLog => !self.follows_kafka(),
            AdoptChoice::Auto => true,
            AdoptChoice::Manual => false,
        }
    }

    /// The place that says what `key` is; the key itself where it is a whole section.
    pub fn place(&self, key: &str) -> String {
        let entry = self.effective.iter().find(|entry| entry.key.join(".") == key);
        entry.map_or_else(|| "configuration".to_owned(), |entry| entry.place.clone())
    }

    /// The keys that say something else in `other`, whatever they say.
    pub fn differences(&self, other: &Self) -> BTreeSet<String> {
        let said = |config: &Self| -> BTreeMap<String, u64> {
            let entries = config.effective.iter();
            entries.map(|entry| (entry.key.join("."), entry.digest)).collect()
        };
        let (own, others) = (said(self), said(other));
        let keys = own.keys().chain(others.keys()).filter(|key| own.get(*key) != others.get(*key));
        keys.cloned().collect()
    }

    /// The files that secrets stand in, each with the key that names it.
    pub fn secret_files(&self) -> Vec<(String, &Path)> {
        let named = |entry: &'_ print::Effective| entry.key.join(".");
        let files = self.effective.iter();
        files.filter_map(|entry| Some((named(entry), entry.secret_file.as_deref()?))).collect()
    }

    /// The effective configuration as TOML that can be read again, each key with where it comes from; secrets
    /// are redacted and stand in comments.
    pub fn to_toml(&self) -> String {
        print::to_toml(&self.effective)
    }
}

/// Puts the layers over each other and validates the result.
///
/// # Errors
/// Everything that is wrong, in all layers, together.
pub fn load(sources: &Sources<'_>) -> Result<Config, ConfigErrors> {
    let (config, errors) = examine(sources);
    if errors.is_empty() { Ok(config) } else { Err(ConfigErrors(errors)) }
}

/// The same for who wants to look at the rest of it as well: where there are errors, defaults stand in place of
/// what is wrong, and nothing may be run by it.
pub fn examine(sources: &Sources<'_>) -> (Config, Vec<ConfigError>) {
    let mut errors = Vec::new();
    let layered = layers::gather(sources, &mut errors);
    let config = validate::config(sources, &layered, &mut errors);
    (config, errors)
}
