//! The archive: filled from the journal, in order, once, whatever happens to either.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::config::JournalRetention;
use crate::domain::position::{CONTROL_LANE, Lane, LogIdentity, LogKind, NextOffset, Offset};
use crate::domain::record::RecordKind;
use crate::domain::verdict::DeadLetterReason;

use super::super::journal::{DeadLetter, EntryMeta, LaneProgress};
use super::super::{Opened, Reader, StoreConfig, Writer, open};
use super::archive::Archive;
use super::entry::KeptLetter;
use super::{FOLDER, FOLDER_BEFORE, LetterLimits};

fn log(topic: &str) -> LogIdentity {
    let cluster = "lab".to_owned();
    LogIdentity { kind: LogKind::Embedded, cluster, topic: topic.to_owned() }
}

fn options(dir: &Path) -> StoreConfig {
    let checkpoint_interval = Duration::from_secs(3_600);
    StoreConfig { checkpoint_interval, journal_segment_bytes: 4 << 10, ..StoreConfig::at(dir) }
}

#[track_caller]
fn open_store(dir: &Path) -> Opened {
    open(options(dir), Some(&log("contacts")), &|_| ()).unwrap()
}

/// Sets records `from..to` aside, every third one; the others change nothing.
fn feed(writer: &mut Writer, from: u64, to: u64) {
    for number in from..to {
        let (lane, offset) = (Lane((number % 2) as u16), Offset(number / 2));
        let meta = EntryMeta::at(lane, offset, 1_000 + number as i64);
        if number % 3 == 0 {
            let value = format!("value {number} {}", "x".repeat(100));
            let letter = DeadLetter {
                reason: DeadLetterReason::MalformedJson,
                detail: "no JSON",
                key: Some(b"key"),
                value: Some(value.as_bytes()),
                headers: &[],
            };
            writer.dead_letter(&meta, &letter).unwrap();
        } else {
            writer.settled(&meta, crate::domain::verdict::Verdict::Unchanged, b"c").unwrap();
        }
        writer.advance(lane, LaneProgress::at(NextOffset(offset.0 + 1)));
        if number % 5 == 4 {
            writer.commit().unwrap();
        }
    }
    writer.commit().unwrap();
}

fn expected(records: u64) -> Vec<(Lane, Offset)> {
    let letters = (0..records).filter(|number| number % 3 == 0);
    letters.map(|number| (Lane((number % 2) as u16), Offset(number / 2))).collect()
}

/// Waits until the archive has what the journal has.
#[track_caller]
fn settle(reader: &Reader) {
    let end = Instant::now() + Duration::from_secs(20);
    while !reader.dead_letters().is_loaded() || reader.dead_letters().figures().behind > 0 {
        reader.health().unwrap();
        assert!(Instant::now() < end, "the archive stays behind");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn places(reader: &Reader) -> Vec<(Lane, Offset)> {
    let rows = reader.dead_letters().rows_from(0, usize::MAX);
    rows.iter().map(|(_, row)| (row.lane, row.offset)).collect()
}

#[track_caller]
fn assert_holds(reader: &Reader, records: u64) {
    settle(reader);
    assert_eq!(places(reader), expected(records));
    for (frame, row) in reader.dead_letters().rows_from(0, usize::MAX) {
        let letter = reader.dead_letters().letter(frame).unwrap().unwrap();
        assert_eq!((letter.lane, letter.offset), (row.lane, row.offset));
        let number = row.offset.0 * 2 + u64::from(row.lane.0);
        let value = String::from_utf8(letter.value.unwrap()).unwrap();
        assert!(value.starts_with(&format!("value {number} ")), "{value}");
        assert_eq!(letter.number, number / 3);
    }
}

#[test]
fn letters_are_archived_in_order_and_a_restart_adds_none_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed(&mut opened.writer, 0, 100);
    assert_holds(&opened.reader, 100);
    feed(&mut opened.writer, 100, 200);
    drop(opened);
    let mut opened = open_store(dir.path());
    assert_holds(&opened.reader, 200);
    feed(&mut opened.writer, 200, 230);
    assert_holds(&opened.reader, 230);
    let figures = opened.reader.dead_letters().figures();
    assert_eq!((figures.letters, figures.oldest_ms), (expected(230).len() as u64, Some(1_000)));
}

#[test]
fn an_archive_that_is_missing_or_cut_is_filled_again_from_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed(&mut opened.writer, 0, 100);
    settle(&opened.reader);
    drop(opened);
    let folder = dir.path().join(FOLDER);
    fs::remove_dir_all(&folder).unwrap();
    let opened = open_store(dir.path());
    assert_holds(&opened.reader, 100);
    drop(opened);
    let segment = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(&segment).unwrap();
    // The first and the middle of the last frame; the kept ones say nothing of it having been synced.
    for cut in [bytes.len() - 40, 70] {
        fs::remove_dir_all(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        fs::write(&segment, &bytes[..cut]).unwrap();
        let opened = open_store(dir.path());
        assert_holds(&opened.reader, 100);
        drop(opened);
    }
}

#[test]
fn journal_is_not_trimmed_past_what_is_archived() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open_store(dir.path());
    let letters = opened.reader.dead_letters();
    settle(&opened.reader);
    let mut ahead = opened.writer.committed().clone();
    ahead.counters.verdicts[crate::domain::verdict::Verdict::DeadLettered.index()] += 1;
    assert_ne!(letters.needs_from(&ahead).0, u64::MAX, "one is not archived");
    assert_eq!(letters.needs_from(opened.writer.committed()).0, u64::MAX);
}

#[test]
fn letters_outlive_the_journal_that_they_came_from() {
    let dir = tempfile::tempdir().unwrap();
    let retention = StoreConfig {
        journal_retention_bytes: JournalRetention::Bytes(8 << 10),
        ..options(dir.path())
    };
    let mut opened = open(retention, Some(&log("contacts")), &|_| ()).unwrap();
    for part in 0..20 {
        feed(&mut opened.writer, part * 50, part * 50 + 50);
        opened.writer.snapshot_now().unwrap();
    }
    settle(&opened.reader);
    opened.writer.snapshot_now().unwrap();
    assert!(opened.reader.journal_since().unwrap().is_some(), "the journal was not trimmed");
    assert_holds(&opened.reader, 1000);
}

#[test]
fn archive_of_another_log_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed(&mut opened.writer, 0, 20);
    settle(&opened.reader);
    drop(opened);
    for name in ["journal", "sled", "checkpoint", "identity", "snapshots"] {
        let path = dir.path().join(name);
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
    let mut opened = open(options(dir.path()), Some(&log("others")), &|_| ()).unwrap();
    feed(&mut opened.writer, 0, 10);
    assert_holds(&opened.reader, 10);
    assert!(dir.path().join(FOLDER_BEFORE).is_dir());
}

#[test]
fn retention_by_bytes_and_by_age_gives_back_whole_segments_oldest_first() {
    let dir = tempfile::tempdir().unwrap();
    let limits = LetterLimits { bytes_max: 64 << 10, age_max: Some(Duration::from_secs(3_600)) };
    let retention = StoreConfig {
        dead_letters_bytes: limits.bytes_max,
        dead_letters_age: limits.age_max,
        ..options(dir.path())
    };
    let mut opened = open(retention, Some(&log("contacts")), &|_| ()).unwrap();
    feed(&mut opened.writer, 0, 3_000);
    settle(&opened.reader);
    let end = Instant::now() + Duration::from_secs(20);
    // The thread gives back more than once: what counts is that its figures fit what is there.
    let kept = loop {
        let kept = places(&opened.reader);
        let figures = opened.reader.dead_letters().figures();
        let counted: u64 = figures.by_reason.iter().map(|it| it.1).sum();
        let is_small = figures.letters < 1_000 && figures.bytes <= limits.bytes_max;
        if is_small && counted == kept.len() as u64 {
            break kept;
        }
        assert!(Instant::now() < end, "the archive stays too large, or counts {counted} wrongly");
        std::thread::sleep(Duration::from_millis(1));
    };
    let all = expected(3_000);
    assert!(kept.len() > 100 && kept.len() < all.len(), "{} of {}", kept.len(), all.len());
    assert_eq!(kept, all[all.len() - kept.len()..]);
    let gone = opened.reader.dead_letters().letter(0).unwrap();
    assert!(gone.is_none());
    drop(opened);
    let mut archive =
        Archive::open(dir.path(), limits, log("contacts").fingerprint()).unwrap().archive;
    let hour = Duration::from_secs(3_600);
    archive.retain(SystemTime::now() + hour / 4).unwrap();
    let first = archive.retain(SystemTime::now() + hour + hour / 2).unwrap();
    assert_eq!(first.0, all.len() as u64, "little came, and it is over all the same");
}

#[test]
fn control_records_are_kept_too_and_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    let meta =
        EntryMeta { record_kind: RecordKind::Control, ..EntryMeta::at(CONTROL_LANE, Offset(7), 5) };
    let value = vec![b'x'; 100_000];
    let letter = DeadLetter {
        reason: DeadLetterReason::RecordTooLarge,
        detail: "too large",
        key: None,
        value: Some(&value),
        headers: &[],
    };
    opened.writer.control_dead_letter(&meta, &letter).unwrap();
    opened.writer.advance(CONTROL_LANE, LaneProgress::at(NextOffset(8)));
    opened.writer.commit().unwrap();
    settle(&opened.reader);
    let rows = opened.reader.dead_letters().rows_before(u64::MAX, 10);
    let [(frame, row)] = rows.as_slice() else { panic!("{rows:?}") };
    assert!(row.is_control() && row.is_truncated);
    let letter = opened.reader.dead_letters().letter(*frame).unwrap().unwrap();
    assert_eq!((letter.value_len, letter.value.map(|head| head.len())), (100_000, Some(4096)));
    assert_eq!(opened.reader.dead_letters().frame_of(CONTROL_LANE, Offset(7)), Some(*frame));
}

/// As format 1 was written first; it must be read for ever.
const FORMAT_1: &str =
    "01fbedfefb2c0103fb120401fd00698cfda101000013026e6f0103616461000007080100610100000031";

#[test]
fn a_letter_of_format_1_is_read() {
    let bytes: Vec<u8> = (0..FORMAT_1.len() / 2)
        .map(|at| u8::from_str_radix(&FORMAT_1[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let letter = KeptLetter::decode(&bytes).unwrap();
    assert_eq!((letter.log, letter.number), (0xfeed, 300));
    assert_eq!((letter.lane, letter.offset), (Lane(3), Offset(1042)));
    assert_eq!((letter.record_time_ms, letter.kept_at_ms), (-1, 1_795_255_200_000));
    assert_eq!((letter.reason(), letter.detail.as_str()), (DeadLetterReason::Schema, "no"));
    assert_eq!((letter.key.as_deref(), letter.value.as_deref()), (Some(&b"ada"[..]), None));
    assert_eq!((letter.value_len, letter.value_hash), (0, 7));
    assert_eq!(letter.headers().collect::<Vec<_>>(), [("a", Some(&b"1"[..]))]);
    assert_eq!(letter.encode().unwrap(), bytes);
    let mut unknown = bytes;
    unknown[0] = 2;
    let error = KeptLetter::decode(&unknown).unwrap_err().to_string();
    assert!(error.contains("has format 2, this version reads up to 1"), "{error}");
}

#[test]
fn frames_that_were_trimmed_while_there_were_no_letters_are_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    let retention = StoreConfig {
        journal_retention_bytes: JournalRetention::Bytes(4 << 10),
        ..options(dir.path())
    };
    let mut opened = open(retention, Some(&log("contacts")), &|_| ()).unwrap();
    feed(&mut opened.writer, 0, 1);
    settle(&opened.reader);
    for number in 0..400 {
        let (lane, offset) = (Lane(1), Offset(1_000 + number));
        let mut after = LaneProgress::at(offset.next());
        after.last = Some(super::super::LastRecord { offset, leader_epoch: None, hash: number });
        opened.writer.advance(lane, after);
        opened.writer.commit().unwrap();
    }
    opened.writer.snapshot_now().unwrap();
    opened.writer.snapshot_now().unwrap();
    assert!(opened.reader.journal_since().unwrap().is_some(), "the journal was not trimmed");
    feed(&mut opened.writer, 3, 4);
    settle(&opened.reader);
    assert_eq!(places(&opened.reader), [(Lane(0), Offset(0)), (Lane(1), Offset(1))]);
}
