//! Schemas of other topics' records, asked of their registry and kept.
//!
//! ```text
//! look(id) ─► known, or refused, or awaited ─► run: asked again until the registry says what it is ─► known
//! ```
//!
//! Nobody waits here: who needs a schema looks again. A schema never changes under its id, so it is asked
//! for once, and given up only to make room. A registry that is away is asked more and more seldom; an id
//! that it does not know is asked for again while the record that names it is young.

mod client;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config::SchemaRegistryConfig;
use crate::domain::decode::Reject;
use crate::domain::verdict::DeadLetterReason;
use crate::telemetry::{Dependency, DependencyDown, DependencyUp, Metrics, SchemaAnswer};

pub use client::{Format, RegistryError};

use client::Client;

/// Schemas that are kept, and bytes of their texts.
const KEPT_MAX: usize = 4096;
const KEPT_BYTES_MAX: usize = 16 << 20;
/// The id that a trial asks for: the first one that registries give.
const TRIED_ID: u32 = 1;
/// Ids that are asked for; who needs another one looks again.
const WANTED_MAX: usize = 256;
/// Requests at once.
const REQUESTS_MAX: usize = 4;
/// First and longest pause between two tries.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// How long an id counts as unknown before it is asked for once more, and how long that is remembered.
const UNKNOWN_FOR: Duration = Duration::from_secs(10);
const UNKNOWN_KEPT: Duration = Duration::from_secs(600);

/// What is known of an id now.
#[derive(Clone, Debug)]
pub enum Look {
    /// Values are read by this.
    Known(Arc<Format>),
    /// Records that name it are dead letters.
    Refused(Reject),
    /// It is being asked for.
    Awaited,
}

/// A registry's schemas.
pub struct SchemaRegistry {
    client: Client,
    unknown_wait: Duration,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    /// An id was asked for.
    asked: Notify,
}

#[derive(Default)]
struct State {
    known: BTreeMap<u32, Result<Arc<Format>, Reject>>,
    /// Those known with their texts' bytes, the oldest first.
    order: VecDeque<(u32, usize)>,
    bytes: usize,
    unknown: BTreeMap<u32, Unknown>,
    wanted: BTreeMap<u32, Wanted>,
    /// Why nothing comes; none while the registry answers.
    trouble: Option<String>,
    /// By topic, an id that it waits for.
    waiting: BTreeMap<String, u32>,
}

/// An id that the registry does not know.
struct Unknown {
    since: Instant,
    /// The newest order that it was asked for, by that order's own time.
    order_ms: u64,
    said: String,
}

struct Wanted {
    next: Instant,
    pause: Duration,
    /// Until then it is asked for again where it is not known.
    patience: Instant,
    is_under_way: bool,
    /// The newest order that wants it.
    order_ms: u64,
}

impl Wanted {
    /// Later, by half of the pause at least.
    fn put_off(&mut self) {
        self.next = Instant::now() + self.pause.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.is_under_way = false;
    }
}

impl SchemaRegistry {
    /// Asks nobody yet.
    ///
    /// # Errors
    /// Settings that can't be used.
    pub fn new(
        config: &SchemaRegistryConfig,
        metrics: Arc<Metrics>,
    ) -> Result<Self, RegistryError> {
        Ok(Self {
            client: Client::new(config)?,
            unknown_wait: config.unknown_wait,
            metrics,
            state: Mutex::default(),
            asked: Notify::new(),
        })
    }

    /// Whether the registry answers, tried once: it need not know the schema that it is asked for.
    ///
    /// # Errors
    /// Why nothing of it can be used.
    pub async fn try_once(&self) -> Result<(), RegistryError> {
        match self.client.format(TRIED_ID).await {
            Ok(_) | Err(RegistryError::Unknown(_) | RegistryError::Unusable(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// One that knows these, and nobody to ask.
    #[cfg(test)]
    pub(crate) fn knowing(known: Vec<(u32, Result<Format, Reject>)>) -> Self {
        let config = SchemaRegistryConfig {
            url: "http://127.0.0.1:9/".parse().unwrap(),
            login: None,
            ca_file: None,
            timeout: Duration::from_secs(1),
            unknown_wait: Duration::ZERO,
        };
        let registry = Self::new(&config, Arc::new(Metrics::new().unwrap())).unwrap();
        for (id, format) in known {
            registry.state.lock().keep(id, format.map(Arc::new));
        }
        registry
    }

    /// What is known of `id`, for a record of that time (ms since 1970). What is not known is asked for,
    /// and once more for each newer order of `order_ms`, by whatever clock that is.
    pub fn look(&self, id: u32, record_time_ms: i64, order_ms: Option<u64>) -> Look {
        let mut state = self.state.lock();
        match state.known.get(&id) {
            Some(Ok(format)) => return Look::Known(Arc::clone(format)),
            Some(Err(reject)) => return Look::Refused(reject.clone()),
            None => {}
        }
        let now = Instant::now();
        let counts = |unknown: &&Unknown| match order_ms {
            Some(order_ms) => unknown.order_ms >= order_ms,
            None => now < unknown.since + UNKNOWN_FOR,
        };
        if let Some(unknown) = state.unknown.get(&id).filter(counts) {
            let detail = format!("{} ({})", unknown.said, self.client.url());
            return Look::Refused(Reject::new(DeadLetterReason::SchemaUnknown, detail));
        }
        let order_ms = order_ms.unwrap_or(0);
        if let Some(wanted) = state.wanted.get_mut(&id) {
            // An answer that is under way may be older than the order.
            if !wanted.is_under_way {
                wanted.order_ms = wanted.order_ms.max(order_ms);
            }
        } else if state.wanted.len() < WANTED_MAX {
            let patience = now + self.unknown_wait.saturating_sub(age(record_time_ms));
            let (next, pause) = (now, PAUSE_MIN);
            let wanted = Wanted { next, pause, patience, is_under_way: false, order_ms };
            state.wanted.insert(id, wanted);
            self.asked.notify_one();
        }
        Look::Awaited
    }

    /// Asks for one now, for who has nothing else to do.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn format(&self, id: u32) -> Result<Format, RegistryError> {
        self.client.format(id).await
    }

    /// The same, and keeps what was learnt: a look finds it, or why it can't be used.
    ///
    /// # Errors
    /// When the registry does not say what it is.
    pub async fn learn(&self, id: u32) -> Result<(), RegistryError> {
        let known = match self.format(id).await {
            Ok(format) => Ok(Arc::new(format)),
            Err(RegistryError::Unusable(reject)) => Err(reject),
            Err(error) => return Err(error),
        };
        self.state.lock().keep(id, known);
        Ok(())
    }

    /// Which topics wait for which schema.
    pub fn set_waiting(&self, waiting: BTreeMap<String, u32>) {
        self.state.lock().waiting = waiting;
    }

    /// Who waits for what, and why; none: nobody does.
    pub fn note(&self) -> Option<String> {
        let state = self.state.lock();
        if state.waiting.is_empty() && state.trouble.is_none() {
            return None;
        }
        let why = state.trouble.as_deref().unwrap_or("it is asked");
        let mut note = format!("the schema registry {}: {why}", self.client.url());
        for (topic, id) in &state.waiting {
            // Writing to a String can't fail.
            let _ = write!(note, "; {topic} waits for schema {id}");
        }
        Some(note)
    }

    /// Asks for what is wanted until told to stop.
    pub async fn run(&self, stop: &CancellationToken) {
        let mut under_way = FuturesUnordered::new();
        while !stop.is_cancelled() {
            let (due, wake) = self.take_due(REQUESTS_MAX - under_way.len());
            under_way.extend(due.into_iter().map(|id| async move {
                let answer = self.client.format(id).await;
                (id, answer)
            }));
            let wake = tokio::time::Instant::from_std(wake);
            tokio::select! {
                () = stop.cancelled() => {}
                Some((id, answer)) = under_way.next(), if !under_way.is_empty() => {
                    self.settle(id, answer);
                }
                () = self.asked.notified() => {}
                () = tokio::time::sleep_until(wake), if under_way.len() < REQUESTS_MAX => {}
            }
        }
    }

    /// Ids to be asked for now, and when to look again.
    fn take_due(&self, room: usize) -> (Vec<u32>, Instant) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let idle = state.wanted.iter_mut().filter(|(_, wanted)| !wanted.is_under_way);
        let (mut due, mut wake) = (Vec::new(), now + PAUSE_MAX);
        for (id, wanted) in idle {
            if wanted.next > now || due.len() >= room {
                wake = wake.min(wanted.next);
                continue;
            }
            wanted.is_under_way = true;
            due.push(*id);
        }
        (due, wake)
    }

    fn settle(&self, id: u32, answer: Result<Format, RegistryError>) {
        let counted = match &answer {
            Ok(_) => SchemaAnswer::Schema,
            Err(RegistryError::Unusable(_)) => SchemaAnswer::Unusable,
            Err(RegistryError::Unknown(_)) => SchemaAnswer::Unknown,
            Err(RegistryError::Away(_) | RegistryError::Certificates(_)) => SchemaAnswer::Failed,
        };
        self.metrics.schemas.answered(counted);
        let mut state = self.state.lock();
        match answer {
            Ok(format) => state.keep(id, Ok(Arc::new(format))),
            Err(RegistryError::Unusable(reject)) => {
                tracing::warn!(schema = id, why = reject.detail, "a schema can't be used");
                state.keep(id, Err(reject));
            }
            Err(RegistryError::Unknown(said)) => state.not_known(id, said),
            Err(RegistryError::Away(why) | RegistryError::Certificates(why)) => {
                if state.trouble.as_ref() != Some(&why) {
                    let dependency = Dependency::SchemaRegistry;
                    DependencyDown { dependency, error: &why }.emit(&self.metrics);
                }
                state.trouble = Some(why);
                if let Some(wanted) = state.wanted.get_mut(&id) {
                    wanted.put_off();
                }
                return;
            }
        }
        if state.trouble.take().is_some() {
            DependencyUp(Dependency::SchemaRegistry).emit(&self.metrics);
        }
    }

    /// Shows at every scrape how it stands.
    pub fn show(self: &Arc<Self>) {
        // The registry has the metrics.
        let shown = Arc::downgrade(self);
        self.metrics.on_scrape(move |metrics| {
            if let Some(shown) = shown.upgrade() {
                let state = shown.state.lock();
                metrics.schemas.set_kept(state.known.len());
                metrics.set_dependency_up(Dependency::SchemaRegistry, state.trouble.is_none());
            }
        });
    }
}

impl State {
    fn keep(&mut self, id: u32, known: Result<Arc<Format>, Reject>) {
        self.wanted.remove(&id);
        self.unknown.remove(&id);
        let bytes = match known.as_deref() {
            Ok(Format::Avro(schema)) => schema.text_bytes(),
            Ok(Format::Json) | Err(_) => 0,
        };
        if self.known.insert(id, known).is_none() {
            self.order.push_back((id, bytes));
            self.bytes += bytes;
        }
        while self.order.len() > KEPT_MAX || self.bytes > KEPT_BYTES_MAX {
            let Some((oldest, bytes)) = self.order.pop_front() else { break };
            self.known.remove(&oldest);
            self.bytes -= bytes;
        }
    }

    fn not_known(&mut self, id: u32, said: String) {
        let now = Instant::now();
        match self.wanted.get_mut(&id) {
            Some(wanted) if now < wanted.patience => {
                wanted.put_off();
                // A registry that is behind is soon not.
                wanted.next = wanted.next.min(wanted.patience);
                return;
            }
            Some(_) | None => {}
        }
        tracing::warn!(schema = id, "the schema registry does not know a schema");
        let order_ms = self.wanted.remove(&id).map_or(0, |wanted| wanted.order_ms);
        self.unknown.retain(|_, unknown| now < unknown.since + UNKNOWN_KEPT);
        if self.unknown.len() >= KEPT_MAX {
            self.unknown.clear();
        }
        self.unknown.insert(id, Unknown { since: now, order_ms, said });
    }
}

/// How old a record is; one without a time, or with a later one, has just come.
fn age(record_time_ms: i64) -> Duration {
    let Some(time) = u64::try_from(record_time_ms).ok().map(Duration::from_millis) else {
        return Duration::ZERO;
    };
    Duration::from_millis(now_ms()).saturating_sub(time)
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for SchemaRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SchemaRegistry").field("url", &self.client.url()).finish_non_exhaustive()
    }
}
