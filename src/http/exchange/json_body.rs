//! A JSON object as a body, with every field that is wrong named at once.

use std::ops::RangeInclusive;

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};

use crate::domain::json::repeated_name;

use super::error::{ApiError, Code};

/// The fields of a body, taken out one by one.
pub(crate) struct Fields {
    fields: Map<String, Value>,
    wrong: Vec<(String, String)>,
}

impl Fields {
    /// Reads an object.
    ///
    /// # Errors
    /// 415 where it says that it is no JSON, 400 where it is none.
    pub(crate) fn of(headers: &HeaderMap, body: &Bytes) -> Result<Self, ApiError> {
        let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.and_then(|text| text.split(';').next()).unwrap_or_default();
        if !media_type.trim().eq_ignore_ascii_case("application/json") {
            return Err(ApiError::new(
                Code::UnsupportedMediaType,
                "send the body as JSON, with Content-Type: application/json",
            ));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => {
                let text = str::from_utf8(body).unwrap_or_default();
                let wrong = repeated_name(text).map(|path| (path, "is given twice".to_owned()));
                Ok(Self { fields, wrong: wrong.into_iter().collect() })
            }
            Ok(_) => Err(ApiError::new(Code::InvalidBody, "the body must be a JSON object")),
            Err(error) => {
                // Where, and not what: the body may hold a password.
                let text = format!(
                    "the body is no JSON: line {}, column {}",
                    error.line(),
                    error.column()
                );
                Err(ApiError::new(Code::InvalidBody, text))
            }
        }
    }

    /// A field as it is, where it is there.
    pub(crate) fn value(&mut self, name: &str) -> Option<Value> {
        self.fields.remove(name)
    }

    /// A field's text, where it is there.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        match self.fields.remove(name) {
            Some(Value::String(text)) => Some(text),
            None => None,
            Some(_) => {
                self.refuse(name, "must be a string");
                None
            }
        }
    }

    /// A field that is true or false, where it is there.
    pub(crate) fn flag(&mut self, name: &str) -> Option<bool> {
        match self.fields.remove(name) {
            Some(Value::Bool(flag)) => Some(flag),
            None => None,
            Some(_) => {
                self.refuse(name, "must be true or false");
                None
            }
        }
    }

    /// A field that is a whole number within bounds, where it is there.
    pub(crate) fn number(&mut self, name: &str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let number = self.fields.remove(name)?;
        let number = number.as_u64().filter(|number| bounds.contains(number));
        if number.is_none() {
            let (least, most) = (bounds.start(), bounds.end());
            self.refuse(name, &format!("must be a whole number from {least} to {most}"));
        }
        number
    }

    /// A field's text, which must be there.
    pub(crate) fn required_text(&mut self, name: &str) -> Option<String> {
        let text = self.text(name);
        if text.is_none() && !self.is_refused(name) {
            self.refuse(name, "is missing");
        }
        text
    }

    pub(crate) fn refuse(&mut self, name: &str, why: &str) {
        self.wrong.push((name.to_owned(), why.to_owned()));
    }

    /// Whether a field was refused already.
    pub(crate) fn is_refused(&self, name: &str) -> bool {
        self.wrong.iter().any(|(wrong, _)| wrong == name)
    }

    /// Fails where any field was refused, or is left over.
    pub(crate) fn end(mut self) -> Result<(), ApiError> {
        let unknown: Vec<String> = self.fields.keys().cloned().collect();
        for name in unknown {
            self.refuse(&name, "is no field of this");
        }
        if self.wrong.is_empty() {
            return Ok(());
        }
        let texts: Vec<String> =
            self.wrong.iter().map(|(name, why)| format!("{name} {why}")).collect();
        let fields: Vec<Value> =
            self.wrong.iter().map(|(name, why)| json!({ "field": name, "problem": why })).collect();
        Err(ApiError::new(Code::ValidationFailed, texts.join("; "))
            .with_details(json!({ "fields": fields })))
    }
}
