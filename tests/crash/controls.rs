//! Mistakes made on purpose. Each scenario is green as contactd is, and must turn red with its
//! mistake let in: an oracle that can't fail shows nothing.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::power::{TailLoss, lose_tail_after};
use crate::support::image::Image;
use crate::support::load::Load;
use crate::support::logs::{RawRecord, TestLog};
use crate::support::node::Node;

const RECORDS: usize = 1_500;
const CONTACTS: u32 = 150;
/// Tries that a mistake has to show itself in, where it takes two threads to meet.
const TRIES: u64 = 8;

/// A log, and an empty store beside it.
fn filled(dir: &Path) -> (TestLog, Node) {
    let log = TestLog::embedded(&dir.join("log"));
    log.append(Load::new(7, CONTACTS).take(RECORDS));
    let node = log.followed_by(Node::new(&dir.join("store")));
    (log, node)
}

/// What the store holds differs from an uninterrupted run's, or is not even whole.
fn is_red(calm: &Image, store: &Path) -> bool {
    let compared = catch_unwind(AssertUnwindSafe(|| calm.differences(&Image::read(store))));
    compared.map_or(true, |differences| !differences.is_empty())
}

#[test]
fn offsets_kept_apart_from_the_changes_are_seen() {
    let kill_twice = |bug: &str| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (_, node) = filled(dir.path());
        let calm = node.clone().on(&dir.path().join("calm"));
        calm.catch_up_soundly();
        let calm = Image::read(&calm.store);
        for hit in [4, 7] {
            let exit = node.catch_up(&format!("{bug}kill:journalled:{hit}"));
            assert!(exit.was_killed(), "{}: {}", exit.status, exit.stderr);
        }
        let ended = node.catch_up(bug);
        !ended.status.success() || is_red(&calm, &node.store)
    };
    assert!(!kill_twice(""), "red without the mistake");
    assert!(kill_twice("bug:offsets_apart,"), "offsets apart from the changes went unseen");
}

#[test]
fn a_key_in_sled_before_its_frame_is_synced_is_seen() {
    assert_seen("bug:sled_before_sync,", "sled_flushed");
}

#[test]
fn counters_taken_at_write_time_are_seen() {
    assert_seen("bug:counters_at_write,", "checkpoint_written");
}

/// The power goes at a point and takes the journal's unsynced tail with it.
fn assert_seen(bug: &str, point: &str) {
    let lose = |bug: &str, hit: u64| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (_, node) = filled(dir.path());
        // Commits go on during a checkpoint, and no new segment syncs them by the way.
        let node = node
            .with("store.dirty_bytes_max", "16MiB")
            .with("store.journal_segment_bytes", "16MiB");
        lose_tail_after(dir.path(), &node, &format!("{bug}kill:{point}:{hit}"))
    };
    // A run may be over before its second or third checkpoint.
    let hits = || (0..TRIES).map(|number| 1 + number % 3);
    let calm: Vec<_> = hits().map(|hit| lose("", hit)).collect();
    let is_green = calm.iter().all(|loss| matches!(loss, TailLoss::Harmless | TailLoss::NotKilled));
    assert!(is_green && calm.contains(&TailLoss::Harmless), "red without the mistake: {calm:?}");
    let is_seen = hits().any(|hit| matches!(lose(bug, hit), TailLoss::Harmful(_)));
    assert!(is_seen, "{bug} went unseen at {point}");
}

#[test]
fn a_clock_that_uses_the_records_timestamp_is_seen() {
    let deliver_twice = |bug: &str| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let records: Vec<RawRecord> =
            Load::new(11, CONTACTS).take(RECORDS).into_iter().map(Into::into).collect();
        let images = [records.clone(), redelivered(records)].map(|records| {
            let name = format!("{:x}", fastrand::u64(..));
            let log = TestLog::embedded(&dir.path().join(format!("log-{name}")));
            log.append(records);
            let node = log.followed_by(Node::new(&dir.path().join(format!("store-{name}"))));
            let exit = node.catch_up(bug);
            assert!(exit.status.success(), "{}: {}", exit.status, exit.stderr);
            Image::read(&node.store)
        });
        let [first, again] = images;
        first.canonical() == again.canonical()
    };
    assert!(deliver_twice(""), "the same events, delivered otherwise, gave other contacts");
    assert!(
        !deliver_twice("bug:clock_from_record_timestamp"),
        "a clock from the record's timestamp went unseen"
    );
}

/// The same events in another order, some twice, each in a record with a later timestamp.
fn redelivered(records: Vec<RawRecord>) -> Vec<RawRecord> {
    let mut random = fastrand::Rng::with_seed(3);
    let mut again: BTreeMap<u64, RawRecord> = BTreeMap::new();
    for record in records {
        for _ in 0..random.usize(1..=2) {
            let mut record = record.clone();
            record.timestamp_ms += random.i64(1..3_600_000);
            again.insert(random.u64(..), record);
        }
    }
    again.into_values().collect()
}
