//! Control entries keep the store's rules: journal first, redo, refill, one digest, no contacts.

use crate::domain::control::{
    ControlLimits, ControlRecord, Decision, RESTATED_KEY, RecordAt, UNSETTLED_KEY, restated_from,
};
use crate::domain::position::CONTROL_LANE;
use crate::domain::record::RecordKind;

use super::*;

/// Record times of all but the last records, in milliseconds.
const NOW_MS: u64 = 5_000;

fn write(number: u64) -> ControlRecord {
    let mut random = fastrand::Rng::with_seed(number);
    ControlRecord {
        id: format!("w{number}"),
        key: format!("session/{:02}", random.u64(..30)),
        expected_revision: (random.u8(..3) == 0).then(|| random.u64(..3)),
        expires_at_ms: random.bool().then(|| NOW_MS + random.u64(..400)),
        value: (random.u8(..6) > 0).then(|| format!("{{\"n\":{number}}}").into_bytes()),
        principal: Some("user:ada".into()),
        ..ControlRecord::default()
    }
}

fn at(number: u64) -> RecordAt {
    RecordAt { offset: Offset(number), time_ms: NOW_MS + number }
}

/// Decides records `from..to`, each a function of its number alone, five a commit.
fn decide(writer: &mut Writer, from: u64, to: u64) {
    for number in from..to {
        let record = write(number);
        let decision =
            writer.controls().decide(&record, at(number), &ControlLimits::default()).unwrap();
        writer.control(&meta(&record, number), &record.key, &decision).unwrap();
        writer.advance(CONTROL_LANE, LaneProgress::at(NextOffset(number + 1)));
        if number % 5 == 4 {
            writer.commit().unwrap();
        }
    }
    writer.commit().unwrap();
}

fn meta(record: &ControlRecord, number: u64) -> EntryMeta<'_> {
    EntryMeta {
        record_kind: RecordKind::Control,
        event_id: record.id.as_bytes(),
        principal: record.principal.as_deref().map(str::as_bytes),
        ..EntryMeta::at(CONTROL_LANE, Offset(number), (NOW_MS + number) as i64)
    }
}

/// Contacts and control records by turns.
fn feed_both(writer: &mut Writer, from: u64, to: u64) {
    for at in (from..to).step_by(20) {
        feed(writer, at, at + 20);
        decide(writer, at, at + 20);
    }
}

fn calm(records: u64) -> (Cut, Vec<(String, crate::domain::control::ControlEntry)>) {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed_both(&mut opened.writer, 0, records);
    (opened.writer.committed().clone(), opened.reader.controls("", None, usize::MAX))
}

#[track_caller]
fn assert_calm(opened: &Opened, records: u64) {
    let (cut, entries) = calm(records);
    assert_eq!(opened.writer.committed(), &cut);
    assert_eq!(opened.reader.controls("", None, usize::MAX), entries);
    assert!(!entries.is_empty());
    let report = opened.reader.verify(&mut |_, _| ()).unwrap();
    assert!(report.is_sound(), "{:?}", report.discrepancies);
}

#[test]
fn entries_come_back_from_checkpoint_and_journal() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed_both(&mut opened.writer, 0, 200);
    opened.writer.checkpoint_now().unwrap();
    feed_both(&mut opened.writer, 200, 400);
    assert_calm(&opened, 400);
    drop(opened);
    let opened = open_store(dir.path());
    assert!(opened.report.frames_redone > 0 && opened.report.refilled.is_none());
    assert_calm(&opened, 400);
}

#[test]
fn entries_come_back_from_a_snapshot_without_the_engine() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed_both(&mut opened.writer, 0, 200);
    opened.writer.snapshot_now().unwrap();
    feed_both(&mut opened.writer, 200, 300);
    drop(opened);
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let opened = open_store(dir.path());
    assert!(opened.report.refilled.is_some());
    assert_calm(&opened, 300);
}

#[test]
fn a_dropped_entry_leaves_the_engine_and_a_damaged_one_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    decide(&mut opened.writer, 0, 300);
    opened.writer.checkpoint_now().unwrap();
    decide(&mut opened.writer, 300, 700);
    opened.writer.checkpoint_now().unwrap();
    let kept = opened.writer.controls().len();
    drop(opened);
    let engine = Engine::open(&dir.path().join("sled"), 1 << 20).unwrap();
    let stored: Vec<_> =
        engine.scan(&[codec::CONTROL], None).map(|found| found.unwrap().0.to_vec()).collect();
    assert_eq!(stored.len(), kept);
    engine.insert_sorted([(stored[0].as_slice(), None)]).unwrap();
    engine.flush().unwrap();
    drop(engine);
    let opened = open_store(dir.path());
    let why = opened.report.refilled.clone().unwrap();
    assert!(why.contains("control entries"), "{why}");
    assert_eq!(opened.writer.controls().len(), kept);
}

#[test]
fn control_records_are_no_contacts() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed(&mut opened.writer, 0, 50);
    let before = opened.writer.committed().clone();
    decide(&mut opened.writer, 0, 50);
    let after = opened.writer.committed();
    assert_eq!(after.counters, before.counters);
    assert_eq!((after.digest, after.record_time_ms), (before.digest, before.record_time_ms));
    assert_eq!(after.control.verdicts.iter().sum::<u64>(), 50);
    let mut lines = Vec::new();
    let report = opened.reader.export(true, &mut lines).unwrap();
    assert_eq!(report.contacts, before.counters.active + before.counters.deleted);
    assert!(opened.reader.contact(b"session/01").unwrap().is_none());
}

#[test]
fn what_is_abandoned_is_forgotten_and_what_is_committed_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { mut writer, reader, .. } = open_store(dir.path());
    let record = ControlRecord {
        expected_revision: None,
        expires_at_ms: None,
        value: Some(b"[1]".to_vec()),
        ..write(1)
    };
    let stage = |writer: &mut Writer| {
        let decision = writer.controls().decide(&record, at(0), &ControlLimits::default()).unwrap();
        writer.control(&meta(&record, 1), &record.key, &decision).unwrap();
        decision.verdict
    };
    let mut changes = reader.control_watch();
    assert_eq!(stage(&mut writer), Verdict::Applied);
    writer.abandon().unwrap();
    assert_eq!(writer.committed().control, ControlSums::default());
    assert_eq!(stage(&mut writer), Verdict::Applied);
    assert!(reader.control(&record.key).is_none() && !changes.has_changed().unwrap());
    let version = reader.control_version();
    writer.commit().unwrap();
    assert!(reader.control_version() > version && changes.has_changed().unwrap());
    assert_eq!(*changes.borrow_and_update(), reader.control_version());
    assert_eq!(reader.control(&record.key).unwrap().value[..], record.value.clone().unwrap());
    assert_eq!(stage(&mut writer), Verdict::Duplicate);
    writer.commit().unwrap();
    assert!(!changes.has_changed().unwrap(), "nothing changed");
}

#[test]
fn a_gap_is_remembered_until_all_that_is_known_was_restated() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    decide(&mut opened.writer, 0, 50);
    assert!(!opened.reader.is_control_unsettled());
    opened.writer.begin_control_gap(ControlGap::Records);
    assert!(opened.reader.is_control_unsettled(), "though nothing was read behind it yet");
    let note = |writer: &mut Writer| {
        assert_eq!(writer.control_gap(), Some(ControlGap::Records));
        let decision = Decision::unsettled(at(100));
        writer.control(&meta(&write(100), 100), UNSETTLED_KEY, &decision).unwrap();
        writer.advance(CONTROL_LANE, LaneProgress::at(NextOffset(101)));
        assert_eq!(writer.control_gap(), None);
    };
    note(&mut opened.writer);
    opened.writer.abandon().unwrap();
    note(&mut opened.writer);
    opened.writer.commit().unwrap();
    drop(opened);
    let mut opened = open_store(dir.path());
    assert!(opened.reader.is_control_unsettled() && opened.writer.control_gap().is_none());
    let known = opened.reader.controls("", None, usize::MAX);
    assert!(known.iter().all(|(key, _)| !opened.reader.is_control_settled(key)));
    assert!(!known.is_empty());
    let mark = ControlRecord {
        id: "mark".into(),
        key: RESTATED_KEY.into(),
        value: Some(restated_from(NextOffset(101))),
        ..ControlRecord::default()
    };
    let writer = &mut opened.writer;
    let decision = writer.controls().decide(&mark, at(101), &ControlLimits::default()).unwrap();
    writer.control(&meta(&mark, 101), &mark.key, &decision).unwrap();
    writer.advance(CONTROL_LANE, LaneProgress::at(NextOffset(102)));
    writer.commit().unwrap();
    assert!(!opened.reader.is_control_unsettled());
    let kept = opened.reader.controls("", None, usize::MAX);
    assert_eq!(kept.len(), 1, "what nobody restated is gone: {kept:?}");
    let report = opened.reader.verify(&mut |_, _| ()).unwrap();
    assert!(report.is_sound(), "{:?}", report.discrepancies);
}
