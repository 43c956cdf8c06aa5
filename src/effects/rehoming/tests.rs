//! Bringing records home, beside a store that follows the log.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rdkafka::mocking::MockCluster;
use serde_json::{Value, json};

use super::*;
use crate::config::{Config, Mode};
use crate::domain::founding::Founding;
use crate::domain::headers::{FOUNDING, ORIGIN_KEY};
use crate::domain::partitioner::Partitioner;
use crate::domain::position::{CONTROL_LANE, NextOffset, Position};
use crate::domain::record::RecordBatch;
use crate::effects::follower::{Engine, Followers, Surroundings};
use crate::event_log::embedded::RECORD_BYTES_MAX;
use crate::event_log::kafka::KafkaLog;
use crate::ingest::tests::{LANES, World, open_log, wait_until};
use crate::ingest::{ControlOutcome, ControlWrite, Lease};

const KEY: &str = "follower/rehoming";

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

fn sink(world: &World) -> Rehoming {
    Rehoming::new(world.log.clone(), "contacts".to_owned(), world.reader.clone())
}

/// An instance that brings records home.
struct Node {
    engine: Engine<Rehoming>,
    followers: Followers,
}

impl Node {
    fn by(world: &World, lease: Lease) -> Self {
        let (log, control) = (world.log.clone(), Arc::clone(&world.control));
        let followers = Followers::new(Surroundings::new(log, control, Arc::new(lease)));
        Self { engine: followers.add(Rehoming::row(), sink(world)), followers }
    }

    /// The only one.
    fn alone(world: &World) -> Self {
        Self::by(world, Lease::alone(Arc::clone(&world.control), 1))
    }

    /// Brings all that there is, and writes down how far that is.
    async fn turn(&mut self) {
        self.engine.turn().await;
        self.engine.end().await;
    }

    /// Why it may not run here; none: it may.
    fn kept_from(&self) -> Option<String> {
        let shown = self.followers.show(REHOMING).unwrap();
        shown.is_kept_from.then(|| shown.trouble.unwrap().0)
    }

    fn owed(&self) -> u64 {
        self.followers.show(REHOMING).unwrap().owed
    }
}

impl World {
    #[track_caller]
    fn assert_at_home(&self, ids: &[&str]) {
        self.catch_up();
        for id in ids {
            assert!(self.reader.contact(id.as_bytes()).unwrap().is_some(), "{id} is not at home");
        }
    }

    /// As another instance says it.
    async fn say(&self, founding: u64, position: &Position, count: u64) {
        let ledger = json!({ "position": position.encode(), "count": count, "founding": founding, "epoch": 9 });
        let write = ControlWrite {
            key: KEY.to_owned(),
            value: Some(ledger.to_string().into_bytes()),
            ..ControlWrite::default()
        };
        let said = self.control.put(write).await.unwrap();
        assert!(matches!(said, ControlOutcome::Applied { .. }), "{said:?}");
    }

    fn said(&self) -> Option<Value> {
        let entry = self.reader.control(KEY)?;
        Some(serde_json::from_slice(&entry.value).unwrap())
    }

    fn said_count(&self) -> Value {
        self.said().map(|said| said["count"].clone()).unwrap_or_default()
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
    Node::alone(&world).turn().await;
    world.assert_at_home(&["ada"]);
    let said = world.said().unwrap();
    let position = Position::decode(said["position"].as_str().unwrap()).unwrap();
    assert_eq!((&said["count"], position.next.get(&elsewhere)), (&json!(2), Some(&NextOffset(10))));
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
    let mut node = Node::alone(&world);
    for number in 0..2 {
        node.turn().await;
        let why = node.kept_from().unwrap();
        assert!(why.starts_with("3 records") && why.contains("store rebuild"), "{why}");
        assert!(world.said().is_none());
        world.append(vec![stray(&format!("later-{number}"))]);
    }
    // Another instance has them.
    world.say(1, &owed, 3).await;
    node.turn().await;
    assert_eq!(node.kept_from(), None);
    world.assert_at_home(&["later-0", "later-1"]);
    assert_eq!(world.said_count(), 5);
    assert!(world.reader.contact(b"ada").unwrap().is_none(), "that was the other's to bring");
}

#[tokio::test]
async fn what_waits_at_anothers_and_a_restored_journal_lacks_is_never_passed_either() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second, log] = ["first", "second", "log"].map(|name| dir.path().join(name));
    let log = open_log(&log);
    let world = World::follow(&first, log.clone());
    world.append(["ada", "bea"].map(stray).to_vec());
    let ledger = json!({
        "position": world.reader.position().encode(), "count": 2, "founding": 1,
        "waiting": [[format!("{}:0", away("ada")), away("ada"), 0]],
    });
    let value = Some(ledger.to_string().into_bytes());
    world
        .control
        .put(ControlWrite { key: KEY.to_owned(), value, ..ControlWrite::default() })
        .await
        .unwrap();
    snapshot_of(world, &first, &second);

    let world = World::follow(&second, log);
    let mut node = Node::alone(&world);
    node.turn().await;
    assert!(node.kept_from().unwrap().starts_with("1 records"));
    assert_eq!(world.said().unwrap()["waiting"], ledger["waiting"]);
}

#[tokio::test]
async fn a_store_that_was_restored_after_all_were_brought_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second, log] = ["first", "second", "log"].map(|name| dir.path().join(name));
    let log = open_log(&log);
    let world = World::follow(&first, log.clone());
    world.append(["ada", "bea"].map(stray).to_vec());
    Node::alone(&world).turn().await;
    world.assert_at_home(&["ada", "bea"]);
    snapshot_of(world, &first, &second);

    let world = World::follow(&second, log);
    let mut node = Node::alone(&world);
    node.turn().await;
    world.append(vec![stray("cleo")]);
    node.turn().await;
    world.assert_at_home(&["cleo"]);
    assert_eq!((world.said_count(), node.owed()), (json!(3), 0));
    let shown = node.followers.show(REHOMING).unwrap();
    assert_eq!((shown.overruns, shown.state), (0, "running"), "nothing was lost");
}

#[tokio::test]
async fn a_log_that_was_founded_anew_is_gone_through_anew() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_log(&dir.path().join("log"));
    let world = World::follow_under(2, &dir.path().join("store"), log);
    world.append(vec![stray("ada")]);
    world.say(1, &world.reader.position(), 1).await;
    let mut node = Node::alone(&world);
    node.turn().await;
    world.assert_at_home(&["ada"]);
    let said = world.said().unwrap();
    assert_eq!((&said["founding"], &said["count"]), (&json!(2), &json!(1)));
    // Once more: nothing of this store says anything any more.
    world.say(3, &Position::of_lanes(world.reader.position().log, BTreeMap::new()), 0).await;
    world.append(vec![stray("bea")]);
    node.turn().await;
    world.catch_up();
    assert!(world.reader.contact(b"bea").unwrap().is_none());
    assert_eq!(world.said().unwrap()["founding"], 3);
}

#[tokio::test]
async fn who_works_under_a_founding_that_is_over_keeps_nobody_from_bringing_them_home() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_log(&dir.path().join("log"));
    let old = World::follow_under(1, &dir.path().join("old"), log.clone());
    let new = World::follow_under(2, &dir.path().join("new"), log);
    let of =
        |world: &World, instance| Node::by(world, Lease::new(Arc::clone(&world.control), instance));
    let (mut older, mut newer) = (of(&old, 1), of(&new, 2));
    older.turn().await;
    old.append(vec![stray("ada")]);
    new.catch_up();
    wait_until("the newer one knows", || new.said().is_some());
    newer.turn().await;
    new.assert_at_home(&["ada"]);
    assert_eq!(new.said().unwrap()["founding"], 2);
    wait_until("the older one knows", || old.said().unwrap()["founding"] == 2);
    let end = old.log.watermarks(home("ada")).unwrap().high;
    older.turn().await;
    assert_eq!(old.log.watermarks(home("ada")).unwrap().high, end, "it brings nothing any more");
}

#[tokio::test]
async fn what_the_log_never_takes_is_named_and_goes_on_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::follow(&dir.path().join("store"), open_log(&dir.path().join("log")));
    // Only its head could be appended, and only we write this header.
    let mut batch = RecordBatch::new(Lane(0));
    let header = vec![b'k'; RECORD_BYTES_MAX];
    batch.push(Offset(0), 0, None, None, [(ORIGIN_KEY, Some(header.as_slice()))].into_iter());
    let record = |id: &str, headers: Vec<u8>| RehomedRecord {
        lane: Lane(5),
        offset: Offset(17),
        timestamp_ms: 1_767_225_600_000,
        contact_id: id.as_bytes().to_vec(),
        event_id: b"e".to_vec(),
        is_timed: true,
        key: None,
        value: stray(id).value,
        headers,
    };
    let records =
        [record("ada", Vec::new()), record("bea", batch.arena), record("cleo", Vec::new())];
    let deliveries = records.map(|item| Delivery {
        id: String::new(),
        key: String::new(),
        version: 0,
        tenure: 0,
        is_coalesced: false,
        attempt: 1,
        item: Arc::new(item),
    });
    let answers = sink(&world).deliver(&deliveries).await;
    let [Answer::Delivered, Answer::Refused(why), Answer::Delivered] = answers.as_slice() else {
        panic!("{answers:?}");
    };
    assert!(why.contains("contacts:5:17") && why.contains("--contact 5:17"), "{why}");
    world.assert_at_home(&["ada", "cleo"]);
}

#[tokio::test]
async fn copies_say_under_which_founding_they_are_at_home() {
    let dir = tempfile::tempdir().unwrap();
    let world =
        World::follow_under(2, &dir.path().join("store"), open_log(&dir.path().join("log")));
    world.append(vec![stray("ada")]);
    let (mut changes, _) = world.reader.entries_after(&Position::default()).unwrap();
    let (rehoming, mut found) = (sink(&world), Vec::new());
    let read = changes.read_entries(world.reader.changes_end(), &mut |entry, _| {
        found.extend(rehoming.pick(entry));
        std::ops::ControlFlow::Continue(())
    });
    assert!(read.unwrap().is_continue());
    let [picked] = found.try_into().unwrap();
    let copy = rehoming.copy(&picked.item);
    let founding = (FOUNDING.to_owned(), Some(b"2".to_vec()));
    assert!(copy.headers.contains(&founding), "{:?}", copy.headers);
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
    let mut node = Node::by(&world, Lease::new(Arc::clone(&world.control), 1));
    runtime.block_on(node.turn());
    world.assert_at_home(&["ada"]);
    assert!(world.said().is_none() && node.owed() == 0);
    // It remembers what it has brought as long as it lives.
    let end = world.log.watermarks(home("ada")).unwrap().high;
    runtime.block_on(node.turn());
    assert_eq!(world.log.watermarks(home("ada")).unwrap().high, end);
}
