//! librdkafka's settings: what the contact log needs, and over it whatever the user put into
//! `kafka.properties`.

use std::time::Duration;

use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, ClientContext};

use crate::config::{KafkaConfig, Secret, SecurityProtocol};

use super::LogError;

/// Fetched records that may wait in librdkafka: all together in KiB, and of each lane.
const FETCHED_KBYTES_MAX: &str = "8192";
const FETCHED_LANE_RECORDS: &str = "8000";
/// How large one fetch may be for all lanes together, and for one. Small ones, because a fetch is
/// kept until its last record is taken: with 1 MiB a lane a full drain took 90 MB, with these 40 MB
/// at the same speed. A larger record comes alone.
const FETCH_BYTES_MAX: &str = "2097152";
const FETCH_LANE_BYTES_MAX: &str = "262144";

/// How long a fetch waits for how much. Where records come one by one, as webhooks make them, a fetch
/// that returned at once would cost the broker and us more than the records themselves: with these
/// nearly twice as many webhooks a second were kept. A lone record waits that long.
const FETCH_BYTES_MIN: &str = "32768";
const FETCH_WAIT_MS: &str = "2";
/// The same for control records, of which there are few.
const CONTROL_FETCH_WAIT_MS: &str = "100";

/// How large a produced batch is made.
const BATCH_BYTES_MAX: usize = 262_144;

/// How produced batches are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// Batches of a few records, each waited for: packing costs both ends more than it saves.
    Plain,
    /// Large ones.
    Lz4,
}

/// Settings of the consumer that follows the topic.
pub(super) fn consumer(config: &KafkaConfig) -> ClientConfig {
    let mut settings = follower(config);
    settings.set("fetch.min.bytes", FETCH_BYTES_MIN).set("fetch.wait.max.ms", FETCH_WAIT_MS);
    with_properties(settings, config)
}

/// Settings of the consumer that follows the topic of control records.
pub(super) fn control_consumer(config: &KafkaConfig) -> ClientConfig {
    let mut settings = follower(config);
    settings.set("fetch.wait.max.ms", CONTROL_FETCH_WAIT_MS);
    with_properties(settings, config)
}

fn follower(config: &KafkaConfig) -> ClientConfig {
    let mut settings = reader_common(config);
    settings
        .set("queued.max.messages.kbytes", FETCHED_KBYTES_MAX)
        .set("queued.min.messages", FETCHED_LANE_RECORDS)
        .set("fetch.message.max.bytes", FETCH_LANE_BYTES_MAX)
        .set("fetch.max.bytes", FETCH_BYTES_MAX)
        .set("fetch.error.backoff.ms", "100")
        // How long a topic may be unknown before it is said to be missing.
        .set("topic.metadata.propagation.max.ms", "2000")
        // Watermarks, leader epochs, partition counts and broker states come from here, unasked.
        .set("statistics.interval.ms", "1000")
        // The only place where librdkafka says that a topic was made anew, and before what comes by it
        // that a connection was.
        .set("debug", "broker,metadata");
    settings.set_log_level(RDKafkaLogLevel::Debug);
    settings
}

/// Settings of the consumer beside it, for metadata, watermarks, single records and commits.
pub(super) fn reader(config: &KafkaConfig) -> ClientConfig {
    let mut settings = reader_common(config);
    settings
        .set("queued.max.messages.kbytes", "1024")
        .set("fetch.message.max.bytes", "65536")
        .set("fetch.wait.max.ms", "20");
    with_properties(settings, config)
}

fn reader_common(config: &KafkaConfig) -> ClientConfig {
    let mut settings = common(config);
    settings
        // Commits for lag tools go under this name; nothing subscribes.
        .set("group.id", &config.client_id)
        // The default, a whole second, is what a full queue costs each time.
        .set("fetch.queue.backoff.ms", "2")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true");
    settings
}

/// Settings of a member of the consumer group that reads other topics.
pub(super) fn member(config: &KafkaConfig, group: &str) -> ClientConfig {
    let mut settings = common(config);
    settings
        .set("partition.assignment.strategy", "cooperative-sticky")
        // How long the partitions of a member that was killed are left alone.
        .set("session.timeout.ms", "10000")
        .set("heartbeat.interval.ms", "2000")
        .set("isolation.level", "read_committed")
        .set("queued.max.messages.kbytes", FETCHED_KBYTES_MAX)
        .set("queued.min.messages", FETCHED_LANE_RECORDS)
        .set("fetch.message.max.bytes", FETCH_LANE_BYTES_MAX)
        .set("fetch.max.bytes", FETCH_BYTES_MAX)
        .set("fetch.queue.backoff.ms", "2")
        .set("fetch.wait.max.ms", "100")
        .set("statistics.interval.ms", "1000");
    let mut settings = with_properties(settings, config);
    // That nothing is lost hangs on these: whatever else holds for all clients, they don't change.
    settings
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest");
    settings
}

/// Settings of the producer, for a topic that takes batches of `bytes_max`.
pub(super) fn producer(
    config: &KafkaConfig,
    bytes_max: usize,
    packing: Packing,
    delivery_timeout: Duration,
) -> ClientConfig {
    let mut settings = common(config);
    settings
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", config.linger.as_millis().to_string())
        .set("compression.type", packing.as_str())
        // Below what the topic takes, so that a record too large for it fails alone.
        .set("batch.size", BATCH_BYTES_MAX.min(bytes_max).to_string())
        .set("batch.num.messages", "10000")
        // The brokers' limit decides, not ours.
        .set("message.max.bytes", "8388608")
        .set("queue.buffering.max.kbytes", "16384")
        .set("queue.buffering.max.messages", "50000")
        // Which brokers it knows.
        .set("statistics.interval.ms", "5000")
        .set("delivery.timeout.ms", delivery_timeout.as_millis().to_string());
    with_properties(settings, config)
}

impl Packing {
    fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "none",
            Self::Lz4 => "lz4",
        }
    }
}

/// Settings of the admin client.
pub(super) fn admin(config: &KafkaConfig) -> ClientConfig {
    with_properties(common(config), config)
}

fn common(config: &KafkaConfig) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", config.brokers.join(","))
        .set("client.id", &config.client_id)
        .set("security.protocol", config.security_protocol.as_str())
        .set("log.connection.close", "false")
        .set("socket.keepalive.enable", "true")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "2000")
        .set("topic.metadata.refresh.interval.ms", "10000");
    if is_encrypted(config.security_protocol) {
        match &config.ssl_ca_location {
            Some(path) => settings.set("ssl.ca.location", path.to_string_lossy()),
            // OpenSSL is linked in and knows no system paths of its own.
            None => settings.set("ssl.ca.location", "probe"),
        };
        for (name, path) in [
            ("ssl.certificate.location", &config.ssl_certificate_location),
            ("ssl.key.location", &config.ssl_key_location),
        ] {
            if let Some(path) = path {
                settings.set(name, path.to_string_lossy());
            }
        }
        set_secret(&mut settings, "ssl.key.password", config.ssl_key_password.as_ref());
    }
    if is_authenticated(config.security_protocol) {
        settings
            .set("sasl.mechanism", &config.sasl_mechanism)
            .set("sasl.username", &config.sasl_username);
        set_secret(&mut settings, "sasl.password", config.sasl_password.as_ref());
    }
    settings
}

fn set_secret(settings: &mut ClientConfig, name: &str, secret: Option<&Secret>) {
    if let Some(secret) = secret {
        settings.set(name, secret.expose());
    }
}

fn with_properties(mut settings: ClientConfig, config: &KafkaConfig) -> ClientConfig {
    for (name, value) in &config.properties {
        match (name.as_str(), settings.get(name)) {
            // Both wanted: ours is what notices a topic that was made anew.
            ("debug", Some(ours)) => {
                let both = format!("{ours},{value}");
                settings.set(name, both)
            }
            _ => settings.set(name, value),
        };
    }
    settings
}

fn is_encrypted(protocol: SecurityProtocol) -> bool {
    matches!(protocol, SecurityProtocol::Ssl | SecurityProtocol::SaslSsl)
}

fn is_authenticated(protocol: SecurityProtocol) -> bool {
    matches!(protocol, SecurityProtocol::SaslPlaintext | SecurityProtocol::SaslSsl)
}

/// Refuses what this build can't do, before librdkafka says it less clearly.
pub(super) fn check(config: &KafkaConfig) -> Result<(), LogError> {
    let scram = is_authenticated(config.security_protocol)
        && config.sasl_mechanism.to_ascii_uppercase().starts_with("SCRAM");
    if !cfg!(feature = "tls") && (is_encrypted(config.security_protocol) || scram) {
        return Err(LogError::Configuration {
            detail: format!(
                "kafka.security_protocol = \"{}\"{} needs a build with the cargo feature `tls`",
                config.security_protocol.as_str(),
                if scram { " with SCRAM" } else { "" },
            ),
        });
    }
    if config.brokers.is_empty() {
        return Err(LogError::Configuration { detail: "kafka.brokers is empty".to_owned() });
    }
    if config.topic.is_empty() {
        return Err(LogError::Configuration { detail: "kafka.topic is empty".to_owned() });
    }
    Ok(())
}

/// Refuses what no client could be made of, as far as that shows without one.
///
/// # Errors
/// What this build can't do, and what librdkafka doesn't like.
pub fn check_settings(config: &KafkaConfig) -> Result<(), LogError> {
    check(config)?;
    let clients = [consumer(config), reader(config), admin(config)];
    let made = clients.iter().try_for_each(|client| client.create_native_config().map(drop));
    made.map_err(|error| refused_settings(&error))
}

/// Makes a client; what librdkafka doesn't like about the settings is an error of configuration.
pub(super) fn create<C: ClientContext, T: FromClientConfigAndContext<C>>(
    settings: &ClientConfig,
    context: C,
) -> Result<T, LogError> {
    settings.create_with_context(context).map_err(|error| refused_settings(&error))
}

pub(super) fn refused_settings(error: &KafkaError) -> LogError {
    let detail = match error {
        // Its own text has the value, which may be a secret.
        KafkaError::ClientConfig(_, what, _, _) => what.clone(),
        other => other.to_string(),
    };
    LogError::Configuration { detail }
}
