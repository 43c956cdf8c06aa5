//! JSON Schema (2020-12) by event type and, where a source has several, by the version that the
//! event names in `schemaVersion`.
//!
//! A directory holds `<event type>.json` and `<event type>@<version>.json`; `*.json` is for every
//! event type that has none of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde_json::Value;

use crate::domain::Class;

/// What Acme sends.
pub const ACME: &str = include_str!("../../../config/schemas/acme-event.json");
/// The name for every other event type.
const ANY: &str = "*";
/// Errors that an answer names at most.
const ERRORS_MAX: usize = 8;

/// A schema that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The directory or a file in it.
    #[error("{path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// No JSON, or no schema.
    #[error("{name} is no JSON Schema: {problem}")]
    Invalid {
        /// Its file, or where it comes from.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

impl SchemaError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        Class::Fatal
    }
}

/// One source's schemas, by name.
#[derive(Default)]
pub struct Schemas(BTreeMap<String, Validator>);

impl Schemas {
    /// The built-in one of a source that has one; else none, and everything passes.
    ///
    /// # Errors
    /// None, as long as the built-in schema is right.
    pub fn built_in(source: &str) -> Result<Self, SchemaError> {
        let mut schemas = Self::default();
        if source == "acme" {
            schemas.add(ANY.to_owned(), "the built-in schema", ACME)?;
        }
        Ok(schemas)
    }

    /// All of a directory.
    ///
    /// # Errors
    /// The first file that can't be read or is no schema.
    pub fn read(dir: &Path) -> Result<Self, SchemaError> {
        let failed = |source| SchemaError::Read { path: dir.to_owned(), source };
        let mut schemas = Self::default();
        for entry in std::fs::read_dir(dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            if let Some(stem) = name.strip_suffix(".json") {
                let text = std::fs::read_to_string(&path)
                    .map_err(|source| SchemaError::Read { path: path.clone(), source })?;
                schemas.add(stem.to_owned(), &path.display().to_string(), &text)?;
            }
        }
        Ok(schemas)
    }

    fn add(&mut self, name: String, file: &str, text: &str) -> Result<(), SchemaError> {
        let invalid = |problem: String| SchemaError::Invalid { name: file.to_owned(), problem };
        let schema: Value =
            serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
        let validator =
            jsonschema::draft202012::new(&schema).map_err(|error| invalid(error.to_string()))?;
        self.0.insert(name, validator);
        Ok(())
    }

    /// Whether anything is checked at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything (up to a bound) in which an event breaks its schema: places, and no values.
    pub fn errors(&self, event_type: &str, event: &Value) -> Vec<String> {
        let version = match event.get("schemaVersion") {
            Some(Value::String(version)) => Some(version.clone()),
            Some(Value::Number(version)) => Some(version.to_string()),
            Some(_) | None => None,
        };
        let versioned = version.and_then(|version| self.0.get(&format!("{event_type}@{version}")));
        let Some(validator) =
            versioned.or_else(|| self.0.get(event_type)).or_else(|| self.0.get(ANY))
        else {
            return Vec::new();
        };
        let place = |error: jsonschema::ValidationError<'_>| {
            let at = error.instance_path().to_string();
            let at = if at.is_empty() { "the event" } else { &at };
            format!("{at}: {}", error.masked())
        };
        validator.iter_errors(event).take(ERRORS_MAX).map(place).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_wrong_place_is_named_and_no_value_is_repeated() {
        let acme = Schemas::built_in("acme").unwrap();
        let event = json!({ "data": { "id": true, "acme_email": 4711 } });
        let errors = acme.errors("contact.updated", &event);
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors.iter().any(|error| error.starts_with("/data/acme_email: ")), "{errors:?}");
        assert!(!errors.concat().contains("4711"), "{errors:?}");
        assert!(acme.errors("contact.updated", &json!({ "data": { "id": 1 } })).is_empty());
        assert!(Schemas::built_in("other").unwrap().is_empty());
    }

    #[test]
    fn a_version_has_its_own_schema() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        file("contact.updated.json", r#"{"required":["one"]}"#);
        file("contact.updated@2.json", r#"{"required":["two"]}"#);
        let schemas = Schemas::read(dir.path()).unwrap();
        assert!(schemas.errors("contact.updated", &json!({ "one": 1 })).is_empty());
        let second = json!({ "schemaVersion": 2, "one": 1 });
        assert_eq!(schemas.errors("contact.updated", &second).len(), 1);
        assert!(schemas.errors("contact.deleted", &json!({})).is_empty());
        file("broken.json", r#"{"type":"nothing"}"#);
        let error = Schemas::read(dir.path()).err().unwrap();
        assert!(error.to_string().contains("broken.json"), "{error}");
    }
}
