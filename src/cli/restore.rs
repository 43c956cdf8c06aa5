//! `restore`: a backup brought back into an empty data directory, or another instance's data into one of its own.

use std::path::PathBuf;

use clap::Args;

use crate::app;
use crate::backup::{ConfiguredLog, Origin, Restore, Restored};
use crate::config::{Config, Mode};
use crate::domain::position::LogKind;

use super::api::Api;
use super::backup::{Named, STREAM, told};
use super::exit::Failure;
use super::instance::InstanceArgs;
use super::output::tell;
use super::progress;
use super::settings::SettingsArgs;

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Everything is read and checked before the directory gets its name; what fails leaves it as it \
    was. The configuration says which log is followed; the instance goes on from where the backup ends, and answers \
    once it has caught up.\n\nExamples:\n  contactd restore monday.tar.zst --data-dir /var/lib/contactd\n  \
    contactd restore s3://backups/contactd/monday --data-dir /var/lib/contactd\n  \
    contactd restore --from https://contacts.example.com --key \"$KEY\" --data-dir replica\n  \
    contactd serve --path /var/lib/contactd"
)]
pub(super) struct RestoreArgs {
    /// The backup
    #[arg(
        value_name = "DIR|FILE.tar.zst|s3://…",
        required_unless_present = "from",
        conflicts_with = "from"
    )]
    backup: Option<PathBuf>,
    /// Take the data of the running instance at this address, for a replica of it
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// API key of an admin there
    #[arg(long, env = "CONTACTD_API_KEY", hide_env_values = true)]
    key: Option<String>,
    /// Certificates (PEM) of which one must stand behind its, instead of the system's
    #[arg(long, env = "CONTACTD_CACERT", value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// The directory, which must be empty or not there yet; the configured one where nothing is said
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Although the configured topic is another one: it holds the same records at the same offsets
    #[arg(long)]
    adopt: bool,
}

pub(super) fn run(settings: &SettingsArgs, args: &RestoreArgs) -> anyhow::Result<()> {
    let config = settings.load(Mode::Serve, Vec::new())?;
    let restore = Restore {
        store: config.store.clone(),
        target: args.data_dir.clone().unwrap_or_else(|| config.store.path.clone()),
        log: configured(&config)?,
        adopts: args.adopt,
        is_replica: args.from.is_some(),
    };
    let bar = progress::bar(None, "restoring");
    let progress = &mut |what: &str, done: u64| {
        bar.set_message(what.to_owned());
        bar.set_position(done);
    };
    let restored = match (&args.backup, &args.from) {
        (Some(path), _) => restore.run(Named::of(&config, path)?.origin(), progress),
        (None, Some(url)) => {
            let instance = InstanceArgs {
                url: Some(url.clone()),
                key: args.key.clone(),
                cacert: args.cacert.clone(),
            };
            let api = Api::new(&config, &instance)?;
            let name = PathBuf::from(api.url());
            restore.run(Origin::Reader(Box::new(api.stream(STREAM)?), &name), progress)
        }
        (None, None) => return Err(Failure::Usage("name the backup".to_owned()).into()),
    };
    bar.finish_and_clear();
    tell_of(&restore, &restored?);
    Ok(())
}

fn tell_of(restore: &Restore, restored: &Restored) {
    let Restored { manifest, took, .. } = restored;
    let target = restore.target.display();
    tell(format_args!("restored {} to {target} in {:.1} s", told(manifest), took.as_secs_f64()));
    if let ConfiguredLog::Unreached(topic) = &restore.log {
        tell(format_args!(
            "the brokers don't answer: whether topic {topic} is the one of the backup, {}, shows at the start",
            manifest.log
        ));
    }
    let since = match manifest.log.kind {
        LogKind::Kafka => "applies what the topic has had since, then answers",
        LogKind::Embedded => "goes on from there; what was written after the backup is gone",
    };
    tell(format_args!("`contactd serve --path {target}` {since}"));
}

/// What the configuration follows; brokers that are away are no reason not to restore.
fn configured(config: &Config) -> anyhow::Result<ConfiguredLog> {
    if !config.follows_kafka() {
        return Ok(ConfiguredLog::Embedded);
    }
    let log = app::open_log(config)?;
    let identity = log.identity();
    log.shutdown()?;
    Ok(identity.map_or_else(
        |_| ConfiguredLog::Unreached(config.kafka.topic.clone()),
        ConfiguredLog::Kafka,
    ))
}
