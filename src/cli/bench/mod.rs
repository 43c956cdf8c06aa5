//! `bench drain`, `latency` and `start`: this program measured beside its own limit, in one run.

mod usage;

use clap::{Args, Subcommand};

use super::settings::SettingsArgs;
use crate::cli::arguments::rate;
use crate::config::Mode;

/// What can be measured.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum BenchCommand {
    /// How fast a log that is full already is applied, stage by stage
    #[command(
        after_help = "The limit is reading and parsing the same records and nothing else, in \
        the same run.\n\nExamples:\n  contactd bench drain\n  KAFKA_BROKERS=host:9092 contactd bench \
        drain --events 1000000"
    )]
    Drain(DrainArgs),
    /// How long it takes from producing an event to reading its contact over HTTP
    Latency(LatencyArgs),
    /// How long `dev` takes from nothing until it is ready
    Start(StartArgs),
}

#[derive(Clone, Debug, Args)]
pub(super) struct DrainArgs {
    /// Records in all
    #[arg(long, default_value_t = 1_000_000)]
    pub(super) events: u64,
    /// Contacts that they are about
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) contacts: u32,
    /// Equal seeds give equal events
    #[arg(long, default_value_t = 42)]
    pub(super) seed: u64,
    /// Partitions of the topic or log that is made for this
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) partitions: u16,
    /// How often
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rounds: u32,
}

#[derive(Clone, Debug, Args)]
pub(super) struct LatencyArgs {
    /// Events a second
    #[arg(long, default_value_t = 2000.0, value_parser = rate)]
    pub(super) rate: f64,
    /// For how long
    #[arg(long, default_value_t = 10)]
    pub(super) seconds: u64,
}

#[derive(Clone, Debug, Args)]
pub(super) struct StartArgs {
    /// How often
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rounds: u32,
}

pub(super) fn run(settings: &SettingsArgs, command: &BenchCommand) -> anyhow::Result<()> {
    let _config = settings.load(Mode::Serve, Vec::new())?;
    match command {
        BenchCommand::Drain(_) | BenchCommand::Latency(_) | BenchCommand::Start(_) => {
            anyhow::bail!("not there yet")
        }
    }
}
