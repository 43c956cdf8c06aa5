//! What can be asked of dead letters.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use crate::cli::instance::InstanceArgs;
use crate::cli::{foreign, output};

#[derive(Clone, Debug, Subcommand)]
pub(in crate::cli) enum DlqCommand {
    /// List records that could not be applied, the newest first
    #[command(
        after_help = "Example:\n  contactd dlq list --reason malformed_json --since 2026-11-21T00:00:00Z"
    )]
    List {
        #[command(flatten)]
        filter: FilterArgs,
        /// Only those in this state
        #[arg(long, value_enum)]
        status: Option<Status>,
        /// How many dead letters to list at most
        #[arg(long, default_value_t = 50)]
        limit: usize,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// Show a dead letter with its bytes
    #[command(after_help = "Example:\n  contactd dlq show contacts:3:1042")]
    Show {
        /// Its id, topic:partition:offset, as `dlq list` shows it
        id: String,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// Send dead letters through again once their cause is corrected
    #[command(after_help = "They are appended to the contact log as they came; an event has one \
effect however often it is redriven. Waits until it is done.

With --from-topic it reads a dead letter topic that Kafka Connect, Spring Kafka or contactd wrote, up \
to its present end, takes off what they added, and appends the records to the contact log: with --apply; \
without it says what it would do. What would be refused again is counted and stays where it is. Needs no \
running instance.

Examples:
  contactd dlq redrive contacts:3:1042
  contactd dlq redrive --reason wrong_type --dry-run
  contactd dlq redrive --all --rate 100
  contactd dlq redrive --from-topic crm-connect-dlq --apply")]
    Redrive(RedriveArgs),
    /// Discard dead letters: they are no longer listed or redriven
    Discard {
        #[command(flatten)]
        which: WhichArgs,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// List what was redriven and discarded, by whom and how far it is
    Redrives {
        /// How many to list at most
        #[arg(long, default_value_t = 20)]
        limit: usize,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// Stop a redrive that is under way
    Stop {
        /// Its id, as `dlq redrives` lists it
        id: String,
        #[command(flatten)]
        answer: AnswerArgs,
    },
}

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct RedriveArgs {
    #[command(flatten)]
    pub(super) which: WhichArgs,
    /// How many dead letters a second at most
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) rate: Option<u32>,
    /// Include those that were redriven before
    #[arg(long)]
    pub(super) again: bool,
    /// Take them from this Kafka topic instead of the instance's own dead letters
    #[arg(long, value_name = "TOPIC", conflicts_with_all = ["ids", "reason", "topic", "since", "until", "all", "again", "dry_run"])]
    pub(super) from_topic: Option<String>,
    /// With --from-topic: do it; without this only what would be done is said
    #[arg(long, requires = "from_topic")]
    pub(super) apply: bool,
    #[command(flatten)]
    pub(super) answer: AnswerArgs,
}

/// Which letters are meant.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct WhichArgs {
    /// The ids of the dead letters; or else a filter, or --all
    #[arg(value_name = "ID", conflicts_with_all = ["reason", "topic", "since", "until", "all", "dry_run"])]
    pub(super) ids: Vec<String>,
    #[command(flatten)]
    pub(super) filter: FilterArgs,
    /// All dead letters
    #[arg(long, conflicts_with_all = ["reason", "topic", "since", "until"])]
    pub(super) all: bool,
    /// Only say what would be done
    #[arg(long)]
    pub(super) dry_run: bool,
    /// How many dead letters at most, the oldest first
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) limit: Option<u64>,
}

#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct FilterArgs {
    /// Only those with this reason
    #[arg(long)]
    pub(super) reason: Option<String>,
    /// Only those from this topic
    #[arg(long)]
    pub(super) topic: Option<String>,
    /// Only records of this time or later (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// Only records from before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<String>,
}

impl FilterArgs {
    /// Name and value of each that is given.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("reason", &self.reason),
            ("topic", &self.topic),
            ("since", &self.since),
            ("until", &self.until),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }
}

/// Whom to ask, and how to print what it says.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct AnswerArgs {
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
    #[command(flatten)]
    pub(in crate::cli) instance: InstanceArgs,
}

impl AnswerArgs {
    /// Writes it as JSON where that is asked for, else as `shown` has it.
    pub(in crate::cli) fn tell(
        &self,
        json: &Value,
        shown: impl Fn(&Value) -> String,
    ) -> anyhow::Result<()> {
        if self.json {
            return output::write_json(&format!("{json:#}\n"));
        }
        output::write_all(foreign::lines(&shown(json)).as_bytes())
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum Status {
    Kept,
    Redriven,
    Discarded,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Redriven => "redriven",
            Self::Discarded => "discarded",
        }
    }
}
