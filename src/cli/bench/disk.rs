//! `bench disk`: one store takes load after load that really changes its contacts, and sled's files
//! are compared with what they hold after each.

use anyhow::Context as _;
use clap::Args;

use crate::config::Mode;
use crate::event_log::NewRecord;
use crate::event_log::kafka::{KafkaLog, TopicPlan};
use crate::simulate::{LoadGenerator, LoadOptions, LoadRecord};

use super::super::offline::open_log;
use super::super::produce::now_ms;
use super::super::progress;
use super::super::settings::SettingsArgs;
use super::drain::{measure, own_log};
use super::drain_part::Part;
use super::fill::append_all;
use super::table::{megabytes, print, thousands};

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct DiskArgs {
    /// Records of each round
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
    /// How often
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

pub(super) fn run(settings: &SettingsArgs, args: &DiskArgs) -> anyhow::Result<()> {
    let directory = tempfile::tempdir().context("making a temporary directory")?;
    let topic = format!("contactd-bench-disk-{}", now_ms());
    let settings = own_log(settings, topic, args.partitions, directory.path())?;
    let config = settings.load(Mode::Serve, Vec::new())?;
    if config.follows_kafka() {
        let plan = TopicPlan::contacts(args.partitions, None);
        KafkaLog::open(&config.kafka)?.ensure_topic(plan)?;
    }
    // One stream over all rounds: times and versions move on, and the values with them.
    let mut load = LoadGenerator::new(&LoadOptions {
        events: args.events.saturating_mul(args.rounds.into()),
        contacts: args.contacts,
        seed: args.seed,
        ..LoadOptions::default()
    });
    let store = directory.path().join("store");
    let mut rows = Vec::new();
    for round in 1..=args.rounds {
        let bar = progress::bar(Some(args.events), format!("filling, round {round}"));
        let records = load.by_ref().take(usize::try_from(args.events)?);
        // Retention goes by the record's time.
        let record = |made: LoadRecord| NewRecord { timestamp_ms: now_ms(), ..made.into() };
        append_all(&open_log(&config)?, &bar, records.map(record))?;
        let report = measure(&settings, Part::Drain, &store, args.events)?;
        rows.push(vec![
            round.to_string(),
            thousands(args.events as f64 / report.wall_seconds),
            megabytes(report.sled_bytes),
            megabytes(report.exported_bytes),
            format!("{:.2}", report.sled_bytes / report.exported_bytes.max(1.0)),
            megabytes(report.journal_bytes),
            megabytes(report.peak_resident_bytes),
        ]);
    }
    let head =
        ["round", "events/s", "sled", "exported", "sled / exported", "journal", "peak memory"];
    print(&head, &rows);
    Ok(())
}
