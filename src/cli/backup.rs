//! `backup` and `backup verify`: a copy of all that an instance has, taken while it runs, else from its directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::backup::{
    self, BackupError, Bucket, ConfiguredLog, Manifest, Origin, Pace, Place, Restore, Sink, hold,
};
use crate::config::{BackupPlace, Config, Mode};

use super::api::Api;
use super::exit::Failure;
use super::instance::InstanceArgs;
use super::offline::open_store;
use super::output::{self, tell};
use super::progress;
use super::settings::SettingsArgs;

/// The archive that the running instance hands out.
pub(super) const STREAM: &str = "/api/backups/stream";
const ARCHIVE: &str = ".tar.zst";
/// How long a backup waits for the archive of dead letters; a full disk may hold it up.
const LETTERS_WAIT: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "The running instance hands it out while it goes on; this command writes it, and checks each file. \
    Where none runs it is made from the data directory (--path). It holds personal data and hashes of passwords, and \
    is readable by its owner alone. A bucket is reached as backup.s3_… of the configuration says, or by AWS_REGION, \
    AWS_ACCESS_KEY_ID and the like.\n\nExamples:\n  contactd backup backup-monday\n  \
    contactd backup monday.tar.zst --url https://contacts.example.com --key \"$KEY\"\n  \
    contactd backup s3://backups/contactd/monday\n  contactd backup verify monday.tar.zst"
)]
pub(super) struct BackupArgs {
    #[command(subcommand)]
    command: Option<BackupCommand>,
    /// Where it goes: an empty directory or a new one, a new file, or s3://bucket/prefix with nothing below it
    #[arg(value_name = "DIR|FILE.tar.zst|s3://…", required = true)]
    to: Option<PathBuf>,
    #[command(flatten)]
    instance: InstanceArgs,
}

#[derive(Clone, Debug, Subcommand)]
enum BackupCommand {
    /// Restore a backup into a directory that is removed again, and check everything
    Verify(VerifyArgs),
}

#[derive(Clone, Debug, Args)]
struct VerifyArgs {
    /// The backup
    #[arg(value_name = "DIR|FILE.tar.zst|s3://…")]
    backup: PathBuf,
    /// Where there is room for it meanwhile; the system's directory for such where nothing is said
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Print what it is of as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(settings: &SettingsArgs, args: &BackupArgs) -> anyhow::Result<()> {
    let config = settings.load(Mode::Serve, Vec::new())?;
    match (&args.command, &args.to) {
        (Some(BackupCommand::Verify(args)), _) => verify(&config, args),
        (None, Some(to)) => make(&config, to, &args.instance),
        (None, None) => Err(Failure::Usage("name where the backup goes".to_owned()).into()),
    }
}

/// A backup that a command names.
pub(super) enum Named {
    Path(PathBuf),
    Bucket(Bucket),
}

impl Named {
    pub(super) fn of(config: &Config, path: &Path) -> anyhow::Result<Self> {
        Ok(match BackupPlace::of(path) {
            BackupPlace::Directory(path) => Self::Path(path),
            BackupPlace::Bucket(url) => Self::Bucket(Bucket::open(&config.backup.bucket, &url)?),
        })
    }

    pub(super) fn origin(&self) -> Origin<'_> {
        match self {
            Self::Path(path) => Origin::Path(path),
            Self::Bucket(bucket) => Origin::Bucket(bucket),
        }
    }
}

fn make(config: &Config, to: &Path, instance: &InstanceArgs) -> anyhow::Result<()> {
    let named = Named::of(config, to)?;
    let name = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_archive = name.ends_with(ARCHIVE);
    if !is_archive && [".tar", ".zst", ".gz", ".tgz", ".zip"].iter().any(|end| name.ends_with(end))
    {
        let text = format!("{name} must be a directory, or end in {ARCHIVE}");
        return Err(Failure::Usage(text).into());
    }
    let bar = progress::bar(None, "making a backup");
    bar.enable_steady_tick(progress::TICK);
    let made = {
        let mut into = |fill: Fill<'_>| match &named {
            Named::Bucket(bucket) => backup::to_bucket(bucket, fill),
            Named::Path(to) if is_archive => backup::to_file(to, fill),
            Named::Path(to) => backup::to_directory(to, fill),
        };
        match running(config, instance, &mut into) {
            Err(error) if is_nobody_there(&error) && instance.url.is_none() => {
                // One that is there after all is told by what it said.
                stopped(config, &mut into)
                    .map_err(|other| if is_nobody_there(&other) { error } else { other })
            }
            made => made,
        }
    };
    bar.finish_and_clear();
    let manifest = made?;
    tell(format_args!("backup of {} in {}", told(&manifest), to.display()));
    Ok(())
}

/// Fills what is being made.
type Fill<'a> = Box<dyn FnOnce(Sink) -> Result<Manifest, BackupError> + 'a>;
/// Makes the directory or the file, and has it filled.
type Made<'a> = &'a mut dyn FnMut(Fill<'_>) -> Result<Manifest, BackupError>;

/// From the running instance.
fn running(config: &Config, instance: &InstanceArgs, into: Made<'_>) -> anyhow::Result<Manifest> {
    let api = Api::new(config, instance)?;
    let (stream, name) = (api.stream(STREAM)?, PathBuf::from(api.url()));
    Ok(into(Box::new(move |sink| backup::relay(stream, &name, sink)))?)
}

/// From the data directory, where nobody has it.
fn stopped(config: &Config, into: Made<'_>) -> anyhow::Result<Manifest> {
    let opened = open_store(config)?;
    opened.writer.wait_for_dead_letters(LETTERS_WAIT);
    let pinning = opened.writer.pinning();
    let held = hold(&Place::of(config), &pinning)?;
    let made = into(Box::new(|sink| backup::pack(&held, sink, &mut Pace::unbounded())));
    drop(held);
    opened.writer.close()?;
    Ok(made?)
}

fn is_nobody_there(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<Failure>(), Some(Failure::Unreachable(_)))
}

fn verify(config: &Config, args: &VerifyArgs) -> anyhow::Result<()> {
    let named = Named::of(config, &args.backup)?;
    let scratch = match &args.scratch {
        Some(directory) => tempfile::tempdir_in(directory),
        None => tempfile::tempdir(),
    };
    let scratch = scratch?;
    let restore = Restore {
        store: config.store.clone(),
        target: scratch.path().join("verified"),
        log: ConfiguredLog::Unknown,
        adopts: false,
        is_replica: false,
    };
    let bar = progress::bar(None, "verifying");
    let restored = restore.run(named.origin(), &mut |what, done| {
        bar.set_message(what.to_owned());
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let restored = restored?;
    let (manifest, report) = (restored.manifest, restored.report);
    if args.json {
        let mut json = json!(manifest);
        if let Some(object) = json.as_object_mut() {
            object.remove("files");
            object.insert("bytes".to_owned(), manifest.bytes().into());
            object.insert("ageSeconds".to_owned(), manifest.age_seconds().into());
        }
        return output::write_json(&format!("{json:#}\n"));
    }
    tell(format_args!("{}, made at {}", told(&manifest), manifest.made_at));
    tell(format_args!(
        "{} files, {} journal frames with {} entries, {} control entries: all of it agrees",
        manifest.files.len(),
        report.frames,
        report.entries,
        report.controls
    ));
    Ok(())
}

/// What a backup is of, in a line.
pub(super) fn told(manifest: &Manifest) -> String {
    let (contacts, age) = (manifest.contacts, manifest.age_seconds());
    format!(
        "{} contacts and {} deleted ones at {}, {} bytes, {age} s old",
        contacts.active,
        contacts.deleted,
        manifest.position,
        manifest.bytes()
    )
}
