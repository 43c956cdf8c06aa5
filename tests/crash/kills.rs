//! SIGKILL at every named point, two hundred times and more.

use std::fmt::Write as _;
use std::io::Write as _;
use std::thread;
use std::time::Instant;

use contactd::domain::verdict::Verdict;

use crate::campaign::{Campaign, Hits, Point};
use crate::seed;
use crate::support::logs::TestLog;
use crate::support::services::{KAFKA, service};
use crate::support::{assert_same, image::Image};

/// Fewer kills at any point fail the suite.
const HITS_MIN: u32 = 10;
const KILLS_MIN: u32 = 200;
/// Data directories that are killed beside each other.
const DIRECTORIES: u32 = 4;
/// Kills at each point in one directory; more are made in further ones, as a log is compared whole.
const ROUNDS_MAX: u32 = 8;

const fn point(name: &'static str, hit_max: u64) -> Point {
    Point { name, hit_max, in_recovery: false }
}

const fn recovering(name: &'static str, hit_max: u64) -> Point {
    Point { name, hit_max, in_recovery: true }
}

/// Every point that a run over the embedded log passes.
const POINTS: [Point; 16] = [
    point("polled", 12),
    point("planned", 12),
    point("journal_append_half", 12),
    point("journalled", 12),
    point("swapped", 3),
    point("journal_synced", 3),
    point("sled_half", 3),
    point("sled_flushed", 3),
    point("checkpoint_half", 3),
    point("checkpoint_written", 3),
    point("snapshot_half", 1),
    point("segment_rolled", 4),
    point("dlq_append_half", 30),
    point("letters_archived", 2),
    recovering("redoing", 3),
    recovering("recovered_checkpoint", 1),
];

/// Passed only with Kafka.
const KAFKA_COMMITTED: Point = point("kafka_committed", 3);

/// Kills in all, as asked for, at least what the suite is worth.
fn kills() -> u32 {
    let asked = std::env::var("CONTACTD_CRASH_KILLS").ok().and_then(|kills| kills.parse().ok());
    asked.unwrap_or(0).max(KILLS_MIN)
}

#[test]
fn kills_at_every_point_change_nothing() {
    let seed = seed("kills_at_every_point_change_nothing");
    let started = Instant::now();
    let rounds =
        kills().div_ceil(POINTS.len() as u32 * DIRECTORIES).max(HITS_MIN.div_ceil(DIRECTORIES));
    let times = rounds.div_ceil(ROUNDS_MAX);
    let each = rounds.div_ceil(times);
    let hits = thread::scope(|scope| {
        let directories: Vec<_> = (0..DIRECTORIES)
            .map(|kind| {
                scope.spawn(move || {
                    let numbers = (0..times).map(|time| time * DIRECTORIES + kind);
                    numbers.map(|number| kill_in_one_directory(seed, number, each)).collect()
                })
            })
            .collect();
        let mut all = Hits::new();
        for directory in directories {
            let hits: Vec<Hits> = directory.join().expect("a directory's runs");
            for (name, count) in hits.into_iter().flatten() {
                *all.entry(name).or_default() += count;
            }
        }
        all
    });
    print(&hits, started);
    assert_enough(&hits, &POINTS.map(|point| point.name), KILLS_MIN);
}

fn kill_in_one_directory(seed: u64, number: u32, each: u32) -> Hits {
    let seed = seed.wrapping_add(number.into());
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = TestLog::embedded(&dir.path().join("log"));
    let mut campaign = Campaign::new(dir.path(), log, seed);
    let is_trimmed = number % DIRECTORIES == 1;
    if is_trimmed {
        campaign = campaign.with("store.journal_retention_bytes", "48KiB");
    }
    if number % DIRECTORIES == 2 {
        campaign = campaign
            .with("apply.batch_records_max", "8")
            .with("store.dirty_bytes_max", "1MiB")
            .with("store.checkpoint_interval", "25ms");
    }
    for _ in 0..each {
        campaign.kill_at(&POINTS);
    }
    let hits = campaign.hits.clone();
    let (calm, killed) = campaign.finish();
    assert_worth_comparing(&calm);
    let (calm, killed) = match is_trimmed {
        true => (calm.without_history(), killed.without_history()),
        false => (calm, killed),
    };
    assert_same(&calm, &killed, &format!("after {hits:?}, seed {seed}"));
    hits
}

#[test]
fn kills_over_real_kafka_change_nothing() {
    let test = "kills_over_real_kafka_change_nothing";
    let Some(brokers) = service(KAFKA, test) else {
        return;
    };
    let seed = seed(test);
    let started = Instant::now();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut campaign = Campaign::new(dir.path(), TestLog::kafka(&brokers), seed);
    let mut points = vec![KAFKA_COMMITTED; HITS_MIN as usize];
    points.extend([point("polled", 8), point("journalled", 8), point("checkpoint_written", 3)]);
    points.push(recovering("redoing", 3));
    campaign.kill_at(&points);
    let hits = campaign.hits.clone();
    let (calm, killed) = campaign.finish();
    assert_same(&calm, &killed, &format!("after {hits:?}, seed {seed}"));
    assert_worth_comparing(&calm);
    print(&hits, started);
    assert_enough(&hits, &[KAFKA_COMMITTED.name], HITS_MIN);
}

/// A comparison of nothing with nothing would hold too.
fn assert_worth_comparing(image: &Image) {
    for verdict in ["applied", "stale", "duplicate", "dead_lettered"] {
        assert!(image.verdict_totals[verdict] > 0, "{verdict}: {:?}", image.verdict_totals);
    }
    let control = |verdict: Verdict| image.control_verdicts[verdict.index()];
    for verdict in [Verdict::Applied, Verdict::Conflict, Verdict::Duplicate] {
        assert!(control(verdict) > 0, "{verdict}: {:?}", image.control_verdicts);
    }
    assert!(image.controls.len() > 10);
    assert!(image.active > 0 && image.deleted > 0 && image.emails.len() > 10);
}

fn assert_enough(hits: &Hits, points: &[&'static str], kills_min: u32) {
    for point in points {
        let count = hits.get(point).copied().unwrap_or(0);
        assert!(count >= HITS_MIN, "{count} kills at {point}, {HITS_MIN} are the least");
    }
    let kills: u32 = hits.values().sum();
    assert!(kills >= kills_min, "{kills} kills, {kills_min} are the least");
}

/// Past the capture of a passing test's output: the table is the result.
fn print(hits: &Hits, started: Instant) {
    let kills: u32 = hits.values().sum();
    let mut table = format!("{kills} kills in {:.0} s\n", started.elapsed().as_secs_f64());
    for (name, count) in hits {
        let _ = writeln!(table, "  {name:<22} {count:>4}");
    }
    let _ = write!(std::io::stderr(), "{table}");
}
