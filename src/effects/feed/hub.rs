//! The one task that reads what is committed, and the register of who listens.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::config::FeedConfig;
use crate::shares::{Full, Part, Pool, Who, part_of};
use crate::store::{ChangeRef, Changes, Reader, StoreError};
use crate::telemetry::{FeedMetrics, Metrics};

use super::chunk::Chunk;
use super::error::FeedError;
use super::ring::Ring;
use super::sse::ResetReason;
use super::{client, client::Client, client::Subscription};

/// Readers of the journal at once: clients that are behind take turns.
const CATCH_UPS_MAX: usize = 4;
/// Who is sent all contacts and takes nothing for this part of `stall_timeout` gives way to others.
const GIVES_WAY: u32 = 4;
/// How long who wants all contacts waits for one that gives way, and how often it looks.
const STATES_WAIT: Duration = Duration::from_secs(2);
const STATES_LOOK: Duration = Duration::from_millis(100);
/// What waking a client and writing to its socket takes, about: commits that come faster than all
/// clients can be told are told together.
const PACE_A_CLIENT: Duration = Duration::from_micros(20);
const PACE_MAX: Duration = Duration::from_millis(200);

/// The feed of one store; cheap to clone.
#[derive(Clone)]
pub struct Feed(Arc<Shared>);

/// What clients and the task share.
pub(super) struct Shared {
    pub(super) options: FeedConfig,
    pub(super) metrics: FeedMetrics,
    /// Empty until the store is open.
    reader: OnceLock<Reader>,
    opened: Notify,
    state: Mutex<State>,
    /// Moves when there is something to look at.
    pub(super) signal: watch::Sender<Signal>,
    /// The first client has come.
    woken: Notify,
    pub(super) catch_ups: Semaphore,
    places: Pool,
    states: Pool,
    /// One of `states` was given back.
    states_left: Notify,
    started: Instant,
}

pub(super) struct State {
    pub(super) ring: Ring,
    /// Whether the ring is being filled.
    live: bool,
    clients: BTreeMap<u64, Arc<Vitals>>,
    next_client: u64,
}

/// What clients wait for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signal {
    /// The number of the next chunk.
    chunks: u64,
    /// Heartbeats so far.
    pub(super) beat: u64,
    /// The process is ending.
    pub(super) closing: bool,
}

/// Whether a client takes what it is given.
#[derive(Debug, Default)]
pub(super) struct Vitals {
    /// When it was given something that it has not taken yet, in ms from the start, and 1; 0: never.
    given_ms: AtomicU64,
    overdue: AtomicBool,
    /// Whether it is being sent all contacts.
    is_sent_all: AtomicBool,
    /// Who it is; none in tests.
    who: Option<Who>,
    /// Cuts its connection.
    connection: Option<CancellationToken>,
}

impl Vitals {
    pub(super) fn took_all(&self) {
        self.given_ms.store(0, Ordering::Relaxed);
    }

    pub(super) fn set_sent_all(&self, is_sent_all: bool) {
        self.is_sent_all.store(is_sent_all, Ordering::Relaxed);
    }

    /// Ends it, if it is sent all contacts and has taken nothing for a while.
    fn gives_way(&self, now_ms: u64, after_ms: u64) -> bool {
        let given = self.given_ms.load(Ordering::Relaxed);
        let is_stalled = given != 0 && now_ms.saturating_sub(given) >= after_ms;
        if !is_stalled || !self.is_sent_all.swap(false, Ordering::Relaxed) {
            return false;
        }
        self.overdue.store(true, Ordering::Relaxed);
        if let Some(connection) = &self.connection {
            connection.cancel();
        }
        true
    }

    pub(super) fn is_overdue(&self) -> bool {
        self.overdue.load(Ordering::Relaxed)
    }

    /// Whether it is overdue from now on.
    fn look(&self, now_ms: u64, stall_ms: u64) -> bool {
        let given = self.given_ms.load(Ordering::Relaxed);
        let waited = now_ms.saturating_sub(given);
        if given == 0 || waited < stall_ms {
            return false;
        }
        if waited >= stall_ms.saturating_mul(2)
            && let Some(connection) = &self.connection
        {
            connection.cancel();
        }
        !self.overdue.swap(true, Ordering::Relaxed)
    }
}

/// A client's place among all; given back when dropped.
pub(super) struct Registration {
    feed: Arc<Shared>,
    number: u64,
    pub(super) vitals: Arc<Vitals>,
    _place: Part,
}

/// The right to be sent all contacts.
pub(super) struct StatesPermit {
    feed: Arc<Shared>,
    part: Option<Part>,
}

impl Drop for StatesPermit {
    fn drop(&mut self) {
        drop(self.part.take());
        self.feed.states_left.notify_waiters();
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut state = self.feed.state.lock();
        state.clients.remove(&self.number);
        self.feed.metrics.clients.set(i64::try_from(state.clients.len()).unwrap_or(i64::MAX));
        if state.clients.is_empty() {
            state.live = false;
            let (end, seen) = state.ring.end();
            let seen = Arc::clone(seen);
            state.ring.restart(end, seen);
        }
    }
}

impl Feed {
    /// Before the store is open: nobody can listen yet.
    pub fn new(options: FeedConfig, metrics: &Metrics) -> Self {
        let part = part_of(options.clients_max, options.clients_per_principal_max);
        Self(Arc::new(Shared {
            places: Pool::new(options.clients_max, part, metrics.pool("feed_clients")),
            states: Pool::in_eighths(options.snapshots_max, metrics.pool("feed_snapshots")),
            states_left: Notify::new(),
            state: Mutex::new(State {
                ring: Ring::new(options.buffer_bytes),
                live: false,
                clients: BTreeMap::new(),
                next_client: 0,
            }),
            options,
            metrics: metrics.feed.clone(),
            reader: OnceLock::new(),
            opened: Notify::new(),
            signal: watch::Sender::new(Signal::default()),
            woken: Notify::new(),
            catch_ups: Semaphore::new(CATCH_UPS_MAX),
            started: Instant::now(),
        }))
    }

    /// From now on clients can listen. Only the first call counts.
    pub fn open(&self, reader: Reader) {
        let _ = self.0.reader.set(reader);
        self.0.opened.notify_one();
    }

    /// A client's stream.
    ///
    /// # Errors
    /// When there is no place for it, or no way on from its position.
    pub async fn subscribe(&self, client: Client) -> Result<Subscription, FeedError> {
        client::subscribe(&self.0, client).await
    }

    /// Reads what is committed while somebody listens, until told to stop; then every stream ends.
    pub async fn run(self, stop: CancellationToken) {
        if let Some(reader) = stop.run_until_cancelled(self.0.reader()).await {
            self.0.publish(&reader, &stop).await;
        }
        self.0.signal.send_modify(|signal| signal.closing = true);
    }
}

impl Shared {
    async fn reader(&self) -> Reader {
        loop {
            if let Some(reader) = self.reader.get() {
                return reader.clone();
            }
            self.opened.notified().await;
        }
    }

    pub(super) fn open_reader(&self) -> Result<Reader, FeedError> {
        self.reader.get().cloned().ok_or(FeedError::NotOpen)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// A place for one more client; the first one starts the ring.
    pub(super) fn register(
        self: &Arc<Self>,
        reader: &Reader,
        who: Who,
        connection: Option<CancellationToken>,
    ) -> Result<Registration, FeedError> {
        if self.signal.borrow().closing {
            return Err(FeedError::Closing);
        }
        let place = self.places.take(who, 1).map_err(|full| FeedError::TooManyClients {
            clients_max: self.places.bound(full),
            full,
        })?;
        let mut state = self.state.lock();
        let number = state.next_client;
        state.next_client += 1;
        let vitals = Arc::new(Vitals { connection, who: Some(who), ..Vitals::default() });
        state.clients.insert(number, Arc::clone(&vitals));
        self.metrics.clients.set(i64::try_from(state.clients.len()).unwrap_or(i64::MAX));
        if !state.live {
            let now = reader.changes_from_now();
            state.ring.restart(now.place(), Arc::new(now.seen().clone()));
            state.live = true;
            self.woken.notify_one();
        }
        Ok(Registration { feed: Arc::clone(self), number, vitals, _place: place })
    }

    /// The right to be sent all contacts, waiting for a moment where somebody gives way.
    pub(super) async fn states_permit(
        self: &Arc<Self>,
        who: Who,
    ) -> Result<StatesPermit, FeedError> {
        let deadline = tokio::time::Instant::now() + STATES_WAIT;
        loop {
            let mut left = pin!(self.states_left.notified());
            left.as_mut().enable();
            let full = match self.states.take(who, 1) {
                Ok(part) => return Ok(StatesPermit { feed: Arc::clone(self), part: Some(part) }),
                Err(full) => full,
            };
            let now = tokio::time::Instant::now();
            if !self.one_gives_way((full == Full::Part).then_some(who)) && now >= deadline {
                return Err(FeedError::TooManyStates { states_max: self.states.bound(full), full });
            }
            let _ = tokio::time::timeout(STATES_LOOK, left).await;
        }
    }

    /// The first client, of one principal or of all, that is sent all contacts and has stalled.
    fn one_gives_way(&self, of: Option<Who>) -> bool {
        let after = (self.options.stall_timeout / GIVES_WAY).as_millis();
        let (now_ms, after_ms) = (self.now_ms(), u64::try_from(after).unwrap_or(u64::MAX));
        let state = self.state.lock();
        let mut meant = state.clients.values().filter(|at| of.is_none() || at.who == of);
        let found = meant.any(|vitals| vitals.gives_way(now_ms, after_ms));
        if found {
            self.metrics.reset(ResetReason::TooSlow.as_str());
        }
        found
    }

    /// Notes that a client was given something.
    pub(super) fn gave(&self, vitals: &Vitals) {
        vitals.given_ms.store(self.now_ms() + 1, Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn publish(&self, reader: &Reader, stop: &CancellationToken) {
        let mut commits = reader.commits();
        let mut beats = tokio::time::interval(self.options.heartbeat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tail = None;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = beats.tick() => self.beat(),
                () = self.woken.notified() => {}
                Ok(()) = commits.changed(), if self.state().live => {}
            }
            let Some(place) = self.unread(reader) else {
                // Files and buffers go when nobody listens.
                tail = tail.filter(|_| self.state().live);
                continue;
            };
            let changes = match tail.take().filter(|tail: &Changes| tail.place() == place) {
                Some(changes) => changes,
                None => self.changes_at_end(reader),
            };
            tail = self.publish_chunk(reader, changes).await;
            // There may be more by now.
            commits.mark_changed();
            let pace = PACE_A_CLIENT.saturating_mul(self.client_count()).min(PACE_MAX);
            if pace >= Duration::from_millis(1) {
                stop.run_until_cancelled(tokio::time::sleep(pace)).await;
            }
        }
    }

    /// The ring's end, when somebody listens and more is committed.
    fn unread(&self, reader: &Reader) -> Option<ChangeRef> {
        let state = self.state();
        let (end, _) = state.ring.end();
        (state.live && end < reader.changes_end()).then_some(end)
    }

    fn changes_at_end(&self, reader: &Reader) -> Changes {
        let state = self.state();
        let (end, seen) = state.ring.end();
        reader.changes_at(end, seen.as_ref().clone())
    }

    /// Adds one chunk to the ring; gives back where to go on.
    async fn publish_chunk(&self, reader: &Reader, mut changes: Changes) -> Option<Changes> {
        let until = reader.changes_end();
        let read = blocking(move || Ok((Chunk::read(&mut changes, until, None)?, changes))).await;
        let mut state = self.state();
        let (tail, is_news) = match read {
            Ok((chunk, changes)) => {
                // All clients may have gone meanwhile, and one come back.
                if !state.live || state.ring.end().0 != chunk.start {
                    return None;
                }
                let is_news = !chunk.is_empty();
                state.ring.push(Arc::new(chunk));
                (Some(changes), is_news)
            }
            Err(error) => {
                tracing::error!(%error, "the feed goes on with what is committed from now on");
                let now = reader.changes_from_now();
                state.ring.restart(now.place(), Arc::new(now.seen().clone()));
                (None, true)
            }
        };
        let chunks = state.ring.next();
        drop(state);
        if is_news {
            self.signal.send_modify(|signal| signal.chunks = chunks);
        }
        tail
    }

    fn client_count(&self) -> u32 {
        u32::try_from(self.state().clients.len()).unwrap_or(u32::MAX)
    }

    fn beat(&self) {
        let now_ms = self.now_ms();
        let stall_ms = u64::try_from(self.options.stall_timeout.as_millis()).unwrap_or(u64::MAX);
        for vitals in self.state().clients.values() {
            if vitals.look(now_ms, stall_ms) {
                self.metrics.reset(ResetReason::TooSlow.as_str());
            }
        }
        self.signal.send_modify(|signal| signal.beat += 1);
    }
}

/// Off the threads that answer: the journal is read from the disk.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, FeedError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(FeedError::Panicked(error.to_string())),
    }
}
