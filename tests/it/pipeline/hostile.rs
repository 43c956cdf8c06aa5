//! Hostile records by the hundred thousand: nothing panics or stalls, each has its verdict, and what
//! is set aside is kept as it came.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contactd::apply::{ApplyOptions, Pipeline, Progress, Terms};
use contactd::domain::position::{Lane, NextOffset};
use contactd::domain::record::{Headers, RecordKind, owned_headers};
use contactd::domain::verdict::Verdict;
use contactd::event_log::embedded::{EmbeddedLog, EmbeddedOptions};
use contactd::event_log::{ConsumeBounds, EventLog};
use contactd::simulate::{HOSTILE_NUMBER, hostile};
use contactd::store::journal::{Letter, Outcome};
use contactd::store::{self, Journal, Opened, StoreConfig};
use contactd::telemetry::Metrics;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64;

use crate::support::follower::begin;
use crate::support::load::new_record;

/// How many, where nothing else is said.
const RECORDS: u64 = 100_000;
/// Says how many.
const RECORDS_VARIABLE: &str = "CONTACTD_HOSTILE_RECORDS";
const SEED_VARIABLE: &str = "CONTACTD_HOSTILE_SEED";
const LANES: u16 = 4;
/// Of a value above this the head is kept.
const KEPT_MAX: usize = 64 << 10;
const HEAD: usize = 4 << 10;
/// A record takes far less; a stall takes for ever.
const RECORD_TIME_MAX: Duration = Duration::from_millis(2);

fn number(variable: &str, otherwise: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(otherwise, |text| text.parse().expect("a number"))
}

fn filled_log(dir: &Path, seed: u64, records: u64) -> EventLog {
    let log = EmbeddedLog::open(EmbeddedOptions {
        path: dir.to_owned(),
        topic: "contacts".to_owned(),
        partitions: LANES,
        segment_bytes_max: 64 << 20,
        retention_bytes: None,
        retention_age: None,
    });
    let log = EventLog::Embedded(Arc::new(log.expect("the embedded log opens")));
    for first in (0..records).step_by(1_000) {
        let chunk = first..records.min(first + 1_000);
        let chunk = chunk.map(|number| new_record(hostile(seed, number))).collect();
        log.append_blocking(chunk).expect("an append");
    }
    log.flush().expect("all appends");
    log
}

/// Applies the whole log; what the metrics say of it.
fn apply(dir: &Path, log: &EventLog) -> BTreeMap<String, f64> {
    let identity = log.identity().expect("the log answers");
    let opened = store::open(StoreConfig::at(dir), Some(&identity), &|_| {});
    let Opened { mut writer, .. } = opened.expect("the store opens");
    begin(&mut writer);
    let from = (0..LANES).map(|lane| (Lane(lane), NextOffset(0))).collect();
    let bounds = ConsumeBounds { records_max: 16_384, bytes_max: 8 << 20 };
    let mut consumer = log.consume(&from, bounds).expect("the log is read");
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    let pipeline = Pipeline {
        terms: Terms::of(log.founding().expect("a founding")),
        options: ApplyOptions { batch_records_max: 4_096, batch_bytes_max: 4 << 20 },
        lanes: metrics.lanes("contacts", LANES),
        control_lane: metrics.lanes("control", 1),
        metrics: Arc::clone(&metrics),
        topic: "contacts".to_owned(),
        control_topic: "control".to_owned(),
        progress: Arc::new(Progress::default()),
        until_caught_up: true,
    };
    let stop = CancellationToken::new();
    pipeline.run(&mut consumer, &mut writer, &stop).expect("it ends when all is applied");
    writer.close().expect("a last checkpoint");
    let text = metrics.render().expect("the metrics");
    let lines = String::from_utf8(text).expect("text");
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    lines.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect()
}

fn sum(metrics: &BTreeMap<String, f64>, name: &str) -> u64 {
    let of_name = metrics.iter().filter(|(sample, _)| sample.split('{').next() == Some(name));
    of_name.map(|(_, value)| *value as u64).sum()
}

/// Holds a dead letter against the record that it must have been.
#[track_caller]
fn assert_kept(letter: &Letter<'_>, seed: u64) {
    let headers = owned_headers(Headers::new(letter.headers));
    let (_, number) = headers.iter().find(|(name, _)| name == HOSTILE_NUMBER).expect("its number");
    let number = number
        .as_deref()
        .and_then(|text| std::str::from_utf8(text).ok())
        .and_then(|text| text.parse().ok());
    let record = hostile(seed, number.expect("a number"));
    let what = format!("record {number:?}, {}: {}", letter.reason, letter.detail);
    let key = Some(record.key.as_slice()).filter(|key| !key.is_empty());
    assert_eq!(letter.key, key, "{what}");
    assert_eq!(headers, record.headers, "{what}");
    let kept = |value: &[u8]| if value.len() > KEPT_MAX { HEAD } else { value.len() };
    let head = record.value.as_ref().map(|value| &value[..kept(value)]);
    assert!(letter.value == head, "{what}");
    let value = record.value.unwrap_or_default();
    assert_eq!(
        (letter.value_len, letter.value_hash),
        (value.len() as u64, xxh3_64(&value)),
        "{what}"
    );
    assert!(letter.detail.len() < 4_096, "{what}");
}

#[test]
fn every_hostile_record_has_its_verdict_and_is_kept_as_it_came() {
    let (seed, records) = (number(SEED_VARIABLE, 5), number(RECORDS_VARIABLE, RECORDS));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let started = Instant::now();
    let log = filled_log(&dir.path().join("log"), seed, records);
    let filled = started.elapsed();
    let metrics = apply(&dir.path().join("store"), &log);
    let took = started.elapsed();
    assert!(took < RECORD_TIME_MAX * records as u32 + Duration::from_secs(20), "{took:?}");
    let mut verdicts: BTreeMap<&str, u64> = BTreeMap::new();
    let journal = Journal::open(&dir.path().join("store/journal")).expect("the journal opens");
    let mut scratch = Vec::new();
    for frame in journal.frames_from(journal.first().expect("its beginning")) {
        let entries = frame.expect("a whole frame").for_each(&mut scratch, |entry| {
            if entry.record_kind == RecordKind::Marker {
                return Ok(());
            }
            *verdicts.entry(entry.verdict.as_str()).or_default() += 1;
            if let Outcome::DeadLettered(letter) = &entry.outcome {
                assert_kept(letter, seed);
            }
            Ok(())
        });
        entries.expect("readable entries");
    }
    eprintln!("{records} records: filled in {filled:?}, applied by {took:?}, {verdicts:?}");
    assert_eq!(verdicts.values().sum::<u64>(), records, "{verdicts:?}");
    assert_eq!(sum(&metrics, "contactd_events_applied_total"), records);
    assert_eq!(sum(&metrics, "contactd_consumer_records_total"), records);
    for verdict in Verdict::ALL {
        let name = format!("contactd_events_applied_total{{result=\"{verdict}\"}}");
        let counted = verdicts.get(verdict.as_str()).copied().unwrap_or_default();
        assert_eq!(metrics[&name] as u64, counted, "{verdict}");
    }
    let set_aside = verdicts[Verdict::DeadLettered.as_str()];
    assert_eq!(sum(&metrics, "contactd_dead_letter_total"), set_aside);
    // Neither all right nor all wrong: what is right among them is applied.
    assert!(set_aside > records / 3 && verdicts["applied"] > records / 20, "{verdicts:?}");
}
