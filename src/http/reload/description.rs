//! Reading the configuration again.

use serde_json::json;

use super::answers::Reload;
use crate::http::description::operation::{Answer, Operation, Tag};
use crate::http::exchange::error::Code;

pub(super) fn reload() -> Operation {
    let example = json!({
        "taken": ["jwt.secret_file", "limits.read"], "needsRestart": ["server.listen"],
    });
    Operation::new("reloadConfiguration", "Read the configuration again")
        .of(Tag::Operation)
        .about(
            "All layers are read: files, the environment that the process began with, flags, files of \
             secrets. Limits, `telemetry.log`, the secrets that sign tokens, those of webhooks, and the \
             certificate hold from then on. What else differs is named. Where something is wrong nothing is \
             taken.",
        )
        .not_sent()
        .answers(Answer::json::<Reload>(200, "What was taken, and what was not.", example))
        .fails(&[Code::ConfigurationInvalid, Code::ReloadUnavailable])
}
