//! Planning against a real store: every record gets one verdict, and what can't be applied is kept.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::domain::base::{BASE_KEY, Base, BaseRule};
use crate::domain::control::ControlRecord;
use crate::domain::founding::{FOUNDING_KEY, Founding};
use crate::domain::headers::FOUNDING;
use crate::domain::partitioner::Partitioner;
use crate::domain::position::{CONTROL_LANE, Lane, LogIdentity, LogKind, NextOffset, Offset};
use crate::domain::record::{NamedValues, RecordBatch, header_refs};
use crate::domain::rules::{InForce, LaneRules, Marker, RuleSet, RuleText};
use crate::domain::verdict::{DeadLetterReason, Verdict};
use crate::store::{self, Opened, RehomedRecord};

use super::{ApplyError, DecodedBatch, Planner, Terms};

const RECORD_TIME_MS: i64 = 1_767_225_600_000;

struct Bench {
    _directory: tempfile::TempDir,
    opened: Opened,
    planner: Planner,
    rules: LaneRules,
}

fn homes() -> Founding {
    Founding::first(Partitioner::Murmur2, 4)
}

fn bench() -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let identity =
        LogIdentity { kind: LogKind::Embedded, cluster: "test".into(), topic: "contacts".into() };
    let mut config = crate::config::Config::built_in(crate::config::Mode::Serve).unwrap().store;
    config.path = directory.path().join("store");
    config.ballast_bytes = 0;
    config.min_free_bytes = 0;
    let opened = store::open(config, Some(&identity), &|_| {}).unwrap();
    let rules = Arc::new(RuleSet::built_in().unwrap());
    Bench {
        _directory: directory,
        opened,
        planner: Planner::new(Terms::of(Founding::first(Partitioner::Murmur2, 4))),
        rules: LaneRules::beginning_with(1, InForce::at_founding(rules)),
    }
}

impl Bench {
    /// Applies one record of a lane; the verdicts that this added.
    fn apply(&mut self, lane: Lane, offset: u64, key: Option<&str>, value: &str) -> Verdict {
        self.apply_with(lane, offset, key, value, None)
    }

    /// The same of a record that was brought home under a founding.
    fn apply_with(
        &mut self,
        lane: Lane,
        offset: u64,
        key: Option<&str>,
        value: &str,
        revision: Option<&[u8]>,
    ) -> Verdict {
        let before = self.opened.writer.committed().counters;
        let mut batch = RecordBatch::new(lane);
        let key = key.map(str::as_bytes);
        let headers = revision.into_iter().map(|revision| (FOUNDING, Some(revision)));
        batch.push(Offset(offset), RECORD_TIME_MS, key, Some(value.as_bytes()), headers);
        batch.next = NextOffset(offset + 1);
        let (decoded, _) =
            DecodedBatch::decode(&mut self.rules, homes(), batch, Vec::new()).unwrap();
        self.planner.plan(&mut self.opened.writer, &decoded).unwrap();
        self.opened.writer.commit().unwrap();
        let after = self.opened.writer.committed().counters;
        assert_eq!(after.received(), before.received() + 1);
        Verdict::ALL
            .into_iter()
            .find(|verdict| after.verdict(*verdict) > before.verdict(*verdict))
            .unwrap()
    }
}

fn event(id: &str, timestamp_ms: i64, name: &str) -> String {
    format!(
        r#"{{"id":"e-{timestamp_ms}-{name}","eventType":"contact.updated","timestamp":{timestamp_ms},
            "source":"acme","data":{{"id":"{id}","acme_first_name":"{name}"}}}}"#
    )
}

fn home(id: &str) -> Lane {
    Partitioner::Murmur2.lane(id.as_bytes(), 4)
}

#[test]
fn a_newer_event_is_applied_an_older_one_is_stale() {
    let mut bench = bench();
    let lane = home("c1");
    let (now, before) = (RECORD_TIME_MS, RECORD_TIME_MS - 1000);
    assert_eq!(
        bench.apply(lane, 0, Some("c1"), &event("c1", before - 1000, "Grace")),
        Verdict::Applied
    );
    assert_eq!(bench.apply(lane, 1, Some("c1"), &event("c1", now, "Ada")), Verdict::Applied);
    assert_eq!(bench.apply(lane, 2, Some("c1"), &event("c1", before, "Alan")), Verdict::Stale);
    assert_eq!(bench.apply(lane, 3, Some("c1"), &event("c1", now, "Ada")), Verdict::Duplicate);
    let found = bench.opened.reader.contact(b"c1").unwrap().unwrap();
    assert_eq!(found.view().unwrap().field(0), Some("Ada"));
    assert_eq!(bench.opened.writer.next_offsets().get(&lane), Some(&NextOffset(4)));
}

#[test]
fn what_is_away_from_home_is_rehomed_unless_it_was_brought_there() {
    let mut bench = bench();
    let elsewhere = Lane((home("c1").0 + 1) % 4);
    let value = event("c1", RECORD_TIME_MS, "Ada");
    assert_eq!(bench.apply(home("c1"), 0, None, &value), Verdict::Rehomed);
    assert_eq!(bench.apply(elsewhere, 0, Some("c1"), &value), Verdict::Rehomed);
    // A lane that the log did not have at its founding is nobody's home.
    assert_eq!(bench.apply(Lane(4), 0, Some("c1"), &value), Verdict::Rehomed);
    // Under another founding that was its home, or what says so is no founding.
    for other in [b"2".as_slice(), b"01", b""] {
        let offset = 1 + other.len() as u64 + u64::from(other == b"2");
        let found = bench.apply_with(elsewhere, offset, Some("c1"), &value, Some(other));
        assert_eq!(found, Verdict::Rehomed);
    }
    assert!(bench.opened.reader.contact(b"c1").unwrap().is_none());
    let reader = &bench.opened.reader;
    let (mut changes, _) = reader.entries_after(&Default::default()).unwrap();
    let mut records = Vec::new();
    let read = changes.read_entries(reader.changes_end(), &mut |entry, _| {
        records.extend(RehomedRecord::of_entry(entry));
        ControlFlow::Continue(())
    });
    assert!(read.unwrap().is_continue());
    let record = records.first().unwrap();
    assert_eq!((record.contact_id.as_slice(), record.key.as_deref()), (b"c1".as_slice(), None));
    assert_eq!(record.value.as_deref(), Some(value.as_bytes()));
}

#[test]
fn what_may_not_be_applied_where_it_stands_is_set_aside_with_its_reason() {
    let mut bench = bench();
    let lane = home("c1");
    let elsewhere = Lane((lane.0 + 1) % 4);
    let value = event("c1", RECORD_TIME_MS, "Ada");
    let ahead = event("c1", RECORD_TIME_MS + 300_001, "Ada");
    let present = Some(b"1".as_slice());
    assert_eq!(bench.apply_with(lane, 0, None, &value, present), Verdict::DeadLettered);
    let again = bench.apply_with(elsewhere, 0, Some("c1"), &value, present);
    assert_eq!(again, Verdict::DeadLettered);
    // Founded anew, that was its home before; a copy of the new founding is one that goes round.
    let rules = Arc::new(RuleSet::built_in().unwrap());
    let before = std::mem::replace(
        &mut bench.rules,
        LaneRules::beginning_with(2, InForce::at_founding(rules)),
    );
    let anew = Some(b"2".as_slice());
    assert_eq!(bench.apply_with(elsewhere, 1, Some("c1"), &value, present), Verdict::Rehomed);
    assert_eq!(bench.apply_with(elsewhere, 2, Some("c1"), &value, anew), Verdict::DeadLettered);
    bench.rules = before;
    assert_eq!(bench.apply(lane, 1, Some("c1"), &ahead), Verdict::DeadLettered);
    assert_eq!(bench.apply(lane, 2, Some("c1"), "{"), Verdict::DeadLettered);
    let reasons: Vec<_> =
        bench.planner.take_set_aside().iter().map(|letter| letter.reason).collect();
    assert_eq!(
        reasons,
        [
            DeadLetterReason::KeyMissing,
            DeadLetterReason::MisroutedKey,
            DeadLetterReason::MisroutedKey,
            DeadLetterReason::TimestampInFuture,
            DeadLetterReason::MalformedJson,
        ]
    );
    assert!(bench.opened.reader.contact(b"c1").unwrap().is_none());
}

/// One record of a batch: its headers and its value.
fn push(batch: &mut RecordBatch, headers: &NamedValues, value: &[u8]) {
    let offset = Offset(batch.next.0);
    batch.push(offset, RECORD_TIME_MS, Some(b"c1"), Some(value), header_refs(headers));
}

#[test]
fn a_record_is_judged_by_the_last_marker_before_it_in_its_lane() {
    let mut bench = bench();
    let lane = home("c1");
    let text = RuleText { future_tolerance_ms: 1_000, ..RuleText::built_in() };
    let strict = RuleSet::compile(text).unwrap();
    let (headers, packed) = Marker::record(1, 1, homes(), &strict, Some("ada"));
    let mut batch = RecordBatch::new(lane);
    let ahead = |seconds: i64| event("c1", RECORD_TIME_MS + seconds * 1_000, "Ada");
    push(&mut batch, &Vec::new(), ahead(20).as_bytes());
    push(&mut batch, &headers, &packed);
    push(&mut batch, &Vec::new(), ahead(30).as_bytes());
    push(&mut batch, &headers, &packed);
    let later = event("c1", RECORD_TIME_MS + 1_000, "Eve");
    push(&mut batch, &Vec::new(), later.as_bytes());
    let (decoded, stop) =
        DecodedBatch::decode(&mut bench.rules, homes(), batch, Vec::new()).unwrap();
    assert_eq!(stop, None);
    bench.planner.plan(&mut bench.opened.writer, &decoded).unwrap();
    bench.opened.writer.commit().unwrap();
    let counters = bench.opened.writer.committed().counters;
    let of = |verdict| counters.verdict(verdict);
    let judged = (of(Verdict::Applied), of(Verdict::DeadLettered), of(Verdict::Stale));
    assert_eq!(judged, (1, 1, 1));
    assert_eq!(counters.received(), 3, "markers are counted by nobody");
    let rules = bench.opened.reader.rules();
    let at = rules.of(lane).unwrap();
    assert_eq!((at.number, at.offset, at.principal.as_deref()), (1, Offset(3), Some("ada")));
    assert_eq!(*at.rules, strict);
    // The other lanes go on as they did.
    let elsewhere = Lane((lane.0 + 1) % 4);
    assert_eq!(bench.rules.of(elsewhere).unwrap().number, 0);
}

#[test]
fn what_stands_before_a_marker_that_can_not_be_passed_is_applied() {
    let mut bench = bench();
    let lane = home("c1");
    let (headers, _) = Marker::record(1, 1, homes(), &RuleSet::built_in().unwrap(), None);
    let unknown = lz4_flex::block::compress_prepend_size(br#"{"applyVersion":77}"#);
    let mut batch = RecordBatch::new(lane);
    push(&mut batch, &Vec::new(), event("c1", RECORD_TIME_MS, "Ada").as_bytes());
    push(&mut batch, &headers, &unknown);
    push(&mut batch, &Vec::new(), event("c1", RECORD_TIME_MS + 1, "Grace").as_bytes());
    let (decoded, stop) =
        DecodedBatch::decode(&mut bench.rules, homes(), batch, Vec::new()).unwrap();
    let stop = stop.unwrap();
    assert_eq!((stop.lane, stop.offset), (lane, Offset(1)));
    assert!(stop.to_string().contains("APPLY_VERSION 77"), "{stop}");
    bench.planner.plan(&mut bench.opened.writer, &decoded).unwrap();
    bench.opened.writer.commit().unwrap();
    assert_eq!(bench.opened.writer.next_offsets().get(&lane), Some(&NextOffset(1)));
    let found = bench.opened.reader.contact(b"c1").unwrap().unwrap();
    assert_eq!(found.view().unwrap().field(0), Some("Ada"));
}

#[test]
fn a_marker_that_counts_and_names_other_homes_can_not_be_passed() {
    let mut bench = bench();
    let lane = home("c1");
    let other = Founding::first(Partitioner::Crc32, 8);
    let strict = RuleText { future_tolerance_ms: 1_000, ..RuleText::built_in() };
    let (headers, packed) = Marker::record(1, 1, other, &RuleSet::compile(strict).unwrap(), None);
    let mut batch = RecordBatch::new(lane);
    push(&mut batch, &headers, &packed);
    let (decoded, stop) =
        DecodedBatch::decode(&mut bench.rules, homes(), batch, Vec::new()).unwrap();
    let text = stop.unwrap().to_string();
    assert!(text.contains("murmur2 over 4") && text.contains("crc32 over 8"), "{text}");
    assert!(decoded.batch.records.is_empty());
    assert_eq!(bench.rules.of(lane).unwrap().number, 0);
}

/// What planning a control record says, and nothing is committed.
fn plan_control(bench: &mut Bench, key: &str, value: Vec<u8>) -> Result<(), ApplyError> {
    let record = ControlRecord {
        id: "w".into(),
        key: key.into(),
        value: Some(value),
        ..ControlRecord::default()
    };
    let mut batch = RecordBatch::new(CONTROL_LANE);
    let (key, value) = (Some(record.key.as_bytes()), record.encode().unwrap());
    batch.push(Offset(0), RECORD_TIME_MS, key, Some(&value), std::iter::empty());
    let (decoded, _) = DecodedBatch::decode(&mut bench.rules, homes(), batch, Vec::new()).unwrap();
    let planned = bench.planner.plan(&mut bench.opened.writer, &decoded);
    bench.opened.writer.abandon().unwrap();
    planned
}

#[test]
fn another_founding_than_the_stores_stops_it_and_both_are_named() {
    let mut bench = bench();
    let here = Founding::first(Partitioner::Murmur2, 4);
    plan_control(&mut bench, FOUNDING_KEY, here.to_json()).unwrap();
    let there = Founding::first(Partitioner::Crc32, 8);
    let error = plan_control(&mut bench, FOUNDING_KEY, there.to_json()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("murmur2 over 4") && text.contains("crc32 over 8"), "{text}");
}

#[test]
fn a_base_that_the_store_does_not_come_from_stops_it() {
    let mut bench = bench();
    let base = |id: &str| {
        let (digest, position) = ("d".to_owned(), "p1-0000000000000000".to_owned());
        Base { id: id.to_owned(), digest, position, gaps: vec![(0, 1, 2)] }.to_json()
    };
    let given = plan_control(&mut bench, BASE_KEY, base("a"));
    assert!(matches!(given, Err(ApplyError::AnotherBase { id }) if id == "a"));
    bench.planner =
        Planner::new(Terms { base: BaseRule::Only("a".into()), ..bench.planner.terms().clone() });
    plan_control(&mut bench, BASE_KEY, base("a")).unwrap();
    plan_control(&mut bench, BASE_KEY, base("b")).unwrap_err();
    bench.planner = Planner::new(Terms { base: BaseRule::Any, ..bench.planner.terms().clone() });
    plan_control(&mut bench, BASE_KEY, base("b")).unwrap();
}
