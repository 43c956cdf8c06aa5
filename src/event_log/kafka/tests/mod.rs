//! The Kafka log on librdkafka's mock cluster always, and on real Kafka where one is named.
//!
//! The mock cluster can't: refuse a topic that is missing (it makes it), tell or change topic
//! settings, delete or re-create topics, add partitions, authenticate, encrypt, keep transactions
//! apart, enforce the brokers' size limit, or hold more than 5 MiB a partition.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::config::{KafkaConfig, PartitionerChoice, Secret, SecurityProtocol};
use crate::domain::position::{Lane, NextOffset, Offset};
use crate::domain::record::RecordBatch;

use super::produce::block_on;
use super::*;

mod emptied;
mod mock;
mod pure;
mod real;
mod restart;

/// What any wait in these tests may take before it counts as failed.
const DEADLINE: Duration = Duration::from_secs(60);
const BOUNDS: ConsumeBounds = ConsumeBounds { records_max: 4096, bytes_max: 1 << 20 };

/// A topic name that no other test uses.
fn topic_name(test: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("contactd-test-{test}-{}-{number}-{}", std::process::id(), now.as_millis())
}

fn config(brokers: &str, topic: &str) -> KafkaConfig {
    KafkaConfig {
        brokers: vec![brokers.to_owned()],
        client_id: format!("{topic}-client"),
        topic: topic.to_owned(),
        control_topic: format!("{topic}.control"),
        retention: None,
        control_retention: None,
        partitioner: PartitionerChoice::Auto,
        security_protocol: SecurityProtocol::Plaintext,
        sasl_mechanism: String::new(),
        sasl_username: String::new(),
        sasl_password: None,
        ssl_ca_location: None,
        ssl_certificate_location: None,
        ssl_key_location: None,
        ssl_key_password: None,
        linger: Duration::ZERO,
        properties: BTreeMap::new(),
    }
}

/// The environment variable's value; without it the test is skipped, loudly, or failed where
/// services are required.
fn service(variable: &str, test: &str) -> Option<String> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        assert!(
            std::env::var("CONTACTD_TEST_REQUIRE_SERVICES").as_deref() != Ok("1"),
            "{test} needs {variable}; start the services with tests/services/up",
        );
        // Past the capture of a passing test's output.
        use std::io::Write;
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: {test}: {variable} is not set (tests/services/up)"
        );
    }
    value
}

#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::yield_now();
    }
}

fn record(key: &str, value: &str) -> NewRecord {
    NewRecord {
        key: key.as_bytes().to_vec(),
        value: Some(value.as_bytes().to_vec()),
        timestamp_ms: 1_790_000_000_123,
        ..NewRecord::default()
    }
}

fn records(range: std::ops::Range<usize>) -> Vec<NewRecord> {
    range.map(|n| record(&format!("contact-{n}"), &format!("value-{n}"))).collect()
}

fn from_start(lanes: u16) -> BTreeMap<Lane, NextOffset> {
    (0..lanes).map(|lane| (Lane(lane), NextOffset(0))).collect()
}

/// Everything that was read, by lane: offset and value.
type Read = BTreeMap<Lane, Vec<(u64, String)>>;

fn keep(read: &mut Read, batch: &RecordBatch) {
    let lane = read.entry(batch.lane).or_default();
    for record in &batch.records {
        let value = batch.value(record).unwrap_or(b"(null)");
        lane.push((record.offset.0, String::from_utf8_lossy(value).into_owned()));
    }
}

/// Reads until `count` records came in all.
#[track_caller]
fn read(consumer: &mut Consumer, read: &mut Read, count: usize) {
    let deadline = Instant::now() + DEADLINE;
    while read.values().map(Vec::len).sum::<usize>() < count {
        assert!(Instant::now() < deadline, "only {read:?}");
        if let Some(Delivery::Batch(batch)) = consumer.next(Duration::from_millis(50)).unwrap() {
            keep(read, &batch);
        }
    }
}

/// Reads until the consumer fails.
#[track_caller]
fn read_until_failure(consumer: &mut Consumer, read: &mut Read) -> LogError {
    let deadline = Instant::now() + DEADLINE;
    loop {
        assert!(Instant::now() < deadline, "no failure; status {:?}", consumer.status());
        match consumer.next(Duration::from_millis(50)) {
            Ok(Some(Delivery::Batch(batch))) => keep(read, &batch),
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

/// No record twice, none missing, none out of order, from offset 0 on.
#[track_caller]
fn assert_gapless(read: &Read, count: usize) {
    let mut values = std::collections::BTreeSet::new();
    for (lane, records) in read {
        for (place, (offset, value)) in records.iter().enumerate() {
            assert_eq!(*offset, place as u64, "lane {lane}");
            assert!(values.insert(value), "twice: {value}");
        }
    }
    assert_eq!(values.len(), count);
}
