//! Attempts at commands keep the store's rules: what a lane forgot is nowhere, whatever happened between.

use crate::domain::attempts::Attempt;

use super::*;

const HOUR_MS: i64 = 60 * 60 * 1000;

/// Attempts `from..to`, one an hour and a commit, each refused: a lane keeps them for a day.
fn attempt(writer: &mut Writer, from: u64, to: u64) {
    for number in from..to {
        let (lane, offset, record_time_ms) = (Lane(0), Offset(number), number as i64 * HOUR_MS);
        let attempt = Attempt {
            id_hash: number,
            stamp: number,
            body_hash: [0; 16],
            verdict: Verdict::NotFound,
            is_keyed: number % 2 == 0,
            version: 0,
        };
        let noted = writer.note_attempt((lane, offset), attempt, record_time_ms);
        let event_id = format!("e{number}");
        let meta = EntryMeta {
            event_id: event_id.as_bytes(),
            source: b"contactd",
            attempt: Some(&noted),
            ..EntryMeta::at(lane, offset, record_time_ms)
        };
        writer.settled(&meta, attempt.verdict, b"nobody").unwrap();
        writer.advance(lane, LaneProgress::at(NextOffset(number + 1)));
        writer.commit().unwrap();
    }
}

#[track_caller]
fn assert_sound(opened: &mut Opened, attempts: u64) {
    let expected = tempfile::tempdir().unwrap();
    let mut uninterrupted = open_store(expected.path());
    attempt(&mut uninterrupted.writer, 0, attempts);
    assert_eq!(opened.writer.committed().attempts, uninterrupted.writer.committed().attempts);
    let report = opened.reader.verify(&mut |_, _| ()).unwrap();
    assert!(report.is_sound(), "{:?}", report.discrepancies);
    opened.writer.snapshot_now().unwrap();
}

#[test]
fn what_a_lane_forgot_before_a_kill_is_in_no_later_snapshot() {
    // What is forgotten was in the engine, is in the journal alone, or some of both.
    for (in_engine, total) in [(20, 40), (0, 60), (40, 41)] {
        let dir = tempfile::tempdir().unwrap();
        let mut opened = open_store(dir.path());
        attempt(&mut opened.writer, 0, in_engine);
        opened.writer.checkpoint_now().unwrap();
        attempt(&mut opened.writer, in_engine, total);
        drop(opened);
        assert_sound(&mut open_store(dir.path()), total);
        // And filled again from that snapshot.
        fs::remove_dir_all(dir.path().join("sled")).unwrap();
        let mut opened = open_store(dir.path());
        attempt(&mut opened.writer, total, total + 30);
        drop(opened);
        fs::remove_dir_all(dir.path().join("sled")).unwrap();
        assert_sound(&mut open_store(dir.path()), total + 30);
    }
}
