//! `export`: contacts as a file, from the running instance or from the directory.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use reqwest::{Response, StatusCode};

use crate::config::{Config, Mode};
use crate::domain::contact::Status;
use crate::domain::texts::percent_encoded;
use crate::domain::timestamp::parse_rfc3339_us;
use crate::files::columns::Column;
use crate::files::export::{Export, ExportRequest, Format, Formulas, Selection};
use crate::store::Filters;

use super::exit::Failure;
use super::instance::{self, Instance, InstanceArgs};
use super::offline::open_store;
use super::output::{Output, tell};
use super::progress;
use super::settings::SettingsArgs;
use super::value_parsers::external_id;

/// How long the instance may take for all of it.
const EXPORT_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Asks the running instance; where none answers at the configured address, reads the data \
directory. All contacts are written as they were at one position. A file takes its name when it is whole.

Examples:
  contactd export contacts.csv
  contactd export --company 'Tyrell Robotics' --columns id,email,phone tyrell.csv
  contactd export --format ndjson | zstd > contacts.ndjson.zst
  contactd export --include-deleted everybody.vcf"
)]
pub(super) struct ExportArgs {
    /// The file to write; - is standard output, as is no file
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// What a contact is written as; by the file's name where nothing is said, else ndjson
    #[arg(long)]
    format: Option<FormatArg>,
    /// Columns of a CSV, with commas between them: id, email, externalId:hubspot, an attribute …
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    columns: Vec<String>,
    /// Cells of a CSV that a spreadsheet would calculate: an apostrophe before them, or as they are
    #[arg(long, default_value = "escape")]
    formulas: FormulasArg,
    /// Only contacts of this status; active ones where nothing is said
    #[arg(long, value_name = "active|deleted", conflicts_with = "include_deleted")]
    status: Option<StatusArg>,
    /// Deleted contacts too
    #[arg(long)]
    include_deleted: bool,
    /// Only contacts with this e-mail address
    #[arg(long)]
    email: Option<String>,
    /// Only contacts of this company
    #[arg(long)]
    company: Option<String>,
    /// Only contacts whose newest event is of this source
    #[arg(long)]
    source: Option<String>,
    /// Only contacts whose name, e-mail address or company begins with this
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
    /// Only the contact that a source has this id for, such as hubspot:123
    #[arg(long, value_name = "SOURCE:ID", value_parser = external_id)]
    external_id: Option<(String, String)>,
    /// Only contacts whose newest event is of then or later (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = time)]
    updated_since: Option<String>,
    /// Only contacts whose present version came then or later (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = time)]
    changed_since: Option<String>,
    #[command(flatten)]
    instance: InstanceArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatArg {
    Csv,
    Ndjson,
    Vcard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormulasArg {
    Escape,
    Keep,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StatusArg {
    Active,
    Deleted,
}

fn time(text: &str) -> Result<String, String> {
    let is_time = parse_rfc3339_us(text.as_bytes()).is_some();
    let wrong = || "must be an RFC 3339 time, such as 2026-11-21T10:00:00Z".to_owned();
    is_time.then(|| text.to_owned()).ok_or_else(wrong)
}

pub(super) fn run(settings: &SettingsArgs, args: &ExportArgs) -> anyhow::Result<()> {
    let format = args.format()?;
    let request = args.request(format)?;
    let config = settings.load(Mode::Serve, Vec::new())?;
    let instance = Instance::new(&config, &args.instance, EXPORT_WAIT)?;
    let bar = progress::bar(None, "bytes exported");
    let done = match from_instance(&instance, args, format, &bar)? {
        Asked::Answered(done) => done,
        // Where the instance was named, silence is an error.
        Asked::Silent(error) if args.instance.url.is_some() => return Err(error.into()),
        Asked::Silent(_) => from_directory(&config, args, request, &bar)?,
    };
    bar.finish_and_clear();
    if let Some(position) = done {
        tell(format_args!("all contacts that match, as of position {position}"));
    }
    Ok(())
}

/// What the export is as of; none: its reader had seen enough.
type Done = Option<String>;

enum Asked {
    Answered(Done),
    /// Nobody listens there.
    Silent(Failure),
}

fn from_instance(
    instance: &Instance,
    args: &ExportArgs,
    format: Format,
    bar: &ProgressBar,
) -> anyhow::Result<Asked> {
    let Instance { url, key, client, .. } = instance;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let request = client.get(format!("{url}/api/export?{}", args.query(format)));
    let request = match key {
        Some(key) => request.header("X-API-Key", key.expose()),
        None => request,
    };
    runtime.block_on(async {
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() => {
                return Ok(Asked::Silent(instance::unreachable(url, &error)));
            }
            Err(error) => return Err(instance::unreachable(url, &error).into()),
        };
        match response.status() {
            StatusCode::OK => taken(response, args, bar).await.map(Asked::Answered),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(Failure::Refused(instance::refused(url, key.is_some())).into())
            }
            status => {
                let body = response.bytes().await.unwrap_or_default();
                Err(told(url, status, &body).into())
            }
        }
    })
}

fn told(url: &str, status: StatusCode, body: &[u8]) -> Failure {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = json.pointer("/error/message").and_then(serde_json::Value::as_str);
    let text = text.map_or_else(|| format!("{url} answers {status}"), str::to_owned);
    match status {
        StatusCode::BAD_REQUEST => Failure::Usage(text),
        _ => Failure::Unreachable(text),
    }
}

async fn taken(
    mut response: Response,
    args: &ExportArgs,
    bar: &ProgressBar,
) -> anyhow::Result<Done> {
    let position = response.headers().get("position").and_then(|value| value.to_str().ok());
    let position = position.unwrap_or_default().to_owned();
    let mut target = Target::new(args)?;
    loop {
        let piece = response.chunk().await.map_err(|error| {
            Failure::Unreachable(format!(
                "the export ended in the middle ({error}): it is not whole"
            ))
        })?;
        match piece {
            None => return Ok(target.finish()?.then_some(position)),
            Some(piece) => {
                bar.inc(piece.len() as u64);
                if !target.take(&piece)? {
                    return Ok(None);
                }
            }
        }
    }
}

fn from_directory(
    config: &Config,
    args: &ExportArgs,
    request: ExportRequest,
    bar: &ProgressBar,
) -> anyhow::Result<Done> {
    let opened = open_store(config)?;
    let export =
        Export::begin(&opened.reader, request).map_err(|error| Failure::Data(error.to_string()))?;
    let mut target = Target::new(args)?;
    let mut failed = None;
    let is_whole = export.write(&mut |piece, _| {
        bar.inc(piece.len() as u64);
        match target.take(&piece) {
            Ok(true) => ControlFlow::Continue(()),
            Ok(false) => ControlFlow::Break(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    match failed {
        Some(error) => Err(error),
        None if is_whole && target.finish()? => Ok(Some(export.position().encode())),
        None => Ok(None),
    }
}

/// Where it is written.
enum Target {
    Stdout(Output),
    /// Under another name until it is whole.
    File {
        part: Option<BufWriter<File>>,
        part_path: PathBuf,
        path: PathBuf,
    },
}

impl Target {
    fn new(args: &ExportArgs) -> anyhow::Result<Self> {
        let Some(path) = args.path() else {
            return Ok(Self::Stdout(Output::new()));
        };
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let part_path = path.with_file_name(name);
        let part =
            File::create(&part_path).with_context(|| format!("making {}", part_path.display()))?;
        Ok(Self::File { part: Some(BufWriter::new(part)), part_path, path: path.to_owned() })
    }

    /// False: its reader has seen enough.
    fn take(&mut self, piece: &[u8]) -> anyhow::Result<bool> {
        match self {
            Self::Stdout(output) => going_on(output.write_all(piece)),
            Self::File { part, part_path, .. } => {
                let written = part.as_mut().map_or(Ok(()), |part| part.write_all(piece));
                written.with_context(|| format!("writing {}", part_path.display()))?;
                Ok(true)
            }
        }
    }

    /// What was written is whole. False: its reader has seen enough.
    fn finish(&mut self) -> anyhow::Result<bool> {
        match self {
            Self::Stdout(output) => going_on(output.flush()),
            Self::File { part, part_path, path } => {
                let kept = match part.take() {
                    Some(mut part) => part.flush().and_then(|()| part.get_ref().sync_all()),
                    None => Ok(()),
                };
                kept.and_then(|()| fs::rename(&*part_path, &*path))
                    .with_context(|| format!("writing {}", path.display()))?;
                Ok(true)
            }
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Self::File { part: Some(_), part_path, .. } = self {
            // It is of no use, and its name says so where it stays.
            let _ = fs::remove_file(part_path);
        }
    }
}

fn going_on(written: io::Result<()>) -> anyhow::Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl ExportArgs {
    /// None: standard output.
    fn path(&self) -> Option<&Path> {
        self.file.as_deref().filter(|path| *path != Path::new("-"))
    }

    fn format(&self) -> anyhow::Result<Format> {
        let extension = self.path().and_then(|path| path.extension()?.to_str());
        match (self.format, extension) {
            (Some(FormatArg::Csv), _) => Ok(Format::Csv),
            (Some(FormatArg::Ndjson), _) => Ok(Format::Ndjson),
            (Some(FormatArg::Vcard), _) => Ok(Format::Vcard),
            (None, Some(extension)) => Format::of_extension(extension).ok_or_else(|| {
                let text = format!(
                    "a file that ends in .{extension} may be of any format: say --format csv, ndjson or \
                     vcard"
                );
                Failure::Usage(text).into()
            }),
            // A table is asked for by its columns.
            (None, None) if !self.columns.is_empty() => Ok(Format::Csv),
            (None, None) => Ok(Format::Ndjson),
        }
    }

    fn status(&self) -> Option<Status> {
        match self.status {
            Some(StatusArg::Deleted) => Some(Status::Deleted),
            Some(StatusArg::Active) => Some(Status::Active),
            None => (!self.include_deleted).then_some(Status::Active),
        }
    }

    fn request(&self, format: Format) -> anyhow::Result<ExportRequest> {
        if format != Format::Csv
            && !(self.columns.is_empty() && self.formulas == FormulasArg::Escape)
        {
            let text = "--columns and --formulas go with --format csv only";
            return Err(Failure::Usage(text.to_owned()).into());
        }
        let columns: Result<Vec<Column>, _> =
            self.columns.iter().map(|name| Column::parse(name)).collect();
        let columns = columns.map_err(|error| Failure::Usage(format!("--columns: {error}")))?;
        let us = |time: &Option<String>| parse_rfc3339_us(time.as_ref()?.as_bytes());
        let text = |text: &Option<String>| text.as_ref().map(|text| text.trim().to_owned());
        let filters = Filters {
            email: text(&self.email),
            company: text(&self.company),
            source: text(&self.source),
            q: text(&self.q),
            updated_since_us: us(&self.updated_since),
            changed_since_us: us(&self.changed_since),
        };
        let selection = Selection::new(self.status(), filters);
        let selection = match self.external_id.clone() {
            Some((source, id)) => selection.tied_to(source, id),
            None => selection,
        };
        let formulas = match self.formulas {
            FormulasArg::Escape => Formulas::Escape,
            FormulasArg::Keep => Formulas::Keep,
        };
        let columns = Some(columns).filter(|columns| !columns.is_empty());
        Ok(ExportRequest { selection, format, columns, formulas })
    }

    fn query(&self, format: Format) -> String {
        let external_id = self.external_id.as_ref().map(|(source, id)| format!("{source}:{id}"));
        let status = match self.status() {
            Some(status) => ("status", Some(status.as_str().to_owned())),
            None => ("includeDeleted", Some("true".to_owned())),
        };
        let keep = (self.formulas == FormulasArg::Keep).then(|| "keep".to_owned());
        let named = [
            ("format", Some(format.as_str().to_owned())),
            ("formulas", keep),
            status,
            ("email", self.email.clone()),
            ("company", self.company.clone()),
            ("source", self.source.clone()),
            ("q", self.q.clone()),
            ("externalId", external_id),
            ("updatedSince", self.updated_since.clone()),
            ("changedSince", self.changed_since.clone()),
        ];
        let columns = self.columns.iter().map(|name| ("columns", Some(name.clone())));
        let given = named
            .into_iter()
            .chain(columns)
            .filter_map(|(name, value)| Some(format!("{name}={}", percent_encoded(&value?))));
        given.collect::<Vec<_>>().join("&")
    }
}
