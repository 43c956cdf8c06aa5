//! What can be asked for, and the help that teaches it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::auth::Role;
use crate::store::Moment;

use super::acme::AcmeCommand;
use super::backup::BackupArgs;
use super::bench::BenchCommand;
use super::check_event::CheckEventArgs;
use super::dashboards::DashboardsArgs;
use super::dlq::{AnswerArgs, DlqCommand};
use super::doctor::DoctorArgs;
use super::export::ExportArgs;
use super::follower::FollowerCommand;
use super::import::ImportArgs;
use super::instance::InstanceArgs;
use super::man::ManArgs;
use super::mock_acme::MockAcmeArgs;
use super::reload::ReloadArgs;
use super::restore::RestoreArgs;
use super::schemas::SchemasArgs;
use super::settings::SettingsArgs;
use super::simulate::SimulateArgs;
use super::source_command::SourceCommand;
use super::status::StatusArgs;
use super::subscription::SubscriptionCommand;
use super::support_bundle::SupportBundleArgs;
use super::value_parsers::{external_id, lifetime, moment, rate, role, share};

/// Version, commit and features: what a bug report needs.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("CONTACTD_COMMIT"),
    ", features: ",
    env!("CONTACTD_FEATURES"),
    ")"
);

const EXAMPLES: &str = "\
Examples:
  contactd                              try it: embedded log, demo events, data in .contactd/
  contactd dev --ephemeral              the same, leaving nothing behind
  KAFKA_BROKERS=host:9092 contactd serve --config my.toml
                                        follow the Kafka topic `contacts`; needs JWT_SECRET as well
  contactd get 2fec8167-ecf8-4740-b71d-79175c8887e0
                                        one contact
  contactd store export > contacts.ndjson
                                        all of them, with no broker needed
  contactd config print                 every setting, and where it comes from

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 wrong configuration, 4 something needed can't be
reached, 5 the data is not there or not right.";

/// Keeps a company's contacts current from a log of events, and answers queries over HTTP.
#[derive(Debug, Parser)]
#[command(name = "contactd", version = VERSION, after_help = EXAMPLES, max_term_width = 100)]
pub(super) struct Arguments {
    /// Which configuration counts.
    #[command(flatten)]
    pub(super) settings: SettingsArgs,
    /// What to do; `dev` where nothing is said.
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run on this machine with demo events (the default command)
    Dev(DevArgs),
    /// Run for real: follow the log, answer over HTTP
    Serve(ServeArgs),
    /// Fill the log with a reproducible load
    Produce(ProduceArgs),
    /// Bring contacts in from a file: CSV, NDJSON or vCard
    Import(ImportArgs),
    /// Print one contact as JSON
    Get(GetArgs),
    /// Write contacts as CSV, NDJSON or vCard, all as of one position
    Export(ExportArgs),
    /// Say how the running instance is: ready or why not, lag, sizes, ages; for health checks --quiet
    Status(StatusArgs),
    /// Write what somebody who helps has to know into one file, without secrets or contacts
    SupportBundle(SupportBundleArgs),
    /// Let the running instance read its configuration again, and say what it took
    Reload(ReloadArgs),
    /// Say what is wrong with a setup, and what to do about it; nothing is changed
    Doctor(DoctorArgs),
    /// Say what events would do and why they would be refused; nothing is sent
    CheckEvent(CheckEventArgs),
    /// Tell what sources are known, and what becomes of their records; nothing is sent
    #[command(subcommand)]
    Source(SourceCommand),
    /// Send webhooks as on a bad day to any target, and compare what it holds in the end
    Simulate(SimulateArgs),
    /// Run a mock of the Acme CRM: its API, its limits, its webhooks, and faults as wanted
    MockAcme(MockAcmeArgs),
    /// List, show, redrive or discard records that could not be applied
    #[command(subcommand)]
    Dlq(DlqCommand),
    /// List, show, pause, resume, skip or replay what follows from applied changes
    #[command(subcommand)]
    Follower(FollowerCommand),
    /// Send changes to addresses, signed, and see what became of that
    #[command(subcommand)]
    Subscription(SubscriptionCommand),
    /// Keep contacts alike here and at the Acme CRM: one of them, or all
    #[command(subcommand)]
    Acme(AcmeCommand),
    /// Copy all that an instance has, while it runs, or verify such a copy
    Backup(BackupArgs),
    /// Bring a backup back into an empty data directory, or make a replica of a running instance
    Restore(RestoreArgs),
    /// Check, export, rebuild or snapshot the data directory of a stopped instance
    #[command(subcommand)]
    Store(StoreCommand),
    /// Add, change, remove or list those who sign in
    #[command(subcommand)]
    User(UserCommand),
    /// Create, revoke or list the API keys of programs
    #[command(subcommand)]
    Key(KeyCommand),
    /// Make the Kafka topic what contactd needs
    #[command(subcommand)]
    Topics(TopicsCommand),
    /// Print or check the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the description of the HTTP API (OpenAPI 3.1)
    #[command(
        after_help = "A running instance has it at /openapi.json, and for people at /docs.\n\n\
        Examples:\n  contactd openapi > openapi.json\n  \
        contactd openapi --postman > contactd.postman_collection.json"
    )]
    Openapi {
        /// Print a Postman collection of the same operations instead
        #[arg(long)]
        postman: bool,
    },
    /// Print or write the JSON Schemas (2020-12) of what contactd takes
    Schemas(SchemasArgs),
    /// Print the description of topics and webhooks (AsyncAPI 3.0)
    #[command(after_help = "Example:\n  contactd asyncapi > asyncapi.json")]
    Asyncapi,
    /// Write Grafana's dashboards, Prometheus's rules and the runbooks that they link to
    Dashboards(DashboardsArgs),
    /// Write the reference pages: configuration, metrics, error codes and commands
    #[command(after_help = "Example:\n  contactd docs docs/reference")]
    Docs {
        /// The directory for them
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Measure this machine, each figure beside its own limit
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Print the completion script of a shell
    #[command(after_help = "Example:\n  contactd completions bash > \
        ~/.local/share/bash-completion/completions/contactd")]
    Completions {
        /// The shell that is to complete commands
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write that of every command
    Man(ManArgs),
}

impl Default for Command {
    fn default() -> Self {
        Self::Dev(DevArgs::default())
    }
}

/// Where to listen and where to begin, for whatever serves.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct ServeArgs {
    /// Serve HTTP on this address
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    pub(super) listen: Option<String>,
    /// Do without records that the log has dropped and this store has never read: it becomes what the
    /// log goes on from, and stores that do not come from it refuse
    #[arg(long, requires = "sole")]
    pub(super) accept_gap: bool,
    /// Say that no other store has those records
    #[arg(long, requires = "accept_gap")]
    pub(super) sole: bool,
    /// End once everything on the log is applied and checkpointed
    #[arg(long)]
    pub(super) until_caught_up: bool,
}

#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  contactd dev                          http://127.0.0.1:3000, data in .contactd/
  contactd dev --ephemeral --rate 500   a busy one that leaves nothing
  contactd dev --no-demo                your own events only
  contactd dev --with-acme              a mock of the Acme CRM beside it, kept alike both ways")]
pub(super) struct DevArgs {
    #[command(flatten)]
    pub(super) serve: ServeArgs,
    /// Keep the data in a temporary directory, and remove it at the end
    #[arg(long)]
    pub(super) ephemeral: bool,
    /// Make no demo events
    #[arg(long)]
    pub(super) no_demo: bool,
    /// Run a mock of the Acme CRM beside it, on 127.0.0.1:3210 unless another address is named; both have the
    /// same contacts, and there are no demo events
    #[arg(long, value_name = "ADDRESS:PORT", num_args = 0..=1, require_equals = true, default_missing_value = "127.0.0.1:3210")]
    pub(super) with_acme: Option<SocketAddr>,
    /// Demo events a second
    #[arg(long, value_name = "PER_SECOND", default_value_t = DEMO_RATE, conflicts_with = "no_demo", value_parser = rate)]
    pub(super) rate: f64,
}

/// Demo events a second where nothing is said.
const DEMO_RATE: f64 = 3.0;

impl Default for DevArgs {
    fn default() -> Self {
        Self {
            serve: ServeArgs::default(),
            ephemeral: false,
            no_demo: false,
            with_acme: None,
            rate: DEMO_RATE,
        }
    }
}

#[derive(Clone, Debug, Args)]
#[command(after_help = "The same seed gives the same keys and events, byte for byte, on every \
machine; the first N do not depend on how many follow. Contacts are drawn by Zipf's law. Works on \
Kafka and on the embedded log of an instance that is not running.

Examples:
  contactd produce --events 1000000 --contacts 200000 --seed 42
  contactd produce --events 600 --rate 10
  contactd produce --events 1000 --malformed 0.1 --late 0.2
  contactd produce --events 1000000 --hostile --seed 7")]
pub(super) struct ProduceArgs {
    /// How many records
    #[arg(long, default_value_t = 100_000)]
    pub(super) events: u64,
    /// How many contacts they are about
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) contacts: u32,
    /// Equal seeds give equal events
    #[arg(long, default_value_t = 42)]
    pub(super) seed: u64,
    /// Share of records that repeat an earlier one exactly
    #[arg(long, value_name = "SHARE", default_value_t = 0.02, value_parser = share)]
    pub(super) duplicates: f64,
    /// Share of events that arrive late, after up to 1,023 others
    #[arg(long, value_name = "SHARE", default_value_t = 0.03, value_parser = share)]
    pub(super) late: f64,
    /// Share of events that delete their contact
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = share)]
    pub(super) deletes: f64,
    /// Share of records that can't be read, of ten kinds
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub(super) malformed: f64,
    /// Only hostile records: broken, absurd and malicious ones of every kind, some right ones between
    #[arg(long, conflicts_with_all = ["contacts", "duplicates", "late", "deletes", "malformed"])]
    pub(super) hostile: bool,
    /// Records a second; as fast as the log takes them where nothing is said
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub(super) rate: Option<f64>,
}

#[derive(Clone, Debug, Args)]
#[command(after_help = "Asks the running instance; where none answers at the configured address, \
reads the data directory.

Examples:
  contactd get 2fec8167-ecf8-4740-b71d-79175c8887e0 | jq .email
  contactd get 2fec8167-ecf8-4740-b71d-79175c8887e0 --as-of 2026-11-01T00:00:00Z")]
pub(super) struct GetArgs {
    /// The contact's id
    #[arg(required_unless_present = "external_id", conflicts_with = "external_id")]
    pub(super) id: Option<String>,
    /// The contact that a source has this id for, such as hubspot:123
    #[arg(long, value_name = "SOURCE:ID", value_parser = external_id)]
    pub(super) external_id: Option<(String, String)>,
    /// As it was at that time (RFC 3339), or at a version: version:3
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "external_id")]
    pub(super) as_of: Option<Moment>,
    #[command(flatten)]
    pub(super) instance: InstanceArgs,
    /// Show it even when it is deleted
    #[arg(long)]
    pub(super) include_deleted: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Cross-check contacts, indexes, counters, journal, checkpoint and digest
    Verify,
    /// Write every contact to standard output, one JSON object a line, sorted by id
    #[command(
        after_help = "Needs no broker.\n\nExample:\n  contactd store export --include-deleted \
        | zstd > contacts.ndjson.zst"
    )]
    Export {
        /// Include deleted contacts
        #[arg(long)]
        include_deleted: bool,
    },
    /// Move the store aside and make it anew from the log
    #[command(after_help = "Needed after a change of the sources, when the past is to come under \
        it as well. The log must still hold its first record. The old store stays beside the new \
        one until you remove it.")]
    Rebuild {
        /// Do it; without this only what would be done is said
        #[arg(long)]
        yes: bool,
        /// Although the log no longer holds its first records: the new store becomes what the log goes
        /// on from, and stores that do not come from it refuse
        #[arg(long, requires = "sole")]
        accept_gap: bool,
        /// Say that no store has those records
        #[arg(long, requires = "accept_gap")]
        sole: bool,
        /// Found the log anew: all of it is judged by the configuration's sources, schemas and limits.
        /// Every other instance stops applying until it was rebuilt too
        #[arg(long)]
        under_present_rules: bool,
    },
    /// Write a full, verified image now
    Snapshot,
}

/// An instance that runs with the file hears of any change within a second.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Add a user; asks for the password
    #[command(after_help = "Examples:\n  contactd user add ada --role admin\n  \
        printf %s \"$PASSWORD\" | contactd user add ada --role editor --password-stdin")]
    Add {
        /// Lower-case letters, digits and ._-
        name: String,
        /// What the user may do; can be repeated
        #[arg(long = "role", value_name = "ROLE", required = true, value_parser = role())]
        roles: Vec<Role>,
        /// Address to sign in with as well
        #[arg(long)]
        email: Option<String>,
        /// Read the password from standard input instead of asking for it
        #[arg(long)]
        password_stdin: bool,
    },
    /// Set a user's password, and sign the user out everywhere
    Passwd {
        /// The user's name
        name: String,
        /// Read the password from standard input instead of asking for it
        #[arg(long)]
        password_stdin: bool,
    },
    /// Keep a user out, signed in or not, until `user enable`
    Disable {
        /// The user's name
        name: String,
    },
    /// Let a disabled user in again
    Enable {
        /// The user's name
        name: String,
    },
    /// Remove a user, and sign the user out everywhere
    Remove {
        /// The user's name
        name: String,
    },
    /// Print all users
    List,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make an API key and print it; it can't be shown again
    #[command(
        after_help = "Example:\n  contactd key create ci --role viewer --expires 90d\n  curl \
        -H 'X-API-Key: ck_…' localhost:3000/api/contacts"
    )]
    Create {
        /// Lower-case letters, digits and ._-
        name: String,
        /// What the key may do; can be repeated
        #[arg(long = "role", value_name = "ROLE", required = true, value_parser = role())]
        roles: Vec<Role>,
        /// How long it is good for, with its unit, as 90d or 12h; for ever if nothing is said
        #[arg(long, value_name = "DURATION", value_parser = lifetime)]
        expires: Option<Duration>,
    },
    /// End an API key
    Revoke {
        /// The key's name
        name: String,
    },
    /// Print all API keys, by how they begin
    List,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum TopicsCommand {
    /// Make the topics where they are missing, with the cleanup.policy that each needs
    #[command(
        after_help = "Example:\n  KAFKA_BROKERS=host:9092 contactd topics ensure --partitions \
        8 --replication 3"
    )]
    Ensure {
        /// Partitions of a topic that is made; one that exists keeps its own
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
        partitions: u16,
        /// Copies of each; the brokers' default where nothing is said
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
        replication: Option<u16>,
        /// Set the cleanup.policy of topics that have another; without this they are refused
        #[arg(long)]
        yes: bool,
    },
    /// Fill the control topic from the store of a stopped instance
    #[command(
        after_help = "For a control topic that was made anew, or whose records are gone everywhere: stop the \
        instance that knows most, run this with its configuration, and start the instances \
        again. What the store holds counts from then on.\n\n\
        Example:\n  contactd topics adopt-control --yes"
    )]
    AdoptControl {
        /// Copies of a topic that is made; the brokers' default where nothing is said
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
        replication: Option<u16>,
        /// Do it; without this only what would be done is said
        #[arg(long)]
        yes: bool,
    },
    /// Write again how the contact topic was founded, where its control topic has lost that
    #[command(
        after_help = "Only where no store is left that knows it; both decide every contact's home \
        partition.\n\nExample:\n  contactd topics found --partitioner murmur2 --lanes 8"
    )]
    Found {
        /// murmur2, crc32 or fnv1a
        #[arg(long)]
        partitioner: String,
        /// Partitions that the topic had at the beginning
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
        lanes: u16,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print what is in force, with where it comes from and without secrets
    Print {
        /// Print the built-in default with its explanations instead
        #[arg(long)]
        default: bool,
    },
    /// Name everything that is wrong, at once
    Check {
        /// The file to check; what `--config` names where nothing is said
        file: Option<PathBuf>,
    },
    /// Let its sources, schemas and limits hold on the contact log, from here on
    #[command(
        after_help = "What the log says holds on every instance, whatever its files say. This \
asks the running instance to put its own rules onto the log, and refuses where they are not those of \
the configuration here: restart the instance with the new files first. Where none runs, and the log is \
the embedded one, it is done in the data directory.\n\nExample:\n  contactd config adopt"
    )]
    Adopt(AnswerArgs),
}
