//! `config print`, `config check` and `config adopt`.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};

use crate::app::{self, ApplySetup, RunOptions, WorkerOptions};
use crate::config::{BUILT_IN, Config, Mode};
use crate::domain::position::Lane;
use crate::domain::rules::{RuleSet, next_number};
use crate::ingest::marker_record;

use super::api::Api;
use super::arguments::ConfigCommand;
use super::dlq::AnswerArgs;
use super::exit::Failure;
use super::offline::{open_log, open_store};
use super::output::{self, tell};
use super::settings::SettingsArgs;

pub(super) fn run(settings: &SettingsArgs, command: &ConfigCommand) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Print { default: true } => output::write_all(BUILT_IN.as_bytes()),
        ConfigCommand::Print { default: false } => {
            let config = settings.load(Mode::Serve, Vec::new())?;
            warn(&config.warnings);
            output::write_all(config.to_toml().as_bytes())
        }
        ConfigCommand::Check { file } => {
            let mut settings = settings.clone();
            settings.config = file.clone().or(settings.config);
            let (config, wrong) = settings.examine(Mode::Serve)?;
            warn(&config.warnings);
            app::check(&config, wrong)?;
            tell("the configuration is right");
            Ok(())
        }
        ConfigCommand::Adopt(answer) => adopt(settings, answer),
    }
}

/// By the running instance, else in the data directory.
fn adopt(settings: &SettingsArgs, answer: &AnswerArgs) -> anyhow::Result<()> {
    let config = settings.load(Mode::Serve, Vec::new())?;
    let own = ApplySetup::new(&config)?.rules;
    let api = Api::new(&config, &answer.instance)?;
    let body = json!({ "fingerprint": own.fingerprint().to_string() });
    let adopted = match api.post("/api/rules/adopt", Some(&body)) {
        Err(error)
            if is_nobody_there(&error)
                && answer.instance.url.is_none()
                && !config.follows_kafka() =>
        {
            adopt_in_directory(config, &own)?
        }
        answered => answered?,
    };
    if answer.json {
        return output::write_json(&format!("{adopted:#}\n"));
    }
    let number = adopted.get("number").and_then(Value::as_u64).unwrap_or_default();
    match adopted.get("adopted").and_then(Value::as_bool) {
        Some(true) => {
            tell(format_args!("adopted as number {number}: records from here on are judged by it"))
        }
        _ => tell(format_args!("nothing to adopt: the log's rules, number {number}, are the same")),
    }
    Ok(())
}

fn is_nobody_there(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<Failure>(), Some(Failure::Unreachable(_)))
}

/// The log is applied to its end, so that its newest number is known, and the next one appended; the
/// next start goes by it.
fn adopt_in_directory(mut config: Config, own: &RuleSet) -> anyhow::Result<Value> {
    config.server.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let worker = WorkerOptions { until_caught_up: true, ..WorkerOptions::default() };
    app::run(config.clone(), RunOptions { worker, ..RunOptions::default() })?;
    let rules = open_store(&config)?.reader.rules();
    let newest = rules.newest().ok_or_else(|| Failure::Data("the log has no rules".to_owned()))?;
    if newest.rules.fingerprint() == own.fingerprint() {
        return Ok(json!({ "number": newest.number, "adopted": false }));
    }
    let number = next_number(newest.number)
        .ok_or_else(|| Failure::Data("the log has had the greatest number of rules".to_owned()))?;
    let log = open_log(&config)?;
    let (lanes, homes) = ((0..log.lanes()?).map(Lane), log.founding()?);
    let marker = |lane| marker_record(lane, number, rules.founding(), homes, own, Some("local"));
    log.append_blocking(lanes.map(marker).collect())?;
    log.flush()?;
    log.shutdown()?;
    Ok(json!({ "number": number, "adopted": true }))
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        tell(format_args!("warning: {warning}"));
    }
}
