//! Instances of one store that a follower runs on, clocks that the test moves, and a switch that breaks the
//! sink.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use contactd::domain::position::Position;
use contactd::effects::follower::{
    Answer, By, Delivery, Engine, Followers, Hold, Picked, Progress, Row, Sink, Surroundings,
};
use contactd::event_log::NewRecord;
use contactd::ingest::{Clocks, Control, Lease, now_ms};
use contactd::store::journal::Entry;
use contactd::store::{Cut, Reader, StoreConfig, StoreError};
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::support::follower::Follower;
use crate::support::logs::open_embedded;

const PATIENCE: Duration = Duration::from_secs(60);

/// A follower that the suite is run for.
pub trait Subject: Send + Sync {
    type Sink: Sink;

    fn row(&self) -> Row;

    /// One for an instance of the world.
    fn sink(&self, world: &World) -> Self::Sink;

    /// Records of which each makes it owe one delivery, of a key of its own; no two numbers the same.
    fn record(&self, number: usize) -> NewRecord {
        let event = serde_json::json!({
            "id": format!("e{number}"), "eventType": "contact.created",
            "timestamp": "2026-11-21T10:00:00Z",
            "data": { "id": format!("c{number}"), "firstName": format!("name {number}") },
        });
        NewRecord {
            key: format!("c{number}").into_bytes(),
            value: Some(event.to_string().into_bytes()),
            timestamp_ms: i64::try_from(now_ms()).unwrap(),
            ..NewRecord::default()
        }
    }
}

/// Two clocks that stand still until they are moved.
#[derive(Clone)]
pub struct Time {
    began: (Instant, SystemTime),
    /// How far each is, in milliseconds.
    moved: Arc<[AtomicU64; 2]>,
}

impl Time {
    pub fn new() -> Self {
        Self { began: (Instant::now(), SystemTime::now()), moved: Arc::default() }
    }

    pub fn clocks(&self, ahead: Duration) -> Clocks {
        let Self { began: (monotonic, wall), moved } = self.clone();
        let at = move |clock: usize| Duration::from_millis(moved[clock].load(Ordering::SeqCst));
        Box::new(move || (monotonic + at(0), wall + ahead + at(1)))
    }

    pub fn pass(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap();
        for clock in &*self.moved {
            clock.fetch_add(ms, Ordering::SeqCst);
        }
    }
}

/// A delivery as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub id: String,
    pub key: String,
    pub version: u64,
    pub tenure: u64,
    pub is_coalesced: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Up,
    Down,
    /// Refuses one key.
    Refuses(String),
}

/// Remembers what arrives at a sink, and fails as it is told to.
pub struct Switched<S> {
    sink: S,
    world: WorldShared,
}

#[derive(Clone, Default)]
pub struct WorldShared {
    pub told: Arc<Mutex<Vec<Told>>>,
    pub mode: Arc<Mutex<Mode>>,
}

impl<S: Sink> Sink for Switched<S> {
    type Item = S::Item;

    fn pick(&self, entry: &Entry<'_>) -> Option<Picked<S::Item>> {
        self.sink.pick(entry)
    }

    async fn deliver(&self, deliveries: &[Delivery<S::Item>]) -> Vec<Answer> {
        let mode = self.world.mode.lock().clone();
        let answers = match &mode {
            Mode::Down => {
                let down = || Answer::Down { why: "switched off".to_owned(), after: None };
                return deliveries.iter().map(|_| down()).collect();
            }
            Mode::Up | Mode::Refuses(_) => self.sink.deliver(deliveries).await,
        };
        let answer = |(delivery, answer): (&Delivery<S::Item>, Answer)| {
            if mode == Mode::Refuses(delivery.key.clone()) {
                return Answer::Refused("not this one".to_owned());
            }
            if answer == Answer::Delivered {
                self.world.told.lock().push(Told {
                    id: delivery.id.clone(),
                    key: delivery.key.clone(),
                    version: delivery.version,
                    tenure: delivery.tenure,
                    is_coalesced: delivery.is_coalesced,
                });
            }
            answer
        };
        deliveries.iter().zip(answers).map(answer).collect()
    }

    fn counted(&self, up_to: &Cut) -> Option<u64> {
        self.sink.counted(up_to)
    }

    fn tells_states(&self) -> bool {
        self.sink.tells_states()
    }

    fn present(&self, reader: &Reader, key: &str) -> Result<Option<Picked<S::Item>>, StoreError> {
        self.sink.present(reader, key)
    }

    fn may_run(&self, reader: &Reader, done: &Progress) -> Result<bool, String> {
        self.sink.may_run(reader, done)
    }

    fn begin(&self, from: &Position, hold: Hold) {
        self.sink.begin(from, hold);
    }

    async fn settle(&self, read: &Position) -> Result<Position, String> {
        self.sink.settle(read).await
    }

    async fn end(&self) {
        self.sink.end().await;
    }
}

/// One log, one store, and any number of instances over it.
pub struct World {
    pub follower: Follower,
    pub control: Arc<Control>,
    pub time: Time,
    pub shared: WorldShared,
    _dir: TempDir,
}

/// An instance with the follower.
pub struct Node<S: Sink> {
    pub followers: Arc<Followers>,
    pub engine: Engine<Switched<S>>,
    pub lease: Arc<Lease>,
}

impl World {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut StoreConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = StoreConfig::at(dir.path().join("store"));
        change(&mut options);
        let follower = Follower::start_by(options, open_embedded(&dir.path().join("log")));
        let control = Arc::new(Control::new(follower.log.clone(), follower.reader.clone()));
        Self { follower, control, time: Time::new(), shared: WorldShared::default(), _dir: dir }
    }

    pub fn node<S: Subject + ?Sized>(&self, subject: &S, instance: u64) -> Node<S::Sink> {
        self.node_ahead(subject, instance, Duration::ZERO)
    }

    /// One whose machine's clock is ahead.
    pub fn node_ahead<S: Subject + ?Sized>(
        &self,
        subject: &S,
        instance: u64,
        ahead: Duration,
    ) -> Node<S::Sink> {
        let clocks = self.time.clocks(ahead);
        let lease = Arc::new(Lease::by(clocks, Arc::clone(&self.control), instance));
        let (log, control) = (self.follower.log.clone(), Arc::clone(&self.control));
        let around = Surroundings::new(log, control, Arc::clone(&lease));
        let followers = Arc::new(Followers::new(around));
        let sink = Switched { sink: subject.sink(self), world: self.shared.clone() };
        let engine = followers.add(subject.row(), sink);
        Node { followers, engine, lease }
    }

    /// Appends what makes the follower owe deliveries, and waits until it is applied.
    pub async fn owe<S: Subject + ?Sized>(&self, subject: &S, numbers: std::ops::Range<usize>) {
        let records: Vec<_> = numbers.map(|number| subject.record(number)).collect();
        self.append(records).await;
    }

    pub async fn append(&self, records: Vec<NewRecord>) {
        let acks = self.follower.log.append(records).await.unwrap();
        let reader = &self.follower.reader;
        until("it is applied", async || {
            let position = reader.position();
            let next = |lane| position.next.get(&lane).copied().unwrap_or_default();
            acks.iter().all(|ack| next(ack.lane) >= ack.offset.next())
        })
        .await;
    }

    pub fn told(&self) -> Vec<Told> {
        self.shared.told.lock().clone()
    }

    pub fn keys(&self) -> BTreeSet<String> {
        self.told().into_iter().map(|told| told.key).collect()
    }

    pub fn set(&self, mode: Mode) {
        *self.shared.mode.lock() = mode;
    }

    pub fn revision(&self, row: &Row) -> u64 {
        let entry = self.follower.reader.control(&format!("follower/{}", row.name));
        entry.map_or(0, |entry| entry.revision)
    }

    /// Takes turns until something is so; time passes only where there is nothing to do.
    pub async fn turns<S: Sink>(
        &self,
        node: &mut Node<S>,
        what: &str,
        is_so: impl Fn(&Self) -> bool,
    ) {
        let began = Instant::now();
        while !is_so(self) {
            let rest = node.engine.turn().await;
            self.time.pass(rest.at_most);
            assert!(began.elapsed() < PATIENCE, "in vain: {what}; told {:?}", self.told());
        }
    }

    /// The same until so many different keys were told.
    pub async fn told_all<S: Sink>(&self, node: &mut Node<S>, count: usize) {
        self.turns(node, "all are told", |world| world.keys().len() >= count).await;
    }
}

pub async fn until(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !look().await {
        assert!(began.elapsed() < PATIENCE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub fn by() -> By {
    By { principal: "user:ada".to_owned(), request_id: None }
}
