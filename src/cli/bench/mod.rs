//! `bench`: this program measured beside its own limit, in one run.
//!
//! Whatever is measured runs in a process of its own, so that memory and CPU are its own too.

mod drain;
mod drain_part;
mod fill;
mod latency;
mod start;
mod table;
mod usage;

use clap::Subcommand;

use super::settings::SettingsArgs;

use drain::DrainArgs;
use drain_part::DrainPartArgs;
use latency::LatencyArgs;
use start::{RecoveryArgs, StartArgs};

/// What can be measured.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum BenchCommand {
    /// How fast a log that is full already is applied, and what it costs
    #[command(
        after_help = "The limit is reading the same records alone, and reading and parsing them, \
        in the same run. Makes a topic `contactd-bench-…` of its own, or a log in a temporary \
        directory.\n\nExamples:\n  contactd bench drain\n  KAFKA_BROKERS=host:9092 contactd bench \
        drain --events 1000000"
    )]
    Drain(DrainArgs),
    /// How long it takes from producing an event to reading its contact over HTTP
    Latency(LatencyArgs),
    /// How long a killed instance takes until it consumes again
    Recovery(RecoveryArgs),
    /// How long `dev` takes from nothing until it is ready
    Start(StartArgs),
    /// One measured process of `drain`
    #[command(hide = true)]
    DrainPart(DrainPartArgs),
}

pub(super) fn run(settings: &SettingsArgs, command: &BenchCommand) -> anyhow::Result<()> {
    match command {
        BenchCommand::Drain(args) => drain::run(settings, args),
        BenchCommand::Latency(args) => latency::run(settings, args),
        BenchCommand::Recovery(args) => start::recovery(settings, args),
        BenchCommand::Start(args) => start::run(args),
        BenchCommand::DrainPart(args) => drain_part::run(settings, args),
    }
}
