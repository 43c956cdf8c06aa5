//! Whoever waits for a record hears of it once it can be read, and nobody else does.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use xxhash_rust::xxh3::xxh3_64;

use super::*;
use crate::domain::verdict::DeadLetterReason;

/// What is there already; none while it is still waited for.
fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(found) => Some(found),
        Poll::Pending => None,
    }
}

fn event_hash(number: u64) -> u64 {
    xxh3_64(format!("evt-{number}").as_bytes())
}

#[test]
fn the_outcome_is_that_of_the_record_and_comes_with_its_commit() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    let expected: Vec<_> = (0..40).map(|at| opened.reader.expect(event_hash(at))).collect();
    let mut unseen = opened.reader.expect(event_hash(77));
    feed(&mut opened.writer, 0, 40);
    let mut applied = 0;
    for (number, expected) in (0..).zip(expected) {
        let outcome = now(expected.outcome()).unwrap().unwrap();
        assert_eq!((outcome.lane.0, outcome.offset.0), ((number % 2) as u16, number / 2));
        assert!(opened.reader.position().covers(&outcome.position));
        assert_eq!(outcome.position.next.get(&outcome.lane), Some(&outcome.offset.next()));
        assert_eq!(outcome.value.is_some(), outcome.verdict == Verdict::Applied);
        if let Some(value) = outcome.value {
            applied += 1;
            let first_name = format!("Name {number}");
            let view = value.view().unwrap();
            let is_deleted = view.status() == crate::domain::contact::Status::Deleted;
            assert!(is_deleted || view.field(0) == Some(&first_name), "{number}");
        }
    }
    assert!(applied > 20, "{applied} of 40 applied");
    assert!(now(async { unseen.next().await }).is_none());
    drop(unseen);
    assert!(opened.reader.shared().commits.outcomes.is_idle());
}

#[test]
fn a_staged_record_is_told_of_after_its_commit_and_by_its_own_place() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    let meta = |offset| EntryMeta {
        event_id: b"once",
        source: b"lab",
        ..EntryMeta::at(Lane(1), Offset(offset), 1)
    };
    let mut expected = opened.reader.expect(xxh3_64(b"once"));
    let by_place = opened.reader.expect(xxh3_64(b"once"));
    opened.writer.settled(&meta(3), Verdict::Conflict, b"c").unwrap();
    let letter = DeadLetter {
        reason: DeadLetterReason::TooLarge,
        detail: "far too large",
        key: None,
        value: None,
        headers: &[],
    };
    opened.writer.dead_letter(&meta(4), &letter).unwrap();
    assert!(now(async { expected.next().await }).is_none(), "nothing is committed yet");
    opened.writer.commit().unwrap();
    let first = now(expected.outcome()).unwrap().unwrap();
    assert_eq!((first.verdict, first.offset), (Verdict::Conflict, Offset(3)));
    let second = now(by_place.outcome_at(Lane(1), Offset(4))).unwrap().unwrap();
    assert_eq!(second.verdict, Verdict::DeadLettered);
    let (reason, detail) = second.reason.unwrap();
    assert_eq!((reason, detail.as_str()), (DeadLetterReason::TooLarge, "far too large"));
}

#[test]
fn who_waits_for_a_place_away_from_home_hears_what_becomes_of_its_copy() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    let meta = |lane, offset| EntryMeta {
        event_id: b"away",
        source: b"lab",
        ..EntryMeta::at(Lane(lane), Offset(offset), 1)
    };
    let record = AwayRecord { contact_id: b"c", key: None, value: Some(b"{}"), headers: &[] };
    let mut waiting = pin!(opened.reader.expect(xxh3_64(b"away")).outcome_at(Lane(1), Offset(3)));
    // Another record under the same id, which is not the one that is waited for.
    opened.writer.settled(&meta(0, 6), Verdict::Stale, b"c").unwrap();
    opened.writer.rehomed(&meta(1, 3), &record).unwrap();
    opened.writer.commit().unwrap();
    assert!(now(waiting.as_mut()).is_none(), "it is not decided yet");
    opened.writer.settled(&meta(0, 7), Verdict::Conflict, b"c").unwrap();
    opened.writer.commit().unwrap();
    let decided = now(waiting.as_mut()).unwrap().unwrap();
    assert_eq!((decided.verdict, decided.offset), (Verdict::Conflict, Offset(7)));
}

#[test]
fn nobody_waits_for_a_store_that_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { writer, reader, .. } = open_store(dir.path());
    let early = reader.expect(1);
    writer.close().unwrap();
    assert!(matches!(now(early.outcome()), Some(Err(StoreError::TimedOut))));
    let late = reader.expect(1);
    assert!(matches!(now(late.outcome()), Some(Err(StoreError::TimedOut))));
}

#[test]
fn what_the_log_did_not_take_is_not_said_to_come() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    let (reader, hash) = (opened.reader.clone(), event_hash(7));
    assert_eq!(reader.prospect(hash), Prospect::Unknown);
    let expected = reader.expect(hash);
    assert_eq!(reader.prospect(hash), Prospect::Open);
    drop(expected);
    assert_eq!(reader.prospect(hash), Prospect::Open, "it may stand on the log");
    reader.refused(hash, "too large");
    assert_eq!(reader.prospect(hash), Prospect::Refused("too large".to_owned()));
    // Tried once more, and not even kept.
    let again = reader.expect(hash);
    assert_eq!(reader.prospect(hash), Prospect::Open);
    again.refused("no room");
    assert_eq!(reader.prospect(hash), Prospect::Refused("no room".to_owned()));
    // Of a try that may have been kept something may come, whatever became of a later one.
    drop(reader.expect(hash));
    assert!(!reader.expect(hash).refused("no room"));
    assert_eq!(reader.prospect(hash), Prospect::Open);
    feed(&mut opened.writer, 0, 40);
    assert!(reader.event(b"evt-7").unwrap().records[0].is_decision());
}
