//! What each stage of applying costs by itself, in microseconds an event: `cargo bench`.
//!
//! `contactd bench drain` measures the whole program beside its limit; this tells where to look.

#![expect(clippy::expect_used, reason = "a benchmark fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use contactd::apply::{DecodedBatch, Planner, Terms};
use contactd::config::{AccessLogTarget, Config, Mode};
use contactd::domain::founding::Founding;
use contactd::domain::partitioner::Partitioner;
use contactd::domain::position::{Lane, LogIdentity, LogKind, Offset};
use contactd::domain::record::RecordBatch;
use contactd::domain::rules::{InForce, LaneRules, RuleSet};
use contactd::simulate::{LoadGenerator, LoadOptions};
use contactd::store;
use contactd::telemetry::{AccessLine, AccessLog, Metrics};
use tokio_util::sync::CancellationToken;

const EVENTS: u64 = 400_000;
const CONTACTS: u32 = 100_000;
const BATCH: usize = 2048;
const LANE: Lane = Lane(0);

fn main() {
    let batches = batches();
    let rules = Arc::new(RuleSet::built_in().expect("the built-in rules"));
    let mut rules = LaneRules::beginning_with(1, InForce::at_founding(rules));
    let homes = Founding::first(Partitioner::Murmur2, 1);
    let started = Instant::now();
    let decoded: Vec<DecodedBatch> = batches
        .into_iter()
        .map(|batch| DecodedBatch::decode(&mut rules, homes, batch, Vec::new()).expect("rules").0)
        .collect();
    report("decode", started.elapsed());

    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut config = Config::built_in(Mode::Serve).expect("the built-in configuration").store;
    config.path = directory.path().join("store");
    let identity =
        LogIdentity { kind: LogKind::Embedded, cluster: "bench".into(), topic: "contacts".into() };
    let mut opened = store::open(config, Some(&identity), &|_| {}).expect("a new store");
    let mut planner = Planner::new(Terms::of(Founding::first(Partitioner::Murmur2, 1)));
    let (mut plan, mut encode, mut append, mut memory) = <(Duration, _, _, _)>::default();
    for batch in &decoded {
        let started = Instant::now();
        planner.plan(&mut opened.writer, batch).expect("a plan");
        plan += started.elapsed();
        let times = opened.writer.commit().expect("a commit").times;
        encode += times.encode;
        append += times.append;
        memory += times.memory;
    }
    for (stage, took) in
        [("plan", plan), ("encode", encode), ("journal", append), ("memory", memory)]
    {
        report(stage, took);
    }
    let started = Instant::now();
    opened.writer.checkpoint_now().expect("a checkpoint");
    report("checkpoint at the end", started.elapsed());
    access_log();
}

/// What a request pays for its line, with four threads that leave lines.
fn access_log() {
    const LINES: u64 = 1_000_000;
    const THREADS: u64 = 4;
    let metrics = Metrics::new().expect("metrics");
    let path = std::path::PathBuf::from("/dev/null");
    let target = AccessLogTarget::File { path, bytes_max: u64::MAX };
    let log = AccessLog::new(target, metrics.access_log.clone());
    let line = AccessLine {
        at: "2026-12-01T00:00:00.000Z",
        id: "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
        principal: Some("user:ada"),
        method: "GET",
        route: "/api/contacts/{id}",
        status: 200,
        ms: 0.251,
        bytes: Some(512),
    };
    let stop = CancellationToken::new();
    std::thread::scope(|threads| {
        let writer = threads.spawn(|| log.run(&stop));
        let started = Instant::now();
        let adding: Vec<_> = (0..THREADS)
            .map(|_| threads.spawn(|| (0..LINES / THREADS).for_each(|_| log.add(&line))))
            .collect();
        adding.into_iter().for_each(|thread| thread.join().expect("it adds its lines"));
        let took = started.elapsed();
        stop.cancel();
        writer.join().expect("it writes all lines");
        let micros = took.as_secs_f64() * 1e6 / LINES as f64;
        println!("{:<22} {micros:>6.2} us/request", "access log line");
    });
}

fn batches() -> Vec<RecordBatch> {
    let load = LoadOptions { events: EVENTS, contacts: CONTACTS, ..LoadOptions::default() };
    let mut batches = Vec::new();
    let mut batch = RecordBatch::new(LANE);
    for (offset, record) in LoadGenerator::new(&load).enumerate() {
        let offset = Offset(offset as u64);
        let (key, value) = (Some(record.key.as_slice()), record.value.as_deref());
        batch.push(offset, record.timestamp_ms, key, value, std::iter::empty());
        batch.next = offset.next();
        if batch.records.len() == BATCH {
            batches.push(std::mem::replace(&mut batch, RecordBatch::new(LANE)));
        }
    }
    batches.push(batch);
    batches
}

fn report(stage: &str, took: Duration) {
    println!("{stage:<22} {:>6.2} us/event", took.as_secs_f64() * 1e6 / EVENTS as f64);
}
