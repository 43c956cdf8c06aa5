//! Bringing records home, beside a store that follows the log.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Instant;

use rdkafka::mocking::MockCluster;

use super::*;
use crate::apply::{ApplyOptions, Pipeline, Progress as Applied, Terms};
use crate::config::{Config, Mode};
use crate::domain::founding::Founding;
use crate::domain::headers::{FOUNDING, ORIGIN_KEY};
use crate::domain::partitioner::Partitioner;
use crate::domain::position::{CONTROL_LANE, Lane, NextOffset};
use crate::domain::rules::{InForce, RuleSet};
use crate::event_log::ConsumeBounds;
use crate::event_log::embedded::{EmbeddedLog, EmbeddedOptions, RECORD_BYTES_MAX};
use crate::event_log::kafka::KafkaLog;
use crate::store::{self, Opened, StoreConfig, Writer};

const LANES: u16 = 4;
/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store that follows a log until it is dropped.
pub(in crate::ingest) struct World {
    pub(in crate::ingest) log: EventLog,
    pub(in crate::ingest) reader: Reader,
    pub(in crate::ingest) control: Arc<Control>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    applying: Option<JoinHandle<Writer>>,
}

pub(in crate::ingest) fn open_log(path: &Path) -> EventLog {
    let options = EmbeddedOptions {
        path: path.to_owned(),
        topic: "contacts".to_owned(),
        partitions: LANES,
        segment_bytes_max: 32 << 20,
        retention_bytes: None,
        retention_age: None,
    };
    EventLog::Embedded(Arc::new(EmbeddedLog::open(options).unwrap()))
}

fn home(id: &str) -> Lane {
    Partitioner::Murmur2.lane(id.as_bytes(), LANES)
}

fn away(id: &str) -> Lane {
    Lane((home(id).0 + 1) % LANES)
}

/// An event of a contact, in another lane than its home.
fn stray(id: &str) -> NewRecord {
    let value = format!(
        r#"{{"id":"e-{id}","eventType":"contact.updated","timestamp":1767225600000,
            "source":"acme","data":{{"id":"{id}","acme_first_name":"Ada"}}}}"#
    );
    NewRecord {
        key: id.as_bytes().to_vec(),
        value: Some(value.into_bytes()),
        headers: Vec::new(),
        timestamp_ms: 1_767_225_600_000,
        lane: Some(away(id)),
    }
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl World {
    pub(in crate::ingest) fn follow(dir: &Path, log: EventLog) -> Self {
        Self::follow_under(1, dir, log)
    }

    fn follow_under(founding: u64, dir: &Path, log: EventLog) -> Self {
        let options = StoreConfig::at(dir);
        let opened = store::open(options, Some(&log.identity().unwrap()), &|_| {});
        let Opened { mut writer, reader, .. } = opened.unwrap();
        if writer.rules().beginning().is_none() {
            let rules = InForce::at_founding(Arc::new(RuleSet::built_in().unwrap()));
            writer.begin_with(founding, rules).unwrap();
        }
        let control_lane = (!log.is_control_refused()).then_some(CONTROL_LANE);
        let lanes = (0..LANES).map(Lane).chain(control_lane);
        let next = writer.next_offsets();
        let from: BTreeMap<Lane, NextOffset> =
            lanes.map(|lane| (lane, next.get(&lane).copied().unwrap_or_default())).collect();
        let bounds = ConsumeBounds { records_max: 4_096, bytes_max: 4 << 20 };
        let mut consumer = log.consume(&from, bounds).unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        let pipeline = Pipeline {
            terms: Terms::of(Founding::first(Partitioner::Murmur2, LANES)),
            options: ApplyOptions { batch_records_max: 512, batch_bytes_max: 1 << 20 },
            lanes: metrics.lanes("contacts", LANES),
            control_lane: metrics.lanes("control", 1),
            metrics: Arc::clone(&metrics),
            topic: "contacts".to_owned(),
            control_topic: "control".to_owned(),
            progress: Arc::new(Applied::default()),
            until_caught_up: false,
        };
        let stop = CancellationToken::new();
        let told = stop.clone();
        let applying = std::thread::spawn(move || {
            pipeline.run(&mut consumer, &mut writer, &told).unwrap();
            writer
        });
        let control = Arc::new(Control::new(log.clone(), reader.clone()));
        Self { log, reader, control, metrics, stop, applying: Some(applying) }
    }

    /// Of the only instance, over control records that go by that log.
    fn rehoming_by(&self, log: &EventLog) -> Rehoming {
        let control = Arc::new(Control::new(log.clone(), self.reader.clone()));
        let lease = Arc::new(Lease::alone(Arc::clone(&control), 1));
        let (topic, metrics) = ("contacts".to_owned(), Arc::clone(&self.metrics));
        let partial = CancellationToken::new();
        Rehoming::new(self.log.clone(), topic, (control, lease), metrics, partial)
    }

    fn rehoming(&self) -> Rehoming {
        self.rehoming_by(&self.log)
    }

    fn looked(&self) -> Looked {
        Looked::nothing(self.reader.position().log)
    }

    /// Appends, and waits until all of the log is applied.
    #[track_caller]
    fn append(&self, records: Vec<NewRecord>) {
        self.log.append_blocking(records).unwrap();
        self.log.flush().unwrap();
        self.catch_up();
    }

    #[track_caller]
    fn catch_up(&self) {
        for lane in (0..LANES).map(Lane) {
            let end = self.log.watermarks(lane).unwrap().high;
            wait_until("all is applied", || {
                self.reader.position().next.get(&lane).copied().unwrap_or_default() >= end
            });
        }
    }

    #[track_caller]
    fn assert_at_home(&self, ids: &[&str]) {
        self.catch_up();
        for id in ids {
            assert!(self.reader.contact(id.as_bytes()).unwrap().is_some(), "{id} is not at home");
        }
    }

    /// As another instance says it.
    async fn say(&self, founding: u64, position: &Position, count: u64) {
        let progress = Progress { founding, position: position.encode(), count };
        let write = ControlWrite {
            key: KEY.to_owned(),
            value: serde_json::to_vec(&progress).ok(),
            ..ControlWrite::default()
        };
        let said = self.control.put(write).await.unwrap();
        assert!(matches!(said, ControlOutcome::Applied { .. }), "{said:?}");
    }

    fn said(&self) -> Option<Progress> {
        let entry = self.reader.control(KEY)?;
        Some(serde_json::from_slice(&entry.value).unwrap())
    }

    fn end(&mut self) -> Option<Writer> {
        self.stop.cancel();
        self.applying.take().map(|applying| applying.join().unwrap())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            drop(self.end());
        }
    }
}

/// A directory with nothing but the store's newest snapshot.
fn snapshot_of(mut world: World, from: &Path, to: &Path) {
    let mut writer = world.end().unwrap();
    writer.snapshot_now().unwrap();
    writer.close().unwrap();
    std::fs::create_dir_all(to.join("snapshots")).unwrap();
    for file in std::fs::read_dir(from.join("snapshots")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join("snapshots").join(file.file_name())).unwrap();
    }
}

#[tokio::test]
async fn anothers_position_says_nothing_of_what_this_journal_holds_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::follow(&dir.path().join("store"), open_log(&dir.path().join("log")));
    world.append(vec![stray("ada")]);
    // One stray on another lane, of which this instance has applied nothing yet.
    let elsewhere = Lane((away("ada").0 + 1) % LANES);
    let log = world.reader.position().log;
    let anothers = Position::of_lanes(log, BTreeMap::from([(elsewhere, NextOffset(10))]));
    world.say(1, &anothers, 1).await;
    world.rehoming().turn(&mut world.looked()).await.unwrap();
    world.assert_at_home(&["ada"]);
    let said = world.said().unwrap();
    let position = Position::decode(&said.position).unwrap();
    assert_eq!((said.count, position.next.get(&elsewhere)), (2, Some(&NextOffset(10))));
    assert!(position.next.keys().all(|lane| *lane != CONTROL_LANE), "{position:?}");
}

#[tokio::test]
async fn what_a_restored_journal_lacks_is_said_and_never_passed() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second, log] = ["first", "second", "log"].map(|name| dir.path().join(name));
    let log = open_log(&log);
    let world = World::follow(&first, log.clone());
    world.append(["ada", "bea", "cleo"].map(stray).to_vec());
    let owed = world.reader.position();
    snapshot_of(world, &first, &second);

    let world = World::follow(&second, log);
    let (rehoming, mut looked) = (world.rehoming(), world.looked());
    for number in 0..2 {
        let error = rehoming.turn(&mut looked).await.unwrap_err();
        assert!(matches!(error, RehomingError::Lost(3)), "{error}");
        assert!(error.to_string().contains("store rebuild"), "{error}");
        assert!(world.said().is_none());
        world.append(vec![stray(&format!("later-{number}"))]);
    }
    let (stop, running) = (CancellationToken::new(), world.rehoming());
    let metrics = Arc::clone(&world.metrics);
    let shown = async {
        while metrics.rehoming.standing().is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
    };
    let waited = tokio::time::timeout(PATIENCE, async { tokio::join!(running.run(&stop), shown) });
    waited.await.expect("readiness says it");
    assert!(world.metrics.rehoming.standing().unwrap_err().contains("3 records"));
    // Another instance has them.
    world.say(1, &owed, 3).await;
    rehoming.turn(&mut looked).await.unwrap();
    world.assert_at_home(&["later-0", "later-1"]);
    assert_eq!(world.said().unwrap().count, 5);
    assert!(world.reader.contact(b"ada").unwrap().is_none(), "that was the other's to bring");
}

#[tokio::test]
async fn a_store_that_was_restored_after_all_were_brought_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second, log] = ["first", "second", "log"].map(|name| dir.path().join(name));
    let log = open_log(&log);
    let world = World::follow(&first, log.clone());
    world.append(["ada", "bea"].map(stray).to_vec());
    world.rehoming().turn(&mut world.looked()).await.unwrap();
    world.assert_at_home(&["ada", "bea"]);
    snapshot_of(world, &first, &second);

    let world = World::follow(&second, log);
    let mut looked = world.looked();
    world.rehoming().turn(&mut looked).await.unwrap();
    world.append(vec![stray("cleo")]);
    world.rehoming().turn(&mut looked).await.unwrap();
    world.assert_at_home(&["cleo"]);
    assert_eq!(world.said().unwrap().count, 3);
}

#[tokio::test]
async fn a_log_that_was_founded_anew_is_gone_through_anew() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_log(&dir.path().join("log"));
    let world = World::follow_under(2, &dir.path().join("store"), log);
    world.append(vec![stray("ada")]);
    world.say(1, &world.reader.position(), 1).await;
    let (rehoming, mut looked) = (world.rehoming(), world.looked());
    assert!(rehoming.adopt(&mut looked) && rehoming.look(&mut looked).await.unwrap());
    let copy = &looked.open.as_ref().unwrap().records[0];
    let founding = (FOUNDING.to_owned(), Some(b"2".to_vec()));
    assert!(copy.headers.contains(&founding), "{:?}", copy.headers);
    rehoming.turn(&mut looked).await.unwrap();
    world.assert_at_home(&["ada"]);
    let said = world.said().unwrap();
    assert_eq!((said.founding, said.count), (2, 1));
    // Once more: nothing of this store says anything any more.
    world.say(3, &Position::of_lanes(looked.position.log, BTreeMap::new()), 0).await;
    world.append(vec![stray("bea")]);
    world.rehoming().turn(&mut looked).await.unwrap();
    world.catch_up();
    assert!(world.reader.contact(b"bea").unwrap().is_none());
    assert_eq!(world.said().unwrap().founding, 3);
}

#[tokio::test]
async fn who_works_under_a_founding_that_is_over_keeps_nobody_from_bringing_them_home() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_log(&dir.path().join("log"));
    let old = World::follow_under(1, &dir.path().join("old"), log.clone());
    let new = World::follow_under(2, &dir.path().join("new"), log);
    old.append(vec![stray("ada")]);
    new.catch_up();
    let of = |world: &World, instance| {
        let lease = Arc::new(Lease::new(Arc::clone(&world.control), instance));
        Rehoming { lease, ..world.rehoming() }
    };
    let (older, newer) = (of(&old, 1), of(&new, 2));
    let (mut before, mut after) = (old.looked(), new.looked());
    assert!(older.adopt(&mut before) && older.is_ours(&before).await.unwrap());
    newer.turn(&mut after).await.unwrap();
    new.assert_at_home(&["ada"]);
    assert_eq!(new.said().unwrap().founding, 2);
    wait_until("the older one knows", || old.said().is_some());
    assert!(!older.adopt(&mut before), "it brings nothing any more");
}

#[tokio::test]
async fn what_the_log_never_takes_holds_up_the_rest_and_is_not_passed() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::follow(&dir.path().join("store"), open_log(&dir.path().join("log")));
    world.append(vec![stray("ada"), stray("bea"), stray("cleo")]);
    let (rehoming, mut looked) = (world.rehoming(), world.looked());
    assert!(rehoming.adopt(&mut looked) && rehoming.look(&mut looked).await.unwrap());
    // Only its head could be appended, and only we write this header.
    let open = looked.open.as_mut().unwrap();
    let number = open.records.len();
    open.records[0].headers.push((ORIGIN_KEY.to_owned(), Some(vec![b'k'; RECORD_BYTES_MAX])));
    let untakable = origin_of(&open.records[0]);
    for _ in 0..2 {
        let error = rehoming.turn(&mut looked).await.unwrap_err();
        assert!(matches!(&error, RehomingError::Untakable { origin, .. } if *origin == untakable));
        assert!(error.to_string().contains(&untakable), "{error}");
        assert_eq!(looked.open.as_ref().unwrap().records.len(), 1);
        assert!(world.said().is_none() && looked.brought == 0);
    }
    world.catch_up();
    let brought = ["ada", "bea", "cleo"].iter().filter(|id| {
        let end = world.log.watermarks(home(id)).unwrap().high;
        end.0 > 0 && world.reader.contact(id.as_bytes()).unwrap().is_some()
    });
    assert_eq!(brought.count(), number - 1, "each of the others once");
    // The topic takes it now.
    looked.open.as_mut().unwrap().records[0].headers.pop();
    rehoming.turn(&mut looked).await.unwrap();
    world.assert_at_home(&["ada", "bea", "cleo"]);
    assert_eq!(world.said().unwrap().count, 3);
}

#[tokio::test]
async fn a_position_that_could_not_be_written_is_written_in_the_next_turn() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::follow(&dir.path().join("store"), open_log(&dir.path().join("log")));
    world.append(vec![stray("ada")]);
    let closed = open_log(&dir.path().join("closed"));
    closed.shutdown().unwrap();
    let mut looked = world.looked();
    world.rehoming_by(&closed).turn(&mut looked).await.unwrap_err();
    world.assert_at_home(&["ada"]);
    assert!(world.said().is_none());
    world.rehoming().turn(&mut looked).await.unwrap();
    assert_eq!(world.said().unwrap().count, 1);
    let end = world.log.watermarks(home("ada")).unwrap().high;
    assert_eq!(end, NextOffset(1), "it was appended once");
}

#[tokio::test]
async fn a_partial_store_brings_nothing_and_learns_what_others_bring() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::follow(&dir.path().join("store"), open_log(&dir.path().join("log")));
    world.append(vec![stray("ada")]);
    let (rehoming, mut looked) = (world.rehoming(), world.looked());
    rehoming.partial.cancel();
    rehoming.turn(&mut looked).await.unwrap();
    assert_eq!(
        (world.log.watermarks(home("ada")).unwrap().high, looked.seen),
        (NextOffset(0), None)
    );
    world.say(1, &world.reader.position(), 1).await;
    rehoming.turn(&mut looked).await.unwrap();
    assert_eq!(looked.seen, Some(1), "its journal waits for nothing");
}

#[test]
fn without_a_control_topic_each_instance_brings_them_home() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("contacts", i32::from(LANES), 1).unwrap();
    let mut config = Config::built_in(Mode::Serve).unwrap().kafka;
    config.brokers = vec![cluster.bootstrap_servers()];
    config.topic = "contacts".to_owned();
    let kafka = KafkaLog::open(&config).unwrap();
    kafka.found(&Founding::first(Partitioner::Murmur2, LANES));
    kafka.refuse_control("topic contacts.control: the brokers refuse");
    let log = EventLog::Kafka(Arc::new(kafka));
    wait_until("the brokers answer", || log.identity().is_ok());
    let world = World::follow(dir.path(), log);
    world.append(vec![stray("ada")]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut rehoming = world.rehoming();
    rehoming.lease = Arc::new(Lease::new(Arc::clone(&world.control), 1));
    let mut looked = world.looked();
    runtime.block_on(rehoming.turn(&mut looked)).unwrap();
    world.assert_at_home(&["ada"]);
    assert_eq!((looked.brought, looked.is_unwritten, world.said().is_none()), (1, false, true));
    // It remembers what it has brought as long as it lives.
    let end = world.log.watermarks(home("ada")).unwrap().high;
    runtime.block_on(rehoming.turn(&mut looked)).unwrap();
    assert_eq!(world.log.watermarks(home("ada")).unwrap().high, end);
    assert_eq!(looked.seen, Some(1));
}
