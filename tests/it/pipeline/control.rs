//! Control records from a writing to every instance's entries.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use contactd::config::{Config, KafkaConfig, Mode};
use contactd::domain::control::ControlEntry;
use contactd::domain::position::CONTROL_LANE;
use contactd::event_log::kafka::KafkaLog;
use contactd::event_log::{EventLog, NewRecord};
use contactd::ingest::{ControlOutcome, ControlWrite, IngestError};

use crate::support::follower::Follower;
use crate::support::logs::{KafkaTopic, TestLog, block_on, open_embedded};
use crate::support::services::{KAFKA, service};
use crate::support::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(30);
/// Writers of one round.
const RIVALS: u64 = 64;

fn embedded(dir: &Path) -> Follower {
    Follower::start(&dir.join("store"), open_embedded(&dir.join("log")))
}

fn write(key: &str, expected_revision: Option<u64>, value: &str) -> ControlWrite {
    ControlWrite {
        key: key.to_owned(),
        expected_revision,
        value: Some(value.as_bytes().to_vec()),
        ..ControlWrite::default()
    }
}

#[track_caller]
fn put(instance: &Follower, write: ControlWrite) -> ControlOutcome {
    block_on(instance.control.put(write)).expect("an answer")
}

#[test]
fn a_writing_is_answered_with_what_became_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let instance = embedded(dir.path());
    let version = instance.reader.control_version();
    let first = ControlWrite { id: Some("w-1".into()), ..write("job/1", Some(0), "{\"n\":1}") };
    assert_eq!(put(&instance, first.clone()), ControlOutcome::Applied { revision: 1 });
    assert!(instance.reader.control_version() > version);
    let entry = instance.reader.control("job/1").unwrap();
    assert_eq!((&entry.value[..], entry.revision), (&b"{\"n\":1}"[..], 1));
    // A repeat, as after an answer that did not come.
    assert_eq!(put(&instance, first), ControlOutcome::Applied { revision: 1 });
    let same = put(&instance, write("job/1", None, "{\"n\":1}"));
    assert_eq!(same, ControlOutcome::Unchanged { revision: 1 });
    let stale = put(&instance, write("job/1", Some(7), "2"));
    let ControlOutcome::Conflict { current: Some(current) } = stale else { panic!("{stale:?}") };
    assert_eq!((current.value, current.revision), (entry.value, entry.revision));
    put(&instance, write("job/2", None, "2"));
    put(&instance, write("other", None, "2"));
    let keys = |prefix, after, limit| -> Vec<String> {
        let found: Vec<(String, ControlEntry)> = instance.reader.controls(prefix, after, limit);
        found.into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(keys("job/", None, 10), ["job/1", "job/2"]);
    assert_eq!(keys("", Some("job/1"), 1), ["job/2"]);
    let removal = ControlWrite { key: "job/1".into(), ..ControlWrite::default() };
    assert_eq!(put(&instance, removal.clone()), ControlOutcome::Applied { revision: 2 });
    assert_eq!(put(&instance, removal), ControlOutcome::Unchanged { revision: 0 });
    assert!(instance.reader.control("job/1").is_none());
    assert_eq!(keys("job/", None, 10), ["job/2"]);
    for invalid in [write(&"k".repeat(600), None, "1"), write("k", None, "no json")] {
        let refused = block_on(instance.control.put(invalid)).unwrap_err();
        assert!(matches!(refused, IngestError::Invalid(_)), "{refused}");
    }
    instance.stop();
    let again = embedded(dir.path());
    assert_eq!(again.reader.control("job/2").unwrap().value[..], *b"2");
    assert!(again.reader.control("job/1").is_none());
    let report = again.reader.verify(&mut |_, _| {}).unwrap();
    assert!(report.is_sound(), "{:?}", report.discrepancies);
}

#[test]
fn what_is_no_control_record_is_kept_aside_and_the_lane_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let instance = embedded(dir.path());
    let bad = NewRecord {
        key: b"k".to_vec(),
        value: Some(b"{".to_vec()),
        lane: Some(CONTROL_LANE),
        ..NewRecord::default()
    };
    block_on(instance.log.append(vec![bad])).unwrap();
    put(&instance, write("k", Some(0), "1"));
    let stats = instance.reader.stats().unwrap();
    assert_eq!(stats.control.verdicts.iter().sum::<u64>(), 2);
    assert_eq!(stats.counters.received(), 0, "no contact's record");
    assert_eq!(instance.reader.total(None), 0);
}

/// Rounds of rivals who all expect the same revision, by turns through all instances; what each
/// round's winners were.
fn race(instances: &[&Follower], rounds: u64) -> Vec<usize> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let round = |revision: u64| {
        let rivals = (0..RIVALS).map(|rival| {
            let instance = instances[rival as usize % instances.len()];
            let write = write("family/ada/1", Some(revision), &format!("[{revision},{rival}]"));
            instance.control.put(write)
        });
        let outcomes = runtime.block_on(futures_util::future::join_all(rivals));
        let won = ControlOutcome::Applied { revision: revision + 1 };
        let winners = outcomes.into_iter().filter(|outcome| match outcome {
            Ok(outcome) if *outcome == won => true,
            Ok(ControlOutcome::Conflict { .. }) => false,
            other => panic!("{other:?}"),
        });
        winners.count()
    };
    (0..rounds).map(round).collect()
}

#[test]
fn of_64_rivals_exactly_one_wins_each_round() {
    let dir = tempfile::tempdir().unwrap();
    let instance = embedded(dir.path());
    assert_eq!(race(&[&instance], 20), [1; 20]);
    assert_eq!(instance.reader.control("family/ada/1").unwrap().revision, 20);
}

/// As an instance opens it that is configured for this topic.
fn open_kafka(topic: &KafkaTopic) -> EventLog {
    let built_in = Config::built_in(Mode::Serve).unwrap().kafka;
    let config = KafkaConfig {
        brokers: vec![topic.brokers.clone()],
        client_id: topic.topic.clone(),
        topic: topic.topic.clone(),
        control_topic: format!("{}.control", topic.topic),
        ..built_in
    };
    let log = EventLog::Kafka(Arc::new(KafkaLog::open(&config).unwrap()));
    wait_until(PATIENCE, "the control topic is there", || {
        log.prepare_control().is_ok() && log.watermarks(CONTROL_LANE).is_ok()
    });
    log
}

#[test]
fn of_64_rivals_at_two_instances_exactly_one_wins_each_round() {
    let test = "of_64_rivals_at_two_instances_exactly_one_wins_each_round";
    let Some(brokers) = service(KAFKA, test) else {
        return;
    };
    let TestLog::Kafka(topic) = TestLog::kafka(&brokers) else {
        unreachable!("it was made at Kafka");
    };
    let dir = tempfile::tempdir().unwrap();
    let start = |name: &str| Follower::start(&dir.path().join(name), open_kafka(&topic));
    let (one, other) = (start("one"), start("other"));
    assert_eq!(race(&[&one, &other], 20), [1; 20]);
    let applied = |at: &Follower| {
        let mut position = at.reader.position();
        position.next.retain(|lane, _| *lane == CONTROL_LANE);
        position
    };
    // Each knows what became of its own writes; the last ones may have been the other's.
    block_on(other.reader.wait_for(&applied(&one))).unwrap();
    block_on(one.reader.wait_for(&applied(&other))).unwrap();
    let position = applied(&one);
    let entries = |at: &Follower| at.reader.controls("", None, 100);
    assert_eq!(entries(&one), entries(&other));
    assert_eq!(entries(&one)[0].1.revision, 20);
    let sums = |at: &Follower| at.reader.stats().unwrap().control;
    assert_eq!(sums(&one), sums(&other));
    // A third one that was not there reads all of it from the topic.
    let late = start("late");
    block_on(late.reader.wait_for(&position)).unwrap();
    assert_eq!((entries(&late), sums(&late)), (entries(&one), sums(&one)));
}

#[test]
fn an_entry_whose_time_is_over_goes_with_a_later_record() {
    let dir = tempfile::tempdir().unwrap();
    let instance = embedded(dir.path());
    let soon =
        |key: &str| ControlWrite { expires_at_ms: Some(now_ms() + 50), ..write(key, None, "1") };
    put(&instance, soon("a"));
    put(&instance, soon("b"));
    let mut number = 0;
    wait_until(PATIENCE, "the entries go", || {
        number += 1;
        put(&instance, write("later", None, &number.to_string()));
        instance.reader.controls("", None, 10).len() == 1
    });
}

fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}
