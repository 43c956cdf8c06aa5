//! What every request can reach.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::auth::Auth;
use crate::config::{AllowConfig, ProxyConfig, ServerConfig};
use crate::domain::fingerprint::Fingerprint;
use crate::domain::position::{Lane, LogIdentity, Offset};
use crate::effects::dead_letters::LetterDesk;
use crate::effects::feed::Feed;
use crate::effects::simulator::Simulator;
use crate::ingest;
use crate::query::Queries;
use crate::shared_state::Limiter;
use crate::shares::{PART, Pool};
use crate::telemetry::{Build, Metrics};

use super::bodies::BodyRoom;
use super::cors::Cors;
use super::error::{ApiError, Code};
use super::position::PositionText;
use super::rate_limit::Policies;
use super::readiness::Readiness;
use super::request_metrics::RequestMetrics;
use super::webhooks::WebhookIntake;
use super::writing::Writes;

/// Bounds of one request and of all together.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// How long a client may take to send a body, and then we to answer.
    pub request_timeout: Duration,
    /// Bytes of a body.
    pub body_bytes_max: usize,
    /// Bytes of path and query.
    pub uri_bytes_max: usize,
    /// Bytes of all headers.
    pub header_bytes_max: usize,
    /// Bytes of all bodies on their way.
    pub bodies_bytes_max: usize,
    /// API requests under way at once; more are answered 503.
    pub requests_max: usize,
    /// How many of them one user, key or unknown client may have.
    pub requests_per_principal_max: usize,
    /// Reads that wait for their `Position` at once; more are answered 503.
    pub waiting_reads_max: usize,
    /// How long a read waits for its `Position`.
    pub position_wait: Duration,
}

impl From<&ServerConfig> for HttpLimits {
    fn from(config: &ServerConfig) -> Self {
        Self {
            request_timeout: config.request_timeout,
            body_bytes_max: config.body_bytes_max,
            uri_bytes_max: 8 * 1024,
            header_bytes_max: 16 * 1024,
            bodies_bytes_max: config.bodies_bytes_max,
            requests_max: config.requests_max,
            requests_per_principal_max: match config.requests_per_principal_max {
                0 => (config.requests_max / PART).max(1),
                max => max,
            },
            waiting_reads_max: config.waiting_reads_max,
            // Shorter than the request's own time, so that the answer says what was waited for.
            position_wait: (config.request_timeout / 2).min(Duration::from_secs(5)),
        }
    }
}

/// What this instance follows, once that is known.
pub(super) struct Following {
    pub(super) fingerprint: Box<dyn Fn() -> Fingerprint + Send + Sync>,
    pub(super) identity: Option<LogIdentity>,
}

/// What is there before the store is open.
#[derive(Default)]
pub struct Services {
    /// Who sends requests; none: nobody is let in.
    pub auth: Option<Arc<Auth>>,
    /// Whether `/metrics` needs a role.
    pub metrics_need_role: bool,
    /// How often requests may come.
    pub limiter: Arc<Limiter>,
    /// Who stands before us, and says where clients are.
    pub proxies: ProxyConfig,
    /// From where they may ask.
    pub allow: AllowConfig,
    /// Origins whose pages may read the answers; `*`: all.
    pub cors_origins: Vec<String>,
    /// Whether we speak TLS ourselves, and clients shall keep to it.
    pub speaks_tls: bool,
    /// Webhooks in.
    pub webhooks: Option<WebhookIntake>,
    /// Webhooks that are made here; none: it is off.
    pub simulator: Option<Arc<Simulator>>,
}

/// What is there once the store is open.
pub struct OpenStore {
    /// Reads.
    pub queries: Queries,
    /// Writes.
    pub writes: Writes,
    /// Merges of contacts.
    pub merging: Arc<ingest::Merging>,
    /// Writes control entries.
    pub control: Arc<ingest::Control>,
    /// Changes as they are applied.
    pub feed: Feed,
    /// What could not be applied.
    pub letters: Arc<LetterDesk>,
    /// By what records are judged.
    pub rules: Arc<ingest::Adoption>,
}

type OnLog = Box<dyn Fn(Lane, Offset) -> bool + Send + Sync>;

/// Cheap to clone; one a process.
#[derive(Clone)]
pub struct HttpState(Arc<Shared>);

struct Shared {
    limits: HttpLimits,
    build: Build,
    metrics: Arc<Metrics>,
    request_metrics: RequestMetrics,
    readiness: Arc<Readiness>,
    policies: Policies,
    cors: Cors,
    services: Services,
    /// Empty until the store is open.
    open: OnceLock<OpenStore>,
    following: OnceLock<Following>,
    /// Why this store does not know everything, where it does not.
    partial: OnceLock<String>,
    /// Whether the log has a record there.
    is_on_log: OnceLock<OnLog>,
    position_text: PositionText,
    active: Arc<AtomicUsize>,
    requests: Pool,
    bodies: BodyRoom,
    waiting_reads: Pool,
}

impl HttpState {
    /// Before the store is open: the API answers 503 with what the part `store` of `readiness`
    /// says.
    pub fn new(
        limits: HttpLimits,
        services: Services,
        metrics: Arc<Metrics>,
        readiness: Arc<Readiness>,
    ) -> Self {
        let request_metrics = RequestMetrics::new(metrics.http_requests.clone());
        let active = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&active);
        metrics.on_scrape(move |metrics| {
            let active = counted.load(std::sync::atomic::Ordering::Relaxed);
            metrics.http_active.set(i64::try_from(active).unwrap_or(i64::MAX));
        });
        let requests = metrics.pool("requests");
        Self(Arc::new(Shared {
            requests: Pool::new(limits.requests_max, limits.requests_per_principal_max, requests),
            bodies: BodyRoom::new(&limits, &metrics),
            waiting_reads: Pool::in_eighths(
                limits.waiting_reads_max,
                metrics.pool("waiting_reads"),
            ),
            limits,
            build: Build::THIS,
            metrics,
            request_metrics,
            readiness,
            policies: Policies::of(&services.limiter),
            cors: Cors::new(&services.cors_origins),
            services,
            open: OnceLock::new(),
            following: OnceLock::new(),
            partial: OnceLock::new(),
            is_on_log: OnceLock::new(),
            position_text: PositionText::default(),
            active,
        }))
    }

    /// From now on the API answers. Only the first call counts.
    pub fn store_opened(&self, open: OpenStore) {
        let _ = self.0.open.set(open);
    }

    /// What `/healthz` says of the log and the rules. Only the first call counts.
    pub fn set_following(
        &self,
        fingerprint: impl Fn() -> Fingerprint + Send + Sync + 'static,
        identity: Option<LogIdentity>,
    ) {
        let _ = self.0.following.set(Following { fingerprint: Box::new(fingerprint), identity });
    }

    /// This store does not know everything: reads say so, and nothing is written. Only the first
    /// call counts.
    pub fn set_partial(&self, why: &str) {
        let _ = self.0.partial.set(why.to_owned());
    }

    /// Why this store does not know everything, where it does not.
    pub(super) fn partial(&self) -> Option<&str> {
        self.0.partial.get().map(String::as_str)
    }

    /// How it is known whether the log has a record at a place. Only the first call counts.
    pub fn set_on_log(&self, is_on_log: impl Fn(Lane, Offset) -> bool + Send + Sync + 'static) {
        let _ = self.0.is_on_log.set(Box::new(is_on_log));
    }

    pub(super) fn is_on_log(&self, lane: Lane, offset: Offset) -> bool {
        self.0.is_on_log.get().is_some_and(|is_on_log| is_on_log(lane, offset))
    }

    /// The open store's, or 503 with how far opening has come.
    pub(super) fn open(&self) -> Result<&OpenStore, ApiError> {
        self.0.open.get().ok_or_else(|| {
            let why = self.0.readiness.why_not("store");
            ApiError::new(
                Code::NotReady,
                why.unwrap_or_else(|| "the store is not open yet".to_owned()),
            )
        })
    }

    pub(super) fn services(&self) -> &Services {
        &self.0.services
    }

    /// The open store's reads, or 503.
    pub(super) fn queries(&self) -> Result<&Queries, ApiError> {
        Ok(&self.open()?.queries)
    }

    pub(super) fn limits(&self) -> &HttpLimits {
        &self.0.limits
    }

    pub(super) fn auth(&self) -> Option<&Arc<Auth>> {
        self.0.services.auth.as_ref()
    }

    pub(super) fn metrics_need_role(&self) -> bool {
        self.0.services.metrics_need_role
    }

    pub(super) fn limiter(&self) -> &Limiter {
        &self.0.services.limiter
    }

    pub(super) fn policies(&self) -> &Policies {
        &self.0.policies
    }

    pub(super) fn cors(&self) -> &Cors {
        &self.0.cors
    }

    pub(super) fn speaks_tls(&self) -> bool {
        self.0.services.speaks_tls
    }

    pub(super) fn proxies(&self) -> &ProxyConfig {
        &self.0.services.proxies
    }

    pub(super) fn allow(&self) -> &AllowConfig {
        &self.0.services.allow
    }

    pub(super) fn build(&self) -> Build {
        self.0.build
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(super) fn request_metrics(&self) -> &RequestMetrics {
        &self.0.request_metrics
    }

    pub(super) fn readiness(&self) -> &Readiness {
        &self.0.readiness
    }

    pub(super) fn following(&self) -> Option<&Following> {
        self.0.following.get()
    }

    pub(super) fn position_text(&self) -> &PositionText {
        &self.0.position_text
    }

    /// Requests under way.
    pub(super) fn active(&self) -> &AtomicUsize {
        &self.0.active
    }

    pub(super) fn requests(&self) -> &Pool {
        &self.0.requests
    }

    pub(super) fn bodies(&self) -> &BodyRoom {
        &self.0.bodies
    }

    pub(super) fn waiting_reads(&self) -> &Pool {
        &self.0.waiting_reads
    }
}
