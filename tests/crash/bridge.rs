//! A member of the bridge's group is killed before, between and after append and commit: each event
//! of an input still has its effect once, in its order.

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::seed;
use crate::support::bridge::{Counted, bridging, export, input, wait_until_bridged};
use crate::support::image::Image;
use crate::support::logs::{KafkaTopic, TestLog};
use crate::support::node::Node;
use crate::support::services::{KAFKA, service};

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
    // A portion that holds more untimed events than a contact remembers needs a larger batch.
    for (bug, kill) in [
        ("bridge_commits_first", "bridge_committed:1"),
        ("bridge_forgets_repeats", "bridge_appended:1"),
    ] {
        let Some(mut world) = World::new(TEST) else { return };
        world.node = world.node.with("bridge.batch_records_max", 720);
        world.produce();
        world.produce();
        let fault = format!("bug:{bug}");
        world.run_into(&format!("{fault},kill:{kill}"));
        world.finish(&fault);
        let wrong = world.load.wrong(&export(&world.node));
        assert!(wrong.is_some(), "{bug} changed nothing");
    }
}
