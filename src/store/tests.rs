//! The rules of the store, each broken on purpose and seen to be noticed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::domain::Class;
use crate::domain::clock::{Clock, id_hash};
use crate::domain::event::{Event, EventKind, Patch};
use crate::domain::limits::Limits;
use crate::domain::merge::merge;
use crate::domain::position::{Lane, LogIdentity, LogKind, NextOffset, Offset};
use crate::domain::span::Span;
use crate::domain::verdict::Verdict;

use super::checkpoint::Checkpoint;
use super::codec::{self, StoredContact};
use super::digest::Digest;
use super::engine::Engine;
use super::journal::LastRecord;
use super::shared::Cut;
use super::*;

fn log() -> LogIdentity {
    LogIdentity {
        kind: LogKind::Embedded,
        cluster: "lab".into(),
        topic: "contacts".into(),
        lanes: 2,
    }
}

/// Never checkpoints of its own accord.
fn options(dir: &Path) -> StoreOptions {
    StoreOptions {
        checkpoint_interval: std::time::Duration::from_secs(3_600),
        ..StoreOptions::at(dir)
    }
}

#[track_caller]
fn open_store(dir: &Path) -> Opened {
    open(options(dir), Some(&log()), 1, &|_| ()).unwrap()
}

/// Applies events `from..to`; each a function of its number alone.
fn feed(writer: &mut Writer, from: u64, to: u64) {
    for number in from..to {
        let mut random = fastrand::Rng::with_seed(number);
        let id = format!("contact-{}", random.u64(..40));
        let mut arena = Vec::new();
        let mut put = |text: &str| {
            let start = arena.len();
            arena.extend_from_slice(text.as_bytes());
            Span::new(start, text.len())
        };
        let event_id = format!("evt-{number}");
        let mut fields = [Patch::Absent; 6];
        fields[0] = Patch::Set(put(&format!("Name {number}")));
        fields[2] = Patch::Set(put(&format!("a{}@example.com", random.u64(..20))));
        let ts_ms = 1_000 + number - random.u64(..4).min(number);
        let event = Event {
            kind: if random.u8(..8) == 0 {
                EventKind::Deleted
            } else {
                EventKind::Updated
            },
            contact_id: put(&id),
            event_id: put(&event_id),
            source: put("lab"),
            timestamp: Some(ts_ms),
            clock: Some(Clock {
                ts_ms,
                version: None,
                hash: id_hash(b"lab", event_id.as_bytes()),
            }),
            id_hash: id_hash(b"lab", event_id.as_bytes()),
            source_version: None,
            fields,
            attributes: Vec::new(),
            command: None,
        };
        let lane = Lane((number % 2) as u16);
        let meta = EntryMeta {
            lane,
            offset: Offset(number / 2),
            record_time_ms: number as i64,
            event_id: event_id.as_bytes(),
            kind: event.kind,
            source: b"lab",
            event_time_ms: Some(ts_ms),
            principal: None,
            request_id: None,
        };
        let mut body = Vec::new();
        let current = writer.contact(id.as_bytes()).unwrap();
        match merge(current, &event, &arena, &Limits::default(), &mut body).unwrap() {
            Verdict::Applied => writer.applied(&meta, id.as_bytes(), &body).unwrap(),
            verdict => writer.settled(&meta, verdict).unwrap(),
        }
        let last = LastRecord {
            offset: meta.offset,
            leader_epoch: None,
            hash: number,
        };
        writer.advance(
            lane,
            LaneProgress {
                next: NextOffset(number / 2 + 1),
                last: Some(last),
            },
        );
        if number % 5 == 4 {
            writer.commit().unwrap();
        }
    }
    writer.commit().unwrap();
}

/// What an uninterrupted run of so many events comes to.
fn expected(events: u64) -> Cut {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed(&mut opened.writer, 0, events);
    opened.writer.committed().clone()
}

#[track_caller]
fn assert_same(opened: &Opened, events: u64) {
    let (found, expected) = (opened.writer.committed(), expected(events));
    assert_eq!(found, &expected);
    let report = opened.reader.verify(&mut |_, _| ()).unwrap();
    assert!(report.is_sound(), "{:?}", report.discrepancies);
}

fn images(opened: &Opened) -> Vec<(Vec<u8>, StoredContact)> {
    let ids = (0..40).map(|at| format!("contact-{at}").into_bytes());
    ids.filter_map(|id| Some((id.clone(), opened.reader.contact(&id).unwrap()?)))
        .collect()
}

fn only_segment(dir: &Path) -> PathBuf {
    let segments = fs::read_dir(dir.join("journal"))
        .unwrap()
        .map(|at| at.unwrap().path());
    segments
        .filter(|at| at.extension().is_some_and(|at| at == "seg"))
        .max()
        .unwrap()
}

#[test]
fn redo_brings_back_what_no_checkpoint_held() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed(&mut opened.writer, 0, 300);
    opened.writer.checkpoint_now().unwrap();
    feed(&mut opened.writer, 300, 620);
    drop(opened);
    let mut opened = open_store(dir.path());
    assert_eq!(opened.report.frames_redone, 64);
    assert_same(&opened, 620);
    feed(&mut opened.writer, 620, 700);
    opened.writer.close().unwrap();
    drop(opened.reader);
    let opened = open_store(dir.path());
    assert_eq!(opened.report.frames_redone, 0);
    assert_same(&opened, 700);
}

#[test]
fn redo_is_right_over_any_subset_of_later_images() {
    for seed in 0..4 {
        let mut random = fastrand::Rng::with_seed(seed);
        let dir = tempfile::tempdir().unwrap();
        let mut opened = open_store(dir.path());
        feed(&mut opened.writer, 0, 200);
        opened.writer.checkpoint_now().unwrap();
        feed(&mut opened.writer, 200, 300);
        let middle = images(&opened);
        let emails = opened.reader.shared().dirty.current().sorted_emails();
        feed(&mut opened.writer, 300, 400);
        drop(opened);
        let engine = Engine::open(&dir.path().join("sled"), 1 << 20).unwrap();
        for (id, value) in middle.iter().filter(|_| random.bool()) {
            let key = [b"c", id.as_slice()].concat();
            engine
                .insert_sorted([(key.as_slice(), Some(value.bytes()))])
                .unwrap();
        }
        for (key, present) in emails.iter().filter(|_| random.bool()) {
            engine
                .insert_sorted([(key.as_slice(), present.then_some(&b"\x01"[..]))])
                .unwrap();
        }
        engine.flush().unwrap();
        drop(engine);
        let opened = open_store(dir.path());
        assert_eq!(opened.report.refilled, None);
        assert_same(&opened, 400);
        opened.writer.close().unwrap();
        drop(opened.reader);
        assert_same(&open_store(dir.path()), 400);
    }
}

/// Runs to a closed store, changes its engine behind its back, and opens it again.
fn with_spoilt_engine(spoil: impl Fn(&Engine)) -> (tempfile::TempDir, Opened) {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed(&mut opened.writer, 0, 150);
    opened.writer.snapshot_now().unwrap();
    feed(&mut opened.writer, 150, 300);
    opened.writer.close().unwrap();
    drop(opened.reader);
    let engine = Engine::open(&dir.path().join("sled"), 1 << 20).unwrap();
    spoil(&engine);
    engine.flush().unwrap();
    drop(engine);
    let opened = open_store(dir.path());
    (dir, opened)
}

#[test]
fn an_engine_that_lost_or_changed_anything_is_filled_again() {
    let first = |engine: &Engine, prefix: &[u8]| engine.scan(prefix, None).next().unwrap().unwrap();
    let spoils: [&dyn Fn(&Engine); 5] = [
        &|engine| {
            let (key, _) = first(engine, b"c");
            engine.insert_sorted([(&*key, None)]).unwrap();
        },
        &|engine| {
            let (key, value) = first(engine, b"c");
            let mut value = value.to_vec();
            let last = value.len() - 30;
            value[last] ^= 1;
            engine
                .insert_sorted([(&*key, Some(value.as_slice()))])
                .unwrap();
        },
        &|engine| {
            let (key, _) = first(engine, b"e");
            engine.insert_sorted([(&*key, None)]).unwrap();
        },
        &|engine| {
            let key = codec::email_prefix(77);
            engine
                .insert_sorted([(&[&key[..], b"contact-1"].concat()[..], Some(&b"\x01"[..]))])
                .unwrap();
        },
        &|engine| {
            engine.insert_sorted([(codec::STAMP_KEY, None)]).unwrap();
        },
    ];
    for (at, spoil) in spoils.iter().enumerate() {
        let (_dir, opened) = with_spoilt_engine(spoil);
        assert!(
            opened.report.refilled.is_some(),
            "spoil {at} was not noticed"
        );
        assert_same(&opened, 300);
    }
    let (_dir, opened) = with_spoilt_engine(|_| ());
    assert_eq!(opened.report.refilled, None);
}

#[test]
fn a_missing_engine_and_a_damaged_checkpoint_are_refilled() {
    for spoiled in ["sled", "checkpoint"] {
        let (dir, opened) = with_spoilt_engine(|_| ());
        drop(opened);
        if spoiled == "sled" {
            fs::remove_dir_all(dir.path().join("sled")).unwrap();
        } else {
            fs::write(dir.path().join("checkpoint"), b"rubbish").unwrap();
        }
        let opened = open_store(dir.path());
        assert_same(&opened, 300);
        opened.writer.close().unwrap();
        drop(opened.reader);
        assert_same(&open_store(dir.path()), 300);
    }
}

#[test]
fn a_power_cut_takes_only_what_the_engine_never_had() {
    for is_out_of_order in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut opened = open_store(dir.path());
        feed(&mut opened.writer, 0, 100);
        opened.writer.checkpoint_now().unwrap();
        let synced = fs::metadata(only_segment(dir.path())).unwrap().len();
        let before = images(&opened);
        feed(&mut opened.writer, 100, 200);
        let after = images(&opened);
        drop(opened);
        let segment = fs::OpenOptions::new()
            .write(true)
            .open(only_segment(dir.path()))
            .unwrap();
        segment.set_len(synced).unwrap();
        if is_out_of_order {
            // A dirty key that went to the engine before its frame was synced.
            let (id, value) = after.iter().zip(&before).find(|(a, b)| a != b).unwrap().0;
            let engine = Engine::open(&dir.path().join("sled"), 1 << 20).unwrap();
            let key = [b"c", id.as_slice()].concat();
            engine
                .insert_sorted([(key.as_slice(), Some(value.bytes()))])
                .unwrap();
            engine.flush().unwrap();
        }
        let mut opened = open_store(dir.path());
        assert_eq!(opened.report.refilled.is_some(), is_out_of_order);
        assert_same(&opened, 100);
        feed(&mut opened.writer, 100, 200);
        assert_same(&opened, 200);
    }
}

#[test]
fn a_checkpoint_that_states_another_moment_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed(&mut opened.writer, 0, 100);
    opened.writer.checkpoint_now().unwrap();
    drop(opened);
    let mut checkpoint = Checkpoint::read(dir.path()).unwrap().unwrap();
    checkpoint.cut.digest = Digest(1);
    checkpoint.cut.counters.active += 1;
    checkpoint.write(dir.path()).unwrap();
    let opened = open_store(dir.path());
    assert!(opened.report.refilled.is_some());
    assert_same(&opened, 100);
}

#[test]
fn a_checkpoint_beyond_the_journals_end_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed(&mut opened.writer, 0, 100);
    opened.writer.close().unwrap();
    drop(opened.reader);
    let segment = fs::OpenOptions::new()
        .write(true)
        .open(only_segment(dir.path()))
        .unwrap();
    segment
        .set_len(segment.metadata().unwrap().len() - 1)
        .unwrap();
    let error = open(options(dir.path()), Some(&log()), 1, &|_| ()).unwrap_err();
    assert!(error.is_about_data(), "{error}");
}

#[test]
fn a_torn_last_frame_is_cut_off_and_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed(&mut opened.writer, 0, 95);
    feed(&mut opened.writer, 95, 100);
    drop(opened);
    let segment = fs::OpenOptions::new()
        .write(true)
        .open(only_segment(dir.path()))
        .unwrap();
    segment
        .set_len(segment.metadata().unwrap().len() - 1)
        .unwrap();
    let mut opened = open_store(dir.path());
    assert!(opened.report.journal_truncated_bytes > 0);
    assert_same(&opened, 95);
    feed(&mut opened.writer, 95, 100);
    assert_same(&opened, 100);
}

#[test]
fn another_log_and_a_second_process_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open_store(dir.path());
    assert!(matches!(
        open(options(dir.path()), Some(&log()), 1, &|_| ()),
        Err(StoreError::Locked { .. })
    ));
    drop(opened);
    let other = LogIdentity { lanes: 3, ..log() };
    let error = open(options(dir.path()), Some(&other), 1, &|_| ()).unwrap_err();
    assert!(matches!(error, StoreError::AnotherLog { .. }), "{error}");
    let opened = open(options(dir.path()), None, 2, &|_| ()).unwrap();
    assert_eq!(
        opened.report.fingerprint_before, None,
        "nothing was applied yet"
    );
}

#[test]
fn no_room_changes_nothing_and_the_same_commit_is_made_later() {
    let dir = tempfile::tempdir().unwrap();
    let full = StoreOptions {
        min_free_bytes: u64::MAX / 2,
        ..options(dir.path())
    };
    let mut opened = open(full, Some(&log()), 1, &|_| ()).unwrap();
    let meta = EntryMeta::of_record(
        Lane(0),
        &crate::domain::record::Record {
            offset: Offset(0),
            timestamp_ms: 5,
            key: None,
            value: None,
            headers: Span::default(),
        },
    );
    opened.writer.settled(&meta, Verdict::Stale).unwrap();
    for _ in 0..2 {
        let error = opened.writer.commit().unwrap_err();
        assert_eq!(error.class(), Class::Retry);
        assert_eq!(
            (
                opened.writer.staged(),
                opened.writer.committed().counters.received()
            ),
            (1, 0)
        );
    }
    drop(opened);
    let opened = open_store(dir.path());
    assert_eq!(opened.report.frames_redone, 0);
}

#[test]
fn a_full_dirty_set_holds_the_writer_up_and_stays_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let small = StoreOptions {
        dirty_bytes_max: 8 << 10,
        ..options(dir.path())
    };
    let mut opened = open(small, Some(&log()), 1, &|_| ()).unwrap();
    for from in (0..200).step_by(10) {
        feed(&mut opened.writer, from, from + 10);
        let (current, _) = opened.reader.shared().dirty.bytes();
        assert!(current < (8 << 10) + 10_000, "{current}");
    }
    assert_same(&opened, 200);
}

#[test]
fn a_failure_is_final() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed(&mut opened.writer, 0, 10);
    opened
        .reader
        .shared()
        .fail(StoreError::damaged("sled", "test"));
    for _ in 0..2 {
        let error = opened.writer.commit().unwrap_err();
        assert!(matches!(error, StoreError::Stopped(_)), "{error}");
        assert!(opened.writer.checkpoint_now().is_err());
    }
}

#[test]
fn trimming_stops_at_the_snapshot_and_refill_needs_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let small = StoreOptions {
        journal_segment_bytes: 4 << 10,
        journal_retention_bytes: Some(1),
        ..options(dir.path())
    };
    let mut opened = open(small, Some(&log()), 1, &|_| ()).unwrap();
    feed(&mut opened.writer, 0, 300);
    assert_eq!(
        opened.reader.shared().journal.first().unwrap().0,
        0,
        "no snapshot yet"
    );
    opened.writer.snapshot_now().unwrap();
    feed(&mut opened.writer, 300, 500);
    opened.writer.close().unwrap();
    let first = opened.reader.shared().journal.first().unwrap();
    let (_, held) = snapshot::list(dir.path()).unwrap().pop().unwrap();
    assert!(first.0 > 0 && first <= held, "{first}");
    drop(opened.reader);
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let opened = open_store(dir.path());
    assert!(opened.report.refilled.is_some());
    assert_eq!(opened.writer.committed(), &expected(500));
}

#[test]
fn a_snapshot_alone_restores_a_store_and_any_flipped_byte_of_it_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed(&mut opened.writer, 0, 300);
    opened.writer.snapshot_now().unwrap();
    drop(opened);
    let (path, next) = snapshot::list(dir.path()).unwrap().pop().unwrap();
    let restored = tempfile::tempdir().unwrap();
    fs::create_dir(restored.path().join("snapshots")).unwrap();
    let copy = restored
        .path()
        .join("snapshots")
        .join(path.file_name().unwrap());
    fs::copy(&path, &copy).unwrap();
    let mut opened = open_store(restored.path());
    assert_eq!(opened.writer.committed(), &expected(300));
    assert_eq!(opened.writer.committed().next_frame, next);
    feed(&mut opened.writer, 300, 400);
    opened.writer.close().unwrap();
    drop(opened.reader);
    assert_eq!(
        open_store(restored.path()).writer.committed(),
        &expected(400)
    );
    let good = fs::read(&copy).unwrap();
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 4;
        fs::write(&copy, bad).unwrap();
        let read = snapshot::Snapshot::open(&copy).and_then(snapshot::Snapshot::verify);
        assert!(read.is_err(), "byte {at}");
        fs::write(&copy, &good[..at]).unwrap();
        let read = snapshot::Snapshot::open(&copy).and_then(snapshot::Snapshot::verify);
        assert!(read.is_err(), "cut at {at}");
    }
}

/// A store of this format as it was written once: identity, checkpoint, journal and snapshot.
fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store_v1")
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
#[ignore = "writes the fixture of the present format; run once when a format is new"]
fn write_fixture() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed(&mut opened.writer, 0, 60);
    opened.writer.snapshot_now().unwrap();
    feed(&mut opened.writer, 60, 80);
    opened.writer.checkpoint_now().unwrap();
    feed(&mut opened.writer, 80, 100);
    drop(opened);
    for leave in ["sled", "lock"] {
        let path = dir.path().join(leave);
        let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
    }
    let _ = fs::remove_dir_all(fixture());
    copy_tree(dir.path(), &fixture());
}

#[test]
fn every_format_ever_written_is_still_read() {
    let dir = tempfile::tempdir().unwrap();
    copy_tree(&fixture(), dir.path());
    let (path, _) = snapshot::list(dir.path()).unwrap().pop().unwrap();
    snapshot::Snapshot::open(&path).unwrap().verify().unwrap();
    let checkpoint = Checkpoint::read(dir.path()).unwrap().unwrap();
    assert_eq!(
        (checkpoint.number, checkpoint.cut.counters.received()),
        (2, 80)
    );
    let opened = open_store(dir.path());
    assert_same(&opened, 100);
}
