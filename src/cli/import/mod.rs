//! `import`: a file's contacts into the running instance.

mod shown;

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::config::Mode as RunMode;
use crate::domain::texts::percent_encoded;
use crate::files::import::columns_of;

use super::api::{Api, text};
use super::dlq::AnswerArgs;
use super::exit::Failure;
use super::output;
use super::progress;
use super::settings::SettingsArgs;

const PATH: &str = "/api/imports";
/// How often it is asked how far it is.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The columns are shown with three rows before anything is done. Each row becomes an event \
with the time at which the import was first begun: what is edited meanwhile stands, and the same file given again \
goes on where it was stopped and does nothing twice. Refused rows are written to NAME.refused.csv, each with its \
reason, to be mended and imported.

Columns are known by their headings (firstName, E-mail, Given name, Organization …); others are kept as \
attributes. --columns says what a column is: a field, externalId:SOURCE, attributes.NAME, or nothing to leave it \
out. A file without a header has numbers: --columns 1=email,2=firstName.

Examples:
  contactd import contacts.csv --dry-run
  contactd import contacts.csv --columns \"Customer no=externalId:erp\" --match externalId
  contactd import addresses.vcf --yes
  contactd import --undo 8f14e45fceea167a5a36dedd4bea2543"
)]
pub(super) struct ImportArgs {
    /// The file; its import goes on in the instance when this command is interrupted
    #[arg(value_name = "FILE", required_unless_present = "undo", conflicts_with = "undo")]
    file: Option<PathBuf>,
    /// Take back what this import changed and nobody has changed since
    #[arg(long, value_name = "ID")]
    undo: Option<String>,
    /// Write nothing; say what would be new, changed, unchanged and refused, with the first changes
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short = 'y')]
    yes: bool,
    /// What columns are, such as "E-mail=email,Given name=firstName,Customer no=externalId:erp"
    #[arg(long, value_name = "HEADING=FIELD,…")]
    columns: Option<String>,
    /// Which contacts rows may be of
    #[arg(long, value_enum, default_value_t = Mode::Upsert)]
    mode: Mode,
    /// By what a row's contact is found; by what each row has where nothing is said, the id first
    #[arg(long = "match", value_enum)]
    by: Option<Match>,
    /// Whose events the rows become, as history shows them
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// How the file is written; told from the file where nothing is said
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// What an empty cell says: nothing, or that there is no value any more
    #[arg(long, value_enum, default_value_t = Empty::Keep)]
    empty: Empty,
    /// When what the file says was so, as of when it was exported: what events of later said stands
    #[arg(long, value_name = "TIME")]
    as_of: Option<String>,
    /// Import a file once more whose import is done; it overrules what was edited since
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    answer: AnswerArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    Create,
    Update,
    Upsert,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Match {
    Id,
    #[value(name = "externalId")]
    ExternalId,
    Email,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Csv,
    Ndjson,
    Vcard,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Empty {
    Keep,
    Clear,
}

fn word(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

pub(super) fn run(settings: &SettingsArgs, args: &ImportArgs) -> anyhow::Result<()> {
    let config = settings.load(RunMode::Serve, Vec::new())?;
    let api = Api::new(&config, &args.answer.instance)?;
    if let Some(id) = &args.undo {
        let job = api.post(&format!("{PATH}/{}/undo", percent_encoded(id)), None)?;
        let job = until_ended(&api, job, "undoing")?;
        args.answer.tell(&job, shown::undo)?;
        return whole(&job);
    }
    let path = args.file.as_deref().unwrap_or(Path::new(""));
    let job = give(&api, args, path)?;
    if text(&job, "state") == "done" && !args.dry_run {
        output::tell(format_args!(
            "this file was imported before, at {}: what it says is there, and edits made since stand; --again \
             imports it once more",
            text(&job, "endedAt")
        ));
        return args.answer.tell(&job, shown::counts);
    }
    if text(&job, "state") == "ready" {
        output::tell(shown::columns(&job).trim_end());
        confirm(args)?;
    }
    let id = percent_encoded(text(&job, "id"));
    let job = match text(&job, "state") {
        "ready" | "cancelled" | "failed" => api.post(&format!("{PATH}/{id}/start"), None)?,
        _ => job,
    };
    let job = until_ended(&api, job, "importing")?;
    args.answer.tell(&job, if args.dry_run { shown::dry_run } else { shown::counts })?;
    whole(&job)?;
    refused(&api, &job, path)
}

/// Sends the file.
fn give(api: &Api, args: &ImportArgs, path: &Path) -> anyhow::Result<Value> {
    if let Some(columns) = &args.columns {
        columns_of(columns).map_err(|problem| Failure::Usage(format!("--columns: {problem}")))?;
    }
    let cant = |error: std::io::Error| Failure::Data(format!("{}: {error}", path.display()));
    let file = File::open(path).map_err(cant)?;
    if file.metadata().map_err(cant)?.is_dir() {
        return Err(Failure::Usage(format!("{} is a directory", path.display())).into());
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let mut pairs = vec![
        ("start", "false".to_owned()),
        ("mode", word(&args.mode)),
        ("empty", word(&args.empty)),
    ];
    pairs.extend(args.by.as_ref().map(|by| ("match", word(by))));
    pairs.extend(args.format.as_ref().map(|format| ("format", word(format))));
    pairs.extend(args.columns.clone().map(|columns| ("columns", columns)));
    pairs.extend(args.source.clone().map(|source| ("source", source)));
    pairs.extend(args.as_of.clone().map(|time| ("asOf", time)));
    pairs.extend(name.map(|name| ("name", name)));
    pairs.extend(args.dry_run.then(|| ("dryRun", "true".to_owned())));
    pairs.extend(args.again.then(|| ("again", "true".to_owned())));
    let query = pairs.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value)));
    let query = query.collect::<Vec<_>>().join("&");
    let before = seen(&file).map_err(cant)?;
    let job = api.upload(&format!("{PATH}?{query}"), file.try_clone().map_err(cant)?)?;
    if seen(&file).map_err(cant)? == before {
        return Ok(job);
    }
    if text(&job, "state") == "ready" {
        api.post(&format!("{PATH}/{}/cancel", percent_encoded(text(&job, "id"))), None)?;
    }
    let told = format!(
        "{} changed while it was read, so nothing of it is imported: give it again once it is whole",
        path.display()
    );
    Err(Failure::Data(told).into())
}

/// What changes when a file is written to; nothing of what is none, such as a pipe.
fn seen(file: &File) -> std::io::Result<Option<(u64, SystemTime)>> {
    let found = file.metadata()?;
    if !found.is_file() {
        return Ok(None);
    }
    Ok(Some((found.len(), found.modified()?)))
}

/// Asks on a terminal; nothing is lost by a dry run.
fn confirm(args: &ImportArgs) -> anyhow::Result<()> {
    if args.yes || args.dry_run {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        let text = "nothing is imported yet: give --yes where nobody can be asked, or --dry-run to see what \
                    would be";
        return Err(Failure::Usage(text.to_owned()).into());
    }
    let _ = write!(std::io::stderr(), "Import? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::Refused("nothing is imported".to_owned()).into())
}

/// Asks until it has ended; it goes on when this is interrupted.
fn until_ended(api: &Api, mut job: Value, doing: &str) -> anyhow::Result<Value> {
    let id = percent_encoded(text(&job, "id"));
    let bar = progress::bar(None, format!("{doing} {id}"));
    while matches!(text(&job, "state"), "waiting" | "running" | "undoing") {
        std::thread::sleep(LOOK_AGAIN);
        job = api.get(&format!("{PATH}/{id}"))?;
        bar.set_position(shown::number(&job, "/counts/rows"));
    }
    bar.finish_and_clear();
    Ok(job)
}

/// An error where it did not come to its end.
fn whole(job: &Value) -> anyhow::Result<()> {
    match text(job, "state") {
        "done" | "undone" => Ok(()),
        state => {
            let why = text(job, "why");
            Err(Failure::Data(format!("the import is {state} {why}").trim_end().to_owned()).into())
        }
    }
}

/// Writes the refused rows beside the file.
fn refused(api: &Api, job: &Value, path: &Path) -> anyhow::Result<()> {
    let count = shown::number(job, "/counts/refused");
    if count == 0 {
        return Ok(());
    }
    let (media, ending) = match text(job, "format") {
        "ndjson" => ("application/x-ndjson", "ndjson"),
        "vcard" => ("text/vcard", "vcf"),
        _ => ("text/csv", "csv"),
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let to = path.with_file_name(format!("{stem}.refused.{ending}"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&to)
        .with_context(|| format!("can't write {}", to.display()))?;
    let id = percent_encoded(text(job, "id"));
    api.download(&format!("{PATH}/{id}/rows?verdict=refused"), media, &mut file)?;
    let rows = if count == 1 { "row was" } else { "rows were" };
    let told = format!(
        "{count} {rows} refused; {} has them, each with its reason: mend them there and import that file",
        to.display()
    );
    Err(Failure::Data(told).into())
}
