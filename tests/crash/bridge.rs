//! A member of the bridge's group is killed before, between and after append and commit: each event
//! of an input still has its effect once, in its order.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::seed;
use crate::support::bridge::{Counted, bridging, export, input, wait_until_bridged};
use crate::support::image::Image;
use crate::support::logs::{KafkaTopic, LANES, RawRecord, TestLog};
use crate::support::node::Node;
use crate::support::services::{KAFKA, service};
use crate::support::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(90);
const POINTS: [&str; 3] = ["bridge_polled", "bridge_appended", "bridge_committed"];
/// Kills at each point; each costs the seconds until the group gives the dead member up.
const ROUNDS: u32 = 2;
const ROUNDS_LONG: u32 = 10;
/// A kill comes at any portion up to this one.
const HIT_MAX: u64 = 6;

/// An input, a contact log, and a node that bridges the one into the other.
struct World {
    load: Counted,
    input: KafkaTopic,
    contacts: KafkaTopic,
    node: Node,
    _dir: tempfile::TempDir,
}

impl World {
    fn new(test: &str) -> Option<Self> {
        let log = TestLog::kafka(&service(KAFKA, test)?);
        let TestLog::Kafka(contacts) = &log else { unreachable!("it is Kafka") };
        let dir = tempfile::tempdir().unwrap();
        let input = input(contacts, "input", &[]);
        let node = bridging(log.followed_by(Node::new(&dir.path().join("store"))), &[&input.topic]);
        let node = node.with("bridge.batch_records_max", 40);
        let (load, contacts) = (Counted::default(), contacts.clone());
        Some(Self { load, input, contacts, node, _dir: dir })
    }

    /// More portions than any kill waits for.
    fn produce(&mut self) {
        let load = &mut self.load;
        self.input.append((0..30).flat_map(|_| load.next()));
    }

    /// Untimed events first, each contact's together: a first portion of any but a few records holds
    /// more of them than a contact remembers.
    fn produce_by_contact(&mut self) {
        let load = &mut self.load;
        let mut records: Vec<_> = (0..60).flat_map(|_| load.next()).collect();
        let is_timed = |record: &RawRecord| {
            let value = record.value.as_deref().unwrap_or_default();
            String::from_utf8_lossy(value).contains("\"timestamp\"")
        };
        records.sort_by_key(|record| (is_timed(record), record.key.clone()));
        // Untimed ones a minute apart: of so slow ones a contact remembers the fewest.
        let untimed = records.iter().filter(|record| !is_timed(record)).count();
        for (ago, record) in (0..untimed).rev().zip(&mut records) {
            record.timestamp_ms -= 60_000 * ago as i64;
        }
        self.input.append(records.into_iter());
    }

    /// Runs with a fault that must kill it.
    #[track_caller]
    fn run_into(&self, fault: &str) {
        let exit = self.node.start(fault).wait();
        assert!(exit.was_killed(), "{fault}: {}: {}", exit.status, exit.stderr);
    }

    /// Bridges and applies all that is left.
    #[track_caller]
    fn finish(&self, fault: &str) -> Image {
        let running = self.node.start(fault);
        wait_until_bridged(&self.contacts, &[&self.input], PATIENCE);
        let ended = running.stop();
        assert!(ended.status.success(), "{}", ended.stderr);
        self.node.catch_up_soundly();
        Image::read(&self.node.store)
    }
}

#[test]
fn killed_bridge_loses_and_doubles_nothing() {
    const TEST: &str = "killed_bridge_loses_and_doubles_nothing";
    let Some(mut world) = World::new(TEST) else { return };
    let mut random = fastrand::Rng::with_seed(seed(TEST));
    let is_long = std::env::var_os("CONTACTD_CRASH_KILLS").is_some();
    let rounds = if is_long { ROUNDS_LONG } else { ROUNDS };
    let began = Instant::now();
    for _ in 0..rounds {
        for point in POINTS {
            world.produce();
            world.run_into(&format!("kill:{point}:{}", random.u64(1..=HIT_MAX)));
        }
    }
    let image = world.finish("");
    world.load.assert_whole(&export(&world.node));
    let (total, received) = (world.load.total(), image.received());
    let _ = writeln!(
        std::io::stderr(),
        "{} kills of the bridge, {total} events, {} of them appended again, in {:?}",
        rounds * 3,
        received - total,
        began.elapsed()
    );
    assert!(received >= total + u64::from(rounds), "a kill after an append repeats nothing");
    assert_eq!(image.verdict_totals["applied"], total);
}

#[test]
fn the_bridges_deliberate_mistakes_are_noticed() {
    const TEST: &str = "the_bridges_deliberate_mistakes_are_noticed";
    // On a busy machine one first portion may be of a few records, but hardly one after the other.
    for (bug, kill, kills) in [
        ("bridge_commits_first", "bridge_committed:1", 1),
        ("bridge_forgets_repeats", "bridge_appended:1", 2),
    ] {
        let Some(mut world) = World::new(TEST) else { return };
        world.node = world.node.with("bridge.batch_records_max", 720);
        let fault = format!("bug:{bug}");
        for _ in 0..kills {
            world.produce_by_contact();
            world.run_into(&format!("{fault},kill:{kill}"));
        }
        world.finish(&fault);
        let wrong = world.load.wrong(&export(&world.node));
        assert!(wrong.is_some(), "{bug} changed nothing");
    }
}

#[test]
fn records_away_from_home_survive_a_kill_between_append_and_its_note() {
    const TEST: &str = "records_away_from_home_survive_a_kill_between_append_and_its_note";
    let Some(brokers) = service(KAFKA, TEST) else { return };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let log = TestLog::kafka(&brokers);
    let TestLog::Kafka(contacts) = &log else { unreachable!("it is Kafka") };
    let dir = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let node = log
        .followed_by(Node::new(&dir.path().join("store")))
        .with("bridge.rehome", "true")
        .with("server.listen", format!("127.0.0.1:{port}"));
    let mut load = Counted::default();
    // Fewer untimed ones of a contact than it remembers; each contact's in one lane, in order.
    let records: Vec<RawRecord> = (0..10).flat_map(|_| load.next()).collect();
    let keyless = records.into_iter().enumerate().map(|(at, record)| RawRecord {
        key: None,
        lane: Some(at as u16 % LANES),
        ..record
    });
    contacts.append(keyless);
    for _ in 0..2 {
        let exit = node.start("kill:rehomed_appended:1").wait();
        assert!(exit.was_killed(), "{}: {}", exit.status, exit.stderr);
    }
    let running = node.start("");
    wait_until(PATIENCE, "all are at home", || load.wrong(&answered(&node, port)).is_none());
    let ended = running.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    node.catch_up_soundly();
    let image = Image::read(&node.store);
    load.assert_whole(&export(&node));
    assert!(image.letters.is_empty());
    assert_eq!(image.verdict_totals["rehomed"], load.total());
    assert_eq!(image.verdict_totals["applied"], load.total());
    assert!(image.received() > load.total() * 2, "no kill came between append and note");
}

/// The contacts that a running node answers with.
fn answered(node: &Node, port: u16) -> BTreeMap<String, Value> {
    let Ok(key) = std::fs::read_to_string(node.store.join("local.key")) else {
        return BTreeMap::new();
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let page: Option<Value> = runtime.block_on(async {
        let url = format!("http://127.0.0.1:{port}/api/contacts?limit=200");
        let asked = reqwest::Client::new().get(url).header("x-api-key", key.trim()).send();
        asked.await.ok()?.json().await.ok()
    });
    let contacts = page.and_then(|page| page["data"].as_array().cloned()).unwrap_or_default();
    let by_id = contacts
        .into_iter()
        .filter_map(|contact| Some((contact["id"].as_str()?.to_owned(), contact)));
    by_id.collect()
}
