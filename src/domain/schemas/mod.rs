//! JSON Schemas (2020-12): what a source's events must look like beyond what decoding needs, by event
//! type and, where a source has several, by the version that the event names in `schemaVersion`.
//!
//! Compiled schemas are handed to the decoder with the sources, and are part of the rules. A
//! name is `<event type>`, `<event type>@<version>`, or `*` for every event type without its own.

mod published;

use std::collections::BTreeMap;
use std::sync::Arc;

use jsonschema::Validator;
use serde_json::Value;

use super::event::EventKind;

pub use published::{EVENT_TYPES, Published, published};

/// The source whose schemas are built in.
pub const ACME: &str = "acme";
/// The name for every other event type.
const ANY: &str = "*";
/// Problems that are named at most, and characters of each: names of members may be long.
const PROBLEMS_MAX: usize = 8;
const PROBLEM_CHARS_MAX: usize = 300;

/// A text that is no schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is no JSON Schema: {problem}")]
pub struct SchemaError {
    /// Which.
    pub name: String,
    /// What is wrong.
    pub problem: String,
}

/// One source's schemas, by name.
#[derive(Clone, Default)]
pub struct Schemas {
    by_name: BTreeMap<String, Arc<Validator>>,
}

impl Schemas {
    /// From names and texts.
    ///
    /// # Errors
    /// The first that is no schema.
    pub fn compile<'t>(
        texts: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Result<Self, SchemaError> {
        let mut schemas = Self::default();
        for (name, text) in texts {
            let wrong = |problem: String| SchemaError { name: name.to_owned(), problem };
            let schema: Value =
                serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
            let validator =
                jsonschema::draft202012::new(&schema).map_err(|error| wrong(error.to_string()))?;
            schemas.by_name.insert(name.to_owned(), Arc::new(validator));
        }
        Ok(schemas)
    }

    /// Those that the published ones of a source are; a source without any takes everything.
    ///
    /// # Errors
    /// None, as long as the built-in schemas are right.
    pub fn built_in(source: &str) -> Result<Self, SchemaError> {
        let texts: Vec<(String, String)> = published()
            .into_iter()
            .filter(|schema| schema.source == Some(source))
            .filter_map(|schema| Some((schema.event_type?.to_owned(), schema.text())))
            .collect();
        Self::compile(texts.iter().map(|(name, text)| (name.as_str(), text.as_str())))
    }

    /// Whether anything is checked at all.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// What is wrong with an event's JSON, if anything is: places, and no values.
    pub fn problem(&self, kind: EventKind, json: &[u8]) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        let event = match serde_json::from_slice(json) {
            Ok(event) => event,
            // The data of a binary CloudEvent may be nothing.
            Err(_) if json.is_empty() => Value::Null,
            // Decoding takes any number as text; here it must be one.
            Err(_) => {
                return Some("the event: a number in it is too large to be checked".to_owned());
            }
        };
        let problems = self.problems(kind.as_str(), &event);
        (!problems.is_empty()).then(|| problems.join("; "))
    }

    /// Everything (up to a bound) in which an event breaks its schema.
    fn problems(&self, event_type: &str, event: &Value) -> Vec<String> {
        let version = match event.get("schemaVersion") {
            Some(Value::String(version)) => Some(version.clone()),
            Some(Value::Number(version)) => Some(version.to_string()),
            Some(_) | None => None,
        };
        let versioned =
            version.and_then(|version| self.by_name.get(&format!("{event_type}@{version}")));
        let own = || self.by_name.get(event_type).or_else(|| self.by_name.get(ANY));
        let Some(validator) = versioned.or_else(own) else {
            return Vec::new();
        };
        // Far cheaper than to ask where it is broken, and what nearly all need.
        if validator.is_valid(event) {
            return Vec::new();
        }
        let problem = |error: jsonschema::ValidationError<'_>| {
            let at = error.instance_path().to_string();
            let at = if at.is_empty() { "the event" } else { &at };
            format!("{at}: {}", error.masked()).chars().take(PROBLEM_CHARS_MAX).collect()
        };
        validator.iter_errors(event).take(PROBLEMS_MAX).map(problem).collect()
    }
}

impl std::fmt::Debug for Schemas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

/// The configured schemas of all sources.
#[derive(Clone, Debug, Default)]
pub struct SourceSchemas(BTreeMap<String, Schemas>);

impl SourceSchemas {
    /// Those of a source, where it has any.
    pub fn of(&self, source: &[u8]) -> Option<&Schemas> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(std::str::from_utf8(source).ok()?)
    }
}

impl FromIterator<(String, Schemas)> for SourceSchemas {
    fn from_iter<I: IntoIterator<Item = (String, Schemas)>>(sources: I) -> Self {
        Self(sources.into_iter().filter(|(_, schemas)| !schemas.is_empty()).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const UPDATED: EventKind = EventKind::Updated;

    fn problem(schemas: &Schemas, event: &Value) -> Option<String> {
        schemas.problem(UPDATED, event.to_string().as_bytes())
    }

    #[test]
    fn every_wrong_place_is_named_and_no_value_is_repeated() {
        let acme = Schemas::built_in(ACME).unwrap();
        let event = json!({ "data": { "id": true, "acme_email": 4711 } });
        let text = problem(&acme, &event).unwrap();
        assert_eq!(text.split("; ").count(), 2, "{text}");
        assert!(text.contains("/data/acme_email: ") && !text.contains("4711"), "{text}");
        assert_eq!(problem(&acme, &json!({ "data": { "id": 1 } })), None);
        assert!(Schemas::built_in("other").unwrap().is_empty());
    }

    #[test]
    fn a_version_has_its_own_schema_and_an_unknown_one_the_types() {
        let one = r#"{"required":["one"]}"#;
        let two = r#"{"required":["two"]}"#;
        let schemas =
            Schemas::compile([("contact.updated", one), ("contact.updated@2", two)]).unwrap();
        assert_eq!(problem(&schemas, &json!({ "one": 1 })), None);
        assert!(problem(&schemas, &json!({ "schemaVersion": 2, "one": 1 })).is_some());
        assert_eq!(problem(&schemas, &json!({ "schemaVersion": "3", "one": 1 })), None);
        assert_eq!(schemas.problem(EventKind::Deleted, b"{}"), None);
        let any = Schemas::compile([("*", one), ("contact.updated", two)]).unwrap();
        assert!(any.problem(EventKind::Deleted, b"{}").is_some());
        assert_eq!(problem(&any, &json!({ "two": 1 })), None);
        let error = Schemas::compile([("broken", r#"{"type":"nothing"}"#)]).unwrap_err();
        assert!(error.to_string().contains("broken"), "{error}");
    }

    #[test]
    fn what_is_said_is_bounded_and_odd_numbers_are_told() {
        let closed = r#"{"properties":{"a":{"type":"string"}},"additionalProperties":false}"#;
        let schemas = Schemas::compile([("*", closed)]).unwrap();
        let long = "x".repeat(100_000);
        let text = problem(&schemas, &json!({ long: 1, "a": 1 })).unwrap();
        assert!(text.len() < 8 * (PROBLEM_CHARS_MAX + 2), "{}", text.len());
        let text = schemas.problem(UPDATED, b"{\"a\":1e999}").unwrap();
        assert!(text.contains("too large"), "{text}");
    }
}
