//! `bench`: this program measured beside its own limit, in one run.
//!
//! Whatever is measured runs in a process of its own, so that memory and CPU are its own too.

mod bare;
mod bare_http;
mod disk;
mod drain;
mod drain_part;
mod export;
mod feed;
mod fill;
mod history;
mod http_load;
mod hubspot;
mod latency;
mod page;
mod payments;
mod read;
mod start;
mod subscriptions;
mod table;
mod usage;
mod webhooks;
mod world;
mod write;

use clap::Subcommand;

use super::settings::SettingsArgs;

use disk::DiskArgs;
use drain::DrainArgs;
use drain_part::DrainPartArgs;
use export::ExportArgs;
use feed::FeedArgs;
use latency::LatencyArgs;
use page::PageArgs;
use read::{BareArgs, ReadArgs};
use start::{RecoveryArgs, StartArgs};
use subscriptions::SubscriptionsArgs;
use webhooks::{BareWebhooksArgs, WebhooksArgs};
use write::WriteArgs;

/// What can be measured.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum BenchCommand {
    /// How fast a log that is full already is applied, and what it costs
    #[command(
        after_help = "Beside it, in the same run, two limits: reading the same records and parsing \
        them into typed fields that borrow from the record, the least that any consumer must do; \
        and into serde_json::Value, what a consumer does that knows nothing of them. The last \
        columns are the rate as a share of each. Makes a topic `contactd-bench-…` of its own, or a \
        log in a temporary directory.\n\nExamples:\n  contactd bench drain\n  \
        KAFKA_BROKERS=host:9092 contactd bench drain --events 1000000\n  contactd bench drain --preset \
        hubspot"
    )]
    Drain(DrainArgs),
    /// Whether sled's files stay small while one store takes load after load
    #[command(after_help = "Every round brings new events, later than all before, for the same \
        contacts: most of them change. Makes a topic of its own, or a log in a temporary \
        directory.")]
    Disk(DiskArgs),
    /// How fast all contacts are exported, in each format
    Export(ExportArgs),
    /// How long it takes from producing an event to reading its contact over HTTP
    Latency(LatencyArgs),
    /// How fast pages of contacts are answered, by each filter and each order
    Page(PageArgs),
    /// How fast one contact is answered, beside a bare handler in the same run
    Read(ReadArgs),
    /// What many clients of the feed cost, and how long an event takes to all of them
    Feed(FeedArgs),
    /// How long a killed instance takes until it consumes again
    Recovery(RecoveryArgs),
    /// How long `dev` takes from nothing until it is ready
    Start(StartArgs),
    /// How soon subscribers are told, and what many of them cost
    Subscriptions(SubscriptionsArgs),
    /// How many writes over HTTP are applied a second
    Write(WriteArgs),
    /// How fast signed webhooks are kept, beside a bare handler in the same run
    #[command(
        after_help = "The limit verifies the same signatures and appends to a topic or log of \
        its own, at the better of two settings of its producer. Makes the topics \
        contactd-bench-webhooks and …-bare, kept for an hour, or logs in a temporary directory."
    )]
    Webhooks(WebhooksArgs),
    /// The bare handler of `webhooks`
    #[command(hide = true)]
    BareWebhooks(BareWebhooksArgs),
    /// The bare handler of `read`
    #[command(hide = true)]
    Bare(BareArgs),
    /// One measured process of `drain`
    #[command(hide = true)]
    DrainPart(DrainPartArgs),
}

pub(super) fn run(settings: &SettingsArgs, command: &BenchCommand) -> anyhow::Result<()> {
    match command {
        BenchCommand::Drain(args) => drain::run(settings, args),
        BenchCommand::Disk(args) => disk::run(settings, args),
        BenchCommand::Export(args) => export::run(settings, args),
        BenchCommand::Latency(args) => latency::run(settings, args),
        BenchCommand::Page(args) => page::run(settings, args),
        BenchCommand::Read(args) => read::run(settings, args),
        BenchCommand::Bare(args) => read::bare(args),
        BenchCommand::Feed(args) => feed::run(args),
        BenchCommand::Recovery(args) => start::recovery(settings, args),
        BenchCommand::Start(args) => start::run(args),
        BenchCommand::Subscriptions(args) => subscriptions::run(settings, args),
        BenchCommand::Webhooks(args) => webhooks::run(settings, args),
        BenchCommand::BareWebhooks(args) => webhooks::bare(settings, args),
        BenchCommand::Write(args) => write::run(settings, args),
        BenchCommand::DrainPart(args) => drain_part::run(settings, args),
    }
}
