//! `[source.<name>]`: all that is said of a source, over the preset that it begins with.

use std::collections::BTreeMap;

use crate::domain::decode::KeyForm;
use crate::domain::event::FIELDS;
use crate::domain::sources::{
    FieldText, ID, Ids, PRESETS, Preset, RECORD_KEYS, Source, SourceError, SourceText, SourceTexts,
    Unknown,
};

use super::error::ConfigError;
use super::fields::{Fields, YES_OR_NO};
use super::layers::{Setting, Value};
use super::sections::{AcmeConfig, WebhookSourceConfig};
use super::signature::{HMAC_KEYS, SIGNATURES, SignatureForm};
use super::suggest::{did_you_mean, nearest};
use super::webhooks;

/// What stands in a source's own table.
const KEYS: [&str; 14] = [
    "preset",
    "signature",
    "secret",
    "secret_file",
    "secret_previous",
    "secret_previous_file",
    "schemas",
    "binary_cloudevents",
    "unknown",
    "ids",
    "match",
    "key",
    "complete",
    "tombstones",
];
/// The tables in it.
const TABLES: [&str; 4] = ["record", "types", "fields", "hmac"];
/// What stands in the table of a field.
const FIELD_KEYS: [&str; 4] = ["from", "do", "owner", "values"];
/// Paths that may be empty, which is the whole value.
const WHOLE: [&str; 2] = ["each", "data"];
/// What contacts may be matched by.
const MATCH_EMAIL: &str = "email";
const NAME_BYTES_MAX: usize = 256;

/// What null values on a source's topics are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tombstones {
    /// The contact that the key names is deleted.
    Delete,
    /// They say nothing: what was deleted was told before.
    Ignore,
    /// Dead letters.
    #[default]
    Refuse,
}

/// A source, but for how it signs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceTable {
    /// What it begins with.
    pub preset: String,
    /// What the rules say of it.
    pub text: SourceText,
    /// How its topics' keys are written.
    pub key: KeyForm,
    /// Each record of its topics is the whole contact that its key names.
    pub complete: bool,
    /// What null values there are.
    pub tombstones: Tombstones,
    /// A contact that comes by an id of its own is merged into the one that has its e-mail.
    pub matches_email: bool,
}

/// All that the tables say.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) sources: BTreeMap<String, SourceTable>,
    pub(super) webhooks: BTreeMap<String, WebhookSourceConfig>,
}

/// By source, what the rules say of it.
pub(super) fn texts(sources: &BTreeMap<String, SourceTable>) -> SourceTexts {
    sources.iter().map(|(name, table)| (name.clone(), table.text.clone())).collect()
}

/// One source's settings, by their keys within its table.
type Settings<'a> = Vec<(&'a [String], &'a Setting)>;

/// A source while it is read.
struct Reading<'f, 'a> {
    fields: &'f mut Fields<'a>,
    name: &'f str,
    settings: &'f Settings<'a>,
}

pub(super) fn sources(fields: &mut Fields<'_>, acme: &AcmeConfig) -> Tables {
    let layered = fields.layered;
    let mut by_name: BTreeMap<&str, Settings<'_>> = BTreeMap::new();
    for (key, setting) in &layered.settings {
        if let [section, name, rest @ ..] = key.as_slice()
            && section == "source"
        {
            by_name.entry(name).or_default().push((rest, setting));
        }
    }
    let mut tables = Tables::default();
    for (name, settings) in &by_name {
        let mut reading = Reading { fields, name, settings };
        let (table, webhook) = reading.table();
        tables.sources.insert((*name).to_owned(), table);
        tables.webhooks.insert((*name).to_owned(), webhook);
    }
    webhooks::take_acme_secret(fields, acme, &mut tables.webhooks);
    tables
}

impl<'a> Reading<'_, 'a> {
    fn table(&mut self) -> (SourceTable, WebhookSourceConfig) {
        let has_name = (1..=NAME_BYTES_MAX).contains(&self.name.len());
        if !has_name || self.name.contains(char::is_control) {
            let problem = format!(
                "must have a name, of at most {NAME_BYTES_MAX} bytes and without control characters"
            );
            self.refuse("", problem);
        }
        self.check_keys();
        let preset = self.preset();
        let mut text = preset.text();
        self.record(&mut text);
        self.types(&mut text);
        self.field_tables(&mut text);
        let unknown =
            [("keep", Unknown::Keep), ("drop", Unknown::Drop), ("refuse", Unknown::Refuse)];
        text.unknown = self.choice("unknown", "keep", &unknown);
        let usual = if preset.ids == Ids::Own { "own" } else { "ours" };
        text.ids = self.choice("ids", usual, &[("ours", Ids::Ours), ("own", Ids::Own)]);
        self.check_ids(&text);
        for error in Source::compile(self.name, &text).err().unwrap_or_default() {
            self.explain(error);
        }
        let key = self.text("key").unwrap_or(preset.key).to_owned();
        let usual = if preset.complete { "true" } else { "false" };
        let complete = self.choice("complete", usual, &YES_OR_NO);
        let tombstones = [
            ("refuse", Tombstones::Refuse),
            ("delete", Tombstones::Delete),
            ("ignore", Tombstones::Ignore),
        ];
        let usual = if complete { "delete" } else { preset.tombstones };
        let table = SourceTable {
            preset: preset.name.to_owned(),
            text,
            key: KeyForm::parse(&key).unwrap_or_else(|| {
                let problem =
                    format!("is \"{key}\", and must be text, json, or a path such as json:$.id");
                self.refuse("key", problem);
                KeyForm::default()
            }),
            complete,
            tombstones: self.choice("tombstones", usual, &tombstones),
            matches_email: false,
        };
        let table = SourceTable { matches_email: self.matches_email(table.text.ids), ..table };
        let webhook = self.webhook(preset);
        (table, webhook)
    }

    /// Ids of the source's own must stand somewhere.
    fn check_ids(&mut self, text: &SourceText) {
        let has_paths = text.record.values().any(|paths| !paths.is_empty());
        let has_id = text.record.get("contact").is_some_and(|paths| !paths.is_empty())
            || text.fields.contains_key(ID)
            || self.text("key").is_some();
        if text.ids == Ids::Own && has_paths && !has_id {
            let problem = "is \"own\", and nothing says where its records have that id: \
                           record.contact, fields.id, or key for a topic";
            self.refuse("ids", problem.to_owned());
        }
    }

    fn matches_email(&mut self, ids: Ids) -> bool {
        let by = self.setting("match").map(|setting| texts_of(&setting.value)).unwrap_or_default();
        let by: Vec<&String> = by.iter().filter(|by| !by.trim().is_empty()).collect();
        if let Some(other) = by.iter().find(|by| by.as_str() != MATCH_EMAIL) {
            self.refuse("match", format!("has \"{other}\", and may have \"{MATCH_EMAIL}\" alone"));
        } else if !by.is_empty() && ids == Ids::Ours {
            let problem = "needs ids = \"own\": an id of ours says which contact is meant";
            self.refuse("match", problem.to_owned());
        }
        !by.is_empty()
    }

    fn webhook(&mut self, preset: &Preset) -> WebhookSourceConfig {
        let form = self.signature(preset);
        let binary_cloudevents = self.choice("binary_cloudevents", "false", &YES_OR_NO);
        let texts: BTreeMap<String, String> = self
            .settings
            .iter()
            .filter_map(|(key, setting)| match (*key, &setting.value) {
                ([key], Value::Text(text)) if !text.trim().is_empty() => {
                    Some((key.clone(), text.trim().to_owned()))
                }
                _ => None,
            })
            .collect();
        WebhookSourceConfig {
            secret: webhooks::secret(self.fields, self.name, &form.name, &texts, "secret"),
            secret_previous: webhooks::secret(
                self.fields,
                self.name,
                &form.name,
                &texts,
                "secret_previous",
            ),
            signature: form,
            schemas: texts.get("schemas").map(|path| {
                let said_by = format!("source.{}.schemas", self.name);
                self.fields.path_said_by(&said_by, path).to_string_lossy().into_owned()
            }),
            binary_cloudevents,
        }
    }

    fn signature(&mut self, preset: &Preset) -> SignatureForm {
        let name = self.text("signature").unwrap_or(preset.signature).to_owned();
        let hmac: BTreeMap<String, String> = self
            .settings
            .iter()
            .filter_map(|(key, setting)| match (*key, &setting.value) {
                ([table, key], Value::Text(text)) if table == "hmac" => {
                    Some((key.clone(), text.clone()))
                }
                _ => None,
            })
            .collect();
        if name == "hmac" {
            match SignatureForm::hmac(&hmac) {
                Ok(form) => return form,
                Err(wrong) => {
                    for (key, problem) in wrong {
                        self.refuse(&format!("hmac.{key}"), problem);
                    }
                }
            }
        } else if !hmac.is_empty() {
            self.refuse("signature", format!("is \"{name}\", and there is a table for \"hmac\""));
        }
        SignatureForm::named(&name).unwrap_or_else(|| {
            if name != "hmac" {
                let meant = did_you_mean(&name, SIGNATURES.into_iter());
                let known = SIGNATURES.join(", ");
                self.refuse(
                    "signature",
                    format!("is \"{name}\", and must be one of {known}{meant}"),
                );
            }
            SignatureForm::named("acme").unwrap_or_else(SignatureForm::nobody)
        })
    }

    fn preset(&mut self) -> &'static Preset {
        let name = self.text("preset").unwrap_or("contactd").to_owned();
        let known = || PRESETS.iter().map(|preset| preset.name);
        Preset::of(&name).unwrap_or_else(|| {
            let all = known().collect::<Vec<_>>().join(", ");
            let meant = did_you_mean(&name, known());
            self.refuse("preset", format!("is \"{name}\", and must be one of {all}{meant}"));
            Preset::ours()
        })
    }

    fn record(&mut self, text: &mut SourceText) {
        for (key, setting) in self.settings {
            let [table, key] = key else { continue };
            if table != "record" {
                continue;
            }
            let paths = match &setting.value {
                Value::Text(path) if path.is_empty() && !WHOLE.contains(&key.as_str()) => {
                    Vec::new()
                }
                value => texts_of(value),
            };
            text.record.insert(key.clone(), paths);
        }
    }

    fn types(&mut self, text: &mut SourceText) {
        for (key, setting) in self.settings {
            let ([table, theirs], Value::Text(ours)) = (key, &setting.value) else { continue };
            if table != "types" {
                continue;
            }
            if ours.is_empty() {
                text.types.remove(theirs);
            } else {
                text.types.insert(theirs.clone(), ours.clone());
            }
        }
    }

    fn field_tables(&mut self, text: &mut SourceText) {
        let mut begun: Vec<String> = Vec::new();
        for (key, setting) in self.settings {
            let [table, ours, rest @ ..] = key else { continue };
            if table != "fields" {
                continue;
            }
            // A variable's name has lost its case.
            let ours = &our_name(ours);
            // A field that is spoken of is no longer the preset's, but for where it stands.
            if !begun.contains(ours) {
                begun.push(ours.clone());
                let from = text.fields.remove(ours).map(|field| field.from).unwrap_or_default();
                text.fields.insert(ours.clone(), FieldText { from, ..FieldText::default() });
            }
            let Some(field) = text.fields.get_mut(ours) else { continue };
            let values = texts_of(&setting.value);
            match rest {
                [] => field.from = values,
                [key] if key == "from" => field.from = values,
                [key] if key == "do" => field.steps = values,
                [key] if key == "owner" => field.owner = values.concat(),
                [key, theirs] if key == "values" => {
                    field.values.insert(theirs.clone(), values.concat());
                }
                _ => {
                    let place = setting.place.clone();
                    let name = rest.join(".");
                    let suggestion = nearest(&name, FIELD_KEYS.into_iter()).map(str::to_owned);
                    let key = format!("source.{}.fields.{ours}.{name}", self.name);
                    self.fields.errors.push(ConfigError::UnknownKey { place, key, suggestion });
                }
            }
        }
        // "" takes a line out; a field of ours would be taken under its own name all the same.
        let is_nothing = |it: &FieldText| {
            let is_pathless = it.from.iter().all(String::is_empty) && it.from.len() < 2;
            is_pathless && FieldText { from: Vec::new(), ..it.clone() } == FieldText::default()
        };
        text.fields.retain(|ours, field| {
            let is_field = FIELDS.contains(&ours.as_str());
            if is_field && is_nothing(field) {
                *field = FieldText::left_out();
            }
            is_field || !is_nothing(field)
        });
    }

    /// Keys and tables that there are not, and lists where one value is meant.
    fn check_keys(&mut self) {
        for (key, setting) in self.settings {
            let is_known = match key {
                [key] => KEYS.contains(&key.as_str()),
                [table, key] if table == "record" => RECORD_KEYS.contains(&key.as_str()),
                [table, key] if table == "hmac" => HMAC_KEYS.contains(&key.as_str()),
                [table, _] => table == "types" || table == "fields",
                [table, ..] => table == "fields",
                [] => false,
            };
            let lists = ["record", "fields", "match"];
            let takes_list = matches!(key, [first, ..] if lists.contains(&first.as_str()));
            let (place, name) = (setting.place.clone(), key.join("."));
            let full = format!("source.{}.{name}", self.name);
            if !is_known {
                let known: Vec<String> = match key {
                    [table, _] if table == "record" => {
                        RECORD_KEYS.iter().map(|key| format!("record.{key}")).collect()
                    }
                    [table, _] if table == "hmac" => {
                        HMAC_KEYS.iter().map(|key| format!("hmac.{key}")).collect()
                    }
                    _ => KEYS.iter().chain(&TABLES).map(|key| (*key).to_owned()).collect(),
                };
                let suggestion = nearest(&name, known.iter().map(String::as_str));
                let suggestion = suggestion.map(str::to_owned);
                self.fields.errors.push(ConfigError::UnknownKey { place, key: full, suggestion });
            } else if !takes_list && matches!(setting.value, Value::List(_)) {
                let problem = "takes one value, not a list".to_owned();
                self.fields.errors.push(ConfigError::Invalid { place, key: full, problem });
            }
        }
    }

    /// Where it stands that a source can't be right, and what was meant.
    fn explain(&mut self, error: SourceError) {
        let SourceError { key, mut problem, .. } = error;
        if let Some(ours) =
            key.strip_prefix("fields.").filter(|_| problem.starts_with("is none of"))
        {
            let names = std::iter::once("id").chain(FIELDS);
            problem.push_str(&did_you_mean(ours, names));
        }
        self.refuse(&key, problem);
    }

    fn setting(&self, name: &str) -> Option<&'a Setting> {
        let fits = |key: &[String]| {
            let joined = key.join(".");
            let rest = joined.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.settings.iter().find(|(key, _)| fits(key)).map(|(_, setting)| *setting)
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        match &self.setting(key)?.value {
            Value::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()),
            Value::List(_) => None,
        }
    }

    fn choice<T: Copy + Default>(&mut self, key: &str, usual: &str, words: &[(&str, T)]) -> T {
        let text = self.text(key).unwrap_or(usual).to_owned();
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, choice)| *choice).unwrap_or_else(|| {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.refuse(key, format!("is \"{text}\", and must be one of {}", words.join(", ")));
            T::default()
        })
    }

    /// With the place of the key, or of the preset that it comes from.
    fn refuse(&mut self, key: &str, problem: String) {
        let setting = self.setting(key).or_else(|| self.setting("preset"));
        let any = self.settings.first().map(|(_, setting)| *setting);
        let place = setting.or(any).map(|setting| setting.place.clone()).unwrap_or_default();
        let dot = if key.is_empty() { "" } else { "." };
        let key = format!("source.{}{dot}{key}", self.name);
        self.fields.errors.push(ConfigError::Invalid { place, key, problem });
    }
}

fn our_name(text: &str) -> String {
    let mut names = FIELDS.into_iter();
    let name = names.find(|name| name.eq_ignore_ascii_case(text)).unwrap_or(text);
    name.to_owned()
}

fn texts_of(value: &Value) -> Vec<String> {
    match value {
        Value::Text(text) => vec![text.clone()],
        Value::List(texts) => texts.clone(),
    }
}
