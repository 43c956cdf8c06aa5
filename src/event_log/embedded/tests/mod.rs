//! The embedded log: the contract, and what only it promises; `faults` breaks things.

mod faults;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::*;
use crate::domain::Class;
use crate::event_log::{Delivery, EventLog, contract};

const DIR: &str = "CONTACTD_TEST_LOG";
const BOUNDS: ConsumeBounds = ConsumeBounds { records_max: 1000, bytes_max: 1 << 20 };

fn options(path: &Path) -> EmbeddedOptions {
    EmbeddedOptions {
        path: path.to_owned(),
        topic: "contacts".into(),
        partitions: 3,
        segment_bytes_max: 64 << 10,
        retention_bytes: None,
        retention_age: None,
    }
}

/// Mostly what is written is under test here, not the disk, whose fsyncs take their time.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn open(path: &Path) -> EmbeddedLog {
    EmbeddedLog::open(options(path)).unwrap()
}

fn record(number: u64) -> NewRecord {
    NewRecord {
        key: number.to_le_bytes().to_vec(),
        value: Some(vec![b'v'; 100]),
        headers: vec![("h".into(), Some(vec![1])), ("none".into(), None)],
        timestamp_ms: number as i64,
        lane: None,
    }
}

/// Appends records `from..to` in bulk.
fn fill(log: &EmbeddedLog, from: u64, to: u64) {
    log.append_blocking((from..to).map(record).collect()).unwrap();
    log.flush().unwrap();
}

fn append_one(log: &EmbeddedLog, record: NewRecord) -> Result<Ack, LogError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(log.append(vec![record])).map(|acks| acks[0])
}

fn starts(lanes: u16) -> BTreeMap<Lane, NextOffset> {
    (0..lanes).map(|lane| (Lane(lane), NextOffset(0))).collect()
}

fn ends(log: &EmbeddedLog) -> BTreeMap<Lane, NextOffset> {
    (0..3).map(|lane| (Lane(lane), log.watermarks(Lane(lane)).unwrap().high)).collect()
}

/// The numbers of `count` records read from the start, sorted; each lane must be in order.
fn numbers(log: &EmbeddedLog, count: usize) -> Vec<i64> {
    let mut consumer = log.consume(&starts(3), BOUNDS).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut numbers = Vec::new();
    while numbers.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} came", numbers.len());
        if let Some(Delivery::Batch(batch)) = consumer.next(Duration::from_millis(100)).unwrap() {
            assert!(batch.records.is_sorted_by_key(|record| record.timestamp_ms));
            numbers.extend(batch.records.iter().map(|record| record.timestamp_ms));
        }
    }
    numbers.sort_unstable();
    numbers
}

/// This test binary again, with only the named test, the directory given and a fault armed.
fn run_again(test: &str, fault: &str, dir: &Path) -> Child {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", &format!("event_log::embedded::tests::{test}"), "--nocapture"]);
    child.env("CONTACTD_FAULT", fault).env(DIR, dir).stdout(Stdio::null()).spawn().unwrap()
}

fn given_dir() -> Option<PathBuf> {
    env::var_os(DIR).map(Into::into)
}

#[test]
fn contract_holds() {
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::Embedded(Arc::new(open(dir.path())));
    contract::check_all(&log).unwrap();
    log.shutdown().unwrap();
}

#[test]
fn everything_is_there_after_reopening() {
    let dir = in_memory();
    let identity = open(dir.path()).identity().unwrap();
    for run in 0..4 {
        let log = open(dir.path());
        assert_eq!(log.identity().unwrap(), identity);
        assert_eq!(ends(&log).values().map(|end| end.0).sum::<u64>(), run * 1000);
        fill(&log, run * 1000, run * 1000 + 1000);
    }
    let log = open(dir.path());
    assert!(log.open_report().unwrap().segments > 3);
    assert!(numbers(&log, 4000).into_iter().eq(0..4000));
    let another = in_memory();
    assert_ne!(open(another.path()).identity().unwrap().cluster, identity.cluster);
}

#[test]
fn other_configuration_is_refused_by_name() {
    let dir = in_memory();
    drop(open(dir.path()));
    let error =
        EmbeddedLog::open(EmbeddedOptions { partitions: 4, ..options(dir.path()) }).unwrap_err();
    assert!(error.to_string().ends_with("partitions = 3, the configuration says 4"), "{error}");
    let error =
        EmbeddedLog::open(EmbeddedOptions { topic: "people".into(), ..options(dir.path()) })
            .unwrap_err();
    assert!(
        error.to_string().ends_with("topic = contacts, the configuration says people"),
        "{error}"
    );
    fs::write(dir.path().join("log.json"), "{}").unwrap();
    assert!(matches!(EmbeddedLog::open(options(dir.path())), Err(LogError::Meta { .. })));
}

#[test]
fn second_writer_is_refused_until_the_first_is_gone() {
    let dir = in_memory();
    let log = open(dir.path());
    let error = EmbeddedLog::open(options(dir.path())).unwrap_err();
    assert!(matches!(error, LogError::Locked { .. }), "{error}");
    drop(log);
    open(dir.path());
}

#[test]
fn reader_never_writes_and_closed_log_takes_nothing() {
    let dir = in_memory();
    assert!(matches!(EmbeddedLog::open_read_only(dir.path()), Err(LogError::Configuration { .. })));
    let log = open(dir.path());
    let reader = EmbeddedLog::open_read_only(dir.path()).unwrap();
    assert!(matches!(append_one(&reader, record(1)), Err(LogError::ReadOnly { .. })));
    log.shutdown().unwrap();
    assert!(matches!(append_one(&log, record(1)), Err(LogError::Closed { .. })));
    assert!(matches!(log.append_blocking(vec![record(1)]), Err(LogError::Closed { .. })));
}

#[test]
fn records_that_no_lane_takes_are_refused() {
    let dir = in_memory();
    let log = open(dir.path());
    let nowhere = NewRecord { lane: Some(Lane(3)), ..record(1) };
    assert!(matches!(append_one(&log, nowhere), Err(LogError::UnknownLane { .. })));
    let large = NewRecord { value: Some(vec![0; RECORD_BYTES_MAX]), ..record(1) };
    let error = append_one(&log, large).unwrap_err();
    assert_eq!(error.class(), Class::Poison);
    assert_eq!(ends(&log), starts(3));
}

#[test]
fn appends_that_wait_together_share_a_frame() {
    let dir = in_memory();
    let log = open(dir.path());
    let Role::Writer(appender) = &log.role else { panic!("opened for writing") };
    // As long as this is held, whatever is appended waits.
    let mut held = Some(appender.writer.lock());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let appends = (0..500).map(|number| log.append(vec![record(number)]));
    let mut pinned: Vec<_> = appends.map(Box::pin).collect();
    let all = std::future::poll_fn(|context| {
        pinned.retain_mut(|append| append.as_mut().poll(context).is_pending());
        held = None;
        if pinned.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    });
    // The first poll has to reach every append, more of them than a task's budget allows.
    runtime.block_on(tokio::task::unconstrained(all));
    drop(pinned);
    let frames = log.frames.reader.end().unwrap();
    // The lanes, what the committer had in hand, and all that waited for it.
    assert!(frames.0 <= 4, "500 appends took {frames} frames");
    assert!(numbers(&log, 500).into_iter().eq(0..500));
}

#[test]
fn second_process_reads_while_the_first_writes() {
    const RECORDS: usize = 3000;
    if let Some(dir) = given_dir() {
        let log = EmbeddedLog::open_read_only(&dir).unwrap();
        assert!(numbers(&log, RECORDS).into_iter().eq(0..RECORDS as i64));
        assert_eq!(ends(&log).values().map(|end| end.0).sum::<u64>(), RECORDS as u64);
        assert_eq!(log.read_one(Lane(0), Offset(0)).unwrap().unwrap().value.unwrap().len(), 100);
        return;
    }
    let dir = in_memory();
    let log = open(dir.path());
    let mut child = run_again("second_process_reads_while_the_first_writes", "", dir.path());
    for number in 0..RECORDS as u64 {
        if number % 10 == 0 {
            append_one(&log, record(number)).unwrap();
        } else {
            log.append_blocking(vec![record(number)]).unwrap();
        }
    }
    log.flush().unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn retention_keeps_what_lies_above_the_limit() {
    let dir = in_memory();
    let log =
        EmbeddedLog::open(EmbeddedOptions { retention_bytes: Some(50_000), ..options(dir.path()) })
            .unwrap();
    for portion in 0..100 {
        fill(&log, portion * 100, portion * 100 + 100);
    }
    let now = SystemTime::now();
    let before = log.bytes();
    assert_eq!(log.retain(&starts(3), now).unwrap(), 0);
    let halves = ends(&log).into_iter().map(|(lane, end)| (lane, NextOffset(end.0 / 2))).collect();
    let removed = log.retain(&halves, now).unwrap();
    assert!(removed > before / 4 && removed < before / 2 + 1, "{removed} of {before}");
    for (lane, half) in halves {
        let low = log.watermarks(lane).unwrap().low;
        assert!(low.0 > 0 && low.0 <= half.0, "{low} of {half}");
        assert!(log.read_one(lane, low).unwrap().is_some());
        assert!(log.read_one(lane, Offset(low.0 - 1)).unwrap().is_none());
        let below = BTreeMap::from([(lane, NextOffset(low.0 - 1))]);
        let error = log.consume(&below, BOUNDS).unwrap_err();
        assert!(matches!(error, LogError::OffsetOutOfRange { .. }), "{error}");
    }
    log.retain(&ends(&log), now).unwrap();
    assert!(log.bytes() <= 150_000 + (64 << 10), "{}", log.bytes());
    drop(log);
    let log = EmbeddedLog::open(EmbeddedOptions {
        retention_age: Some(Duration::from_secs(60)),
        ..options(dir.path())
    })
    .unwrap();
    assert_eq!(log.retain(&ends(&log), now).unwrap(), 0);
    assert!(log.retain(&ends(&log), now + Duration::from_secs(3600)).unwrap() > 0);
}
