//! Typed reading of keys: what can't be read is noted, and the built-in value goes on in its place,
//! so that one pass finds everything that is wrong.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::Sources;
use super::error::ConfigError;
use super::layers::{Key, Layered, Setting, Value};
use super::secret::Secret;
use super::units::{format_duration, format_size, parse_duration, parse_size};

pub(super) const YES_OR_NO: [(&str, bool); 2] = [("false", false), ("true", true)];

/// An address and port, of which the address may be `localhost`.
pub(super) fn named_socket(text: &str) -> Option<SocketAddr> {
    let text = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    text.parse().ok()
}

/// Reads keys of one section after another.
pub(super) struct Fields<'a> {
    pub(super) sources: &'a Sources<'a>,
    pub(super) layered: &'a Layered,
    pub(super) errors: &'a mut Vec<ConfigError>,
}

fn key_of(name: &str) -> Key {
    name.split('.').map(str::to_owned).collect()
}

impl<'a> Fields<'a> {
    fn setting(&self, name: &str) -> Option<&'a Setting> {
        let settings = &self.layered.settings;
        // A source's name may have dots, and so may a topic's.
        let by_text = || settings.iter().find(|(key, _)| key.join(".") == name);
        settings.get(&key_of(name)).or_else(|| by_text().map(|(_, setting)| setting))
    }

    /// The place that says what `name` is.
    pub(super) fn place(&self, name: &str) -> String {
        self.setting(name).map(|setting| setting.place.clone()).unwrap_or_default()
    }

    /// Notes that `name` can't be what it is.
    pub(super) fn refuse(&mut self, name: &str, problem: impl Into<String>) {
        let place = self.place(name);
        let problem = problem.into();
        self.errors.push(ConfigError::Invalid { place, key: name.to_owned(), problem });
    }

    /// The text of `name`, trimmed; a list is no text.
    pub(super) fn text(&mut self, name: &str) -> String {
        match self.setting(name).map(|setting| &setting.value) {
            Some(Value::Text(text)) => text.trim().to_owned(),
            Some(Value::List(_)) => {
                self.refuse(name, "takes one value, not a list");
                self.built_in_text(name)
            }
            None => {
                self.refuse(name, "is missing from the built-in default");
                String::new()
            }
        }
    }

    fn built_in_text(&self, name: &str) -> String {
        match self.layered.built_in.get(&key_of(name)).map(|setting| &setting.value) {
            Some(Value::Text(text)) => text.clone(),
            Some(Value::List(_)) | None => String::new(),
        }
    }

    /// What `read` makes of the text; where it can't, the built-in text counts.
    pub(super) fn read<T: Default>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> T {
        let text = self.text(name);
        read(&text).unwrap_or_else(|| {
            self.refuse(name, format!("is \"{text}\", and must be {expected}"));
            read(&self.built_in_text(name)).unwrap_or_default()
        })
    }

    /// A text that may be empty, which is none.
    pub(super) fn optional(&mut self, name: &str) -> Option<String> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// A path that may be empty, which is none.
    pub(super) fn optional_path(&mut self, name: &str) -> Option<PathBuf> {
        let path = self.optional(name)?;
        Some(self.path_said_by(name, &path))
    }

    /// Where a path leads that `name` says: one in a file counts from where the file is, so that it means
    /// the same wherever the program is started.
    pub(super) fn path_said_by(&self, name: &str, path: &str) -> PathBuf {
        self.setting(name)
            .map(|setting| setting.directory.join(path))
            .unwrap_or_else(|| path.into())
    }

    /// Several values: a TOML list, also as the text of a flag or a variable, or a text with commas.
    pub(super) fn list(&mut self, name: &str) -> Vec<String> {
        let items = match self.setting(name).map(|setting| &setting.value) {
            Some(Value::List(items)) => items.clone(),
            Some(Value::Text(text)) => {
                list_in(text).unwrap_or_else(|| text.split(',').map(str::to_owned).collect())
            }
            None => Vec::new(),
        };
        items
            .iter()
            .map(|item| item.trim())
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// A whole number within bounds.
    pub(super) fn number(&mut self, name: &str, bounds: RangeInclusive<u64>) -> u64 {
        let expected = format!("a whole number from {} to {}", bounds.start(), bounds.end());
        self.read(name, &expected, |text| {
            text.parse().ok().filter(|number| bounds.contains(number))
        })
    }

    /// A whole number within bounds, as a count of things in memory.
    pub(super) fn count(&mut self, name: &str, bounds: RangeInclusive<u64>) -> usize {
        usize::try_from(self.number(name, bounds)).unwrap_or(usize::MAX)
    }

    /// A port number.
    pub(super) fn port(&mut self, name: &str, least: u16) -> u16 {
        u16::try_from(self.number(name, u64::from(least)..=u64::from(u16::MAX))).unwrap_or(least)
    }

    /// A size within bounds, in bytes.
    pub(super) fn size(&mut self, name: &str, bounds: RangeInclusive<u64>) -> u64 {
        let expected = size_expected(&bounds);
        self.read(name, &expected, |text| parse_size(text).filter(|size| bounds.contains(size)))
    }

    /// A size within bounds, or none for "unlimited".
    pub(super) fn size_limit(&mut self, name: &str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let expected = format!("\"unlimited\" or {}", size_expected(&bounds));
        self.read(name, &expected, |text| {
            unlimited(text, |text| parse_size(text).filter(|size| bounds.contains(size)))
        })
    }

    /// A size within bounds, none for "unlimited", or nothing for "auto".
    pub(super) fn size_limit_or_auto(
        &mut self,
        name: &str,
        bounds: RangeInclusive<u64>,
    ) -> Option<Option<u64>> {
        let expected = format!("\"auto\", \"unlimited\" or {}", size_expected(&bounds));
        self.read(name, &expected, |text| {
            if text == "auto" {
                return Some(None);
            }
            unlimited(text, |text| parse_size(text).filter(|size| bounds.contains(size))).map(Some)
        })
    }

    /// A duration within bounds.
    pub(super) fn duration(&mut self, name: &str, bounds: RangeInclusive<Duration>) -> Duration {
        let expected = duration_expected(&bounds);
        self.read(name, &expected, |text| parse_duration(text).filter(|it| bounds.contains(it)))
    }

    /// A duration within bounds, or none for "unlimited".
    pub(super) fn duration_limit(
        &mut self,
        name: &str,
        bounds: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let expected = format!("\"unlimited\" or {}", duration_expected(&bounds));
        self.read(name, &expected, |text| {
            unlimited(text, |text| parse_duration(text).filter(|it| bounds.contains(it)))
        })
    }

    /// A duration within bounds, or none where nothing is said.
    pub(super) fn duration_or_empty(
        &mut self,
        name: &str,
        bounds: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let expected = format!("empty or {}", duration_expected(&bounds));
        self.read(name, &expected, |text| match text {
            "" => Some(None),
            text => parse_duration(text).filter(|it| bounds.contains(it)).map(Some),
        })
    }

    /// One of several words; the first of them where it is none.
    pub(super) fn choice<T: Copy>(&mut self, name: &str, first: T, words: &[(&str, T)]) -> T {
        let expected: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let expected = format!("one of {}", expected.join(", "));
        let choice = self.read(name, &expected, |text| {
            let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
            found.map(|(_, choice)| Some(*choice))
        });
        choice.unwrap_or(first)
    }

    /// A secret, itself or from the file that `<name>_file` names; of both the higher layer counts.
    pub(super) fn secret(&mut self, name: &str) -> Option<Secret> {
        let file_name = format!("{name}_file");
        let text = self.text(name);
        let path = self.text(&file_name);
        let layer = |name: &str| self.setting(name).map(|setting| setting.layer);
        let (own, file) = (layer(name), layer(&file_name));
        match (text.is_empty(), path.is_empty()) {
            (true, true) => None,
            (false, true) => Some(Secret::new(text)),
            (true, false) => self.secret_in_file(&file_name, &path),
            (false, false) if own > file => Some(Secret::new(text)),
            (false, false) if own < file => self.secret_in_file(&file_name, &path),
            (false, false) => {
                self.refuse(&file_name, format!("is set beside {name}; keep one of them"));
                None
            }
        }
    }

    pub(super) fn secret_in_file(&mut self, name: &str, path: &str) -> Option<Secret> {
        let problem = match (self.sources.read_secret)(&self.path_said_by(name, path)) {
            Ok(text) => match text.trim_end_matches(['\r', '\n']) {
                "" => "it is empty".to_owned(),
                secret => return Some(Secret::new(secret)),
            },
            Err(error) => error.to_string(),
        };
        let place = self.place(name);
        self.errors.push(ConfigError::SecretFile { place, path: path.to_owned(), problem });
        None
    }
}

/// `["10.0.0.0/8", "::1"]`, as a file has it.
fn list_in(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    if !text.starts_with('[') || !text.ends_with(']') {
        return None;
    }
    let table: toml::Table = format!("list = {text}").parse().ok()?;
    let items = table.get("list")?.as_array()?;
    items.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

fn unlimited<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    if text == "unlimited" || text.is_empty() {
        return Some(None);
    }
    read(text).map(Some)
}

fn size_expected(bounds: &RangeInclusive<u64>) -> String {
    let (least, most) = (format_size(*bounds.start()), format_size(*bounds.end()));
    format!("a size from {least} to {most}, in bytes or like \"64MiB\"")
}

fn duration_expected(bounds: &RangeInclusive<Duration>) -> String {
    let (least, most) = (format_duration(*bounds.start()), format_duration(*bounds.end()));
    format!("a duration from {least} to {most}, in seconds or like \"1h30m\"")
}

/// The settings under a table that takes any name.
pub(super) fn free(fields: &mut Fields<'_>, table: &str) -> Vec<([String; 3], String)> {
    let mut found = Vec::new();
    for (key, setting) in &fields.layered.settings {
        let [section, middle, name] = key.as_slice() else {
            continue;
        };
        // The one table of any name within a section that has other keys.
        let is_properties = table == "properties" && section == "kafka" && middle == table;
        if section != table && !is_properties {
            continue;
        }
        match &setting.value {
            Value::Text(text) => {
                found.push(([section.clone(), middle.clone(), name.clone()], text.clone()));
            }
            Value::List(_) => fields.errors.push(ConfigError::Invalid {
                place: setting.place.clone(),
                key: key.join("."),
                problem: "takes one value, not a list".to_owned(),
            }),
        }
    }
    found
}

pub(super) fn seconds(least: u64, most: u64) -> RangeInclusive<Duration> {
    Duration::from_secs(least)..=Duration::from_secs(most)
}

pub(super) fn millis(least: u64, most: u64) -> RangeInclusive<Duration> {
    Duration::from_millis(least)..=Duration::from_millis(most)
}
