//! The layers put over each other: for every key its text, and the place that says so.

use std::collections::{BTreeMap, BTreeSet};

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::suggest::nearest;
use super::{BUILT_IN, FileText, Sources, dotenv, environment};

/// Where more tables of sources are.
const SOURCES_PATH: &str = "sources.path";
/// Sections of tables that may have any name.
const FREE_SECTIONS: [&str; 2] = ["source", "input"];

/// `["store", "path"]`; free keys may hold dots, so it is no joined text.
pub(super) type Key = Vec<String>;

/// What stands for a key, before it is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// One value, whatever its TOML type.
    Text(String),
    /// Several.
    List(Vec<String>),
}

/// A value and where it comes from.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) value: Value,
    /// For errors and `config print`.
    pub(super) place: String,
    /// Higher stands over lower.
    pub(super) layer: Layer,
    /// Where its line stands in the file that says so.
    pub(super) order: usize,
    /// Where a path that it says counts from: that file's directory; empty where no file says it.
    pub(super) directory: PathBuf,
}

/// The layers, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    BuiltIn,
    File,
    DotEnv,
    Environment,
    Flag,
}

/// The result, beside the built-in default that gives the known keys.
#[derive(Debug, Default)]
pub(super) struct Layered {
    pub(super) settings: BTreeMap<Key, Setting>,
    pub(super) built_in: BTreeMap<Key, Setting>,
    pub(super) warnings: Vec<String>,
    /// Unknown sections already reported, so that each is named once.
    unknown_sections: BTreeSet<(String, String)>,
}

/// Reads every layer; what is wrong goes to `errors`, the rest counts.
pub(super) fn gather(sources: &Sources<'_>, errors: &mut Vec<ConfigError>) -> Layered {
    let built_in = FileText { name: "built-in".to_owned(), text: BUILT_IN.to_owned() };
    let built_in = read_toml(&built_in, Layer::BuiltIn, errors);
    let mut layered = Layered {
        settings: built_in.iter().cloned().collect(),
        built_in: built_in.into_iter().collect(),
        ..Layered::default()
    };
    if let Some(file) = &sources.file {
        for (key, setting) in read_toml(file, Layer::File, errors) {
            layered.set(key, setting, errors);
        }
    }
    let mut ignored = BTreeSet::new();
    if let Some(file) = &sources.dotenv {
        for line in dotenv::parse(file, errors) {
            let place = format!("{}:{} {}", file.name, line.line, line.name);
            layered.set_variable(
                &line.name,
                line.value,
                place,
                Layer::DotEnv,
                errors,
                &mut ignored,
            );
        }
    }
    for (name, value) in &sources.environment {
        let place = format!("environment {name}");
        layered.set_variable(name, value.clone(), place, Layer::Environment, errors, &mut ignored);
    }
    if !ignored.is_empty() {
        let names: Vec<String> = ignored.into_iter().collect();
        layered.warnings.push(format!(
            "{} set and ignored: contactd has no such mode and needs no database",
            names.join(", ")
        ));
    }
    for flag in &sources.flags {
        let key = flag.key.split('.').map(str::to_owned).collect();
        let setting = Setting {
            value: Value::Text(flag.value.clone()),
            place: flag.flag.clone(),
            layer: Layer::Flag,
            order: 0,
            directory: PathBuf::new(),
        };
        layered.set(free_key(key), setting, errors);
    }
    layered.read_source_files(sources, errors);
    layered
}

/// Everything after `kafka.properties` is one name with dots in it, and so is a topic.
fn free_key(key: Key) -> Key {
    match key.as_slice() {
        [section, topic @ .., name] if section == "input" && topic.len() > 1 => {
            vec![section.clone(), topic.join("."), name.clone()]
        }
        // A type of event has dots too, and so has the name of an attribute.
        [section, name, table, rest @ ..]
            if section == "source" && table == "types" && rest.len() > 1 =>
        {
            vec![section.clone(), name.clone(), table.clone(), rest.join(".")]
        }
        [section, name, table, group, ours, rest @ ..]
            if section == "source" && table == "fields" && group == "attributes" =>
        {
            let mut key = vec![section.clone(), name.clone(), table.clone()];
            key.push(format!("{group}.{ours}"));
            key.extend_from_slice(rest);
            key
        }
        [section, table, first, rest @ ..] if section == "kafka" && table == "properties" => {
            let mut name = first.clone();
            for part in rest {
                name.push('.');
                name.push_str(part);
            }
            vec![section.clone(), table.clone(), name]
        }
        _ => key,
    }
}

/// Whether any name may stand here.
pub(super) fn is_free(key: &[String]) -> bool {
    match key {
        [section, _, _, ..] if section == "source" => true,
        [section, table, _] => section == "input" || (section == "kafka" && table == "properties"),
        _ => false,
    }
}

impl Layered {
    /// The layer that says what `key` is.
    pub(super) fn layer(&self, key: &[&str]) -> Option<Layer> {
        let key: Key = key.iter().map(|part| (*part).to_owned()).collect();
        self.settings.get(&key).map(|setting| setting.layer)
    }

    /// The files of `sources.path`, which nothing but sources stands in; what other files, variables and
    /// flags say of one stands over them.
    fn read_source_files(&mut self, sources: &Sources<'_>, errors: &mut Vec<ConfigError>) {
        let key: Key = SOURCES_PATH.split('.').map(str::to_owned).collect();
        let Some(Setting { value: Value::Text(path), place, directory, .. }) =
            self.settings.get(&key)
        else {
            return;
        };
        if path.trim().is_empty() {
            return;
        }
        let files = match (sources.read_tables)(&directory.join(path.trim())) {
            Ok(files) => files,
            Err(error) => {
                let (place, problem) = (place.clone(), format!("{path} can't be read: {error}"));
                errors.push(ConfigError::Invalid { place, key: key.join("."), problem });
                return;
            }
        };
        let mut read: BTreeMap<Key, String> = BTreeMap::new();
        for file in &files {
            for (key, setting) in read_toml(file, Layer::File, errors) {
                let is_source = key.first().is_some_and(|section| section == "source");
                let other = read.insert(key.clone(), setting.place.clone());
                let problem = match other {
                    _ if !is_source => {
                        "stands in a file of sources, which takes [source.<name>] alone".to_owned()
                    }
                    Some(other) => format!("stands at {other} too"),
                    None => {
                        let present = self.settings.get(&key).map(|setting| setting.layer);
                        if present.is_none_or(|layer| layer == Layer::BuiltIn) {
                            self.set(key, setting, errors);
                        }
                        continue;
                    }
                };
                let place = setting.place;
                errors.push(ConfigError::Invalid { place, key: key.join("."), problem });
            }
        }
    }

    fn set(&mut self, key: Key, setting: Setting, errors: &mut Vec<ConfigError>) {
        if self.built_in.contains_key(&key) || is_free(&key) {
            self.settings.insert(key, setting);
        } else {
            self.refuse(&key, &setting.place, errors);
        }
    }

    fn set_variable(
        &mut self,
        name: &str,
        value: String,
        place: String,
        layer: Layer,
        errors: &mut Vec<ConfigError>,
        ignored: &mut BTreeSet<String>,
    ) {
        let key = match environment::meaning(name) {
            environment::Meaning::Key(key) => key,
            environment::Meaning::Ignored => {
                ignored.insert(name.to_owned());
                return;
            }
            environment::Meaning::SingleUnderscore => {
                self.refuse_single_underscore(name, place, errors);
                return;
            }
            environment::Meaning::Foreign => return,
        };
        // An empty variable means "not set", as `REDIS_PASSWORD=` does in many a `.env`.
        let known = self.built_in.contains_key(&key) || is_free(&key);
        if value.is_empty() && known {
            return;
        }
        // Of two names for one key in one layer, ours stands over the usual one.
        let ours = name.starts_with(environment::PREFIX);
        let taken = self.settings.get(&key).is_some_and(|setting| setting.layer == layer);
        if known && taken && !ours {
            return;
        }
        let (value, directory) = (Value::Text(value), PathBuf::new());
        let setting = Setting { value, place, layer, order: 0, directory };
        if known {
            self.settings.insert(key, setting);
        } else {
            let key = environment::variable(&key);
            let suggestion = self.nearest_variable(&key);
            errors.push(ConfigError::UnknownKey { place: setting.place, key, suggestion });
        }
    }

    /// `CONTACTD_STORE_PATH` where `CONTACTD_STORE__PATH` is meant; other names are not ours.
    fn refuse_single_underscore(
        &mut self,
        name: &str,
        place: String,
        errors: &mut Vec<ConfigError>,
    ) {
        let meant = self
            .built_in
            .keys()
            .map(|key| environment::variable(key))
            .find(|variable| variable.replace("__", "_") == name);
        match meant {
            Some(meant) => errors.push(ConfigError::UnknownKey {
                place,
                key: name.to_owned(),
                suggestion: Some(meant),
            }),
            None => self.warnings.push(format!("{name} is set, but nothing reads it")),
        }
    }

    fn nearest_variable(&self, name: &str) -> Option<String> {
        let known: Vec<String> =
            self.built_in.keys().map(|key| environment::variable(key)).collect();
        nearest(name, known.iter().map(String::as_str)).map(str::to_owned)
    }

    /// Names an unknown key, or its whole section once.
    fn refuse(&mut self, key: &[String], place: &str, errors: &mut Vec<ConfigError>) {
        let mut section = key.first().cloned().unwrap_or_default();
        let own = self.built_in.keys().filter_map(|key| key.first()).map(String::as_str);
        let sections: BTreeSet<&str> = own.chain(FREE_SECTIONS).collect();
        let place = place.to_owned();
        let file = place.split(':').next().unwrap_or_default().to_owned();
        // `[sources.crm]`, where `[source.crm]` is meant.
        if let [_, table, _, ..] = key
            && !self.built_in.keys().any(|known| known.len() > 2 && known.first() == key.first())
            && let Some(meant) = nearest(&section, FREE_SECTIONS.into_iter())
        {
            section = format!("{section}.{table}");
            if self.unknown_sections.insert((file, section.clone())) {
                let suggestion = Some(format!("{meant}.{table}"));
                errors.push(ConfigError::UnknownSection { place, section, suggestion });
            }
            return;
        }
        if sections.contains(section.as_str()) || key.len() == 1 {
            let known: Vec<String> = self.built_in.keys().map(|key| key.join(".")).collect();
            let key = key.join(".");
            let elsewhere = || {
                let ending = format!(".{key}");
                known.iter().map(String::as_str).find(|name| name.ends_with(&ending))
            };
            let suggestion = elsewhere()
                .or_else(|| nearest(&key, known.iter().map(String::as_str)))
                .map(str::to_owned);
            errors.push(ConfigError::UnknownKey { place, key, suggestion });
            return;
        }
        let suggestion = nearest(&section, sections.into_iter()).map(str::to_owned);
        if self.unknown_sections.insert((file, section.clone())) {
            errors.push(ConfigError::UnknownSection { place, section, suggestion });
        }
    }
}

/// The leaves of a TOML file in its order. A file with a syntax error gives none: half of it would
/// bring errors that are not there.
fn read_toml(file: &FileText, layer: Layer, errors: &mut Vec<ConfigError>) -> Vec<(Key, Setting)> {
    let (table, mut problems) = DeTable::parse_recoverable(&file.text);
    problems.sort_by_key(|problem| problem.span().map(|span| span.start));
    let line_ends: Vec<usize> = file.text.match_indices('\n').map(|(at, _)| at).collect();
    for problem in &problems {
        let place = match problem.span() {
            Some(span) => format!("{}:{}", file.name, line_at(&line_ends, span.start)),
            None => file.name.clone(),
        };
        let problem = problem.message().to_owned();
        errors.push(ConfigError::Syntax { place, problem });
    }
    let mut leaves = Vec::new();
    if problems.is_empty() {
        collect((file, &line_ends), layer, table.get_ref(), &mut Vec::new(), &mut leaves);
        leaves.sort_by_key(|(_, setting)| setting.order);
    }
    leaves
}

fn collect(
    (file, line_ends): (&FileText, &[usize]),
    layer: Layer,
    table: &DeTable<'_>,
    path: &mut Key,
    leaves: &mut Vec<(Key, Setting)>,
) {
    for (name, value) in table {
        path.push(name.get_ref().to_string());
        if let DeValue::Table(table) = value.get_ref() {
            collect((file, line_ends), layer, table, path, leaves);
        } else {
            let order = name.span().start;
            let place = format!("{}:{}", file.name, line_at(line_ends, order));
            let value = value_of(value);
            let directory = Path::new(&file.name).parent().unwrap_or(Path::new("")).to_owned();
            let setting = Setting { value, place, layer, order, directory };
            leaves.push((free_key(path.clone()), setting));
        }
        path.pop();
    }
}

fn value_of(value: &Spanned<DeValue<'_>>) -> Value {
    match value.get_ref() {
        DeValue::Array(items) => Value::List(items.iter().map(text_of).collect()),
        _ => Value::Text(text_of(value)),
    }
}

/// A value as text; nested ones are nothing any key can have, and are refused as such later.
fn text_of(value: &Spanned<DeValue<'_>>) -> String {
    match value.get_ref() {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "[...]".to_owned(),
        DeValue::Table(_) => "{...}".to_owned(),
    }
}

fn line_at(line_ends: &[usize], position: usize) -> usize {
    line_ends.partition_point(|end| *end < position) + 1
}
