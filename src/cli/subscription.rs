//! `subscription`: who is told of changes by the running instance, and what became of telling them.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::config::Mode;
use crate::domain::texts::percent_encoded;

use super::api::{Api, text};
use super::dlq::AnswerArgs;
use super::foreign::line;
use super::output;
use super::settings::SettingsArgs;

const PATH: &str = "/api/subscriptions";
/// What is shown of one, in this order.
const SHOWN: [&str; 24] = [
    "id",
    "url",
    "description",
    "events",
    "sources",
    "notSources",
    "statuses",
    "fields",
    "send",
    "rate",
    "ordered",
    "state",
    "since",
    "why",
    "failures",
    "retryAt",
    "behind",
    "givenUp",
    "overruns",
    "here",
    "createdAt",
    "createdBy",
    "oldSecretUntil",
    "secret",
];

/// What is wanted of it.
#[derive(Clone, Debug, Args)]
pub(super) struct WishArgs {
    /// What people call it
    #[arg(long)]
    description: Option<String>,
    /// Types of events: contact.updated, contact.*, * (all that happens to contacts)
    #[arg(long, value_delimiter = ',', value_name = "TYPE,…")]
    events: Option<Vec<String>>,
    /// Only what these sources said
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    sources: Option<Vec<String>>,
    /// Nothing that these sources said
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    not_sources: Option<Vec<String>>,
    /// Only of contacts that are ACTIVE or DELETED after the change
    #[arg(long, value_delimiter = ',', value_name = "STATUS,…")]
    statuses: Option<Vec<String>>,
    /// Only changes that give one of these another value: email, status, attributes.plan
    #[arg(long, value_delimiter = ',', value_name = "FIELD,…")]
    fields: Option<Vec<String>>,
    /// What is sent: contact, change or ids
    #[arg(long)]
    send: Option<String>,
    /// Deliveries a second at most; 0: as fast as it answers
    #[arg(long)]
    rate: Option<u64>,
    /// Whether the changes of one contact come one after the other
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "true|false")]
    ordered: Option<bool>,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum SubscriptionCommand {
    /// Send changes to an address, and print the secret that signs them, once
    #[command(
        after_help = "Example:\n  contactd subscription add https://hooks.example.com/contacts --events contact.updated --fields email"
    )]
    Add {
        /// Where changes are sent
        #[arg(value_name = "URL")]
        to: String,
        #[command(flatten)]
        wish: WishArgs,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// List subscriptions and how each goes
    List {
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// Show one subscription
    Show {
        /// Its id, as `subscription list` shows it
        id: String,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// Change a subscription: what is not given stays as it is
    Change {
        /// Its id
        id: String,
        /// Where changes are sent
        #[arg(long, value_name = "URL")]
        to: Option<String>,
        #[command(flatten)]
        wish: WishArgs,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// Remove a subscription: it is sent nothing more
    Remove {
        /// Its id
        id: String,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// Send one test message now, and show what was answered
    Test {
        /// Its id
        id: String,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// List what was sent, and what was answered to each attempt
    Deliveries {
        /// Its id
        id: String,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// Send one message once more
    Resend {
        /// The subscription's id
        id: String,
        /// The message's id, as `subscription deliveries` lists it
        delivery: String,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// Send everything since a time once more
    #[command(
        after_help = "Example:\n  contactd subscription recover sub_019aa5e07a557c3e9d516a1d3a0b4f10 --since 2026-11-21T00:00:00Z"
    )]
    Recover {
        /// Its id
        id: String,
        /// Records of then or later (RFC 3339)
        #[arg(long)]
        since: String,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// Send nothing until it is resumed
    Pause {
        /// Its id
        id: String,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// Go on where it was paused or disabled
    Resume {
        /// Its id
        id: String,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// Give it another secret, and print it once; the one before signs too for a day
    Rotate {
        /// Its id
        id: String,
        #[command(flatten)]
        answer: AnswerArgs,
    },
}

pub(super) fn run(settings: &SettingsArgs, command: &SubscriptionCommand) -> anyhow::Result<()> {
    let api = |answer: &AnswerArgs| -> anyhow::Result<Api> {
        let config = settings.load(Mode::Serve, Vec::new())?;
        Api::new(&config, &answer.instance)
    };
    let of = |id: &str, rest: &str| format!("{PATH}/{}{rest}", percent_encoded(id));
    match command {
        SubscriptionCommand::Add { to, wish, answer } => {
            let body = wanted(Some(to), wish);
            answer.tell(&api(answer)?.post(PATH, Some(&body))?, show)
        }
        SubscriptionCommand::List { answer } => {
            let all = Value::from(api(answer)?.list(PATH, &[], usize::MAX)?);
            answer.tell(&all, list)
        }
        SubscriptionCommand::Show { id, answer } => {
            answer.tell(&api(answer)?.get(&of(id, ""))?, show)
        }
        SubscriptionCommand::Change { id, to, wish, answer } => {
            let body = wanted(to.as_ref(), wish);
            answer.tell(&api(answer)?.patch(&of(id, ""), &body)?, show)
        }
        SubscriptionCommand::Remove { id, answer } => {
            api(answer)?.delete(&of(id, ""))?;
            output::tell(format_args!("{id} is removed"));
            Ok(())
        }
        SubscriptionCommand::Test { id, answer } => {
            answer.tell(&api(answer)?.post(&of(id, "/test"), None)?, tested)
        }
        SubscriptionCommand::Deliveries { id, answer } => {
            let deliveries = api(answer)?.list(&of(id, "/deliveries"), &[], usize::MAX)?;
            answer.tell(&Value::from(deliveries), sent)
        }
        SubscriptionCommand::Resend { id, delivery, answer } => {
            let path = format!("/deliveries/{}/resend", percent_encoded(delivery));
            api(answer)?.post(&of(id, &path), None)?;
            output::tell(format_args!("{delivery} is sent once more"));
            Ok(())
        }
        SubscriptionCommand::Recover { id, since, answer } => {
            let body = json!({ "since": since });
            let recovery = api(answer)?.post(&of(id, "/recover"), Some(&body))?;
            answer.tell(&recovery, |it| format!("sends again from {}\n", text(it, "position")))
        }
        SubscriptionCommand::Pause { id, answer } => {
            answer.tell(&api(answer)?.post(&of(id, "/pause"), None)?, show)
        }
        SubscriptionCommand::Resume { id, answer } => {
            answer.tell(&api(answer)?.post(&of(id, "/resume"), None)?, show)
        }
        SubscriptionCommand::Rotate { id, answer } => {
            answer.tell(&api(answer)?.post(&of(id, "/rotate"), None)?, show)
        }
    }
}

fn wanted(url: Option<&String>, wish: &WishArgs) -> Value {
    let WishArgs {
        description,
        events,
        sources,
        not_sources,
        statuses,
        fields,
        send,
        rate,
        ordered,
    } = wish;
    // One empty text is none of them: `--fields ''`.
    let list = |list: &Option<Vec<String>>| {
        let texts = list.as_ref()?.iter().filter(|text| !text.is_empty());
        Some(json!(texts.collect::<Vec<_>>()))
    };
    let members = [
        ("url", url.map(|url| json!(url))),
        ("description", description.as_ref().map(|it| json!(it))),
        ("events", list(events)),
        ("sources", list(sources)),
        ("notSources", list(not_sources)),
        ("statuses", list(statuses)),
        ("fields", list(fields)),
        ("send", send.as_ref().map(|it| json!(it))),
        ("rate", rate.map(|it| json!(it))),
        ("ordered", ordered.map(|it| json!(it))),
    ];
    let given = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect::<Map<_, _>>())
}

fn list(all: &Value) -> String {
    let mut out = String::new();
    for one in all.as_array().into_iter().flatten() {
        let (id, state, url) = (text(one, "id"), text(one, "state"), line(text(one, "url")));
        let events = texts(one, "events").join(",");
        // Writing to a String can't fail.
        let _ = write!(out, "{id}  {state:8}  {url}  events={}", line(&events));
        if let Some(why) = one.get("why").and_then(Value::as_str) {
            let _ = write!(out, "  {}", line(why));
        }
        out.push('\n');
    }
    if out.is_empty() { "no subscriptions\n".to_owned() } else { out }
}

fn texts<'j>(json: &'j Value, name: &str) -> Vec<&'j str> {
    let texts = json.get(name).and_then(Value::as_array).into_iter().flatten();
    texts.filter_map(Value::as_str).collect()
}

fn show(one: &Value) -> String {
    let mut out = String::new();
    for name in SHOWN {
        let Some(value) = one.get(name) else {
            continue;
        };
        let value = match value {
            Value::String(text) => line(text).into_owned(),
            Value::Null => "-".to_owned(),
            Value::Array(_) => line(&texts(one, name).join(", ")).into_owned(),
            other => other.to_string(),
        };
        let value = if value.is_empty() { "-" } else { &value };
        let _ = writeln!(out, "{name:16} {value}");
    }
    out
}

fn tested(test: &Value) -> String {
    let delivered = test.get("delivered").and_then(Value::as_bool).unwrap_or(false);
    let verdict = if delivered { "delivered" } else { "not delivered" };
    let id = line(text(test, "id"));
    format!("{id}  {verdict}\n{}", test.get("attempt").map(attempt).unwrap_or_default())
}

fn sent(deliveries: &Value) -> String {
    let mut out = String::new();
    for delivery in deliveries.as_array().into_iter().flatten() {
        let (id, state) = (line(text(delivery, "id")), text(delivery, "state"));
        let (kind, contact) = (text(delivery, "eventType"), line(text(delivery, "contact")));
        let _ = writeln!(out, "{id}  {state:9}  {kind}  contact={contact}");
        for one in delivery.get("attempts").and_then(Value::as_array).into_iter().flatten() {
            out.push_str(&attempt(one));
        }
    }
    if out.is_empty() {
        "nothing was sent since the start of this instance\n".to_owned()
    } else {
        out
    }
}

fn attempt(one: &Value) -> String {
    let status = one.get("status").and_then(Value::as_u64);
    let status = status.map_or("no answer".to_owned(), |status| status.to_string());
    let latency = one.get("latencyMs").and_then(Value::as_f64).unwrap_or(0.0);
    let mut out = format!("  {}  {status}  {latency:.1} ms", text(one, "at"));
    for name in ["error", "response"] {
        if let Some(said) = one.get(name).and_then(Value::as_str) {
            let _ = write!(out, "  {}", line(said));
        }
    }
    out.push('\n');
    out
}
