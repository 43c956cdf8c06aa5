//! `bench drain`: fills a log, then drains it in rounds of four processes: reading alone, reading and
//! parsing in two ways, and contactd with everything on.

use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use crate::config::{Config, Mode};
use crate::domain::position::Lane;
use crate::event_log::kafka::{KafkaLog, TopicPlan};
use crate::event_log::{EventLog, NewRecord};
use crate::simulate::{LoadGenerator, LoadOptions, LoadRecord};

use super::super::offline::open_log;
use super::super::output;
use super::super::produce::now_ms;
use super::super::progress;
use super::super::settings::SettingsArgs;
use super::drain_part::{Part, PartReport};
use super::fill::append_all;
use super::hubspot;
use super::payments::OfPayments;
use super::table::{median, megabytes, print, thousands};

/// A limit below this many events a second says that the machine was busy with something else.
const QUIET_LIMIT: f64 = 250_000.0;

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct DrainArgs {
    /// Records in all
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Contacts that they are about
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..))]
    contacts: u32,
    /// Equal seeds give equal events
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Partitions of the topic or log that is made for this
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    partitions: u16,
    /// How often; the medians are shown
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Whose records: contactd's own names, single property changes as HubSpot's webhooks have them, or
    /// payments
    #[arg(long, value_enum, default_value = "acme")]
    preset: Records,
}

/// Whose records the log is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Records {
    Acme,
    #[value(name = "hubspot")]
    HubSpot,
    Payments,
}

pub(super) fn run(settings: &SettingsArgs, args: &DrainArgs) -> anyhow::Result<()> {
    let directory = tempfile::tempdir().context("making a temporary directory")?;
    let settings = own_settings(settings, args, directory.path())?;
    let config = settings.load(Mode::Serve, Vec::new())?;
    fill(&config, args)?;
    let mut reports: Vec<(Part, PartReport)> = Vec::new();
    let bar = progress::bar(Some(u64::from(args.rounds) * Part::ALL.len() as u64), "measuring");
    for round in 0..args.rounds {
        for part in Part::ALL {
            // A store of its own each time.
            let store = directory.path().join(format!("store-{round}"));
            let report = measure(&settings, part, &store, args.events)?;
            reports.push((part, report));
            bar.inc(1);
            std::fs::remove_dir_all(&store).ok();
        }
    }
    bar.finish_and_clear();
    show(&config, args, &reports);
    Ok(())
}

/// The user's settings with a topic or a log of the benchmark's own.
fn own_settings(
    settings: &SettingsArgs,
    args: &DrainArgs,
    directory: &std::path::Path,
) -> anyhow::Result<SettingsArgs> {
    let mut topic = format!(
        "contactd-bench-{}-{}-{}-{}",
        args.events, args.contacts, args.seed, args.partitions
    );
    let mut settings = settings.clone();
    match args.preset {
        Records::Acme => {}
        Records::HubSpot => {
            topic.push_str("-hubspot");
            let key = format!("source.{}.preset", hubspot::NAME);
            settings.set.push((key, "hubspot".to_owned()));
        }
        Records::Payments => {
            topic.push_str("-payments");
            settings.set.push(("payments.enabled".to_owned(), "true".to_owned()));
        }
    }
    own_log(&settings, topic, args.partitions, directory)
}

/// The user's settings with that topic, or with a log in the directory.
pub(super) fn own_log(
    settings: &SettingsArgs,
    topic: String,
    partitions: u16,
    directory: &std::path::Path,
) -> anyhow::Result<SettingsArgs> {
    let kafka = settings.load(Mode::Serve, Vec::new())?.follows_kafka();
    let mut own = settings.clone();
    let mut set = |key: &str, value: String| own.set.push((key.to_owned(), value));
    set("kafka.control_topic", format!("{topic}.control"));
    set("kafka.topic", topic);
    set("server.listen", "127.0.0.1:0".to_owned());
    if !kafka {
        set("embedded_log.path", directory.join("log").to_string_lossy().into_owned());
        set("embedded_log.partitions", partitions.to_string());
    }
    Ok(own)
}

/// Fills the log, unless a topic of this name holds it all already.
fn fill(config: &Config, args: &DrainArgs) -> anyhow::Result<()> {
    if config.follows_kafka() {
        let plan = TopicPlan::contacts(args.partitions, None);
        KafkaLog::open(&config.kafka)?.ensure_topic(plan)?;
    }
    let log = open_log(config)?;
    let (low, high) = held(&log)?;
    if (low, high) == (0, args.events) {
        return Ok(());
    }
    if high != 0 {
        bail!(
            "topic {} holds something else than {} records: delete it",
            config.kafka.topic,
            args.events
        );
    }
    let bar = progress::bar(Some(args.events), format!("filling {}", config.kafka.topic));
    let generator = LoadGenerator::new(&LoadOptions {
        events: args.events,
        contacts: args.contacts,
        seed: args.seed,
        ..LoadOptions::default()
    });
    let mut payments = OfPayments::default();
    // Retention goes by the record's time.
    let record = move |made: LoadRecord| {
        let record = match args.preset {
            Records::Acme => made.into(),
            Records::HubSpot => hubspot::of_hubspot(&made),
            Records::Payments => payments.next(&made),
        };
        NewRecord { timestamp_ms: now_ms(), ..record }
    };
    append_all(&log, &bar, generator.map(record))
}

/// The sums of where the lanes begin and end.
fn held(log: &EventLog) -> anyhow::Result<(u64, u64)> {
    let lanes = log.lanes()?;
    let (mut low, mut high) = (0, 0);
    for lane in (0..lanes).map(Lane) {
        let range = log.watermarks(lane)?;
        low += range.low.0;
        high += range.high.0;
    }
    Ok((low, high))
}

/// Runs one part in a process of its own.
pub(super) fn measure(
    settings: &SettingsArgs,
    part: Part,
    store: &std::path::Path,
    events: u64,
) -> anyhow::Result<PartReport> {
    let mut command = Command::new(std::env::current_exe()?);
    if let Some(config) = &settings.config {
        command.arg("--config").arg(config);
    }
    for (key, value) in &settings.set {
        command.arg("--set").arg(format!("{key}={value}"));
    }
    let child = command
        .arg("--path")
        .arg(store)
        .args(["bench", "drain-part", part.as_str(), "--events", &events.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .context("starting the measured process")?;
    if !child.status.success() {
        bail!("the measured process {} failed: {}", part.as_str(), child.status);
    }
    serde_json::from_slice(&child.stdout).context("reading the measured process's report")
}

fn show(config: &Config, args: &DrainArgs, reports: &[(Part, PartReport)]) {
    let figure = |part: Part, value: fn(&PartReport) -> f64| {
        let own = reports.iter().filter(|(of, _)| *of == part);
        median(own.map(|(_, report)| value(report)).collect())
    };
    let place = if config.follows_kafka() { "Kafka" } else { "the embedded log" };
    output::show(format_args!(
        "{} events over {} contacts, {} partitions, {place}, {} cores, median of {} rounds\n",
        thousands(args.events as f64),
        thousands(f64::from(args.contacts)),
        args.partitions,
        std::thread::available_parallelism().map_or(0, usize::from),
        args.rounds,
    ));
    let events = args.events as f64;
    let rate = |part| events / figure(part, |report| report.wall_seconds);
    let of = |part, limit| format!("{:.2}", rate(part) / rate(limit));
    let rows: Vec<Vec<String>> = Part::ALL
        .into_iter()
        .map(|part| {
            vec![
                part.title().to_owned(),
                thousands(rate(part)),
                format!("{:.2}", figure(part, |report| report.cpu_seconds) * 1e6 / events),
                megabytes(figure(part, |report| report.peak_resident_bytes)),
                of(part, Part::Fields),
                of(part, Part::Json),
            ]
        })
        .collect();
    let head = ["", "events/s", "CPU us/event", "peak memory", "of fields", "of Value"];
    print(&head, &rows);
    if rate(Part::Read) < QUIET_LIMIT {
        output::show(format_args!(
            "\nnoisy: reading alone should reach {} events/s here",
            thousands(QUIET_LIMIT)
        ));
    }
    show_threads(reports, events);
    let (sled, exported) = (
        figure(Part::Drain, |report| report.sled_bytes),
        figure(Part::Drain, |report| report.exported_bytes),
    );
    output::show(format_args!(
        "\non disk: sled {} ({:.1} x the {} exported), journal {}",
        megabytes(sled),
        sled / exported.max(1.0),
        megabytes(exported),
        megabytes(figure(Part::Drain, |report| report.journal_bytes)),
    ));
}

/// Where contactd's CPU went, by thread, in the last round.
fn show_threads(reports: &[(Part, PartReport)], events: f64) {
    let Some((_, report)) = reports.iter().rev().find(|(part, _)| *part == Part::Drain) else {
        return;
    };
    output::show("\ncontactd by thread and stage, last round");
    let mut rows: Vec<Vec<String>> = Vec::new();
    let row = |(name, seconds): (&String, &f64)| {
        vec![format!("  {name}"), format!("{:.2}", seconds * 1e6 / events)]
    };
    rows.extend(report.threads.iter().map(row));
    rows.extend(report.stages.iter().map(row));
    print(&["", "us/event"], &rows);
}
