//! `acme`: keeping the contacts of the running instance and those of the Acme CRM alike.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::config::Mode;
use crate::domain::texts::percent_encoded;

use super::api::{Api, text};
use super::dlq::AnswerArgs;
use super::exit::Failure;
use super::foreign::line;
use super::instance::InstanceArgs;
use super::settings::SettingsArgs;
use super::{output, progress};

#[derive(Clone, Debug, Subcommand)]
pub(super) enum AcmeCommand {
    /// Make Acme's contact what ours is, or take what is newer there
    #[command(
        after_help = "Examples:\n  contactd acme sync c8b5\n  contactd acme sync c8b5 --pull"
    )]
    Sync {
        /// The contact's id
        id: String,
        /// Take what is newer at Acme instead
        #[arg(long)]
        pull: bool,
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// Take what is newer at Acme, of all its contacts
    #[command(
        after_help = "A second run changes nothing. One that was broken off goes on from the cursor \
that it named. Exits with 5 where contacts of Acme can't be taken, and says why.\n\nExample:\n  contactd acme pull"
    )]
    Pull {
        #[command(flatten)]
        pages: PagesArgs,
    },
    /// Compare all contacts of both sides, and mend what differs with --apply
    #[command(
        after_help = "A line for each difference, and a table at the end. Changes that are on their \
way are differences too. Exits with 0 where nothing differs any more, with 5 otherwise.\n\nExamples:\n  \
contactd acme reconcile\n  contactd acme reconcile --apply"
    )]
    Reconcile {
        /// Mend what differs: the newest counts, field by field; what is deleted here is deleted there
        #[arg(long)]
        apply: bool,
        #[command(flatten)]
        pages: PagesArgs,
    },
}

#[derive(Clone, Debug, Args)]
pub(super) struct PagesArgs {
    /// Go on from here, as a run that was broken off has named it
    #[arg(long)]
    cursor: Option<String>,
    /// Print JSON, a line each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    instance: InstanceArgs,
}

pub(super) fn run(settings: &SettingsArgs, command: &AcmeCommand) -> anyhow::Result<()> {
    let api = |instance: &InstanceArgs| -> anyhow::Result<Api> {
        Api::new(&settings.load(Mode::Serve, Vec::new())?, instance)
    };
    match command {
        AcmeCommand::Sync { id, pull, answer } => {
            let direction = if *pull { "pull" } else { "push" };
            let path = format!("/api/contacts/{}/sync", percent_encoded(id));
            let body = json!({ "direction": direction });
            answer.tell(&api(&answer.instance)?.post(&path, Some(&body))?, synced)
        }
        AcmeCommand::Pull { pages } => {
            let totals = every_page(&api(&pages.instance)?, "pull", pages, Map::new())?;
            output::write_all(table(&totals).as_bytes())?;
            match totals.get("refused").copied().unwrap_or(0) {
                0 => Ok(()),
                1 => Err(Failure::Data("1 contact can't be taken".to_owned()).into()),
                refused => Err(Failure::Data(format!("{refused} contacts can't be taken")).into()),
            }
        }
        AcmeCommand::Reconcile { apply, pages } => {
            let order = Map::from_iter([("apply".to_owned(), json!(apply))]);
            let totals = every_page(&api(&pages.instance)?, "reconcile", pages, order)?;
            output::write_all(table(&totals).as_bytes())?;
            match totals.get("stay different").copied().unwrap_or(0) {
                0 => Ok(()),
                1 => Err(Failure::Data("1 contact differs".to_owned()).into()),
                stay => Err(Failure::Data(format!("{stay} contacts differ")).into()),
            }
        }
    }
}

/// Asks for page after page; the totals.
fn every_page(
    api: &Api,
    what: &str,
    pages: &PagesArgs,
    order: Map<String, Value>,
) -> anyhow::Result<BTreeMap<String, u64>> {
    let bar = progress::bar(None, format!("acme {what}"));
    bar.enable_steady_tick(progress::TICK);
    let mut totals = BTreeMap::new();
    let mut cursor = pages.cursor.clone();
    loop {
        let mut body = order.clone();
        body.extend(cursor.as_ref().map(|cursor| ("cursor".to_owned(), json!(cursor))));
        let page = api.post_patiently(&format!("/api/acme/{what}"), &Value::Object(body));
        let page = page.map_err(|error| match &cursor {
            Some(cursor) => error.context(format!("go on with --cursor {cursor}")),
            None => error,
        })?;
        let mut lines = Vec::new();
        add(&page, &mut totals, &mut lines);
        bar.suspend(|| {
            for entry in lines {
                if pages.json {
                    output::show(foreign_json(entry))
                } else {
                    output::show(told(entry))
                }
            }
        });
        bar.set_position(totals.values().copied().max().unwrap_or(0));
        cursor = page.get("nextCursor").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() {
            bar.finish_and_clear();
            return Ok(totals);
        }
    }
}

fn foreign_json(entry: &Value) -> String {
    super::foreign::json(&entry.to_string()).into_owned()
}

/// Counts a page, and finds what there is to say of single contacts.
fn add<'p>(page: &'p Value, totals: &mut BTreeMap<String, u64>, lines: &mut Vec<&'p Value>) {
    let mut count = |name: &str, more: u64| *totals.entry(name.to_owned()).or_insert(0) += more;
    for (name, value) in page.as_object().into_iter().flatten() {
        match value {
            Value::Number(number) => count(name, number.as_u64().unwrap_or(0)),
            Value::Array(entries) if name == "refused" => {
                count(name, entries.len() as u64);
                lines.extend(entries);
            }
            Value::Array(entries) => {
                for entry in entries {
                    count(text(entry, "kind"), 1);
                    let is_mended = entry.get("mended") == Some(&Value::Bool(true));
                    count(if is_mended { "mended" } else { "stay different" }, 1);
                }
                lines.extend(entries);
            }
            Value::Null | Value::Bool(_) | Value::String(_) | Value::Object(_) => {}
        }
    }
}

fn told(entry: &Value) -> String {
    let mut out = String::new();
    let kind = entry.get("kind").and_then(Value::as_str).unwrap_or("refused");
    // Writing to a String can't fail.
    let _ = write!(out, "{kind:13}  {}", line(text(entry, "id")));
    let fields = entry.get("fields").and_then(Value::as_array).into_iter().flatten();
    let fields: Vec<&str> = fields.filter_map(Value::as_str).collect();
    if !fields.is_empty() {
        let _ = write!(out, "  {}", fields.join(", "));
    }
    match entry.get("why").and_then(Value::as_str) {
        Some(why) => _ = write!(out, "  not mended: {}", line(why)),
        None if entry.get("mended") == Some(&Value::Bool(true)) => out.push_str("  mended"),
        None => {}
    }
    out
}

fn table(totals: &BTreeMap<String, u64>) -> String {
    let mut out = String::new();
    for (name, total) in totals {
        let _ = writeln!(out, "{name:15} {total}");
    }
    out
}

fn synced(synced: &Value) -> String {
    let list = |name: &str| {
        let names = synced.get(name).and_then(Value::as_array).into_iter().flatten();
        names.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    let mut out = format!("at Acme: {}\n", text(synced, "there"));
    for name in ["sent", "taken"] {
        let fields = list(name);
        if !fields.is_empty() {
            let _ = writeln!(out, "{name}: {fields}");
        }
    }
    for kept in synced.get("kept").and_then(Value::as_array).into_iter().flatten() {
        let _ = writeln!(out, "stays different: {} ({})", text(kept, "field"), text(kept, "why"));
    }
    out
}
