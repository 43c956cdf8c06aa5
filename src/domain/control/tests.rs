//! The laws of control records.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::domain::founding::{FOUNDING_KEY, Founding};
use crate::domain::partitioner::Partitioner;
use crate::domain::position::Offset;
use crate::domain::verdict::Verdict;

const NOW_MS: u64 = 1_000_000;

fn write(id: &str, key: &str, expected: Option<u64>, value: Option<&str>) -> ControlRecord {
    ControlRecord {
        id: id.to_owned(),
        key: key.to_owned(),
        expected_revision: expected,
        value: value.map(|value| value.as_bytes().to_vec()),
        ..ControlRecord::default()
    }
}

/// Where a record of that time stands, when only its time counts.
fn at(time_ms: u64) -> RecordAt {
    RecordAt { offset: Offset(time_ms), time_ms }
}

fn apply(state: &mut ControlState, record: &ControlRecord, at_ms: u64) -> Verdict {
    let decision = state.decide(record, at(at_ms), &ControlLimits::default()).unwrap();
    state.take(&record.key, &decision);
    decision.verdict
}

fn live<'s>(state: &'s ControlState, key: &str) -> Option<&'s Arc<ControlEntry>> {
    state.get(key).filter(|entry| !entry.is_removed())
}

#[test]
fn a_record_comes_back_from_the_log() {
    let record = ControlRecord {
        expires_at_ms: Some(7),
        principal: Some("user:ada".into()),
        ..write("w-1", "family/ada/1", Some(0), Some(r#"{"a": [1, "ü"]}"#))
    };
    let bytes = record.encode().unwrap();
    assert_eq!(ControlRecord::decode(Some(b"family/ada/1"), Some(&bytes)).unwrap(), record);
    let removal = write("w-2", "k", None, None);
    let bytes = removal.encode().unwrap();
    assert_eq!(ControlRecord::decode(None, Some(&bytes)).unwrap(), removal);
    write("w-3", "k", None, Some("not json")).encode().unwrap_err();
    write("w-4", "", None, Some("1")).encode().unwrap_err();
}

#[test]
fn what_is_no_control_record_is_refused_by_reason() {
    let decode = |value: &str| ControlRecord::decode(Some(b"k"), Some(value.as_bytes()));
    let reason = |value: &str| decode(value).unwrap_err().reason;
    decode(r#"{"id":"1","key":"k","later":true}"#).unwrap();
    assert_eq!(reason("{"), DeadLetterReason::MalformedJson);
    assert_eq!(reason(r#"{"id":"1","key":"other"}"#), DeadLetterReason::InvalidControl);
    assert_eq!(reason(r#"{"id":"","key":"k"}"#), DeadLetterReason::InvalidControl);
    assert_eq!(reason(r#"{"id":1,"key":"k"}"#), DeadLetterReason::InvalidControl);
    assert_eq!(reason(r#"{"id":"1","key":"k","expiresAt":-1}"#), DeadLetterReason::InvalidControl);
    assert_eq!(reason(&"x".repeat(VALUE_BYTES_MAX + 4_000)), DeadLetterReason::RecordTooLarge);
    let long = format!(r#"{{"id":"1","key":"k","value":"{}"}}"#, "x".repeat(VALUE_BYTES_MAX));
    assert_eq!(reason(&long), DeadLetterReason::InvalidControl);
    let none = ControlRecord::decode(Some(b"k"), None).unwrap_err();
    assert_eq!(none.reason, DeadLetterReason::NullValue);
}

#[test]
fn of_those_who_expect_one_revision_one_wins() {
    let mut state = ControlState::default();
    for revision in 0..20 {
        let verdicts: Vec<_> = (0..8)
            .map(|by| {
                let id = format!("{revision}-{by}");
                let record = write(&id, "k", Some(revision), Some(&format!("[{revision},{by}]")));
                apply(&mut state, &record, NOW_MS)
            })
            .collect();
        let (first, others) = verdicts.split_first().unwrap();
        assert_eq!(*first, Verdict::Applied);
        assert!(others.iter().all(|verdict| *verdict == Verdict::Conflict), "{others:?}");
        assert_eq!(state.get("k").unwrap().revision, revision + 1);
    }
}

#[test]
fn verdicts_say_what_happened() {
    let mut state = ControlState::default();
    let first = write("a", "k", None, Some("1"));
    assert_eq!(apply(&mut state, &first, NOW_MS), Verdict::Applied);
    assert_eq!(apply(&mut state, &first, NOW_MS), Verdict::Duplicate);
    let other = write("a", "k", None, Some("2"));
    assert_eq!(apply(&mut state, &other, NOW_MS), Verdict::Conflict);
    assert_eq!(apply(&mut state, &write("b", "k", Some(1), Some("1")), NOW_MS), Verdict::Unchanged);
    assert_eq!(apply(&mut state, &write("c", "k", Some(0), Some("1")), NOW_MS), Verdict::Conflict);
    assert_eq!(apply(&mut state, &write("d", "x", None, None), NOW_MS), Verdict::Unchanged);
    assert_eq!(apply(&mut state, &write("e", "x", Some(3), None), NOW_MS), Verdict::Conflict);
    assert_eq!(live(&state, "k").unwrap().revision, 1);
    assert_eq!(state.get("k").unwrap().revision_of("a"), Some(1));
}

#[test]
fn a_removed_entry_counts_on_and_does_not_come_back_by_a_late_repeat() {
    let mut state = ControlState::default();
    let made = write("a", "k", Some(0), Some("1"));
    apply(&mut state, &made, NOW_MS);
    assert_eq!(apply(&mut state, &write("b", "k", Some(1), None), NOW_MS), Verdict::Applied);
    assert!(live(&state, "k").is_none());
    assert_eq!(apply(&mut state, &made, NOW_MS), Verdict::Duplicate);
    assert!(live(&state, "k").is_none());
    assert_eq!(apply(&mut state, &write("c", "k", Some(0), Some("2")), NOW_MS), Verdict::Applied);
    assert_eq!(live(&state, "k").unwrap().revision, 3);
    // Who read revision 1 does not take the new entry for the old one.
    let stale = write("d", "k", Some(1), Some("3"));
    assert_eq!(apply(&mut state, &stale, NOW_MS), Verdict::Conflict);
    apply(&mut state, &write("e", "k", None, None), NOW_MS);
    apply(&mut state, &write("f", "other", None, Some("1")), NOW_MS + REMOVED_KEPT_MS);
    assert_eq!(state.len(), 1, "what was removed is dropped in the end");
}

#[test]
fn what_is_over_is_gone_by_record_time_a_bounded_number_at_a_time() {
    let mut state = ControlState::default();
    for number in 0..200 {
        let key = format!("k{number:03}");
        let mut record = write(&key, &key, None, Some("1"));
        record.expires_at_ms = Some(NOW_MS + 10);
        apply(&mut state, &record, NOW_MS);
    }
    apply(&mut state, &write("a", "a", None, Some("1")), NOW_MS + 9);
    assert_eq!(state.len(), 201);
    let again = write("again", "k199", Some(0), Some("2"));
    assert_eq!(apply(&mut state, &again, NOW_MS + 10), Verdict::Applied);
    assert_eq!(live(&state, "k199").unwrap().revision, 1, "it was none any more");
    assert_eq!(state.len(), 201 - 64);
    for number in 0..3 {
        let id = format!("b{number}");
        apply(&mut state, &write(&id, "b", None, Some(&number.to_string())), NOW_MS + 11);
    }
    assert_eq!(state.len(), 3);
    let mut late = write("late", "late", None, Some("1"));
    late.expires_at_ms = Some(NOW_MS);
    assert_eq!(apply(&mut state, &late, NOW_MS + 12), Verdict::Unchanged);
}

#[test]
fn there_is_room_for_so_many_and_what_revokes_is_never_refused() {
    let limits = ControlLimits { entries_max: 8, bytes_max: 1 << 20 };
    let mut state = ControlState::default();
    let mut put = |key: &str| {
        let decision = state.decide(&write(key, key, None, Some("1")), at(NOW_MS), &limits)?;
        state.take(key, &decision);
        Ok::<_, Reject>(())
    };
    for number in 0..6 {
        put(&format!("family/{number}")).unwrap();
    }
    assert_eq!(put("family/6").unwrap_err().reason, DeadLetterReason::ControlFull);
    put("family/5").unwrap();
    put("dead_letter/published").unwrap();
    assert_eq!(put("dead_letter/job/1").unwrap_err().reason, DeadLetterReason::ControlFull);
    put("log/other").unwrap();
    let ended = ControlRecord { revokes: true, ..write("e", "family/7", None, Some("1")) };
    state.decide(&ended, at(NOW_MS), &limits).unwrap();
    let removal = write("r", "family/0", None, None);
    state.decide(&removal, at(NOW_MS), &limits).unwrap();
    let small = ControlLimits { entries_max: 100, bytes_max: state.bytes() };
    let grown = write("g", "family/0", None, Some(&format!("\"{}\"", "x".repeat(999))));
    let refused = state.decide(&grown, at(NOW_MS), &small).unwrap_err();
    assert_eq!(refused.reason, DeadLetterReason::ControlFull);
}

#[test]
fn a_prefix_is_listed_in_parts() {
    let mut state = ControlState::default();
    for key in ["a/1", "b/1", "b/2", "b/3", "c"] {
        apply(&mut state, &write(key, key, None, Some("1")), NOW_MS);
    }
    let keys = |prefix, after| -> Vec<_> {
        state.from(prefix, after).map(|(key, _)| key.to_string()).collect()
    };
    assert_eq!(keys("b/", None), ["b/1", "b/2", "b/3"]);
    assert_eq!(keys("b/", Some("b/1")), ["b/2", "b/3"]);
    assert_eq!(keys("b/", Some("a")), ["b/1", "b/2", "b/3"]);
    assert_eq!(keys("b/", Some("c")), [""; 0]);
    assert_eq!(keys("", None).len(), 5);
}

#[test]
fn the_founding_is_written_once_and_stays() {
    let mut state = ControlState::default();
    let founding = |id: &str, lanes: u16, expected| {
        let value = Founding::first(Partitioner::Crc32, lanes).to_json();
        write(id, FOUNDING_KEY, expected, Some(std::str::from_utf8(&value).unwrap()))
    };
    assert_eq!(apply(&mut state, &founding("a", 4, Some(0)), NOW_MS), Verdict::Applied);
    assert_eq!(apply(&mut state, &founding("b", 4, Some(0)), NOW_MS), Verdict::Conflict);
    let refused = |record: &ControlRecord, state: &ControlState| {
        let decided = state.decide(record, at(NOW_MS), &ControlLimits::default());
        assert_eq!(decided.unwrap_err().reason, DeadLetterReason::InvalidControl);
    };
    for forged in [
        founding("c", 8, None),
        founding("g", 8, Some(1)),
        write("d", FOUNDING_KEY, None, None),
        write("e", FOUNDING_KEY, None, Some("{}")),
        ControlRecord { expires_at_ms: Some(NOW_MS * 2), ..founding("f", 4, None) },
    ] {
        refused(&forged, &state);
    }
    assert_eq!(apply(&mut state, &founding("h", 4, Some(1)), NOW_MS), Verdict::Unchanged);
}

/// A record by a few small numbers; the time since the one before.
fn records() -> impl Strategy<Value = Vec<(ControlRecord, u64)>> {
    let one = (0..4_u8, 0..4_u64, 0..3_u8, 0..6_u64, 0..40_u64);
    proptest::collection::vec(one, 1..60).prop_map(|all| {
        let numbered = all.into_iter().enumerate();
        let record = |(number, (key, expected, value, expires, pause))| {
            let mut record = write(
                &format!("w{number}"),
                &format!("k{key}"),
                (expected < 3).then_some(expected),
                [None, Some("1"), Some("2")][usize::from(value)],
            );
            record.expires_at_ms = (expires < 3).then_some(NOW_MS + expires * 300);
            (record, pause)
        };
        numbered.map(record).collect()
    })
}

/// The state after each record, from images alone as redo builds it, and the verdicts.
fn run(records: &[(ControlRecord, u64)]) -> (ControlState, Vec<Verdict>) {
    let (mut state, mut redone, mut now) =
        (ControlState::default(), ControlState::default(), NOW_MS);
    let mut verdicts = Vec::new();
    for (number, (record, pause)) in (0..).zip(records) {
        now += pause;
        let at = RecordAt { offset: Offset(number), time_ms: now };
        let decision = state.decide(record, at, &ControlLimits::default()).unwrap();
        state.take(&record.key, &decision);
        for key in &decision.expired {
            redone.remove(key);
        }
        if let Some(entry) = &decision.entry {
            let mut bytes = Vec::new();
            entry.encode(&mut bytes);
            redone.put(Arc::from(&*record.key), Arc::new(ControlEntry::decode(&bytes).unwrap()));
        }
        assert_eq!(redone, state);
        verdicts.push(decision.verdict);
    }
    (state, verdicts)
}

/// What an entry says, wherever it was stated or seen.
fn said<'e>((key, entry): (&'e Arc<str>, &Arc<ControlEntry>)) -> (&'e Arc<str>, ControlEntry) {
    let nowhere = RecordAt { offset: Offset(0), time_ms: 0 };
    (key, ControlEntry { stated: nowhere, seen: Offset(0), ..ControlEntry::clone(entry) })
}

proptest! {
    #[test]
    fn the_same_records_give_the_same_entries_and_images_are_enough(records in records()) {
        let (state, verdicts) = run(&records);
        prop_assert_eq!(run(&records), (state.clone(), verdicts));
        let mut anew = ControlState::default();
        for (key, entry) in state.iter() {
            anew.put(Arc::clone(key), Arc::clone(entry));
        }
        prop_assert_eq!(anew.bytes(), state.bytes());
    }

    #[test]
    fn a_redelivered_record_changes_nothing(
        records in records(),
        at in any::<prop::sample::Index>(),
        later in 0..7_usize,
    ) {
        // Within its entry's last writings, and before anything is over.
        let mut records = records;
        for (record, _) in &mut records {
            record.expires_at_ms = None;
        }
        let (once, _) = run(&records);
        let at = at.index(records.len());
        let repeated = (records[at].0.clone(), 0);
        records.insert((at + 1 + later).min(records.len()), repeated);
        let (twice, _) = run(&records);
        // What had no effect the first time may have one when it comes again, as any command.
        if run(&records[..=at]).1[at] == Verdict::Applied {
            prop_assert!(once.iter().map(said).eq(twice.iter().map(said)));
        }
    }

    #[test]
    fn bytes_of_any_kind_are_an_entry_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Some(entry) = ControlEntry::decode(&bytes) {
            let mut again = Vec::new();
            entry.encode(&mut again);
            let known = ControlEntry::decode(&again);
            prop_assert_eq!(known, Some(entry));
        }
    }
}
