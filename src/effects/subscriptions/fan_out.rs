//! The follower `subscriptions`: reads the journal once for all of them, and offers each what it wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config::SubscriptionsConfig;
use crate::domain::position::Position;
use crate::effects::follower::{Answer, Delivery, Hold, Picked, Row, Sink};
use crate::ingest::{Control, ControlOutcome, ControlWrite, now_ms};
use crate::outbound::{Allowed, Client};
use crate::store::Reader;
use crate::store::journal::Entry;
use crate::telemetry::SubscriptionMetrics;

use super::attempts::Attempts;
use super::courier::Courier;
use super::message::{DISABLER, Message};
use super::roster::Rosters;
use super::running::Running;
use super::secret::Signer;
use super::standing::{FOLLOWER, PARTS, Part, key, part_of};

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 1 << 10;
/// Connections that are kept for the next message.
const CONNECTIONS_KEPT_MAX: usize = 512;
/// How long the end is waited for.
const END_WAIT: Duration = Duration::from_secs(6);

/// How subscribers are told.
pub struct SubscriptionOptions {
    /// As configured.
    pub config: SubscriptionsConfig,
    /// Makes their secrets.
    pub signer: Signer,
}

/// The sink, and what its parts share; cheap to clone.
#[derive(Clone)]
pub struct FanOut(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) config: SubscriptionsConfig,
    pub(super) reader: Reader,
    pub(super) control: Arc<Control>,
    pub(super) courier: Courier,
    pub(super) rosters: Rosters,
    pub(super) attempts: Attempts,
    pub(super) metrics: SubscriptionMetrics,
    /// None: their follower is not this instance's.
    pub(super) running: Mutex<Option<Running>>,
    /// Counts tenures up.
    tenures: AtomicU64,
    /// Revisions of what is written down, as this instance has written it.
    written: tokio::sync::Mutex<Vec<u64>>,
    /// There is something to do.
    pub(super) woken: Notify,
    /// Nothing more is begun.
    pub(super) ends: CancellationToken,
    /// Nothing is under way any more.
    pub(super) ended: CancellationToken,
}

impl FanOut {
    /// For an instance.
    pub fn new(
        options: SubscriptionOptions,
        control: Arc<Control>,
        metrics: SubscriptionMetrics,
    ) -> Self {
        let SubscriptionOptions { config, signer } = options;
        let (hosts, networks) = (config.hosts.clone(), config.networks.clone());
        let allowed = Allowed { hosts, networks, own: None };
        let client =
            Client::new(allowed, config.timeout, ANSWER_BYTES_MAX).keeping(CONNECTIONS_KEPT_MAX);
        let reader = control.reader().clone();
        Self(Arc::new(Shared {
            courier: Courier::new(client, signer, config.require_https),
            config,
            rosters: Rosters::new(reader.clone()),
            reader,
            control,
            attempts: Attempts::default(),
            metrics,
            running: Mutex::default(),
            tenures: AtomicU64::new(0),
            written: tokio::sync::Mutex::new(vec![0; PARTS]),
            woken: Notify::new(),
            ends: CancellationToken::new(),
            ended: CancellationToken::new(),
        }))
    }

    /// The follower's row.
    pub fn row() -> Row {
        Row {
            at_once: 512,
            reads_control: true,
            linger: Duration::from_millis(2),
            ..Row::new(FOLLOWER, FOLLOWER, "Tells subscribers what was applied.")
        }
    }
}

impl Shared {
    /// Takes up what the control entries say, if this instance sends.
    pub(super) fn refresh(&self, running: &mut Running) {
        let written = |id: &str| {
            let (_, part) = Part::read(&self.reader, part_of(id));
            part.subscriptions.get(id).cloned()
        };
        running.refresh(&self.rosters.now(), (Instant::now(), now_ms()), written);
    }

    /// Writes down how subscribers stand, where that is another than was; gives back before what all is done
    /// of what the follower has read.
    pub(super) async fn write(&self, read: Option<&Position>) -> Result<Option<Position>, String> {
        let mut revisions = self.written.lock().await;
        let (parts, done, hold, number) = {
            let mut running = self.running.lock();
            let Some(running) = running.as_mut() else {
                return Ok(None);
            };
            let read = read.cloned().unwrap_or_else(|| running.offered.clone());
            let (parts, done) = running.unwritten(&read, (Instant::now(), now_ms()));
            (parts, done, running.hold.clone(), running.number)
        };
        let mut failed = None;
        let mut left = Vec::new();
        for (number, part) in parts {
            if failed.is_none() && !hold.is_ours() {
                failed = Some("it is not this instance's turn any more".to_owned());
            }
            if failed.is_none() {
                let known = revisions.get(number).copied().filter(|revision| *revision > 0);
                let revision = known.unwrap_or_else(|| Part::read(&self.reader, number).0);
                match self.put(number, &part, revision).await {
                    Ok(revision) => {
                        if let Some(known) = revisions.get_mut(number) {
                            *known = revision;
                        }
                        part.tell(&self.reader, number, done.log);
                        continue;
                    }
                    Err(error) => {
                        // Where another has written, it is not this instance's any more, or is again.
                        let now = Part::read(&self.reader, number).0;
                        revisions.get_mut(number).into_iter().for_each(|known| *known = now);
                        failed = Some(error);
                    }
                }
            }
            left.push(number);
        }
        if !left.is_empty()
            && let Some(running) = self.running.lock().as_mut().filter(|it| it.number == number)
        {
            running.touch(left);
        }
        failed.map_or(Ok(Some(done)), Err)
    }

    async fn put(&self, number: usize, part: &Part, revision: u64) -> Result<u64, String> {
        let write = ControlWrite {
            key: key(number),
            expected_revision: Some(revision),
            value: Some(part.encode()),
            principal: Some(DISABLER.to_owned()),
            ..ControlWrite::default()
        };
        match self.control.put(write).await.map_err(|error| error.to_string())? {
            ControlOutcome::Applied { revision } | ControlOutcome::Unchanged { revision } => {
                Ok(revision)
            }
            ControlOutcome::Conflict { .. } => {
                Err("how subscribers stand was written by another instance".to_owned())
            }
            ControlOutcome::Refused { detail, .. } => Err(detail),
        }
    }

    /// What the journal is kept for on every instance, whichever sends.
    pub(super) fn tell_needs(&self) {
        let log = self.reader.position().log;
        for number in 0..PARTS {
            let (revision, part) = Part::read(&self.reader, number);
            if revision > 0 {
                part.tell(&self.reader, number, log);
            }
        }
    }
}

impl Sink for FanOut {
    type Item = Arc<Message>;

    fn pick(&self, entry: &Entry<'_>) -> Option<Picked<Arc<Message>>> {
        let roster = self.0.rosters.now();
        let wants = |facts: &super::subscription::Facts<'_>| roster.wants(facts);
        let message = Message::of(entry, &self.0.reader, wants, roster.compares)?;
        let (key, version, bytes) = (message.key.clone(), message.version, message.bytes());
        Some(Picked { key, version, bytes, item: Arc::new(message) })
    }

    async fn deliver(&self, deliveries: &[Delivery<Arc<Message>>]) -> Vec<Answer> {
        let mut running = self.0.running.lock();
        let Some(running) = running.as_mut() else {
            let why = "it is not this instance's turn".to_owned();
            return vec![Answer::Down { why, after: None }; deliveries.len()];
        };
        self.0.refresh(running);
        deliveries.iter().for_each(|delivery| running.offer(&delivery.item));
        self.0.woken.notify_one();
        vec![Answer::Delivered; deliveries.len()]
    }

    fn begin(&self, from: &Position, hold: Hold) {
        let number = self.0.tenures.fetch_add(1, Ordering::Relaxed) + 1;
        let mut running = Running::new(number, hold, from);
        self.0.refresh(&mut running);
        let roster = self.0.rosters.now();
        let is_stale = |part: &usize| {
            let (_, written) = Part::read(&self.0.reader, *part);
            written.subscriptions.keys().any(|id| !roster.all.contains_key(id))
        };
        running.touch((0..PARTS).filter(is_stale));
        *self.0.running.lock() = Some(running);
        self.0.woken.notify_one();
    }

    async fn settle(&self, read: &Position) -> Result<Position, String> {
        Ok(self.0.write(Some(read)).await?.unwrap_or_else(|| read.clone()))
    }

    async fn end(&self) {
        self.0.ends.cancel();
        // Whoever is next tells again what was not answered by then.
        let _ = tokio::time::timeout(END_WAIT, self.0.ended.cancelled()).await;
    }
}
