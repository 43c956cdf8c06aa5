//! The simulator: webhooks as Acme sends them, when asked for and, where switched on, after every
//! write of the API.
//!
//! ```text
//! POST /api/simulator/webhooks ─► Order ─► chaos ─► queue (bounded) ─► deliver (signed, tried again) ─► outbound
//! journal ─► AfterWrites (a follower) ─────────────────────────────────────► attempt ─► outbound
//!                                                                              └─► history (a ring)
//! ```
//!
//! History and queue are this instance's own and in memory: a restart forgets them.

mod after_writes;
mod deliver;
mod history;
mod order;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hyper::body::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::{Secret, SignatureForm, SimulatorConfig};
use crate::domain::Class;
use crate::outbound::{Allowed, Client, Connect, OutboundError, Resolve, Target, connect, resolve};
use crate::simulate::{Chaos, Seal};
use crate::store::{Reader, StoreError};
use crate::telemetry::SimulatorMetrics;

pub use after_writes::AfterWrites;
pub use history::{Delivery, HistoryPage, Status};
pub use order::{COUNT_MAX, EVENT_BYTES_MAX, Order};

use deliver::Policy;
use history::History;

/// Deliveries under way at once.
const UNDER_WAY_MAX: usize = 8;
/// Bytes of an answer that are kept.
const ANSWER_BYTES_MAX: usize = 1 << 10;
/// Bytes of all webhooks that wait or are under way.
const WAITING_BYTES_MAX: usize = 32 << 20;

/// How the simulator behaves.
#[derive(Clone, Debug)]
pub struct SimulatorOptions {
    /// As configured.
    pub config: SimulatorConfig,
    /// How the source signs that it plays.
    pub form: SignatureForm,
    /// Signs what is sent.
    pub secret: Secret,
    /// Where this instance listens.
    pub own: SocketAddr,
    /// Whether it speaks TLS there.
    pub speaks_tls: bool,
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The target is no place to send to.
    #[error(transparent)]
    Target(#[from] OutboundError),
    /// An event of more bytes than a receiver would keep.
    #[error("the event has {bytes} bytes, at most {EVENT_BYTES_MAX} are sent")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// No room for all of it.
    #[error("too many webhooks wait already: at most {queue_max}, and 32 MiB of them, may")]
    Busy {
        /// How many may wait.
        queue_max: usize,
    },
    /// The process is ending.
    #[error("the simulator has ended")]
    Ended,
}

impl SimulatorError {
    /// Whether asking again may help.
    pub fn class(&self) -> Class {
        match self {
            Self::Target(error) => error.class(),
            Self::TooLarge { .. } => Class::Poison,
            Self::Busy { .. } | Self::Ended => Class::Retry,
        }
    }
}

/// One webhook on its way.
struct Job {
    /// Its place in the history.
    number: u64,
    target: Target,
    body: Bytes,
    seal: Seal,
}

/// Sends webhooks; shared by those who ask and the task that delivers.
pub struct Simulator {
    client: Client,
    form: SignatureForm,
    secret: Secret,
    default_target: Target,
    policy: Policy,
    history: Mutex<History>,
    queue: mpsc::Sender<Job>,
    /// Of bodies that wait or are under way.
    waiting_bytes: AtomicUsize,
    /// The task's end of it.
    jobs: Mutex<Option<mpsc::Receiver<Job>>>,
    metrics: SimulatorMetrics,
}

impl Simulator {
    /// One that asks the system for addresses.
    ///
    /// # Errors
    /// When the configured target is none.
    pub fn new(
        options: &SimulatorOptions,
        metrics: SimulatorMetrics,
    ) -> Result<Self, OutboundError> {
        Self::by(options, metrics, resolve(), connect())
    }

    /// The same, by another resolver and connector.
    ///
    /// # Errors
    /// When the configured target is none.
    pub fn by(
        options: &SimulatorOptions,
        metrics: SimulatorMetrics,
        resolve: Resolve,
        connect: Connect,
    ) -> Result<Self, OutboundError> {
        let SimulatorOptions { config, form, secret, own, speaks_tls } = options;
        let allowed = Allowed {
            hosts: config.targets.clone(),
            networks: config.networks.clone(),
            own: Some(*own),
        };
        let client = Client::by(allowed, config.timeout, ANSWER_BYTES_MAX, resolve, connect);
        let default_target = match &config.target {
            Some(target) => client.target(target)?,
            None => client.target(&own_webhooks(*own, *speaks_tls))?,
        };
        let (queue, jobs) = mpsc::channel(config.queue_max);
        Ok(Self {
            client,
            form: form.clone(),
            secret: secret.clone(),
            default_target,
            policy: Policy::from(config),
            history: Mutex::new(History::new(config.history_max)),
            queue,
            waiting_bytes: AtomicUsize::new(0),
            jobs: Mutex::new(Some(jobs)),
            metrics,
        })
    }

    /// Queues what is asked for; the deliveries as they stand now.
    ///
    /// # Errors
    /// When it may not be sent there, or there is no room for all of it.
    pub async fn send(&self, order: &Order) -> Result<Vec<Delivery>, SimulatorError> {
        let target = match &order.target_url {
            Some(url) => self.client.target(url)?,
            None => self.default_target.clone(),
        };
        match self.client.check(&target).await {
            Err(error) if error.class() == Class::Poison => return Err(error.into()),
            // Whether it is found later shows when it is delivered.
            Ok(()) | Err(_) => {}
        }
        let events = order.events()?;
        let shots: Vec<_> =
            Chaos::new(events.iter().map(|event| event.body.clone()), &order.chaos).collect();
        let bytes = shots.iter().map(|shot| shot.body.len()).sum();
        let busy = SimulatorError::Busy { queue_max: self.queue.max_capacity() };
        if shots.len() > self.queue.max_capacity() || !self.has_room(bytes) {
            return Err(busy);
        }
        // All or none, whoever else asks meanwhile.
        let permits = self.queue.try_reserve_many(shots.len());
        let permits = permits.map_err(|error| match error {
            mpsc::error::TrySendError::Full(()) => busy,
            mpsc::error::TrySendError::Closed(()) => SimulatorError::Ended,
        })?;
        self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let mut made = Vec::with_capacity(shots.len());
        for (permit, shot) in permits.zip(shots) {
            let event = events.get(usize::try_from(shot.event).unwrap_or(usize::MAX));
            let (id, kind) =
                event.map_or(("", ""), |event| (event.id.as_str(), event.kind.as_str()));
            let said_of = event.and_then(|event| event.said_of.clone());
            let delivery = Delivery::new(
                id,
                kind,
                &target,
                shot.manner,
                history::Trigger::Request,
                (&shot.body, said_of),
            );
            let delivery = self.history.lock().add(delivery);
            let (number, body) = (delivery.number, Bytes::from(shot.body));
            permit.send(Job { number, target: target.clone(), body, seal: shot.seal });
            made.push(delivery);
        }
        Ok(made)
    }

    /// What was sent, the newest first, without what was erased since; `before`: older than this number. May
    /// wait for the disk.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn history(
        &self,
        reader: &Reader,
        limit: usize,
        before: Option<u64>,
    ) -> Result<HistoryPage, StoreError> {
        let page = self.history.lock().page(limit, before);
        let shown = page.deliveries.into_iter().map(|delivery| delivery.shown(reader));
        Ok(HistoryPage { deliveries: shown.collect::<Result<_, _>>()?, ..page })
    }

    /// One delivery, while it is remembered, without what was erased since. May wait for the disk.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn delivery(&self, reader: &Reader, id: &str) -> Result<Option<Delivery>, StoreError> {
        let delivery = self.history.lock().by_id(id);
        delivery.map(|delivery| delivery.shown(reader)).transpose()
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.waiting_bytes.load(Ordering::Relaxed).saturating_add(bytes) <= WAITING_BYTES_MAX
    }

    /// Delivers until told to stop; what waits then is forgotten.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let Some(jobs) = self.jobs.lock().take() else {
            return;
        };
        stop.run_until_cancelled(self.deliver_all(jobs)).await;
    }

    async fn deliver_all(&self, mut jobs: mpsc::Receiver<Job>) {
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(()) = under_way.next(), if !under_way.is_empty() => {}
                job = jobs.recv(), if under_way.len() < UNDER_WAY_MAX => match job {
                    Some(job) => under_way.push(async move {
                        let bytes = job.body.len();
                        self.deliver(job).await;
                        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
                    }),
                    None => return,
                },
            }
        }
    }
}

/// Where this instance takes webhooks, as it is reached from this machine.
fn own_webhooks(own: SocketAddr, speaks_tls: bool) -> String {
    let scheme = if speaks_tls { "https" } else { "http" };
    let host = match own {
        _ if own.ip().is_unspecified() => "localhost".to_owned(),
        SocketAddr::V4(own) => own.ip().to_string(),
        SocketAddr::V6(own) => format!("[{}]", own.ip()),
    };
    format!("{scheme}://{host}:{}/api/webhooks", own.port())
}

impl From<&SimulatorConfig> for Policy {
    fn from(config: &SimulatorConfig) -> Self {
        Self {
            attempts_max: config.attempts_max,
            pause: config.retry_pause,
            pause_max: config.retry_pause_max.max(Duration::from_millis(1)),
        }
    }
}

#[cfg(test)]
mod tests;
