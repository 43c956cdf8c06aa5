//! `reload`: the running instance reads its configuration again.

use clap::Args;
use serde_json::Value;

use crate::config::Mode;

use super::api::Api;
use super::dlq::AnswerArgs;
use super::settings::SettingsArgs;

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The instance reads its own files, as SIGHUP makes `serve` do. Rate limits (limits.*), \
telemetry.log, jwt.secret*, the secrets of webhooks and the certificate hold from then on; of what else \
differs it is said that it needs a restart. Where something is wrong nothing is taken, and the exit code is \
5.\n\nExamples:\n  contactd reload\n  contactd reload --json | jq .needsRestart"
)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    answer: AnswerArgs,
}

pub(super) fn run(settings: &SettingsArgs, args: &ReloadArgs) -> anyhow::Result<()> {
    let config = settings.load(Mode::Serve, Vec::new())?;
    let api = Api::new(&config, &args.answer.instance)?;
    args.answer.tell(&api.post("/api/reload", None)?, shown)
}

fn shown(reloaded: &Value) -> String {
    let keys = |member: &str| -> Vec<&str> {
        let keys = reloaded.get(member).and_then(Value::as_array).into_iter().flatten();
        keys.filter_map(Value::as_str).collect()
    };
    let (taken, needs_restart) = (keys("taken"), keys("needsRestart"));
    if taken.is_empty() && needs_restart.is_empty() {
        return "nothing has changed\n".to_owned();
    }
    let taken = taken.iter().map(|key| format!("taken            {key}\n"));
    let others = needs_restart.iter().map(|key| format!("needs a restart  {key}\n"));
    taken.chain(others).collect()
}
