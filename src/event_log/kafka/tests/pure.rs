//! What needs no broker.

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;

use super::*;
use crate::domain::control::{ControlRecord, RecordAt};
use crate::domain::founding::{FOUNDING_KEY, Founding};
use crate::domain::partitioner::Partitioner;
use crate::event_log::kafka::brokers::Sample;
use crate::event_log::kafka::context::{Statistics, TopicContext};
use crate::event_log::kafka::founding::FoundingEntry;
use crate::event_log::kafka::lanes::Lanes;
use crate::event_log::kafka::learn::learn;

fn samples(partitioner: Partitioner, lanes: u16, keys: usize) -> Vec<Sample> {
    let sample = |n: usize| {
        let key = format!("contact-{n}").into_bytes();
        Sample { lane: partitioner.lane(&key, lanes), key }
    };
    (0..keys).map(sample).collect()
}

#[test]
fn every_partitioner_is_learned_from_where_keys_lie() {
    for partitioner in Partitioner::ALL {
        let learned = learn(&samples(partitioner, 8, 100), 8);
        assert_eq!((learned.partitioner, learned.fitting), (partitioner, 100));
        assert!(learned.is_most());
    }
}

#[test]
fn an_empty_topic_and_a_single_lane_get_murmur2() {
    assert_eq!(learn(&[], 8).partitioner, Partitioner::Murmur2);
    assert_eq!(learn(&samples(Partitioner::Fnv1a, 1, 50), 1).partitioner, Partitioner::Murmur2);
}

#[test]
fn a_few_misrouted_keys_do_not_change_what_is_learned() {
    let mut all = samples(Partitioner::Crc32, 8, 95);
    all.extend(samples(Partitioner::Fnv1a, 8, 200).into_iter().skip(195));
    let learned = learn(&all, 8);
    assert_eq!(learned.partitioner, Partitioner::Crc32);
    assert!(learned.is_most());
    let mixed: Vec<_> = samples(Partitioner::Crc32, 8, 50)
        .into_iter()
        .chain(samples(Partitioner::Fnv1a, 8, 100).into_iter().skip(50))
        .collect();
    assert!(learn(&mixed, 8).is_most());
    let scattered: Vec<_> = samples(Partitioner::Crc32, 8, 100)
        .into_iter()
        .map(|sample| Sample { lane: Lane(fastrand::u16(..8)), ..sample })
        .collect();
    assert!(!learn(&scattered, 8).is_most());
}

#[test]
fn a_topic_made_anew_is_heard_and_the_first_id_is_not() {
    let context = TopicContext::new("contacts");
    let say = |line: &str| {
        context.log(RDKafkaLogLevel::Debug, "METADATA", line);
        context.take_news().is_some_and(|news| news.topic_made_anew.is_some())
    };
    assert!(!say(
        "[thrd:main]: Topic contacts changed id from AAAAAAAAAAAAAAAAAAAAAA to XPlX0uA4Rk6nS0cTAsqLqQ"
    ));
    assert!(!say(
        "[thrd:main]: Topic contacts2 changed id from XPlX0uA4Rk6nS0cTAsqLqQ to ApxkBCBsTqCIf_4yhSKKzg"
    ));
    assert!(!say("[thrd:main]: Topic contacts partition 0 Leader 1 Epoch 0"));
    assert!(say(
        "[thrd:main]: Topic contacts changed id from XPlX0uA4Rk6nS0cTAsqLqQ to ApxkBCBsTqCIf_4yhSKKzg"
    ));
}

#[test]
fn partitions_are_counted_without_unknown_ones() {
    let partition = |unknown: bool| {
        format!(
            r#"{{"partition":0,"leader":1,"unknown":{unknown},"eof_offset":7,"lo_offset":0,"ls_offset":7,"hi_offset":8,"committed_offset":-1001,"fetchq_cnt":0,"leader_epoch":3}}"#
        )
    };
    let text = format!(
        r#"{{"brokers":{{"h:1/1":{{"nodeid":1,"state":"UP","source":"learned"}}}},"topics":{{"t":{{"partitions":{{"-1":{},"0":{},"1":{}}}}}}}}}"#,
        partition(true),
        partition(false),
        partition(true),
    );
    let statistics: Statistics = serde_json::from_str(&text).unwrap();
    assert_eq!(statistics.partition_count("t"), Some(1));
    assert_eq!(statistics.partition_count("other"), None);
    assert!(statistics.is_up(1) && !statistics.is_up(2));
}

#[test]
fn partitions_behind_the_last_lane_that_is_read_count_as_added() {
    let partition = |number: u16| {
        format!(
            r#""{number}":{{"partition":{number},"leader":1,"unknown":false,"eof_offset":7,"lo_offset":0,"ls_offset":7,"hi_offset":8,"committed_offset":-1001,"fetchq_cnt":0,"leader_epoch":3}}"#
        )
    };
    let partitions = [0, 1, 2, 3].map(partition).join(",");
    let text = format!(r#"{{"brokers":{{}},"topics":{{"t":{{"partitions":{{{partitions}}}}}}}}}"#);
    let statistics: Statistics = serde_json::from_str(&text).unwrap();
    let mut lanes = Lanes::new(&from_start(2));
    assert_eq!(lanes.grow("t", &statistics).unwrap(), [Lane(2), Lane(3)]);
    assert!(lanes.grow("t", &statistics).unwrap().is_empty(), "once");
    let control = BTreeMap::from([(CONTROL_LANE, NextOffset(0))]);
    assert!(Lanes::new(&control).grow("t", &statistics).unwrap().is_empty());
}

#[test]
fn properties_stand_over_our_settings() {
    let mut config = config("localhost:1", "t");
    config.properties.insert("fetch.wait.max.ms".into(), "7".into());
    config.properties.insert("debug".into(), "fetch".into());
    for settings in [settings::consumer(&config), settings::control_consumer(&config)] {
        assert_eq!(settings.get("fetch.wait.max.ms"), Some("7"));
    }
    let settings = settings::consumer(&config);
    assert_eq!(settings.get("debug"), Some("broker,metadata,fetch"));
}

#[test]
fn a_property_that_librdkafka_does_not_know_is_an_error_of_configuration() {
    let mut config = config("localhost:1", "t");
    config.properties.insert("no.such.setting".into(), "1".into());
    let error = KafkaLog::open(&config).unwrap_err();
    assert!(
        matches!(&error, LogError::Configuration { detail } if detail.contains("no.such.setting")),
        "{error}"
    );
}

#[test]
#[cfg(not(feature = "tls"))]
fn tls_without_the_feature_is_an_error_that_names_it() {
    let mut config = config("localhost:1", "t");
    config.security_protocol = SecurityProtocol::Ssl;
    let error = KafkaLog::open(&config).unwrap_err();
    assert!(error.to_string().contains("cargo feature `tls`"), "{error}");
}

#[test]
fn a_founding_that_a_later_version_wrote_is_not_taken_for_none() {
    let at = |offset| RecordAt { offset: Offset(offset), time_ms: 1 };
    let entry = || FoundingEntry::new(true);
    let mut empty = entry();
    empty.take(None, at(0));
    assert_eq!(empty.founding(), Ok(None));
    let later = br#"{"id":"f1","form":2,"founding":{"partitioner":"murmur3","lanes":8}}"#;
    let mut unreadable = entry();
    unreadable.take(Some(later), at(1));
    let why = unreadable.founding().unwrap_err().to_string();
    assert!(why.contains("offset 1"), "{why}");
    // What stands can't be undone by it.
    let stands = Founding::first(Partitioner::Murmur2, 8);
    let record = ControlRecord {
        id: "f0".to_owned(),
        key: FOUNDING_KEY.to_owned(),
        expected_revision: Some(0),
        value: Some(stands.to_json()),
        ..ControlRecord::default()
    };
    let mut founded = entry();
    founded.take(Some(&record.encode().unwrap()), at(0));
    founded.take(Some(later), at(1));
    assert_eq!(founded.founding(), Ok(Some(stands)));
}

#[test]
fn a_producer_that_brings_something_through_is_kept_whatever_times_out() {
    let watch = TopicContext::new("contacts");
    let before = watch.acknowledged();
    watch.note_acknowledged();
    watch.note_timeout(before);
    assert!(!watch.producer_failed());
    watch.note_timeout(watch.acknowledged());
    assert!(watch.producer_failed());
}

#[test]
fn a_client_without_brokers_is_lost_only_when_it_stays_so() {
    use rdkafka::ClientContext as _;
    let context = TopicContext::new("t");
    let with = |source: &str| {
        let text =
            format!(r#"{{"brokers":{{"b":{{"nodeid":-1,"state":"INIT","source":"{source}"}}}}}}"#);
        context.stats_raw(text.as_bytes());
        context.has_lost_brokers()
    };
    for source in ["configured", "learned"] {
        assert!(!with("logical") && !with("internal") && !with(source), "{source}");
    }
    assert!(!with("logical") && !with("internal"));
    assert!(with("logical"));
    assert!(context.producer_failed());
    context.begin_anew();
    assert!(!context.has_lost_brokers());
}
