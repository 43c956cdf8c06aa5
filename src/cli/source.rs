//! `source list`, `source show` and `source test`: what is known of the sources, and what becomes of
//! their records.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use crate::app::{ApplySetup, now_ms};
use crate::config::{Config, Mode};
use crate::domain::avro::{Schema, to_json};
use crate::domain::decode::{Decoder, ITEMS_BYTES_MAX, Item, frame};
use crate::domain::event::{Event, FIELDS, Patch};
use crate::domain::external_ids::contact_id_of;
use crate::domain::headers::SOURCE;
use crate::domain::limits::Limits;
use crate::domain::position::{Lane, Offset};
use crate::domain::record::RecordBatch;
use crate::domain::sources::{
    Ids, PRESETS, Preset, Source, SourceText, SourceTexts, Sources, Unknown,
};
use crate::domain::timestamp::format_rfc3339_us;
use crate::schema_registry::{Format, RegistryError, SchemaRegistry};
use crate::telemetry::Metrics;

use super::check_event::{events, items, read};
use super::exit::Failure;
use super::foreign::line;
use super::output;
use super::settings::SettingsArgs;
use super::source_command::SourceCommand;

/// Of what goes in, so much is shown.
const INPUT_CHARS_MAX: usize = 400;

pub(super) fn run(settings: &SettingsArgs, command: &SourceCommand) -> anyhow::Result<()> {
    // No secret is needed to look at a source.
    let config = settings.load(Mode::Dev, Vec::new())?;
    match command {
        SourceCommand::List => output::write_all(list(&config).as_bytes()),
        SourceCommand::Show { name } => output::write_all(show(&config, name)?.as_bytes()),
        SourceCommand::Test { name, file, schema, registry } => {
            let mut input = read(file)?;
            if let Some(schema) = schema {
                input = json_of(&input, schema)?;
            } else if *registry {
                input = json_by_registry(&config, &input)?;
            }
            let (told, refused) = Test::new(&config, name)?.all(&input);
            output::write_all(told.as_bytes())?;
            match refused {
                0 => Ok(()),
                refused => Err(Failure::Data(format!("{refused} would be refused")).into()),
            }
        }
    }
}

/// An Avro record as the bridge reads it.
fn json_of(input: &[u8], schema: &Path) -> anyhow::Result<Vec<u8>> {
    let named = |error: String| Failure::Data(format!("{}: {error}", schema.display()));
    let text = String::from_utf8(read(schema)?).map_err(|error| named(error.to_string()))?;
    let parsed = Schema::parse(&text, &[]).map_err(|error| named(error.to_string()))?;
    // What looks like a frame may be the beginning of a value.
    let framed = frame(input).and_then(|(_, value)| to_json(&parsed, value, ITEMS_BYTES_MAX).ok());
    framed.map_or_else(|| to_json(&parsed, input, ITEMS_BYTES_MAX), Ok).map_err(|error| {
        Failure::Data(format!("the record is not what {} says: {error}", schema.display())).into()
    })
}

/// The same by the schema that the registry has under the record's id.
fn json_by_registry(config: &Config, input: &[u8]) -> anyhow::Result<Vec<u8>> {
    let Some(registry) = &config.schema_registry else {
        let text = "no schema registry is configured: set schema_registry.url";
        return Err(Failure::Usage(text.to_owned()).into());
    };
    let url = registry.url.clone();
    let (id, value) = frame(input).ok_or_else(|| {
        let text = "the record has no schema's id before it (a zero byte, and the id in four)";
        Failure::Data(text.to_owned())
    })?;
    let registry = SchemaRegistry::new(registry, Arc::new(Metrics::new()?))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let format = runtime.block_on(registry.format(id)).map_err(|error| {
        let text = format!("the schema registry {url}: schema {id}: {error}");
        match error {
            RegistryError::Away(_) | RegistryError::Certificates(_) => Failure::Unreachable(text),
            RegistryError::Unknown(_) | RegistryError::Unusable(_) => Failure::Data(text),
        }
    })?;
    match format {
        Format::Json => Ok(value.to_vec()),
        Format::Avro(schema) => to_json(&schema, value, ITEMS_BYTES_MAX).map_err(|error| {
            Failure::Data(format!("the record is not what schema {id} says: {error}")).into()
        }),
    }
}

fn list(config: &Config) -> String {
    let mut text = String::from("configured:\n");
    for (name, table) in &config.sources {
        let webhook = config.webhooks.sources.get(name);
        let signs = webhook.map(|it| it.signature.name.as_str()).unwrap_or_default();
        let has_secret = webhook.is_some_and(|it| it.secret.is_some());
        let webhooks = if has_secret { signs } else { "none, it has no secret" };
        // Writing to a String can't fail.
        let _ =
            writeln!(text, "  {:<16} preset {}, webhooks: {webhooks}", line(name), table.preset);
    }
    text.push_str("presets:\n");
    for preset in PRESETS {
        let _ = writeln!(text, "  {:<16} {}", preset.name, preset.about);
    }
    text
}

fn text_of(config: &Config, name: &str) -> anyhow::Result<SourceText> {
    let configured = config.sources.get(name).map(|table| table.text.clone());
    let found = configured.or_else(|| Preset::of(name).map(Preset::text));
    found.ok_or_else(|| {
        let known: Vec<&str> = config.sources.keys().map(String::as_str).collect();
        let presets: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
        let text = format!(
            "there is no source {name}; configured: {}; presets: {}",
            known.join(", "),
            presets.join(", ")
        );
        Failure::Data(text).into()
    })
}

/// As a table of the configuration, with everything that its preset says.
fn show(config: &Config, name: &str) -> anyhow::Result<String> {
    let text = text_of(config, name)?;
    let source = compiled(name, &text)?;
    let table = toml::Value::try_from(&text)?;
    let root = toml::Value::Table([(name.to_owned(), table)].into_iter().collect());
    let root = toml::Value::Table([("source".to_owned(), root)].into_iter().collect());
    let mut shown = toml::to_string(&root)?;
    for (field, why) in source.one_way() {
        let _ = writeln!(shown, "# {field} is taken from there and never sent there: {why}");
    }
    Ok(shown)
}

fn compiled(name: &str, text: &SourceText) -> anyhow::Result<Source> {
    Source::compile(name, text).map_err(|wrong| {
        let wrong: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        Failure::Data(wrong.join("\n")).into()
    })
}

struct Test {
    name: String,
    source: Source,
    decoder: Decoder,
    /// The same, but that it keeps what the source drops.
    keeping: Decoder,
}

impl Test {
    fn new(config: &Config, name: &str) -> anyhow::Result<Self> {
        let text = text_of(config, name)?;
        let limits = *ApplySetup::new(config)?.rules.limits();
        let decoder = |text: &SourceText| decoder(name, text, limits);
        Ok(Self {
            name: name.to_owned(),
            source: compiled(name, &text)?,
            decoder: decoder(&text)?,
            keeping: decoder(&SourceText { unknown: Unknown::Keep, ..text })?,
        })
    }

    /// What is told of all events, and how many would be refused.
    fn all(&self, input: &[u8]) -> (String, usize) {
        let mut told = String::new();
        let mut refused = 0;
        let source = self.name.as_bytes();
        for text in events(input) {
            match items(&self.decoder, source, text) {
                Ok(items) => {
                    for Item { text, contact, .. } in items {
                        refused += usize::from(!self.event(text, contact.as_deref(), &mut told));
                    }
                }
                Err(reject) => {
                    let _ = writeln!(told, "refused, {reject}");
                    refused += 1;
                }
            }
        }
        (told, refused)
    }

    /// False: it would be refused.
    fn event(&self, text: &[u8], key: Option<&[u8]>, told: &mut String) -> bool {
        let input: String =
            String::from_utf8_lossy(text).split_whitespace().collect::<Vec<_>>().join(" ");
        let shown: String = input.chars().take(INPUT_CHARS_MAX).collect();
        let more = if shown.len() < input.len() { " ..." } else { "" };
        let _ = writeln!(told, "in         {}{more}", line(&shown));
        let (batch, event) = match decoded(&self.decoder, &self.name, text, key) {
            Ok(decoded) => decoded,
            Err(reject) => {
                let _ = writeln!(told, "refused    {}: {}\n", reject.reason, line(&reject.detail));
                return false;
            }
        };
        let at = |span: crate::domain::span::Span| {
            line(&String::from_utf8_lossy(span.of(&batch.arena))).into_owned()
        };
        let _ = writeln!(told, "accepted   {}", event.kind.as_str());
        let _ = match self.source.ids() {
            Ids::Ours => writeln!(told, "  contact  {}", at(event.contact_id)),
            Ids::Own => {
                let id = event.contact_id.of(&batch.arena);
                let contact = contact_id_of(self.name.as_bytes(), id);
                let named = at(event.contact_id);
                writeln!(
                    told,
                    "  contact  {contact}  (of its id {named}, unless that is tied to another)"
                )
            }
        };
        let made = if event.is_id_given { "" } else { "  (made of its bytes)" };
        let _ = writeln!(told, "  event    {}{made}", at(event.event_id));
        let time = event
            .timestamp
            .map_or("none: the order of arrival counts".to_owned(), format_rfc3339_us);
        let _ = writeln!(told, "  time     {time}");
        if let Some(version) = event.source_version {
            let _ = writeln!(told, "  version  {version}");
        }
        self.fields(&event, &batch, told);
        self.left_out(text, key, &event, &batch, told);
        told.push('\n');
        true
    }

    fn fields(&self, event: &Event, batch: &RecordBatch, told: &mut String) {
        let described = self.source.described();
        for (place, (ours, patch)) in FIELDS.iter().zip(event.fields).enumerate() {
            if self.source.leaves_out(place) {
                let _ = writeln!(told, "  {ours:<10} {:<28} not taken", "-");
                continue;
            }
            let rule = described.iter().find(|(target, _)| target == ours);
            let from = rule.map_or(*ours, |(_, from)| from.as_str());
            let value = match patch {
                Patch::Absent => "-".to_owned(),
                Patch::Clear => "null".to_owned(),
                Patch::Set(span) => format!("{:?}", String::from_utf8_lossy(span.of(&batch.arena))),
            };
            let why = if patch == Patch::Absent { "  (not there)" } else { "" };
            let _ = writeln!(told, "  {ours:<10} {:<28} from {}{why}", line(&value), line(from));
        }
        for (key, patch) in &event.attributes {
            let key = String::from_utf8_lossy(key.of(&batch.arena)).into_owned();
            let rule =
                described.iter().find(|(ours, _)| ours.strip_prefix("attributes.") == Some(&key));
            let value = match patch {
                Patch::Absent | Patch::Clear => "null".to_owned(),
                Patch::Set(span) => String::from_utf8_lossy(span.of(&batch.arena)).into_owned(),
            };
            let why = match rule {
                Some((_, from)) => format!("from {from}"),
                None => "kept: nothing stands for it".to_owned(),
            };
            let _ = writeln!(told, "  attributes.{} {}  {}", line(&key), line(&value), line(&why));
        }
    }

    fn left_out(
        &self,
        text: &[u8],
        key: Option<&[u8]>,
        event: &Event,
        batch: &RecordBatch,
        told: &mut String,
    ) {
        if self.source.unknown() != Unknown::Drop {
            return;
        }
        let Ok((kept_batch, kept)) = decoded(&self.keeping, &self.name, text, key) else {
            return;
        };
        let names = |event: &Event, batch: &RecordBatch| -> Vec<String> {
            let keys = event.attributes.iter();
            keys.map(|(key, _)| String::from_utf8_lossy(key.of(&batch.arena)).into_owned())
                .collect()
        };
        let taken = names(event, batch);
        for name in names(&kept, &kept_batch).iter().filter(|name| !taken.contains(name)) {
            let _ = writeln!(told, "  dropped  {}  (nothing stands for it)", line(name));
        }
    }
}

fn decoder(name: &str, text: &SourceText, limits: Limits) -> anyhow::Result<Decoder> {
    let texts = SourceTexts::from([(name.to_owned(), text.clone())]);
    let sources = Sources::compile(&texts).map_err(|wrong| {
        Failure::Data(wrong.first().map(ToString::to_string).unwrap_or_default())
    })?;
    Ok(Decoder::new(sources, limits))
}

fn decoded(
    decoder: &Decoder,
    source: &str,
    text: &[u8],
    key: Option<&[u8]>,
) -> Result<(RecordBatch, Event), crate::domain::decode::Reject> {
    let mut batch = RecordBatch::new(Lane(0));
    let time = i64::try_from(now_ms()).unwrap_or(i64::MAX);
    let headers = [(SOURCE, Some(source.as_bytes()))];
    batch.push(Offset(0), time, key, Some(text), headers.into_iter());
    let event = decoder.decode(&mut batch, 0)?;
    Ok((batch, event))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FileText, Sources, load};

    #[test]
    fn what_is_shown_of_a_source_is_the_same_source_when_it_is_read_again() {
        let read = |text: String| {
            let file = Some(FileText { name: "my.toml".to_owned(), text });
            load(&Sources { file, ..Sources::new(Mode::Dev) }).unwrap()
        };
        let own = "[source.crm]\npreset = \"hubspot\"\n[source.crm.fields]\nemail = \"\"\ntitle = \"role\"\n";
        let config = read(own.to_owned());
        let shown = show(&config, "crm").unwrap();
        assert!(shown.contains("[source.crm.fields.email]\nfrom = [\"\"]"), "{shown}");
        assert_eq!(text_of(&read(shown), "crm").unwrap(), text_of(&config, "crm").unwrap());
        let event = br#"{"eventId":1,"subscriptionType":"contact.propertyChange","objectId":7,
            "propertyName":"email","propertyValue":"x"}"#;
        let (told, refused) = Test::new(&config, "crm").unwrap().all(event);
        assert!(told.contains("email      -                            not taken"), "{told}");
        assert!(told.contains("attributes.email") && refused == 0, "{told}");
    }
}
