//! JSON objects as bodies: read strictly, and everything that is wrong with one named at once.

use std::fmt;
use std::ops::RangeInclusive;

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::domain::json::repeated_name;

use super::error::{ApiError, Code};

const PROBLEMS_MAX: usize = 100;

/// What is wrong with a request, by place.
#[derive(Debug, Default)]
pub(crate) struct Problems(pub(crate) Vec<(String, String)>);

impl Problems {
    /// Beyond the first hundred they are left out: an answer is not to be larger than what was sent.
    pub(crate) fn add(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        if self.0.len() < PROBLEMS_MAX {
            self.0.push((field.into(), problem.into()));
        }
    }

    /// Whether there is one of the field already.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.0.iter().any(|(known, _)| known == field)
    }

    /// All of them as one answer, if there are any.
    pub(crate) fn result(self) -> Result<(), ApiError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let texts: Vec<String> =
            self.0.iter().map(|(field, problem)| format!("{field} {problem}")).collect();
        let fields: Vec<Value> = self
            .0
            .iter()
            .map(|(field, problem)| json!({ "field": field, "problem": problem }))
            .collect();
        Err(ApiError::new(Code::ValidationFailed, texts.join("; "))
            .with_details(json!({ "fields": fields })))
    }
}

/// An object's members in their order, a name as often as it stands there.
#[derive(Default)]
pub(crate) struct Members(pub(crate) Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

impl Members {
    /// Of a body that must be one JSON object.
    pub(crate) fn of(body: &[u8]) -> Result<Self, ApiError> {
        let mut problems = Problems::default();
        let members = Self::strictly(json_text(body)?, "the body", &mut problems);
        problems.result()?;
        members.ok_or_else(no_object)
    }

    /// None, and a problem: it is no object, or something in it stands twice, at any depth.
    pub(crate) fn strictly(value: &RawValue, what: &str, problems: &mut Problems) -> Option<Self> {
        if let Some(path) = repeated_name(value.get()) {
            problems.add(path, "is given twice");
            return None;
        }
        Self::of_value(value, what, problems)
    }

    /// Of a part of what was read strictly.
    pub(crate) fn of_value(value: &RawValue, what: &str, problems: &mut Problems) -> Option<Self> {
        let members = serde_json::from_str::<Self>(value.get()).ok();
        if members.is_none() {
            problems.add(what, "must be an object");
        }
        members
    }
}

/// Where a body is no JSON, and not what stands there: it may hold a password.
fn json_text(body: &[u8]) -> Result<&RawValue, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let text = format!("the body is not JSON: line {line}, column {column}");
        ApiError::new(Code::InvalidBody, text)
    })
}

fn no_object() -> ApiError {
    ApiError::new(Code::InvalidBody, "the body must be a JSON object")
}

/// A name as it may stand in an answer.
pub(crate) fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// The fields of an object, taken out one by one.
pub(crate) struct Fields {
    members: Members,
    problems: Problems,
}

impl Fields {
    /// Of a request's body.
    ///
    /// # Errors
    /// 415 where it says that it is no JSON, 400 where it is no object, 422 where something in it
    /// stands twice.
    pub(crate) fn of(headers: &HeaderMap, body: &[u8]) -> Result<Self, ApiError> {
        let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.and_then(|text| text.split(';').next()).unwrap_or_default();
        let is_json = |json: &&str| media_type.trim().eq_ignore_ascii_case(json);
        // A PATCH of fields is a merge patch, whichever of the two it calls itself.
        if !["application/json", "application/merge-patch+json"].iter().any(is_json) {
            return Err(ApiError::new(
                Code::UnsupportedMediaType,
                "send the body as JSON, with Content-Type: application/json",
            ));
        }
        if !json_text(body)?.get().starts_with('{') {
            return Err(no_object());
        }
        Members::of(body).map(Self::from)
    }

    /// A field as it is, where it is there.
    pub(crate) fn raw(&mut self, name: &str) -> Option<Box<RawValue>> {
        let Members(members) = &mut self.members;
        let place = members.iter().position(|(known, _)| known == name)?;
        Some(members.remove(place).1)
    }

    /// The same, read as one of those that are fit; else it is refused.
    fn read<T: DeserializeOwned>(
        &mut self,
        name: &str,
        is_fit: impl FnOnce(&T) -> bool,
        problem: &str,
    ) -> Option<T> {
        let value = serde_json::from_str(self.raw(name)?.get()).ok().filter(is_fit);
        if value.is_none() {
            self.refuse(name, problem);
        }
        value
    }

    /// A field's text, where it is there.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        self.read(name, |_| true, "must be a string")
    }

    /// A field that is a list of texts, where it is there.
    pub(crate) fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        self.read(name, |_| true, "must be a list of strings")
    }

    /// A field that is true or false, where it is there.
    pub(crate) fn flag(&mut self, name: &str) -> Option<bool> {
        self.read(name, |_| true, "must be true or false")
    }

    /// A field that is an object, where it is there.
    pub(crate) fn object(&mut self, name: &str) -> Option<serde_json::Map<String, Value>> {
        self.read(name, |_| true, "must be an object")
    }

    /// A field that is a whole number within bounds, where it is there.
    pub(crate) fn number(&mut self, name: &str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let (least, most) = (bounds.start(), bounds.end());
        let problem = format!("must be a whole number from {least} to {most}");
        self.read(name, |number| bounds.contains(number), &problem)
    }

    /// A field's text, which must be there; empty where it was refused.
    pub(crate) fn required_text(&mut self, name: &str) -> String {
        let text = self.text(name);
        if text.is_none() && !self.is_refused(name) {
            self.refuse(name, "is missing");
        }
        text.unwrap_or_default()
    }

    /// To name what is wrong within a field.
    pub(crate) fn problems(&mut self) -> &mut Problems {
        &mut self.problems
    }

    pub(crate) fn refuse(&mut self, name: &str, why: impl Into<String>) {
        self.problems.add(name, why);
    }

    /// Whether a field was refused already.
    pub(crate) fn is_refused(&self, name: &str) -> bool {
        self.problems.has(name)
    }

    /// Fails where any field was refused, or is left over.
    pub(crate) fn end(mut self) -> Result<(), ApiError> {
        for (name, _) in self.members.0 {
            self.problems.add(shown(&name), "is no field of this");
        }
        self.problems.result()
    }
}

impl From<Members> for Fields {
    fn from(members: Members) -> Self {
        Self { members, problems: Problems::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_stands_twice_is_refused_at_any_level() {
        for (body, path) in [
            (r#"{"a":1,"a":2}"#, "a is"),
            (r#"{"attributes":{"a":1,"a":2}}"#, "attributes.a is"),
            (r#"{"attributes":{"a":[{"b":1,"b":2}]}}"#, "attributes.a[0].b is"),
        ] {
            let error = Members::of(body.as_bytes()).err().unwrap();
            assert!(error.in_a_list().message.starts_with(path), "{body}");
        }
        assert!(Members::of(b"[]").is_err() && Members::of(b"{").is_err());
    }
}
