//! `follower`: how the followers of the running instance stand, and steering them.

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::{Map, Value, json};

use crate::config::Mode;
use crate::domain::texts::percent_encoded;

use super::api::{Api, text};
use super::dlq::AnswerArgs;
use super::foreign::line;
use super::output;
use super::settings::SettingsArgs;

const PATH: &str = "/api/followers";

#[derive(Clone, Debug, Subcommand)]
pub(super) enum FollowerCommand {
    /// List followers and how far each is
    #[command(after_help = "Example:\n  contactd follower list")]
    List {
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// Show one follower
    #[command(after_help = "Example:\n  contactd follower show dead_letters")]
    Show {
        /// Its name, as `follower list` shows it
        name: String,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// Deliver nothing more until it is resumed
    Pause {
        /// Its name
        name: String,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// Go on where it was paused
    Resume {
        /// Its name
        name: String,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// Never deliver what is owed: everything until now, or what one contact waits for
    Skip {
        /// Its name
        name: String,
        /// Only what this contact waits for
        #[arg(long, value_name = "ID")]
        contact: Option<String>,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// Deliver once more what came since a Position or a time
    #[command(
        after_help = "Example:\n  contactd follower replay simulator_writes --time 2026-11-21T00:00:00Z"
    )]
    Replay {
        /// Its name
        name: String,
        /// From this Position on
        #[arg(long, required_unless_present = "time", conflicts_with = "time")]
        position: Option<String>,
        /// From records of this time on (RFC 3339)
        #[arg(long)]
        time: Option<String>,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// List changes that a target refused too often
    Parked {
        /// The follower's name
        name: String,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// Deliver a parked change once more, and what came after it of the same contact
    Redrive {
        /// The follower's name
        name: String,
        /// The change's id, as `follower parked` lists it
        id: String,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// Drop a parked change: it is never delivered
    Drop {
        /// The follower's name
        name: String,
        /// The change's id, as `follower parked` lists it
        id: String,
        #[command(flatten)]
        answer: AnswerArgs,
    },
}

pub(super) fn run(settings: &SettingsArgs, command: &FollowerCommand) -> anyhow::Result<()> {
    let api = |answer: &AnswerArgs| -> anyhow::Result<Api> {
        let config = settings.load(Mode::Serve, Vec::new())?;
        Api::new(&config, &answer.instance)
    };
    let of = |name: &str, rest: &str| format!("{PATH}/{}{rest}", percent_encoded(name));
    match command {
        FollowerCommand::List { answer } => {
            let followers = Value::from(api(answer)?.list(PATH, &[], usize::MAX)?);
            answer.tell(&followers, list)
        }
        FollowerCommand::Show { name, answer } => {
            answer.tell(&api(answer)?.get(&of(name, ""))?, show)
        }
        FollowerCommand::Pause { name, answer } => {
            answer.tell(&api(answer)?.post(&of(name, "/pause"), None)?, show)
        }
        FollowerCommand::Resume { name, answer } => {
            answer.tell(&api(answer)?.post(&of(name, "/resume"), None)?, show)
        }
        FollowerCommand::Skip { name, contact, answer } => {
            let body = members([("contact", contact)]);
            answer.tell(&api(answer)?.post(&of(name, "/skip"), Some(&body))?, show)
        }
        FollowerCommand::Replay { name, position, time, answer } => {
            let body = members([("position", position), ("time", time)]);
            let replay = api(answer)?.post(&of(name, "/replay"), Some(&body))?;
            answer.tell(&replay, |it| format!("replays from {}\n", text(it, "position")))
        }
        FollowerCommand::Parked { name, answer } => {
            let changes = api(answer)?.list(&of(name, "/parked"), &[], usize::MAX)?;
            answer.tell(&Value::from(changes), parked)
        }
        FollowerCommand::Redrive { name, id, answer } => {
            let path = of(name, &format!("/parked/{}/redrive", percent_encoded(id)));
            api(answer)?.post(&path, None)?;
            output::tell(format_args!("{id} is delivered once more"));
            Ok(())
        }
        FollowerCommand::Drop { name, id, answer } => {
            api(answer)?.delete(&of(name, &format!("/parked/{}", percent_encoded(id))))?;
            output::tell(format_args!("{id} is dropped"));
            Ok(())
        }
    }
}

fn members<const N: usize>(members: [(&str, &Option<String>); N]) -> Value {
    let given = members
        .into_iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| (name.to_owned(), json!(value))));
    Value::Object(given.collect::<Map<_, _>>())
}

fn list(followers: &Value) -> String {
    let mut out = String::new();
    for follower in followers.as_array().into_iter().flatten() {
        let (name, state) = (text(follower, "name"), text(follower, "state"));
        let [waiting, parked, delivered, failures] =
            ["waiting", "parked", "delivered", "failures"].map(|name| number(follower, name));
        let lag = follower.get("lagRecords").and_then(Value::as_u64);
        let lag = lag.map_or("another instance's".to_owned(), |lag| format!("{lag} records"));
        // Writing to a String can't fail.
        let _ = write!(
            out,
            "{name:20}  {state:8}  delivered={delivered}  failures={failures}  lag={lag}  waiting={waiting}  \
             parked={parked}"
        );
        for said in ["/trouble/why", "/note"] {
            if let Some(said) = follower.pointer(said).and_then(Value::as_str) {
                let _ = write!(out, "  {}", line(said));
            }
        }
        out.push('\n');
    }
    if out.is_empty() { "no followers\n".to_owned() } else { out }
}

fn show(follower: &Value) -> String {
    let mut out = String::new();
    for (name, value) in follower.as_object().into_iter().flatten() {
        let value = match value {
            Value::String(text) => line(text).into_owned(),
            Value::Null => "-".to_owned(),
            Value::Object(members) => {
                let members = members.values().map(|it| line(it.as_str().unwrap_or("")));
                members.collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        };
        let _ = writeln!(out, "{name:12} {value}");
    }
    out
}

fn parked(changes: &Value) -> String {
    let mut out = String::new();
    for change in changes.as_array().into_iter().flatten() {
        let (at, id, contact) =
            (text(change, "at"), line(text(change, "id")), line(text(change, "contact")));
        let (version, attempts) = (number(change, "version"), number(change, "attempts"));
        let why = line(text(change, "why"));
        let _ = writeln!(
            out,
            "{at}  {id}  contact={contact}  version={version}  attempts={attempts}  {why}"
        );
    }
    if out.is_empty() { "nothing is parked\n".to_owned() } else { out }
}

fn number(json: &Value, name: &str) -> u64 {
    json.get(name).and_then(Value::as_u64).unwrap_or(0)
}
