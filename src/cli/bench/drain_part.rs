//! What one process of `bench drain` does, and what it reports on standard output.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::app::{self, RunOptions, WorkerOptions};
use crate::config::{Config, Mode};
use crate::domain::position::{Lane, NextOffset};
use crate::event_log::kafka::drain_bare;
use crate::event_log::{ConsumeBounds, Delivery, EventLog};
use crate::telemetry::Metrics;

use super::super::offline;
use super::super::settings::SettingsArgs;
use super::hubspot::{self, PropertyChange};
use super::usage::{Stopwatch, ThreadSampler, directory_bytes, peak_resident_bytes};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Part {
    Read,
    Fields,
    Json,
    Drain,
}

impl Part {
    pub(super) const ALL: [Self; 4] = [Self::Read, Self::Fields, Self::Json, Self::Drain];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Fields => "fields",
            Self::Json => "json",
            Self::Drain => "drain",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Read => "reading alone",
            Self::Fields => "reading, JSON to typed borrowed fields",
            Self::Json => "reading, JSON to serde_json::Value",
            Self::Drain => "contactd",
        }
    }
}

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct DrainPartArgs {
    part: Part,
    #[arg(long)]
    events: u64,
}

/// One process's figures.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct PartReport {
    pub(super) wall_seconds: f64,
    pub(super) cpu_seconds: f64,
    pub(super) peak_resident_bytes: f64,
    /// CPU seconds by thread name; contactd only, like all below.
    pub(super) threads: BTreeMap<String, f64>,
    /// Wall seconds by stage of applying.
    pub(super) stages: BTreeMap<String, f64>,
    pub(super) sled_bytes: f64,
    pub(super) journal_bytes: f64,
    pub(super) exported_bytes: f64,
}

pub(super) fn run(settings: &SettingsArgs, args: &DrainPartArgs) -> anyhow::Result<()> {
    let config = settings.load(Mode::Serve, Vec::new())?;
    let is_hubspot = config.sources.contains_key(hubspot::NAME);
    let report = match args.part {
        Part::Read => read(&config, args.events, |_| {})?,
        Part::Fields if is_hubspot => read(&config, args.events, parse_property_change)?,
        Part::Fields if config.payments.enabled => {
            read(&config, args.events, super::payments::parse)?
        }
        Part::Fields => read(&config, args.events, parse_fields)?,
        Part::Json => read(&config, args.events, parse_json)?,
        Part::Drain => drain(config)?,
    };
    serde_json::to_writer(io::stdout(), &report)?;
    Ok(())
}

fn read(config: &Config, events: u64, mut each: impl FnMut(&[u8])) -> anyhow::Result<PartReport> {
    let log = offline::open_log(config)?;
    let lanes = log.lanes()?;
    let watch = Stopwatch::start();
    let records = match &log {
        EventLog::Kafka(_) => drain_bare(&config.kafka, lanes, each)?,
        EventLog::Embedded(_) => read_embedded(&log, lanes, &mut each)?,
    };
    anyhow::ensure!(records == events, "{records} records were read, {events} were produced");
    Ok(finished(&watch))
}

fn read_embedded(log: &EventLog, lanes: u16, each: &mut impl FnMut(&[u8])) -> anyhow::Result<u64> {
    let from = (0..lanes).map(|lane| (Lane(lane), NextOffset(0))).collect();
    let bounds = ConsumeBounds { records_max: 65_536, bytes_max: 64 << 20 };
    let mut consumer = log.consume(&from, bounds)?;
    let status = consumer.status();
    let mut records = 0;
    loop {
        match consumer.next(Duration::from_millis(50))? {
            Some(Delivery::Batch(batch)) => {
                for record in &batch.records {
                    records += 1;
                    each(record.value.map_or(&[], |value| value.of(&batch.arena)));
                }
            }
            Some(Delivery::CaughtUp(_)) => {}
            None if status.is_caught_up() => return Ok(records),
            None => {}
        }
    }
}

/// The least that any consumer of these events must do: find the fields, without copying them.
fn parse_fields(value: &[u8]) {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    #[expect(dead_code, reason = "parsed for the sake of the work")]
    struct Event<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
        event_type: Cow<'a, str>,
        timestamp: Cow<'a, str>,
        version: u64,
        source: Cow<'a, str>,
        data: Data<'a>,
    }
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "parsed for the sake of the work")]
    struct Data<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
        acme_first_name: Option<Cow<'a, str>>,
        acme_last_name: Option<Cow<'a, str>>,
        acme_email: Option<Cow<'a, str>>,
        acme_phone: Option<Cow<'a, str>>,
        acme_company: Option<Cow<'a, str>>,
        acme_title: Option<Cow<'a, str>>,
    }
    std::hint::black_box(serde_json::from_slice::<Event<'_>>(value).is_ok());
}

/// The same of HubSpot's.
fn parse_property_change(value: &[u8]) {
    std::hint::black_box(serde_json::from_slice::<PropertyChange<'_>>(value).is_ok());
}

/// What a consumer does that knows nothing of these events.
fn parse_json(value: &[u8]) {
    std::hint::black_box(serde_json::from_slice::<serde_json::Value>(value).is_ok());
}

/// The whole process as `serve` runs it, until the log's end is applied and checkpointed.
fn drain(config: Config) -> anyhow::Result<PartReport> {
    let metrics = Arc::new(Metrics::new()?);
    let options = RunOptions {
        worker: WorkerOptions { until_caught_up: true, ..WorkerOptions::default() },
        metrics: Some(Arc::clone(&metrics)),
        ..RunOptions::default()
    };
    let store = config.store.path.clone();
    let sampler = ThreadSampler::start();
    let watch = Stopwatch::start();
    app::run(config.clone(), options)?;
    let mut report = finished(&watch);
    report.threads = sampler.finish();
    report.stages = [
        ("stage decode", &metrics.stage_decode),
        ("stage plan", &metrics.stage_plan),
        ("stage encode", &metrics.stage_encode),
        ("stage journal", &metrics.stage_journal),
        ("stage memory", &metrics.stage_memory),
    ]
    .into_iter()
    .map(|(name, stage)| (name.to_owned(), stage.get_sample_sum()))
    .collect();
    // Its hooks hold the store open.
    drop(metrics);
    report.sled_bytes = directory_bytes(&store.join("sled")) as f64;
    report.journal_bytes = directory_bytes(&store.join("journal")) as f64;
    let mut exported = CountedBytes(0);
    offline::open_store(&config)?.reader.export(true, &mut exported)?;
    report.exported_bytes = exported.0 as f64;
    Ok(report)
}

fn finished(watch: &Stopwatch) -> PartReport {
    let spent = watch.spent();
    PartReport {
        wall_seconds: spent.wall_seconds,
        cpu_seconds: spent.cpu_seconds,
        peak_resident_bytes: peak_resident_bytes() as f64,
        ..PartReport::default()
    }
}

struct CountedBytes(u64);

impl Write for CountedBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
