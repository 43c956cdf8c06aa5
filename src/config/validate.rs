//! From texts to the validated sections.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use crate::domain::limits::{CONTACT_BYTES, FUTURE_TOLERANCE_SECONDS_MAX};

use super::error::ConfigError;
use super::fields::{Fields, YES_OR_NO, free, millis, named_socket, seconds};
use super::layers::Layered;
use super::limits;
use super::print;
use super::publish::Inputs;
use super::secret::Secret;
use super::secret_strength::{BYTES_MIN, weakness};
use super::sections::*;
use super::webhook_secret::too_short;
use super::{
    Config, Mode, Sources, acme, backup, bridge, dead_letters, imports, log_choice, publish, rules,
    schema_registry, simulator, source_tables, subscriptions, telemetry, webhooks,
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
const DAY: u64 = 86_400;
const NO_BROKERS: &str = "needs kafka.brokers (KAFKA_BROKERS), which is not set";
/// Small enough for a test that wants many segments.
const SEGMENT_BYTES: RangeInclusive<u64> = 4 * KIB..=4 * GIB;

/// Validates everything; errors are added to `errors`, and then the result is not to be used.
pub(super) fn config(
    sources: &Sources<'_>,
    layered: &Layered,
    errors: &mut Vec<ConfigError>,
) -> Config {
    let mut fields = Fields { sources, layered, errors };
    let store = store(&mut fields);
    let mut unfit = Unfit::default();
    let jwt = jwt(&mut fields, &mut unfit);
    let kafka = kafka(&mut fields);
    let log = log_choice::log(&mut fields, &kafka, &mut unfit.warnings);
    let acme_secret = fields.secret("acme.webhook_secret");
    let acme_secret = unfit.checked(&fields, "acme.webhook_secret", acme_secret, too_short);
    let acme = acme::acme(&mut fields, acme_secret);
    let server = server(&mut fields, &mut unfit);
    let tables = source_tables::sources(&mut fields, &acme);
    acme::check(&mut fields, &acme, &tables.sources);
    let payments = payments(&mut fields);
    let bridge = bridge::bridge(&mut fields, &log, &kafka, &tables.sources, &payments);
    if bridge.is_on() && kafka.brokers.is_empty() {
        unfit.add(&fields, "bridge.topics", NO_BROKERS);
    }
    let dead_letters = dead_letters::dead_letters(&mut fields, &kafka);
    let inputs = Inputs { log: &log, kafka: &kafka, dead_letters: &dead_letters, bridge: &bridge };
    let publish = publish::publish(&mut fields, &inputs);
    for (key, topic) in [("publish.state", &publish.state), ("publish.changes", &publish.changes)] {
        if topic.is_some() && kafka.brokers.is_empty() {
            unfit.add(&fields, key, NO_BROKERS);
        }
    }
    Config {
        mode: sources.mode,
        limits: limits::limits(&mut fields),
        allow: limits::allow(&mut fields),
        embedded_log: embedded_log(&mut fields, &store.path),
        backup: backup::backup(&mut fields),
        bridge,
        log,
        dead_letters,
        publish,
        rabbitmq: publish::rabbitmq(&mut fields),
        rules: rules::rules(&mut fields),
        schema_registry: schema_registry::schema_registry(&mut fields),
        kafka,
        auth: auth(&mut fields, &store.path, jwt.expiration),
        apply: apply(&mut fields),
        sources: tables.sources,
        feed: feed(&mut fields),
        exports: ExportsConfig { running_max: fields.count("exports.running_max", 1..=1_000) },
        telemetry: telemetry::telemetry(&mut fields, server.listen),
        redis: redis(&mut fields),
        jwt,
        webhooks: webhooks::webhooks(&mut fields, tables.webhooks),
        outbox: webhooks::outbox(&mut fields, &store.path),
        imports: imports::imports(&mut fields, &store.path),
        simulator: simulator::simulator(&mut fields),
        subscriptions: subscriptions::subscriptions(&mut fields),
        page: page(&mut fields),
        payments,
        acme,
        server,
        store,
        warnings: layered.warnings.iter().cloned().chain(unfit.warnings).collect(),
        unfit_to_serve: unfit.errors,
        effective: print::effective(sources, layered),
    }
}

/// What keeps `dev` and `serve` from starting, and no other command.
#[derive(Default)]
struct Unfit {
    errors: Vec<ConfigError>,
    warnings: Vec<String>,
}

impl Unfit {
    fn add(&mut self, fields: &Fields<'_>, key: &str, problem: &str) {
        let (place, key) = (fields.place(key), key.to_owned());
        self.errors.push(ConfigError::Invalid { place, key, problem: problem.to_owned() });
    }

    /// The secret where it is one. In `dev`, which has another, a weak one is only warned of; examples hold
    /// such, and stop no other command.
    fn checked(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        secret: Option<Secret>,
        weakness: fn(&Secret) -> Option<String>,
    ) -> Option<Secret> {
        let Some(weakness) = secret.as_ref().and_then(weakness) else {
            return secret;
        };
        let place = fields.place(key);
        match fields.sources.mode {
            Mode::Dev => {
                let instead = "a generated one is used instead";
                self.warnings.push(format!("{place}: {key} {weakness}; {instead}"));
            }
            Mode::Serve => {
                let key = key.to_owned();
                self.errors.push(ConfigError::Invalid { place, key, problem: weakness });
            }
        }
        None
    }
}

fn jwt(fields: &mut Fields<'_>, unfit: &mut Unfit) -> JwtConfig {
    let secret = fields.secret("jwt.secret");
    if secret.is_none() && fields.sources.mode == Mode::Serve {
        unfit.errors.push(ConfigError::Invalid {
            place: "JWT_SECRET".to_owned(),
            key: "jwt.secret".to_owned(),
            problem: format!(
                "is not set; it signs access tokens, and must have {BYTES_MIN} random bytes or \
                 more, as from `openssl rand -base64 48`"
            ),
        });
    }
    let previous = fields.secret("jwt.secret_previous");
    JwtConfig {
        secret: unfit.checked(fields, "jwt.secret", secret, weakness),
        secret_previous: unfit.checked(fields, "jwt.secret_previous", previous, weakness),
        expiration: fields.duration("jwt.expiration", seconds(1, 365 * DAY)),
        issuer: named(fields, "jwt.issuer"),
        audience: named(fields, "jwt.audience"),
    }
}

/// A text that must not be empty.
fn named(fields: &mut Fields<'_>, key: &str) -> String {
    let text = fields.text(key);
    if text.is_empty() {
        fields.refuse(key, "is empty, and must not be");
    }
    text
}

fn auth(fields: &mut Fields<'_>, store: &Path, token_lifetime: Duration) -> AuthConfig {
    let users_file = fields.optional_path("auth.users_file");
    let config = AuthConfig {
        users_file: users_file.unwrap_or_else(|| store.join("users.toml")),
        refresh_lifetime: fields.duration("auth.refresh_lifetime", seconds(60, 365 * DAY)),
        refresh_lifetime_max: fields.duration("auth.refresh_lifetime_max", seconds(60, 3650 * DAY)),
        refresh_grace: fields.duration("auth.refresh_grace", seconds(0, 300)),
        sessions_max: fields.count("auth.sessions_max", 1..=1000),
        password_memory: fields.size("auth.password_memory", 19 << 20..=1 << 30),
        password_passes: u32::try_from(fields.number("auth.password_passes", 2..=64)).unwrap_or(2),
    };
    if config.refresh_lifetime < token_lifetime {
        let problem = "is shorter than jwt.expiration, so that nothing could be refreshed";
        fields.refuse("auth.refresh_lifetime", problem);
    }
    if config.refresh_lifetime_max < config.refresh_lifetime {
        fields.refuse("auth.refresh_lifetime_max", "is shorter than auth.refresh_lifetime");
    }
    config
}

fn server(fields: &mut Fields<'_>, unfit: &mut Unfit) -> ServerConfig {
    let secret = fields.secret("server.idempotency_secret");
    ServerConfig {
        idempotency_secret: unfit.checked(fields, "server.idempotency_secret", secret, weakness),
        listen: listen(fields),
        request_timeout: fields.duration("server.request_timeout", millis(10, 600_000)),
        body_bytes_max: usize::try_from(fields.size("server.body_bytes_max", KIB..=64 * MIB))
            .unwrap_or(usize::MAX),
        connections_max: fields.count("server.connections_max", 16..=1_000_000),
        connections_per_address_max: fields
            .count("server.connections_per_address_max", 0..=1_000_000),
        http2_streams_max: u32::try_from(fields.number("server.http2_streams_max", 1..=10_000))
            .unwrap_or(u32::MAX),
        requests_max: fields.count("server.requests_max", 1..=1_000_000),
        requests_per_principal_max: fields
            .count("server.requests_per_principal_max", 0..=1_000_000),
        bodies_bytes_max: usize::try_from(fields.size("server.bodies_bytes_max", MIB..=64 * GIB))
            .unwrap_or(usize::MAX),
        waiting_reads_max: fields.count("server.waiting_reads_max", 1..=1_000_000),
        require_if_match: fields.choice("server.require_if_match", false, &YES_OR_NO),
        lame_duck: lame_duck(fields),
        drain_timeout: fields.duration("server.drain_timeout", seconds(0, 600)),
        proxies: limits::proxies(fields),
        write_timeout: fields.duration("server.write_timeout", millis(100, 3_600_000)),
        cors_origins: limits::cors_origins(fields),
        tls: limits::tls(fields),
    }
}

/// Balancers ask again within some seconds; nobody waits for those on a machine of one's own.
fn lame_duck(fields: &mut Fields<'_>) -> Duration {
    let otherwise = match fields.sources.mode {
        Mode::Dev => Duration::ZERO,
        Mode::Serve => Duration::from_secs(5),
    };
    fields.duration_or_empty("server.lame_duck", seconds(0, 600)).unwrap_or(otherwise)
}

/// `listen` is an address, or an address with a port that then stands over `port` of a lower layer.
fn listen(fields: &mut Fields<'_>) -> SocketAddr {
    let text = fields.text("server.listen");
    let mut port = fields.port("server.port", 0);
    if text.is_empty() {
        let address = match fields.sources.mode {
            Mode::Dev => [127, 0, 0, 1],
            Mode::Serve => [0, 0, 0, 0],
        };
        return SocketAddr::new(IpAddr::from(address), port);
    }
    let host = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(&text);
    let host = if host == "localhost" { "127.0.0.1" } else { host };
    let address = match (host.parse::<IpAddr>(), named_socket(&text)) {
        (Ok(address), _) => address,
        (Err(_), Some(socket)) => {
            let layer = |key: &str| fields.layered.layer(&["server", key]);
            if layer("listen") >= layer("port") {
                port = socket.port();
            }
            socket.ip()
        }
        (Err(_), None) => {
            let problem =
                format!("is \"{text}\", and must be an IP address, with or without a port");
            fields.refuse("server.listen", problem);
            IpAddr::from([127, 0, 0, 1])
        }
    };
    SocketAddr::new(address, port)
}

fn embedded_log(fields: &mut Fields<'_>, store: &Path) -> EmbeddedLogConfig {
    let partitions = fields.number("embedded_log.partitions", 1..=1024);
    EmbeddedLogConfig {
        path: fields.optional_path("embedded_log.path").unwrap_or_else(|| store.join("log")),
        partitions: u16::try_from(partitions).unwrap_or(1),
        segment_bytes: fields.size("embedded_log.segment_bytes", SEGMENT_BYTES),
        retention_bytes: fields.size_limit("embedded_log.retention_bytes", 4 * KIB..=1024 * TIB),
        retention_age: fields
            .duration_limit("embedded_log.retention_age", seconds(1, 36_500 * DAY)),
    }
}

fn kafka(fields: &mut Fields<'_>) -> KafkaConfig {
    let partitioners = [
        ("auto", PartitionerChoice::Auto),
        ("murmur2", PartitionerChoice::Murmur2),
        ("crc32", PartitionerChoice::Crc32),
        ("fnv1a", PartitionerChoice::Fnv1a),
    ];
    let config = KafkaConfig {
        brokers: fields.list("kafka.brokers"),
        client_id: fields.text("kafka.client_id"),
        topic: fields.text("kafka.topic"),
        control_topic: fields.text("kafka.control_topic"),
        retention: fields.duration_or_empty("kafka.retention", seconds(1, 3650 * DAY)),
        control_retention: fields
            .duration_or_empty("kafka.control_retention", seconds(1, 3650 * DAY)),
        partitioner: fields.choice("kafka.partitioner", PartitionerChoice::Auto, &partitioners),
        security_protocol: security_protocol(fields),
        sasl_mechanism: fields.text("kafka.sasl_mechanism"),
        sasl_username: fields.text("kafka.sasl_username"),
        sasl_password: fields.secret("kafka.sasl_password"),
        ssl_ca_location: fields.optional_path("kafka.ssl_ca_location"),
        ssl_certificate_location: fields.optional_path("kafka.ssl_certificate_location"),
        ssl_key_location: fields.optional_path("kafka.ssl_key_location"),
        ssl_key_password: fields.secret("kafka.ssl_key_password"),
        linger: fields.duration("kafka.linger", millis(0, 900_000)),
        properties: properties(fields),
    };
    check_kafka(fields, &config);
    config
}

fn security_protocol(fields: &mut Fields<'_>) -> SecurityProtocol {
    let all = [
        SecurityProtocol::Plaintext,
        SecurityProtocol::Ssl,
        SecurityProtocol::SaslPlaintext,
        SecurityProtocol::SaslSsl,
    ];
    let words = all.map(|protocol| (protocol.as_str(), protocol));
    fields.choice("kafka.security_protocol", SecurityProtocol::Plaintext, &words)
}

fn check_kafka(fields: &mut Fields<'_>, config: &KafkaConfig) {
    for broker in &config.brokers {
        let address = broker.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        if !address.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0)) {
            let problem = format!("has \"{broker}\", and must be \"host:port,host:port\"");
            fields.refuse("kafka.brokers", problem);
        }
    }
    for (key, topic) in
        [("kafka.topic", &config.topic), ("kafka.control_topic", &config.control_topic)]
    {
        if !bridge::is_topic(topic) {
            let problem = format!(
                "is \"{topic}\", and must be 1 to 249 letters, digits, dots, underscores or hyphens"
            );
            fields.refuse(key, problem);
        }
    }
    if config.topic == config.control_topic {
        fields.refuse("kafka.control_topic", "is the contacts' topic, and must be another one");
    }
    let protocol = config.security_protocol;
    if protocol != SecurityProtocol::Plaintext && !cfg!(feature = "tls") {
        let problem = "needs a build with the feature `tls`, which this one lacks";
        fields.refuse("kafka.security_protocol", problem);
    }
    // OAUTHBEARER and GSSAPI bring their identity in kafka.properties.
    let mechanism = config.sasl_mechanism.to_uppercase();
    let named = mechanism == "PLAIN" || mechanism.starts_with("SCRAM-");
    if protocol.has_sasl() && named && config.sasl_username.is_empty() {
        fields.refuse("kafka.sasl_username", format!("is not set, and {mechanism} needs it"));
    }
    if protocol.has_sasl() && named && config.sasl_password.is_none() {
        fields.refuse("kafka.sasl_password", format!("is not set, and {mechanism} needs it"));
    }
}

fn properties(fields: &mut Fields<'_>) -> BTreeMap<String, String> {
    free(fields, "properties").into_iter().map(|([_, _, name], text)| (name, text)).collect()
}

fn store(fields: &mut Fields<'_>) -> StoreConfig {
    let path = fields.text("store.path");
    if path.is_empty() {
        fields.refuse("store.path", "is empty, and must name a directory");
    }
    StoreConfig {
        path: fields.path_said_by("store.path", &path),
        cache_bytes: fields.size("store.cache_bytes", 0..=TIB),
        cache_ttl: fields.duration("store.cache_ttl", seconds(1, 365 * DAY)),
        sled_cache_bytes: fields.size("store.sled_cache_bytes", MIB..=TIB),
        dirty_bytes_max: fields.size("store.dirty_bytes_max", 64 * KIB..=64 * GIB),
        checkpoint_interval: fields.duration("store.checkpoint_interval", millis(10, 3_600_000)),
        snapshot_interval: fields.duration("store.snapshot_interval", seconds(1, 365 * DAY)),
        journal_segment_bytes: fields.size("store.journal_segment_bytes", SEGMENT_BYTES),
        journal_retention_age: fields
            .duration_limit("store.journal_retention_age", seconds(1, 36_500 * DAY)),
        journal_retention_bytes: journal_retention(fields, "store.journal_retention_bytes"),
        journal_bytes_max: journal_retention(fields, "store.journal_bytes_max"),
        purge_deleted_after: fields
            .duration_limit("store.purge_deleted_after", seconds(1, 36_500 * DAY)),
        dead_letters_bytes: fields.size("dead_letters.retention_bytes", MIB..=64 * GIB),
        dead_letters_age: fields
            .duration_limit("dead_letters.retention_age", seconds(1, 36_500 * DAY)),
        min_free_bytes: fields.size("store.min_free_bytes", 0..=TIB),
        ballast_bytes: fields.size("store.ballast_bytes", 0..=GIB),
    }
}

fn journal_retention(fields: &mut Fields<'_>, key: &'static str) -> JournalRetention {
    match fields.size_limit_or_auto(key, 4 * KIB..=1024 * TIB) {
        None => JournalRetention::Auto,
        Some(None) => JournalRetention::Unlimited,
        Some(Some(bytes)) => JournalRetention::Bytes(bytes),
    }
}

fn apply(fields: &mut Fields<'_>) -> ApplyConfig {
    let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    let contact_bytes = *CONTACT_BYTES.start() as u64..=*CONTACT_BYTES.end() as u64;
    ApplyConfig {
        batch_records_max: fields.count("apply.batch_records_max", 1..=65_535),
        batch_bytes_max: bytes(fields.size("apply.batch_bytes_max", KIB..=64 * MIB)),
        contact_bytes_max: bytes(fields.size("apply.contact_bytes_max", contact_bytes)),
        future_tolerance: fields
            .duration("apply.future_tolerance", seconds(0, FUTURE_TOLERANCE_SECONDS_MAX)),
    }
}

fn page(fields: &mut Fields<'_>) -> PageConfig {
    PageConfig { enabled: fields.choice("page.enabled", true, &YES_OR_NO) }
}

fn payments(fields: &mut Fields<'_>) -> PaymentsConfig {
    let is_dev = fields.sources.mode == Mode::Dev;
    let words = [("auto", is_dev), ("true", true), ("false", false)];
    let enabled = fields.choice("payments.enabled", is_dev, &words);
    PaymentsConfig { enabled, topic: fields.optional("payments.topic").filter(|_| enabled) }
}

fn feed(fields: &mut Fields<'_>) -> FeedConfig {
    let bytes = fields.size("feed.buffer_bytes", 64 * KIB..=GIB);
    FeedConfig {
        heartbeat: fields.duration("feed.heartbeat", millis(10, 3_600_000)),
        clients_max: fields.count("feed.clients_max", 0..=1_000_000),
        clients_per_principal_max: fields.count("feed.clients_per_principal_max", 0..=1_000_000),
        snapshots_max: fields.count("feed.snapshots_max", 1..=1_000),
        buffer_bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
        stall_timeout: fields.duration("feed.stall_timeout", millis(10, 3_600_000)),
        retry: fields.duration("feed.retry", millis(0, 3_600_000)),
    }
}

fn redis(fields: &mut Fields<'_>) -> RedisConfig {
    let url = fields.secret("redis.url");
    match url.as_ref().map(Secret::expose) {
        Some(url) if url.starts_with("rediss://") => fields.refuse(
            "redis.url",
            "asks for TLS, which contactd does not speak to Redis: use redis://, through a tunnel \
             (stunnel, a sidecar) where the network is not yours",
        ),
        Some(url) if !url.starts_with("redis://") => {
            fields.refuse("redis.url", "must be like redis://user:password@host:6379/0");
        }
        Some(_) | None => {}
    }
    RedisConfig {
        url,
        host: fields.optional("redis.host"),
        port: fields.port("redis.port", 1),
        password: fields.secret("redis.password"),
        key_prefix: fields.text("redis.key_prefix"),
        timeout: fields.duration("redis.timeout", millis(1, 5_000)),
    }
}
