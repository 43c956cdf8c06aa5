//! `check-event FILE|-`: what events would do, and why they would be refused; nothing is sent.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::app::{ApplySetup, now_ms};
use crate::config::{Config, Mode};
use crate::domain::contact::{Contact, ContactView};
use crate::domain::decode::{Decoder, ITEMS_BYTES_MAX, ITEMS_MAX, Item, Most, Reject};
use crate::domain::event::{Event, FIELDS, Patch};
use crate::domain::external_ids::contact_id_of;
use crate::domain::headers::SOURCE;
use crate::domain::merge::{MergeError, merge};
use crate::domain::position::{Lane, Offset};
use crate::domain::record::RecordBatch;
use crate::domain::schemas::Schemas;
use crate::domain::sources::Sources;
use crate::domain::timestamp::format_rfc3339_us;
use crate::domain::verdict::DeadLetterReason;

use super::exit::Failure;
use super::foreign::line;
use super::output;
use super::settings::SettingsArgs;

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "One event, an array of events, or one after the other. Exit code 5 where one \
    would be refused.\n\nExamples:\n  contactd check-event event.json\n  curl -s https://example.com/events \
    | contactd check-event - --source acme --json"
)]
pub(super) struct CheckEventArgs {
    /// The file with the events; - is standard input
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Check it as this source's webhook, with its table and its JSON Schemas
    #[arg(long, value_name = "NAME")]
    pub(super) source: Option<String>,
    /// Print the report as JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(settings: &SettingsArgs, args: &CheckEventArgs) -> anyhow::Result<()> {
    // No secret is needed to look at an event.
    let config = settings.load(Mode::Dev, Vec::new())?;
    let input = read(&args.file)?;
    let check = Check {
        setup: ApplySetup::new(&config)?,
        schemas: built_in_schemas(&config, args.source.as_deref())?,
        source: args.source.clone(),
        now_ms: now_ms(),
    };
    let reports: Vec<Report> = check.all(&input);
    let refused = reports.iter().filter(|report| report.reason.is_some()).count();
    if args.json {
        let told = serde_json::to_string(&reports).context("writing the report")?;
        output::write_json(&format!("{told}\n"))?;
    } else {
        let mut told = Vec::new();
        for report in &reports {
            report.write(&mut told)?;
        }
        output::write_all(&told)?;
    }
    if refused > 0 {
        let all = reports.len();
        let text = if all == 1 {
            "the event would be refused".to_owned()
        } else {
            format!("{refused} of {all} events would be refused")
        };
        return Err(Failure::Data(text).into());
    }
    Ok(())
}

pub(super) fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    if file != Path::new("-") {
        return std::fs::read(file)
            .map_err(|error| Failure::Data(format!("{}: {error}", file.display())).into());
    }
    let mut input = Vec::new();
    std::io::stdin().lock().read_to_end(&mut input).context("reading standard input")?;
    Ok(input)
}

/// What a source's events become, as the bridge takes them apart.
pub(super) fn items<'t>(
    decoder: &Decoder,
    source: &[u8],
    text: &'t [u8],
) -> Result<Vec<Item<'t>>, Reject> {
    let (events, _) = decoder.events(source, text)?;
    let most = Most { items: ITEMS_MAX, bytes: ITEMS_BYTES_MAX };
    Ok(decoder.items(source, &events, most)?)
}

/// One event, an array of them, or one after the other; what is none of these is one bad event.
pub(super) fn events(input: &[u8]) -> Vec<&[u8]> {
    let input = input.trim_ascii();
    let all: Result<Vec<&RawValue>, _> = if input.starts_with(b"[") {
        serde_json::from_slice(input)
    } else {
        serde_json::Deserializer::from_slice(input).into_iter().collect()
    };
    match all {
        Ok(events) if !events.is_empty() => {
            events.into_iter().map(|event| event.get().as_bytes()).collect()
        }
        Ok(_) | Err(_) => vec![input],
    }
}

/// Of a source without configured ones, which decoding holds events against.
fn built_in_schemas(config: &Config, source: Option<&str>) -> anyhow::Result<Schemas> {
    let configured =
        |source| config.webhooks.sources.get(source).and_then(|at| at.schemas.as_ref());
    Ok(match source {
        Some(source) if configured(source).is_none() => Schemas::built_in(source)?,
        Some(_) | None => Schemas::default(),
    })
}

struct Check {
    setup: ApplySetup,
    /// What only webhooks are held against.
    schemas: Schemas,
    /// Whose webhook it is to come by.
    source: Option<String>,
    now_ms: u64,
}

/// What is said of one event.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// `accepted` or `refused`.
    status: &'static str,
    /// Why it would be refused: the stable word that dead letters have.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    event_type: Option<&'static str>,
    event_id: Option<String>,
    contact_id: Option<String>,
    source: Option<String>,
    timestamp: Option<String>,
    version: Option<u64>,
    /// What is worth knowing although it is accepted.
    notes: Vec<String>,
    /// The contact that it would make where there is none yet.
    contact: Option<Contact>,
}

impl Check {
    /// Taken apart as the source's webhooks are.
    fn all(&self, input: &[u8]) -> Vec<Report> {
        let decoder = &self.setup.decoder;
        let source = self.source.as_deref().unwrap_or_default().as_bytes();
        let mut reports = Vec::new();
        for text in events(input) {
            match items(decoder, source, text) {
                Ok(items) => {
                    let report = |it: Item<'_>| self.event(it.text, it.contact.as_deref());
                    reports.extend(items.into_iter().map(report));
                }
                Err(Reject { reason, detail, .. }) => {
                    reports.push(Report::default().refused(reason.as_str(), detail));
                }
            }
        }
        reports
    }

    fn event(&self, text: &[u8], key: Option<&[u8]>) -> Report {
        let mut batch = RecordBatch::new(Lane(0));
        let source = self.source.as_ref().map(|name| (SOURCE, Some(name.as_bytes())));
        let time = i64::try_from(self.now_ms).unwrap_or(i64::MAX);
        batch.push(Offset(0), time, key, Some(text), source.into_iter());
        let mut event = match self.setup.decoder.decode(&mut batch, 0) {
            Ok(event) => event,
            Err(reject) => {
                return Report::default().refused(reject.reason.as_str(), reject.detail);
            }
        };
        let mut report = Report::of(&event, &batch, self.setup.decoder.sources());
        let source = self.source.as_deref().unwrap_or_default().as_bytes();
        if self.setup.decoder.sources().has_own_ids(source) {
            let id = event.contact_id.of(&batch.arena);
            report.notes.push(format!(
                "{} is the source's own id: the event is this contact's unless that id is tied to \
                 another one",
                String::from_utf8_lossy(id)
            ));
            report.contact_id = Some(contact_id_of(source, id));
            event.external_ids = vec![(event.source, Patch::Set(event.contact_id))];
        }
        if let Some((reason, detail)) = self.refusal(&event, text) {
            return report.refused(reason, detail);
        }
        if event.payment.is_some() {
            return Report { status: "accepted", ..report };
        }
        let mut body = Vec::new();
        match merge(None, &event, &batch.arena, time, self.setup.rules.limits(), &mut body) {
            Ok(_) => {
                let id = report.contact_id.clone().unwrap_or_default();
                let contact = ContactView::parse(&body).ok();
                let contact = contact.map(|view| Contact::from_view(&id, &view));
                Report { status: "accepted", contact, ..report }
            }
            Err(
                error @ (MergeError::TooLarge { .. }
                | MergeError::TooManyIds { .. }
                | MergeError::TooManyRefunds),
            ) => report.refused(DeadLetterReason::TooLarge.as_str(), error.to_string()),
            // There is no contact that could be damaged.
            Err(error @ MergeError::Corrupt(_)) => report.refused("internal", error.to_string()),
        }
    }

    fn refusal(&self, event: &Event, text: &[u8]) -> Option<(&'static str, String)> {
        let latest = self.now_ms.saturating_add(self.setup.future_tolerance_ms);
        if let Some(ahead) = event.timestamp.and_then(|us| (us / 1000).checked_sub(latest + 1)) {
            let ahead = ahead + 1 + self.setup.future_tolerance_ms;
            let detail = format!("the event is dated {ahead} ms ahead of this machine's clock");
            return Some((DeadLetterReason::TimestampInFuture.as_str(), detail));
        }
        let problem = self.schemas.problem(event.kind, text);
        problem.map(|problem| (DeadLetterReason::Schema.as_str(), problem))
    }
}

impl Report {
    fn of(event: &Event, batch: &RecordBatch, sources: &Sources) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let arena = &batch.arena;
        let source = text(event.source.of(arena));
        let mut notes = Vec::new();
        if !event.is_id_given {
            notes.push("it has no id: one is made from its bytes".to_owned());
        }
        if event.timestamp.is_none() {
            notes.push(
                "it has no timestamp: it counts in the order it arrives, and its repeats are \
                 noticed among the contact's last 256, for 10 minutes"
                    .to_owned(),
            );
        }
        let unmapped: Vec<String> =
            event.attributes.iter().map(|(key, _)| text(key.of(arena))).collect();
        if source.is_empty() {
            let knowing = sources.who_knows(unmapped.iter().map(String::as_str));
            let hint = match knowing.as_slice() {
                [] => String::new(),
                names => format!("; the source {} knows more of them", names.join(" or ")),
            };
            notes.push(format!("it names no source: only our own names count{hint}"));
        }
        if !unmapped.is_empty() {
            notes.push(format!("nothing stands for {}: kept as attributes", unmapped.join(", ")));
        }
        Self {
            event_type: Some(event.kind.as_str()),
            event_id: Some(text(event.event_id.of(arena))),
            contact_id: Some(text(event.contact_id.of(arena))),
            source: Some(source).filter(|source| !source.is_empty()),
            timestamp: event.timestamp.map(format_rfc3339_us),
            version: event.source_version,
            notes,
            ..Self::default()
        }
    }

    fn refused(self, reason: &'static str, detail: String) -> Self {
        Self { status: "refused", reason: Some(reason), detail: Some(detail), ..self }
    }

    fn write(&self, out: &mut Vec<u8>) -> anyhow::Result<()> {
        let name = line(self.event_id.as_deref().unwrap_or("event"));
        match (&self.reason, &self.detail) {
            (Some(reason), Some(detail)) => {
                writeln!(out, "{name}: refused, {reason}: {}", line(detail))?;
            }
            (Some(_), None) | (None, _) => writeln!(out, "{name}: accepted")?,
        }
        let version = self.version.map(|version| version.to_string());
        for (label, value) in [
            ("type", self.event_type),
            ("contact", self.contact_id.as_deref()),
            ("source", self.source.as_deref()),
            ("timestamp", self.timestamp.as_deref()),
            ("version", version.as_deref()),
        ] {
            if let Some(value) = value {
                writeln!(out, "  {label:<10} {}", line(value))?;
            }
        }
        if let Some(contact) = &self.contact {
            let fields = [
                &contact.first_name,
                &contact.last_name,
                &contact.email,
                &contact.phone,
                &contact.company,
                &contact.title,
            ];
            for (label, value) in FIELDS.iter().zip(fields) {
                if let Some(value) = value {
                    writeln!(out, "  {label:<10} {value:?}")?;
                }
            }
        }
        for note in &self.notes {
            writeln!(out, "  note       {}", line(note))?;
        }
        Ok(())
    }
}
