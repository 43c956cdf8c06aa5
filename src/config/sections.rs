//! The validated sections, one struct each: what the rooms take by reference.
//!
//! The keys have the same names as the fields and are explained in `config/contactd.toml`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::limits::{ProxyConfig, RateLimit, TlsFiles};
use super::secret::Secret;
use super::signature::SignatureForm;

/// Where and how HTTP is served.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Address and port to bind.
    pub listen: SocketAddr,
    /// A request that takes longer is answered 408.
    pub request_timeout: Duration,
    /// Bytes of a request's body at most; more is answered 413.
    pub body_bytes_max: usize,
    /// Connections at once, as far as descriptors allow.
    pub connections_max: usize,
    /// Connections of one address; 0: an eighth of all.
    pub connections_per_address_max: usize,
    /// Requests of one HTTP/2 connection at once.
    pub http2_streams_max: u32,
    /// API requests under way at once.
    pub requests_max: usize,
    /// Requests of one user, key or unknown address among them; 0: an eighth.
    pub requests_per_principal_max: usize,
    /// Bytes of all bodies on their way.
    pub bodies_bytes_max: usize,
    /// Reads that wait for their `Position` at once.
    pub waiting_reads_max: usize,
    /// Whether PUT, PATCH and DELETE of a contact need `If-Match`.
    pub require_if_match: bool,
    /// What keys of repeated requests are known by; none: the secret that signs tokens.
    pub idempotency_secret: Option<Secret>,
    /// How long it is not ready, and answers all the same, before the listener closes.
    pub lame_duck: Duration,
    /// How long a stop waits for requests under way.
    pub drain_timeout: Duration,
    /// Who stands before us.
    pub proxies: ProxyConfig,
    /// A client that takes nothing of an answer for so long is given up.
    pub write_timeout: Duration,
    /// Origins whose pages may read the answers; `*`: all.
    pub cors_origins: Vec<String>,
    /// Our certificate; none: no TLS.
    pub tls: Option<TlsFiles>,
}

/// Which contact log is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogChoice {
    /// Kafka where brokers are configured, else embedded.
    Auto,
    /// The log on this machine's disk.
    Embedded,
    /// A Kafka topic.
    Kafka,
}

/// The choice of the contact log.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// As configured; [`super::Config::follows_kafka`] resolves it.
    pub kind: LogChoice,
}

/// The log on this machine's disk.
#[derive(Clone, Debug)]
pub struct EmbeddedLogConfig {
    /// Its directory: `log` in the store's, where none is configured.
    pub path: PathBuf,
    /// Partitions of a log that is made new.
    pub partitions: u16,
    /// A segment of more bytes is closed and a new one begun.
    pub segment_bytes: u64,
    /// Bytes a partition keeps; none: everything.
    pub retention_bytes: Option<u64>,
    /// How long a record is kept; none: for ever.
    pub retention_age: Option<Duration>,
}

/// How a key finds its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionerChoice {
    /// Learnt from the keyed records that the topic holds; murmur2 when it is empty.
    Auto,
    /// Java and kafkajs.
    Murmur2,
    /// librdkafka, so Python, Go (confluent) and .NET.
    Crc32,
    /// Sarama.
    Fnv1a,
}

/// How the brokers are spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityProtocol {
    /// Neither encrypted nor authenticated.
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL without TLS.
    SaslPlaintext,
    /// SASL inside TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// librdkafka's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    /// Whether a name and password (or a token) are needed.
    pub fn has_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// The Kafka topic that is followed, and how to reach it.
#[derive(Clone)]
pub struct KafkaConfig {
    /// `host:port` each; empty: no Kafka.
    pub brokers: Vec<String>,
    /// Name shown in the brokers' logs and quotas.
    pub client_id: String,
    /// The contact log.
    pub topic: String,
    /// The topic of control records.
    pub control_topic: String,
    /// How long the contact log keeps records; none: its brokers say.
    pub retention: Option<Duration>,
    /// How long the topic of control records does; none: its brokers say.
    pub control_retention: Option<Duration>,
    /// How keys find their partition.
    pub partitioner: PartitionerChoice,
    /// Encryption and authentication.
    pub security_protocol: SecurityProtocol,
    /// PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 …
    pub sasl_mechanism: String,
    /// Name towards the brokers.
    pub sasl_username: String,
    /// Password towards the brokers.
    pub sasl_password: Option<Secret>,
    /// File with the certificate authorities to trust; none: the system's.
    pub ssl_ca_location: Option<PathBuf>,
    /// File with our certificate, for brokers that ask for one.
    pub ssl_certificate_location: Option<PathBuf>,
    /// File with that certificate's key.
    pub ssl_key_location: Option<PathBuf>,
    /// Password of that key.
    pub ssl_key_password: Option<Secret>,
    /// How long the producer waits for more records before it sends.
    pub linger: Duration,
    /// Handed to librdkafka as they are, over everything else.
    pub properties: BTreeMap<String, String>,
}

impl fmt::Debug for KafkaConfig {
    /// Only names of the properties: their values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("brokers", &self.brokers)
            .field("client_id", &self.client_id)
            .field("topic", &self.topic)
            .field("control_topic", &self.control_topic)
            .field("partitioner", &self.partitioner)
            .field("security_protocol", &self.security_protocol)
            .field("sasl_mechanism", &self.sasl_mechanism)
            .field("sasl_username", &self.sasl_username)
            .field("linger", &self.linger)
            .field("properties", &self.properties.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// How many bytes of the journal are kept beyond what must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalRetention {
    /// 8 GiB, or a tenth of the disk where that is less.
    Auto,
    /// All of them.
    Unlimited,
    /// So many.
    Bytes(u64),
}

/// The store: journal, memory, sled, checkpoints, snapshots.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The directory that holds everything.
    pub path: PathBuf,
    /// Bytes of contacts cached that the disk was waited for; 0: no cache.
    pub cache_bytes: u64,
    /// How long a contact stays cached.
    pub cache_ttl: Duration,
    /// Bytes of pages that sled keeps in memory.
    pub sled_cache_bytes: u64,
    /// Bytes of contacts not yet in sled; more holds up the applier.
    pub dirty_bytes_max: u64,
    /// How often contacts go to sled.
    pub checkpoint_interval: Duration,
    /// How often a full image is written, at least.
    pub snapshot_interval: Duration,
    /// A journal segment of more bytes is closed and a new one begun.
    pub journal_segment_bytes: u64,
    /// How long history is kept; none: for ever.
    pub journal_retention_age: Option<Duration>,
    /// Bytes of journal kept.
    pub journal_retention_bytes: JournalRetention,
    /// Bytes of journal that are never passed for a follower that is behind.
    pub journal_bytes_max: JournalRetention,
    /// How long contacts stay deleted before they are erased; none: for ever.
    pub purge_deleted_after: Option<Duration>,
    /// Bytes of dead letters kept.
    pub dead_letters_bytes: u64,
    /// How long dead letters are kept; none: for ever.
    pub dead_letters_age: Option<Duration>,
    /// Free bytes on the disk below which applying pauses.
    pub min_free_bytes: u64,
    /// Size of the file that is given up when a full disk keeps the store from opening.
    pub ballast_bytes: u64,
}

impl StoreConfig {
    /// Settings for a directory, as the built-in configuration has them but for what that keeps free
    /// on the disk and for how long.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            cache_bytes: 48 << 20,
            cache_ttl: Duration::from_secs(600),
            sled_cache_bytes: 64 << 20,
            dirty_bytes_max: 64 << 20,
            checkpoint_interval: Duration::from_secs(5),
            snapshot_interval: Duration::from_secs(24 * 60 * 60),
            journal_segment_bytes: 64 << 20,
            journal_retention_age: None,
            journal_retention_bytes: JournalRetention::Unlimited,
            journal_bytes_max: JournalRetention::Unlimited,
            purge_deleted_after: None,
            dead_letters_bytes: 256 << 20,
            dead_letters_age: Some(Duration::from_secs(30 * 24 * 60 * 60)),
            min_free_bytes: 0,
            ballast_bytes: 0,
        }
    }
}

/// How records are applied.
#[derive(Clone, Debug)]
pub struct ApplyConfig {
    /// Records in one commit at most.
    pub batch_records_max: usize,
    /// Bytes of records in one commit at most.
    pub batch_bytes_max: usize,
    /// Bytes of one contact at most; an event that makes more of it is dead-lettered.
    pub contact_bytes_max: usize,
    /// How far an event's time may lie ahead of its record's.
    pub future_tolerance: Duration,
}

/// The page for people.
#[derive(Clone, Copy, Debug)]
pub struct PageConfig {
    /// Whether browsers get it at `/`.
    pub enabled: bool,
}

/// Payments.
#[derive(Clone, Debug)]
pub struct PaymentsConfig {
    /// Whether they are told of here.
    pub enabled: bool,
    /// The topic that they come from besides; none: no other.
    pub topic: Option<String>,
}

/// The feed of changes.
#[derive(Clone, Copy, Debug)]
pub struct FeedConfig {
    /// How often a client hears something, and is asked whether it may still listen.
    pub heartbeat: Duration,
    /// Clients at once; more are answered 503.
    pub clients_max: usize,
    /// Clients of one user or key; 0: an eighth of all.
    pub clients_per_principal_max: usize,
    /// Clients that are sent all contacts at once.
    pub snapshots_max: usize,
    /// Bytes of recent events kept in memory for all clients together.
    pub buffer_bytes: usize,
    /// A client that takes nothing for so long is closed.
    pub stall_timeout: Duration,
    /// What clients are told to wait before they come back.
    pub retry: Duration,
}

/// Contacts out, as files.
#[derive(Clone, Copy, Debug)]
pub struct ExportsConfig {
    /// Exports at once; more are answered 503.
    pub running_max: usize,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Where a line for each request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogTarget {
    /// Standard output.
    StandardOutput,
    /// A file; the one before it beside it.
    File {
        /// Which.
        path: PathBuf,
        /// Bytes of each of the two.
        bytes_max: u64,
    },
}

/// What the program says about itself.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// Filter of log lines: `info`, or `info,contactd::store=debug`.
    pub log: String,
    /// Their form.
    pub log_format: LogFormat,
    /// An address of its own for `/metrics`; none: the API's.
    pub listen: Option<SocketAddr>,
    /// Whether `/metrics` answers only to who has a role for it.
    pub require_role: bool,
    /// Where a line for each request goes; none: there is none.
    pub access_log: Option<AccessLogTarget>,
}

/// Where instances share limits and revocations.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// `redis://…`, with its password; stands over host, port and password.
    pub url: Option<Secret>,
    /// Its host; none: no Redis.
    pub host: Option<String>,
    /// Its port.
    pub port: u16,
    /// Its password.
    pub password: Option<Secret>,
    /// Every key begins with it.
    pub key_prefix: String,
    /// How long a request waits for it at most.
    pub timeout: Duration,
}

impl RedisConfig {
    /// Whether there is one.
    pub fn is_configured(&self) -> bool {
        self.url.is_some() || self.host.is_some()
    }
}

/// Users, API keys and sign-ins.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// The file with users and API keys.
    pub users_file: PathBuf,
    /// How long a refresh token can wait to be used.
    pub refresh_lifetime: Duration,
    /// How long one sign-in lasts at the most.
    pub refresh_lifetime_max: Duration,
    /// How long a refresh token that was used gets the same successor again.
    pub refresh_grace: Duration,
    /// Sign-ins of one user at once.
    pub sessions_max: usize,
    /// Bytes of memory that hashing a password takes.
    pub password_memory: u64,
    /// How often hashing a password goes over them.
    pub password_passes: u32,
}

/// Access tokens.
#[derive(Clone, Debug)]
pub struct JwtConfig {
    /// Signs the tokens; none where it is not set, or in `dev` unfit.
    pub secret: Option<Secret>,
    /// Signed tokens that may still be in use.
    pub secret_previous: Option<Secret>,
    /// How long an access token lives.
    pub expiration: Duration,
    /// Claim `iss`.
    pub issuer: String,
    /// Claim `aud`.
    pub audience: String,
}

/// The Acme CRM.
#[derive(Clone, Debug)]
pub struct AcmeConfig {
    /// Where its API is; none: nothing is asked of it.
    pub url: Option<String>,
    /// Our key there.
    pub api_key: Option<Secret>,
    /// Verifies its webhooks.
    pub webhook_secret: Option<Secret>,
    /// Whose table says what it calls things.
    pub source: String,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// Whether changes go there by themselves.
    pub sync: bool,
    /// How many changes go there; none: as fast as it takes them.
    pub rate: Option<RateLimit>,
}

/// Webhooks in.
#[derive(Clone, Debug)]
pub struct WebhooksConfig {
    /// The source of `POST /api/webhooks`.
    pub default_source: String,
    /// How far a signed time may be away from our clock.
    pub tolerance: Duration,
    /// Events in one request at most.
    pub events_max: usize,
    /// By name: who may send.
    pub sources: BTreeMap<String, WebhookSourceConfig>,
}

/// Who may send webhooks.
#[derive(Clone, Debug)]
pub struct WebhookSourceConfig {
    /// How it signs.
    pub signature: SignatureForm,
    /// What it signs with; none: nothing of it is taken.
    pub secret: Option<Secret>,
    /// What it signed with before, still taken.
    pub secret_previous: Option<Secret>,
    /// Directory of JSON Schemas; none: the built-in one, where there is one.
    pub schemas: Option<String>,
    /// Whether CloudEvents are taken whose attributes stand in headers, which are not signed.
    pub binary_cloudevents: bool,
}

/// What becomes of records that can't be applied.
#[derive(Clone, Debug)]
pub struct DeadLettersConfig {
    /// Where they are published, with Kafka; none: nowhere.
    pub topic: Option<String>,
    /// How often one record may be redriven.
    pub redrive_hops_max: u8,
    /// Letters that all redrives together send a second.
    pub redrives_per_second_max: u32,
}

/// What is kept on this disk while Kafka is away.
#[derive(Clone, Debug)]
pub struct OutboxConfig {
    /// Its directory: `outbox` in the store's, where none is configured.
    pub path: PathBuf,
    /// Bytes that it holds at most; 0: no outbox.
    pub bytes_max: u64,
    /// How long Kafka may take to acknowledge before the outbox is used.
    pub ack_timeout: Duration,
}
