//! What requests reach besides the request itself: who answers, within which bounds.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::http::HeaderValue;
use parking_lot::RwLock;
use tokio::sync::Semaphore;

use crate::acme::Acme;
use crate::auth::Auth;
use crate::backup::Backups;
use crate::config::{AllowConfig, ProxyConfig, RateLimit, ReloadConfig, ServerConfig};
use crate::domain::fingerprint::Fingerprint;
use crate::domain::position::LogIdentity;
use crate::effects::dead_letters::LetterDesk;
use crate::effects::feed::Feed;
use crate::effects::follower::Followers;
use crate::effects::simulator::Simulator;
use crate::effects::subscriptions::Desk;
use crate::files::export::Exports;
use crate::files::import::Imports;
use crate::ingest::{self, Edits, Intake, Webhooks};
use crate::payments::PaymentDesk;
use crate::query::Queries;
use crate::shared_state::{LimitClass as Counted, Limiter};
use crate::shares::{PART, Pool, part_of};
use crate::telemetry::{AccessLog, Metrics};

use super::contacts::idempotency::IdempotencySecret;

/// Scrapes of metrics at once; more wait.
const SCRAPES_MAX: usize = 4;

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
            requests_per_principal_max: part_of(
                config.requests_max,
                config.requests_per_principal_max,
            ),
            waiting_reads_max: config.waiting_reads_max,
            // Shorter than the request's own time, so that the answer says what was waited for.
            position_wait: (config.request_timeout / 2).min(Duration::from_secs(5)),
        }
    }
}

/// What this instance follows, once that is known.
pub(crate) struct Following {
    pub(crate) fingerprint: Box<dyn Fn() -> Fingerprint + Send + Sync>,
    pub(crate) identity: Option<LogIdentity>,
}

/// What is there before the store is open.
#[derive(Default)]
pub struct Services {
    /// Who sends requests; none: nobody is let in.
    pub auth: Option<Arc<Auth>>,
    /// Whether `/metrics` needs a role.
    pub metrics_need_role: bool,
    /// Whether `/metrics` has an address of its own.
    pub metrics_elsewhere: bool,
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
    /// Webhooks that are made here; none: it is off, and nothing of it is routed.
    pub simulator: Option<Arc<Simulator>>,
    /// Whether browsers get the page at `/`.
    pub has_page: bool,
    /// What makes backups; none: nothing does.
    pub backups: Option<Arc<Backups>>,
    /// Whether there is an Acme to ask; else nothing of it is routed.
    pub has_acme: bool,
    /// Takes a line of each request; none: it is not wanted.
    pub access_log: Option<Arc<AccessLog>>,
    /// Reads the configuration again; none: it can't be.
    pub reload: Option<ReloadConfig>,
    /// Whether payments are on; else nothing of them is routed.
    pub has_payments: bool,
}

/// Areas that are there where the configuration says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Optional {
    /// There is an Acme to ask.
    pub acme: bool,
    /// The simulator is on.
    pub simulator: bool,
    /// Payments are on.
    pub payments: bool,
}

impl Optional {
    /// Everything that there may be.
    pub const ALL: Self = Self { acme: true, simulator: true, payments: true };
}

impl Services {
    pub(crate) fn optional(&self) -> Optional {
        Optional {
            acme: self.has_acme,
            simulator: self.simulator.is_some(),
            payments: self.has_payments,
        }
    }
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
    /// Contacts out, as files.
    pub exports: Arc<Exports>,
    /// What could not be applied.
    pub letters: Arc<LetterDesk>,
    /// What follows from what was applied.
    pub followers: Arc<Followers>,
    /// Whoever wants to be told of changes.
    pub subscriptions: Desk,
    /// Files in; none: their directory can't be used.
    pub imports: Option<Imports>,
    /// Acme, where it is configured.
    pub acme: Option<Arc<Acme>>,
    /// Payments, where they are on.
    pub payments: Option<Arc<PaymentDesk>>,
    /// By what records are judged.
    pub rules: Arc<ingest::Adoption>,
}

/// The sources and where their events go.
pub struct WebhookIntake {
    /// Who may send, and what with.
    pub webhooks: Arc<ArcSwap<Webhooks>>,
    /// Where it is kept.
    pub intake: Arc<Intake>,
}

impl WebhookIntake {
    /// These may send, until others are put in their place.
    pub fn new(webhooks: Webhooks, intake: Arc<Intake>) -> Self {
        Self { webhooks: Arc::new(ArcSwap::from_pointee(webhooks)), intake }
    }
}

/// How the API writes, once the store is open.
pub struct Writes {
    /// Carries them out.
    pub edits: Edits,
    /// For `Idempotency-Key`.
    pub secret: IdempotencySecret,
    /// Whether changing a contact needs `If-Match`.
    pub require_if_match: bool,
    /// How long an answer waits for what becomes of a write.
    pub wait: Duration,
}

/// What each class's `RateLimit-Policy` says, made once for each limit that there is.
pub(crate) struct Policies {
    limiter: Arc<Limiter>,
    texts: ArcSwap<[Option<(RateLimit, HeaderValue)>; 6]>,
}

impl Policies {
    pub(crate) fn of(limiter: &Arc<Limiter>) -> Self {
        Self { limiter: Arc::clone(limiter), texts: ArcSwap::from_pointee([const { None }; 6]) }
    }

    pub(crate) fn of_class(&self, class: Counted) -> Option<HeaderValue> {
        let limit = self.limiter.policy(class)?;
        let texts = self.texts.load();
        let made = texts.get(class as usize)?.as_ref();
        if let Some((_, text)) = made.filter(|(own, _)| *own == limit) {
            return Some(text.clone());
        }
        // Never freed, and few: of a shared text each answer would count its uses, on all cores
        // in the same place.
        let text = HeaderValue::from_static(policy_text(class, &limit).leak());
        self.texts.rcu(|texts| {
            let mut texts = <[_; 6]>::clone(texts);
            if let Some(place) = texts.get_mut(class as usize) {
                *place = Some((limit, text.clone()));
            }
            texts
        });
        Some(text)
    }
}

/// Whole seconds are all that the field can say.
fn policy_text(class: Counted, limit: &RateLimit) -> String {
    let window_ms = limit.period.as_millis().max(1);
    let window = window_ms.div_ceil(1000);
    let quota = u128::from(limit.requests) * window * 1000 / window_ms;
    format!("\"{}\";q={quota};w={window}", class.as_str())
}

/// The last position that was written out: it is asked for far more often than it moves.
#[derive(Default)]
pub(crate) struct PositionText {
    /// With the commit that it belongs to.
    last: RwLock<Option<(u64, HeaderValue)>>,
}

impl PositionText {
    /// Call it after the read: the position then covers all that was seen.
    pub(crate) fn header(&self, queries: &Queries) -> Option<HeaderValue> {
        let seen = queries.commit_seen();
        if let Some((commit, text)) = &*self.last.read()
            && *commit == seen
        {
            return Some(text.clone());
        }
        let (commit, position) = queries.position_seen();
        let text = HeaderValue::from_maybe_shared(position.encode()).ok()?;
        *self.last.write() = Some((commit, text.clone()));
        Some(text)
    }
}

/// The room that all bodies on their way share.
pub(crate) struct BodyRoom {
    /// Of those whose sender is known.
    known: Pool,
    /// Of the others, who may not fill the room of those.
    unknown: Pool,
}

impl BodyRoom {
    pub(crate) fn new(limits: &HttpLimits, metrics: &Metrics) -> Self {
        let half = (limits.bodies_bytes_max / 2).max(limits.body_bytes_max);
        let part = (limits.bodies_bytes_max / PART).max(limits.body_bytes_max);
        Self {
            known: Pool::new(half, part, metrics.pool("bodies")),
            unknown: Pool::new(half, part, metrics.pool("bodies_unknown")),
        }
    }

    pub(crate) fn of(&self, is_known: bool) -> &Pool {
        if is_known { &self.known } else { &self.unknown }
    }
}

/// Places of what goes on off the threads that answer, though its request may be gone.
pub(crate) struct Work {
    pub(crate) questions: Arc<Semaphore>,
    /// Anybody may ask for them, and they take long.
    pub(crate) scrapes: Arc<Semaphore>,
}

impl Work {
    pub(crate) fn new(limits: &HttpLimits) -> Self {
        Self {
            questions: Arc::new(Semaphore::new(limits.requests_max)),
            scrapes: Arc::new(Semaphore::new(SCRAPES_MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_told_in_whole_seconds() {
        let text = |limit: &str| policy_text(Counted::Read, &RateLimit::parse(limit).unwrap());
        assert_eq!(text("600/1m"), "\"read\";q=600;w=60");
        assert_eq!(text("10/100ms"), "\"read\";q=100;w=1");
        assert_eq!(text("100/1s burst 500"), "\"read\";q=100;w=1");
    }
}
