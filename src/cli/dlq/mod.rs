//! `dlq`: dead letters of the running instance, and of other topics.

mod arguments;
mod from_topic;
mod shown;

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::config::Mode;
use crate::domain::texts::percent_encoded;

use super::api::{Api, PAGE, text};
use super::exit::Failure;
use super::output;
use super::progress;
use super::settings::SettingsArgs;

pub(super) use arguments::{AnswerArgs, DlqCommand};
use arguments::{RedriveArgs, WhichArgs};

const PATH: &str = "/api/dead-letters";
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
            let letters = api(answer)?.list(PATH, &pairs, *limit)?;
            answer.tell(&Value::from(letters), shown::letters)
        }
        DlqCommand::Show { id, answer } => {
            let letter = api(answer)?.get(&format!("{PATH}/{}", percent_encoded(id)))?;
            answer.tell(&letter, shown::letter)
        }
        DlqCommand::Redrive(args) => match &args.from_topic {
            Some(topic) => {
                let config = settings.load(Mode::Serve, Vec::new())?;
                let report = from_topic::redrive(&config, topic, args)?;
                args.answer.tell(&report, shown::from_topic)
            }
            None => redrive(&api(&args.answer)?, args),
        },
        DlqCommand::Discard { which, answer } => discard(&api(answer)?, which, answer),
        DlqCommand::Redrives { limit, answer } => {
            let jobs =
                api(answer)?.get(&format!("{PATH}/redrives?limit={}", (*limit).clamp(1, PAGE)))?;
            answer.tell(jobs.get("data").unwrap_or(&Value::Null), shown::jobs)
        }
        DlqCommand::Stop { id, answer } => {
            api(answer)?.delete(&format!("{PATH}/redrives/{}", percent_encoded(id)))?;
            output::tell(format_args!("redrive {id} is stopped"));
            Ok(())
        }
    }
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
            let job = api.post(&format!("{PATH}/redrive/{}", percent_encoded(id)), None)?;
            jobs.push(until_ended(api, job)?);
        }
        args.answer.tell(&Value::from(jobs.clone()), shown::jobs)?;
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
        return args.answer.tell(&answer, shown::preview);
    }
    let job = until_ended(api, answer)?;
    args.answer.tell(&job, |job| shown::jobs(&json!([job])))?;
    whole(&job)
}

fn discard(api: &Api, which: &WhichArgs, answer: &AnswerArgs) -> anyhow::Result<()> {
    for id in &which.ids {
        api.delete(&format!("{PATH}/{}", percent_encoded(id)))?;
        output::tell(format_args!("{id} is discarded"));
    }
    if !which.ids.is_empty() {
        return Ok(());
    }
    let body = Value::Object(order(which)?);
    let answered = api.post(&format!("{PATH}/discard"), Some(&body))?;
    if which.dry_run {
        return answer.tell(&answered, shown::preview);
    }
    answer.tell(&answered, |job| shown::jobs(&json!([job])))
}

/// Asks until a job has ended; it goes on when this is interrupted.
fn until_ended(api: &Api, mut job: Value) -> anyhow::Result<Value> {
    let id = text(&job, "id").to_owned();
    let bar = progress::bar(None, format!("redrive {id}"));
    while matches!(text(&job, "state"), "running" | "interrupted") {
        std::thread::sleep(LOOK_AGAIN);
        job = api.get(&format!("{PATH}/redrives/{}", percent_encoded(&id)))?;
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
