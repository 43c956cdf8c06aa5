//! The effective configuration as TOML that can be a `--config` file; secrets stand in comments, redacted.

use std::collections::BTreeMap;
use std::path::PathBuf;

use xxhash_rust::xxh3::xxh3_64;

use super::layers::{Key, Layered, Setting, Value};
use super::sources::Sources;

/// Stands where a secret is set.
const REDACTED: &str = "***";
/// librdkafka properties with one of these in their name may hold a secret.
const SECRET_PROPERTIES: [&str; 6] = ["password", "secret", "pem", "jaas", "oauthbearer", "token"];

/// A key as it stands in the end.
#[derive(Clone, Debug)]
pub(super) struct Effective {
    pub(super) key: Key,
    value: Value,
    /// Its value is shown nowhere.
    secret: Option<Secrecy>,
    pub(super) place: String,
    /// The file that a secret stands in, where this key names one.
    pub(super) secret_file: Option<PathBuf>,
    /// Of what is said, and of the file that it names: tells whether it is still the same.
    pub(super) digest: u64,
}

/// A secret that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Secrecy {
    /// It may stand in a file of its own.
    WithFile,
    Alone,
}

/// Every key in the order of the built-in file, free ones at the end of their table.
pub(super) fn effective(sources: &Sources<'_>, layered: &Layered) -> Vec<Effective> {
    // A section stands where the built-in file first names it.
    let mut sections: BTreeMap<&str, usize> = BTreeMap::new();
    for (key, setting) in &layered.built_in {
        let section = key.first().map(String::as_str).unwrap_or_default();
        let at = sections.entry(section).or_insert(setting.order);
        *at = setting.order.min(*at);
    }
    let order = |key: &Key, setting: &Setting| {
        let section = sections.get(key.first().map(String::as_str).unwrap_or_default());
        let own = layered.built_in.get(key).unwrap_or(setting);
        let is_built_in = layered.built_in.contains_key(key);
        let table: Key = key.iter().skip(1).rev().skip(1).cloned().collect();
        (section.copied(), table, !is_built_in, own.order, key.clone())
    };
    let mut settings: Vec<(&Key, &Setting)> = layered.settings.iter().collect();
    settings.sort_by_cached_key(|(key, setting)| order(key, setting));
    let entry = |(key, setting): (&Key, &Setting)| {
        let secret = secrecy(layered, key, &setting.value);
        let redacted = secret.map(|_| Value::Text(REDACTED.to_owned()));
        let secret_file = secret_file(layered, key, setting);
        let content = secret_file.as_ref().map(|file| (sources.read_secret)(file).ok());
        let digest = xxh3_64(format!("{:?} {content:?}", setting.value).as_bytes());
        Effective {
            value: redacted.unwrap_or_else(|| setting.value.clone()),
            secret,
            key: key.clone(),
            place: setting.place.clone(),
            secret_file,
            digest,
        }
    };
    settings.into_iter().map(entry).collect()
}

/// The file that `<name>_file` names beside `<name>`.
fn secret_file(layered: &Layered, key: &[String], setting: &Setting) -> Option<PathBuf> {
    let Value::Text(path) = &setting.value else { return None };
    let (last, table) = key.split_last()?;
    let name = last.strip_suffix("_file")?;
    let beside: Key = table.iter().cloned().chain([name.to_owned()]).collect();
    let is_secret = layered.built_in.contains_key(&beside)
        || (table.first().is_some_and(|section| section == "source")
            && matches!(name, "secret" | "secret_previous"));
    (is_secret && !path.is_empty()).then(|| setting.directory.join(path))
}

/// A secret is a key with a `_file` beside it, and some of librdkafka's.
fn secrecy(layered: &Layered, key: &[String], value: &Value) -> Option<Secrecy> {
    let mut file = key.to_vec();
    if let Some(name) = file.last_mut() {
        name.push_str("_file");
    }
    let name = key.last().map(|name| name.to_lowercase()).unwrap_or_default();
    let secret_property = key.get(1).is_some_and(|table| table == "properties")
        && SECRET_PROPERTIES.iter().any(|part| name.contains(part));
    let webhook_secret = key.first().is_some_and(|section| section == "source")
        && matches!(name.as_str(), "secret" | "secret_previous");
    match value {
        Value::Text(text) if text.is_empty() => None,
        _ if webhook_secret || layered.built_in.contains_key(&file) => Some(Secrecy::WithFile),
        _ if secret_property => Some(Secrecy::Alone),
        _ => None,
    }
}

pub(super) fn to_toml(entries: &[Effective]) -> String {
    let mut text = String::new();
    let mut table: &[String] = &[];
    for entry in entries {
        let Some((name, path)) = entry.key.split_last() else {
            continue;
        };
        if path != table {
            let header: Vec<String> = path.iter().map(|part| name_text(part)).collect();
            let gap = if text.is_empty() { "" } else { "\n" };
            text.push_str(&format!("{gap}[{}]\n", header.join(".")));
            table = path;
        }
        let (name, value) = (name_text(name), value_text(&entry.value));
        let built_in = entry.place.starts_with("built-in:");
        let place = if built_in { "" } else { entry.place.as_str() };
        let mut note = if built_in { String::new() } else { format!("  # {place}") };
        if let Some(secret) = entry.secret {
            // Nobody's secret is three stars.
            text.push_str("# ");
            note.push_str(match secret {
                Secrecy::WithFile => "; not shown: set it as there, or name a file in ",
                Secrecy::Alone => "; not shown: set it as there",
            });
            if secret == Secrecy::WithFile {
                note.push_str(&format!("{}_file", name.trim_matches('"')));
            }
        }
        text.push_str(&format!("{name} = {value}"));
        text.push_str(&note);
        text.push('\n');
    }
    text
}

fn name_text(name: &str) -> String {
    let bare = !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if bare { name.to_owned() } else { quoted_name(name) }
}

/// In one line, as a name must be.
fn quoted_name(name: &str) -> String {
    let mut quoted = String::from("\"");
    for character in name.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

fn value_text(value: &Value) -> String {
    match value {
        Value::Text(text)
            if text.parse::<i64>().is_ok_and(|number| number.to_string() == *text) =>
        {
            text.clone()
        }
        Value::Text(text) => quoted(text),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
