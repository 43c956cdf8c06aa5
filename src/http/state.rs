//! What every request can reach.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use crate::domain::fingerprint::Fingerprint;
use crate::domain::position::{Lane, LogIdentity, Offset};
use crate::query::Queries;
use crate::shares::Pool;
use crate::telemetry::{AccessLog, Build, Metrics};

use super::about::readiness::Readiness;
use super::edge::cors::Cors;
use super::exchange::error::{ApiError, Code};
use super::overview::samples::{self, Samples};
use super::services::{
    BodyRoom, Following, HttpLimits, OpenStore, Policies, PositionText, Services, Work,
};

type OnLog = Box<dyn Fn(Lane, Offset) -> bool + Send + Sync>;

/// Cheap to clone; one a process.
#[derive(Clone)]
pub struct HttpState(Arc<Shared>);

struct Shared {
    limits: HttpLimits,
    build: Build,
    metrics: Arc<Metrics>,
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
    work: Work,
    samples: Samples,
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
        for code in Code::ALL.iter().filter(|code| code.status().is_server_error()) {
            metrics.http_failed.with_label_values(&[code.as_str()]);
        }
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
            work: Work::new(&limits),
            samples: Samples::default(),
            limits,
            build: Build::THIS,
            metrics,
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
    pub(crate) fn partial(&self) -> Option<&str> {
        self.0.partial.get().map(String::as_str)
    }

    /// How it is known whether the log has a record at a place. Only the first call counts.
    pub fn set_on_log(&self, is_on_log: impl Fn(Lane, Offset) -> bool + Send + Sync + 'static) {
        let _ = self.0.is_on_log.set(Box::new(is_on_log));
    }

    pub(crate) fn is_on_log(&self, lane: Lane, offset: Offset) -> bool {
        self.0.is_on_log.get().is_some_and(|is_on_log| is_on_log(lane, offset))
    }

    /// The open store's, or 503 with how far opening has come.
    pub(crate) fn open(&self) -> Result<&OpenStore, ApiError> {
        self.0.open.get().ok_or_else(|| {
            let why = self.0.readiness.why_not("store");
            ApiError::new(
                Code::NotReady,
                why.unwrap_or_else(|| "the store is not open yet".to_owned()),
            )
        })
    }

    pub(crate) fn services(&self) -> &Services {
        &self.0.services
    }

    /// The open store's reads, or 503.
    pub(crate) fn queries(&self) -> Result<&Queries, ApiError> {
        Ok(&self.open()?.queries)
    }

    pub(crate) fn limits(&self) -> &HttpLimits {
        &self.0.limits
    }

    /// What takes a line of each request.
    pub fn access_log(&self) -> Option<Arc<AccessLog>> {
        self.0.services.access_log.clone()
    }

    pub(crate) fn policies(&self) -> &Policies {
        &self.0.policies
    }

    pub(crate) fn cors(&self) -> &Cors {
        &self.0.cors
    }

    pub(crate) fn build(&self) -> Build {
        self.0.build
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(crate) fn readiness(&self) -> &Readiness {
        &self.0.readiness
    }

    pub(crate) fn following(&self) -> Option<&Following> {
        self.0.following.get()
    }

    pub(crate) fn position_text(&self) -> &PositionText {
        &self.0.position_text
    }

    /// Requests under way.
    pub(crate) fn active(&self) -> &AtomicUsize {
        &self.0.active
    }

    pub(crate) fn requests(&self) -> &Pool {
        &self.0.requests
    }

    pub(crate) fn bodies(&self) -> &BodyRoom {
        &self.0.bodies
    }

    pub(crate) fn work(&self) -> &Work {
        &self.0.work
    }

    /// The contact log's topic; empty until it is known.
    pub(crate) fn topic(&self) -> &str {
        let log = self.following().and_then(|following| following.identity.as_ref());
        log.map_or("", |log| log.topic.as_str())
    }

    /// Figures of the time before.
    pub(crate) fn samples(&self) -> &Samples {
        &self.0.samples
    }

    /// Samples figures until it is told to end.
    pub async fn sample(self, stop: CancellationToken) {
        let state = self.clone();
        let sample = move || samples::now(state.metrics(), state.readiness(), state.topic()).1;
        let _ = stop.run_until_cancelled(self.0.samples.take(sample)).await;
    }

    pub(crate) fn waiting_reads(&self) -> &Pool {
        &self.0.waiting_reads
    }
}
