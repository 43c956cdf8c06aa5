//! `support-bundle`: what somebody who helps has to know of a setup, in one file, without secrets and without
//! anything of contacts.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Map, Value, json};

use crate::app::now_ms;
use crate::config::Mode;
use crate::domain::timestamp::format_rfc3339;
use crate::telemetry::Build;

use super::api::Api;
use super::doctor::Examination;
use super::instance::{Instance, InstanceArgs};
use super::output::tell;
use super::settings::SettingsArgs;
use super::status::{ANSWER_WAIT, status};

/// What is asked of the instance besides its status: nothing of it names a contact.
const ANSWERS: [(&str, &str); 4] = [
    ("overview", "/api/overview"),
    ("stats", "/api/stats"),
    ("followers", "/api/followers?limit=200"),
    ("backups", "/api/backups"),
];

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "One JSON file: versions, the configuration as `config print` shows it, what `doctor` says, \
and of a running instance status, figures, followers and all metrics. Secrets are left out, and so is \
everything of contacts, dead letters and users. Read it before you send it.\n\nExamples:\n  \
contactd support-bundle bundle.json --config my.toml\n  jq -r .configuration bundle.json"
)]
pub(super) struct SupportBundleArgs {
    /// The file to write; it must not be there
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    instance: InstanceArgs,
}

pub(super) fn run(settings: &SettingsArgs, args: &SupportBundleArgs) -> anyhow::Result<()> {
    let made = || format!("can't make {}", args.file.display());
    // First, so that nobody waits for nothing.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&args.file);
    let mut file = file.with_context(made)?;
    let (config, wrong) = settings.examine(Mode::Serve)?;
    let build = Build::THIS;
    let directories = config.data_directories().into_iter().map(sizes);
    let bundle = json!({
        "madeAt": format_rfc3339(now_ms()),
        "version": build.version,
        "commit": build.commit,
        "features": env!("CONTACTD_FEATURES"),
        "machine": {
            "os": std::env::consts::OS,
            "architecture": std::env::consts::ARCH,
            "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        },
        "configuration": config.to_toml(),
        "configurationErrors": wrong.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "configurationWarnings": &config.warnings,
        "directories": directories.collect::<Vec<_>>(),
        "doctor": Examination::of(settings, &args.instance, &[])?.json(),
        "instance": of_instance(&config, &args.instance).unwrap_or_else(|error| {
            json!({ "notAsked": error.to_string() })
        }),
    });
    let text = format!("{bundle:#}\n");
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(made)?;
    tell(format_args!("{} made; read it before you send it", args.file.display()));
    Ok(())
}

fn of_instance(config: &crate::config::Config, args: &InstanceArgs) -> anyhow::Result<Value> {
    let instance = Instance::new(config, args, ANSWER_WAIT)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let status = runtime.block_on(status(&instance))?;
    let api = Api::new(config, args)?;
    let mut answers = Map::new();
    for (name, path) in ANSWERS {
        let answer = api.get(path).unwrap_or_else(|error| json!({ "notTold": error.to_string() }));
        answers.insert(name.to_owned(), answer);
    }
    answers.insert("status".to_owned(), serde_json::to_value(&status)?);
    answers.insert("metrics".to_owned(), status.metrics().into());
    Ok(Value::Object(answers))
}

/// Bytes and files of what lies in a data directory, by its first names.
fn sizes(directory: &Path) -> Value {
    let mut parts = Map::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (mut bytes, mut files) = (0, 0);
        measure(&entry.path(), &mut bytes, &mut files);
        let name = entry.file_name().to_string_lossy().into_owned();
        parts.insert(name, json!({ "bytes": bytes, "files": files }));
    }
    json!({ "path": directory.display().to_string(), "parts": parts })
}

fn measure(path: &Path, bytes: &mut u64, files: &mut u64) {
    let Ok(at) = fs::symlink_metadata(path) else { return };
    if at.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            measure(&entry.path(), bytes, files);
        }
        return;
    }
    *bytes += at.len();
    *files += 1;
}
