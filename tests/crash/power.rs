//! Power cuts: what was never synced may be gone, page by page; nothing else may.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use contactd::domain::position::{Lane, Offset};
use contactd::event_log::NewRecord;

use crate::outage::{Loss, Outage, segments};
use crate::seed;
use crate::support::assert_same;
use crate::support::image::{self, Image};
use crate::support::load::Load;
use crate::support::logs::{TestLog, block_on, open_embedded};
use crate::support::node::Node;

const RECORDS: usize = 3_000;
const CONTACTS: u32 = 300;
/// Stores that are cut off, each several times.
const STORES: usize = 10;
const CUTS: usize = 4;
/// Where the power goes, and up to which hit.
const MOMENTS: [(&str, u64); 10] = [
    ("journalled", 14),
    ("journal_append_half", 14),
    ("swapped", 3),
    ("journal_synced", 3),
    ("sled_half", 3),
    ("sled_written", 3),
    ("sled_written", 6),
    ("sled_flushed", 3),
    ("checkpoint_written", 3),
    ("segment_rolled", 4),
];

/// Whose pages are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Struck {
    Journal,
    Engine,
    Both,
}

/// Pages that power cuts took.
#[derive(Clone, Copy, Debug, Default)]
struct Lost {
    journal: usize,
    engine: usize,
}

#[test]
fn a_power_cut_loses_nothing_that_was_synced() {
    let seed = seed("a_power_cut_loses_nothing_that_was_synced");
    let mut random = fastrand::Rng::with_seed(seed);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = TestLog::embedded(&dir.path().join("log"));
    log.append(Load::new(seed, CONTACTS).take(RECORDS));
    let calm = log.followed_by(Node::new(&dir.path().join("calm")));
    calm.catch_up_soundly();
    let expected = Image::read(&calm.store);
    let (mut lost, mut refilled) = (Lost::default(), 0);
    for number in 0..STORES {
        let mut node = calm.clone().on(&dir.path().join(format!("store{number}")));
        if number % 2 == 0 {
            // Much is unsynced at a time; else nearly every frame has a segment of its own.
            node = node
                .with("store.dirty_bytes_max", "16MiB")
                .with("store.journal_segment_bytes", "16MiB");
        }
        let outage = Outage::new(&dir.path().join(format!("copies{number}")));
        for _ in 0..CUTS {
            let struck = [Struck::Journal, Struck::Engine, Struck::Both][random.usize(..3)];
            let pages = cut_power(&node, &outage, struck, &mut random);
            lost.journal += pages.journal;
            lost.engine += pages.engine;
            refilled += usize::from(reopen(&node.store, &outage, struck, pages));
        }
        node.catch_up_soundly();
        assert_same(&expected, &Image::read(&node.store), &format!("store {number}, seed {seed}"));
    }
    let _ = writeln!(
        std::io::stderr(),
        "{} power cuts, pages lost: {lost:?}, {refilled} refills",
        STORES * CUTS
    );
    assert!(lost.journal > 0 && lost.engine > 0, "no page was lost: {lost:?}");
}

/// One process, killed, and its unsynced pages lost. Returns how many.
fn cut_power(node: &Node, outage: &Outage, struck: Struck, random: &mut fastrand::Rng) -> Lost {
    let (name, hit_max) = MOMENTS[random.usize(..MOMENTS.len())];
    let hit = random.u64(1..=hit_max);
    let exit = node.catch_up(&format!("kill:{name}:{hit},{}", outage.fault()));
    assert!(exit.was_killed() || exit.status.success(), "{name}: {}: {}", exit.status, exit.stderr);
    let loss = if random.bool() { Loss::All } else { Loss::Some };
    strike(&node.store, outage, struck, loss, random)
}

fn strike(
    store: &Path,
    outage: &Outage,
    struck: Struck,
    loss: Loss,
    random: &mut fastrand::Rng,
) -> Lost {
    let mut lost = Lost::default();
    for file in tracked(store) {
        match (file.ends_with("sled/db"), struck) {
            (true, Struck::Engine | Struck::Both) => {
                lost.engine += outage.strike(&file, loss, random);
            }
            (false, Struck::Journal | Struck::Both) => {
                lost.journal += outage.strike(&file, loss, random);
            }
            (true, Struck::Journal) | (false, Struck::Engine) => {}
        }
    }
    lost
}

/// The files that are written in place, so that a power cut can take a part of them: the journal's
/// segments and sled's file. All others are synced before they get their names.
fn tracked(store: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    if store.join("journal").is_dir() {
        files.extend(segments(&store.join("journal")));
    }
    files.extend(Some(store.join("sled/db")).filter(|file| file.is_file()));
    files
}

/// Opens a store after a cut. What the journal alone lost was never in the engine: filling it again
/// would show that a key went there before its frame was synced. True: it was filled again.
fn reopen(store: &Path, outage: &Outage, struck: Struck, lost: Lost) -> bool {
    if !store.join("identity").is_file() {
        return false;
    }
    let opened = image::open(store);
    let refilled = opened.report.refilled.clone();
    if struck == Struck::Journal {
        assert_eq!(refilled, None, "{lost:?}");
    }
    opened.writer.close().expect("a last checkpoint");
    drop(opened.reader);
    tracked(store).iter().for_each(|file| outage.settle(file));
    refilled.is_some()
}

/// What the loss of the journal's unsynced tail did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TailLoss {
    /// The process ended before it came to the point.
    NotKilled,
    /// Nothing.
    Harmless,
    /// Why the engine had to be filled again, or what else was wrong.
    Harmful(String),
}

/// Drops the journal's unsynced tail after a kill at a point.
pub fn lose_tail_after(dir: &Path, node: &Node, fault: &str) -> TailLoss {
    let outage = Outage::new(&dir.join("copies"));
    let mut random = fastrand::Rng::with_seed(0);
    let exit = node.catch_up(&format!("{fault},{}", outage.fault()));
    if !exit.was_killed() {
        assert!(exit.status.success(), "{fault}: {}: {}", exit.status, exit.stderr);
        return TailLoss::NotKilled;
    }
    strike(&node.store, &outage, Struck::Journal, Loss::All, &mut random);
    let options = contactd::store::StoreConfig::at(&node.store);
    match contactd::store::open(options, None, &|_| {}) {
        Ok(opened) => opened.report.refilled.map_or(TailLoss::Harmless, TailLoss::Harmful),
        Err(error) => TailLoss::Harmful(error.to_string()),
    }
}

/// Where an appending process is killed, and up to which hit.
const APPENDING: [(&str, u64); 2] = [("log_append_half", 30), ("log_segment_rolled", 2)];
const APPENDERS: u64 = 10;
const APPENDER_DIR: &str = "CONTACTD_TEST_APPENDER_DIR";
/// A test's name, as the test binary takes it for a filter.
const APPENDER: &str = "power::appender";

#[test]
fn what_the_embedded_log_acknowledged_survives_a_power_cut() {
    let seed = seed("what_the_embedded_log_acknowledged_survives_a_power_cut");
    let mut random = fastrand::Rng::with_seed(seed);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = dir.path().join("log");
    let outage = Outage::new(&dir.path().join("copies"));
    let mut acknowledged = BTreeMap::new();
    for number in 0..APPENDERS {
        let (name, hit_max) = APPENDING[random.usize(..APPENDING.len())];
        let fault = format!("kill:{name}:{},{}", random.u64(1..=hit_max), outage.fault());
        acknowledged.extend(run_appender(dir.path(), number, &fault));
        let loss = if random.bool() { Loss::All } else { Loss::Some };
        for segment in segments(&log.join("segments")) {
            outage.strike(&segment, loss, &mut random);
        }
        let opened = open_embedded(&log);
        for ((lane, offset), value) in &acknowledged {
            let found =
                opened.read_one(Lane(*lane), Offset(*offset)).expect("a record can be read");
            let found = found.and_then(|record| record.value).map(String::from_utf8);
            assert_eq!(found, Some(Ok(value.clone())), "lane {lane} offset {offset}, seed {seed}");
        }
        opened.shutdown().expect("the log's end");
    }
    assert!(acknowledged.len() > 100, "only {} records were acknowledged", acknowledged.len());
}

/// Runs [`appender`] in a process of its own and returns what was acknowledged to it.
fn run_appender(dir: &Path, number: u64, fault: &str) -> Vec<((u16, u64), String)> {
    let said: PathBuf = dir.join(format!("said{number}"));
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args([APPENDER, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(APPENDER_DIR, dir).env("CONTACTD_FAULT", fault);
    command.stdin(Stdio::null()).stderr(Stdio::null()).stdout(File::create(&said).expect("a file"));
    let status = command.status().expect("this binary runs");
    assert!(status.signal() == Some(9) || status.success(), "{fault}: {status}");
    let lines = BufReader::new(File::open(&said).expect("what it said")).lines();
    lines.map(|line| line.expect("a line")).filter_map(|line| acknowledgement(&line)).collect()
}

/// `acked LANE OFFSET VALUE`, whole.
fn acknowledgement(line: &str) -> Option<((u16, u64), String)> {
    let mut words = line.strip_prefix("acked ")?.strip_suffix(" .")?.split(' ');
    let place = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some((place, words.next()?.to_owned()))
}

/// No test of its own: what another one starts, kills, and takes the power from.
#[test]
#[ignore = "run by what_the_embedded_log_acknowledged_survives_a_power_cut"]
fn appender() {
    let dir = std::env::var_os(APPENDER_DIR).expect("a directory to append in");
    let log = open_embedded(&Path::new(&dir).join("log"));
    let mut out = std::io::stdout();
    for round in 0..40_u64 {
        let values: Vec<_> = (0..fastrand::u64(1..20))
            .map(|number| format!("{round}-{number}-{}", "x".repeat(fastrand::usize(..400))))
            .collect();
        let records = values.iter().map(|value| NewRecord {
            key: value.as_bytes().to_vec(),
            value: Some(value.as_bytes().to_vec()),
            ..NewRecord::default()
        });
        let acks = block_on(log.append(records.collect())).expect("an append");
        for (ack, value) in acks.iter().zip(&values) {
            writeln!(out, "acked {} {} {value} .", ack.lane, ack.offset).expect("a line");
        }
    }
}
