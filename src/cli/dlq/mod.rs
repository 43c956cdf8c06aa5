//! `dlq`: dead letters of the running instance, and of other topics.

mod arguments;
mod from_topic;
mod shown;

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::config::Mode;

use super::api::{Api, path_segment};
use super::exit::Failure;
use super::foreign;
use super::output;
use super::progress;
use super::settings::SettingsArgs;

pub(super) use arguments::{AnswerArgs, DlqCommand};
use arguments::{RedriveArgs, WhichArgs};

const PATH: &str = "/api/dead-letters";
/// Entries that the API gives at once.
const PAGE: usize = 200;
/// How often it is asked how far a redrive is.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

pub(super) fn run(settings: &SettingsArgs, command: &DlqCommand) -> anyhow::Result<()> {
    let api = |answer: &AnswerArgs| -> anyhow::Result<Api> {
        let config = settings.load(Mode::Serve, Vec::new())?;
        Api::new(&config, &answer.instance)
    };
    match command {
        DlqCommand::List { filter, status, limit, answer } => {
            let mut pairs: Vec<(&str, &str)> = filter.pairs().collect();
            pairs.extend(status.map(|status| ("status", status.as_str())));
            let letters = list(&api(answer)?, &pairs, *limit)?;
            tell(answer, &Value::from(letters), shown::letters)
        }
        DlqCommand::Show { id, answer } => {
            let letter = api(answer)?.get(&format!("{PATH}/{}", path_segment(id)))?;
            tell(answer, &letter, shown::letter)
        }
        DlqCommand::Redrive(args) => match &args.from_topic {
            Some(topic) => {
                let config = settings.load(Mode::Serve, Vec::new())?;
                let report = from_topic::redrive(&config, topic, args)?;
                tell(&args.answer, &report, shown::from_topic)
            }
            None => redrive(&api(&args.answer)?, args),
        },
        DlqCommand::Discard { which, answer } => discard(&api(answer)?, which, answer),
        DlqCommand::Redrives { limit, answer } => {
            let jobs =
                api(answer)?.get(&format!("{PATH}/redrives?limit={}", (*limit).clamp(1, PAGE)))?;
            tell(answer, jobs.get("data").unwrap_or(&Value::Null), shown::jobs)
        }
        DlqCommand::Stop { id, answer } => {
            api(answer)?.delete(&format!("{PATH}/redrives/{}", path_segment(id)))?;
            output::tell(format_args!("redrive {id} is stopped"));
            Ok(())
        }
    }
}

fn tell(answer: &AnswerArgs, json: &Value, shown: impl Fn(&Value) -> String) -> anyhow::Result<()> {
    if answer.json {
        return output::write_json(&format!("{json:#}\n"));
    }
    output::write_all(foreign::lines(&shown(json)).as_bytes())
}

/// Pages, one after the other.
fn list(api: &Api, pairs: &[(&str, &str)], limit: usize) -> anyhow::Result<Vec<Value>> {
    let mut letters = Vec::new();
    let mut cursor: Option<String> = None;
    while letters.len() < limit {
        let mut path = format!("{PATH}?limit={}", (limit - letters.len()).min(PAGE));
        let cursor_pair = cursor.as_deref().map(|cursor| ("cursor", cursor));
        for (name, value) in pairs.iter().copied().chain(cursor_pair) {
            path.push_str(&format!("&{name}={}", path_segment(value)));
        }
        let mut page = api.get(&path)?;
        if let Some(Value::Array(data)) = page.get_mut("data").map(Value::take) {
            letters.extend(data);
        }
        cursor = page.pointer("/meta/nextCursor").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    Ok(letters)
}

/// The body of an order of many.
fn order(which: &WhichArgs) -> anyhow::Result<Map<String, Value>> {
    let mut body: Map<String, Value> =
        which.filter.pairs().map(|(name, value)| (name.to_owned(), value.into())).collect();
    if body.is_empty() && !which.all {
        let text = "say which: ids, a filter (--reason, --topic, --since, --until), or --all";
        return Err(Failure::Usage(text.to_owned()).into());
    }
    for (name, flag) in [("all", which.all), ("dryRun", which.dry_run)] {
        if flag {
            body.insert(name.to_owned(), true.into());
        }
    }
    if let Some(limit) = which.limit {
        body.insert("limit".to_owned(), limit.into());
    }
    Ok(body)
}

fn redrive(api: &Api, args: &RedriveArgs) -> anyhow::Result<()> {
    if !args.which.ids.is_empty() {
        let mut jobs = Vec::new();
        for id in &args.which.ids {
            let job = api.post(&format!("{PATH}/redrive/{}", path_segment(id)), None)?;
            jobs.push(until_ended(api, job)?);
        }
        tell(&args.answer, &Value::from(jobs.clone()), shown::jobs)?;
        return jobs.iter().try_for_each(whole);
    }
    let mut body = order(&args.which)?;
    if args.again {
        body.insert("again".to_owned(), true.into());
    }
    if let Some(rate) = args.rate {
        body.insert("rate".to_owned(), rate.into());
    }
    let answer = api.post(&format!("{PATH}/redrive"), Some(&Value::Object(body)))?;
    if args.which.dry_run {
        return tell(&args.answer, &answer, shown::preview);
    }
    let job = until_ended(api, answer)?;
    tell(&args.answer, &job, |job| shown::jobs(&json!([job])))?;
    whole(&job)
}

fn discard(api: &Api, which: &WhichArgs, answer: &AnswerArgs) -> anyhow::Result<()> {
    for id in &which.ids {
        api.delete(&format!("{PATH}/{}", path_segment(id)))?;
        output::tell(format_args!("{id} is discarded"));
    }
    if !which.ids.is_empty() {
        return Ok(());
    }
    let body = Value::Object(order(which)?);
    let answered = api.post(&format!("{PATH}/discard"), Some(&body))?;
    if which.dry_run {
        return tell(answer, &answered, shown::preview);
    }
    tell(answer, &answered, |job| shown::jobs(&json!([job])))
}

/// Asks until a job has ended; it goes on when this is interrupted.
fn until_ended(api: &Api, mut job: Value) -> anyhow::Result<Value> {
    let id = text(&job, "id").to_owned();
    let bar = progress::bar(None, format!("redrive {id}"));
    while matches!(text(&job, "state"), "running" | "interrupted") {
        std::thread::sleep(LOOK_AGAIN);
        job = api.get(&format!("{PATH}/redrives/{}", path_segment(&id)))?;
        bar.set_position(job.pointer("/counts/done").and_then(Value::as_u64).unwrap_or(0));
    }
    bar.finish_and_clear();
    Ok(job)
}

/// An error where a job did not come to its end.
fn whole(job: &Value) -> anyhow::Result<()> {
    if text(job, "state") == "done" {
        return Ok(());
    }
    let (state, why) = (text(job, "state"), text(job, "why"));
    Err(Failure::Data(format!("the redrive is {state}: {why}")).into())
}

/// A member's text, or nothing.
fn text<'j>(json: &'j Value, name: &str) -> &'j str {
    json.get(name).and_then(Value::as_str).unwrap_or_default()
}
