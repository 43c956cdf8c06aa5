//! The contact's id as a record's key writes it.
//!
//! On the contact log the key is the id itself. Connectors write keys of other topics as JSON, which
//! nobody means as an id: it is refused where it would pass for one.

use serde::de::IgnoredAny;
use serde_json::Value;

use super::framing::CONFLUENT_LEN;
use super::{Reject, id_problem};
use crate::domain::headers::KEY_PROBLEM;
use crate::domain::record::{Headers, Record};
use crate::domain::span::Span;
use crate::domain::verdict::DeadLetterReason;

use super::reader::Reader;

/// How a topic's keys are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeyForm {
    /// The key is the id.
    #[default]
    Text,
    /// The key is JSON; in it, the id is the text or whole number under these names, the outermost
    /// first.
    Json(Vec<String>),
}

impl KeyForm {
    /// From a setting: `text`, `json`, or a path, `json:$.payload.id`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "" | "text" => return Some(Self::Text),
            "json" | "json:$" => return Some(Self::Json(Vec::new())),
            _ => {}
        }
        let names: Vec<String> =
            text.strip_prefix("json:$.")?.split('.').map(str::to_owned).collect();
        (!names.iter().any(String::is_empty)).then_some(Self::Json(names))
    }

    /// The id that a key names.
    ///
    /// # Errors
    /// Why it names none, as the rest of a sentence; holds nothing of the key.
    pub fn contact_id(&self, key: Option<&[u8]>) -> Result<String, String> {
        let key = key.ok_or("the record has no key")?;
        let id = match self {
            Self::Text => text(key)?.to_owned(),
            Self::Json(names) => json(key, names)?,
        };
        match id_problem(id.as_bytes()) {
            Some(problem) => Err(format!("the key {problem}")),
            None => Ok(id),
        }
    }
}

fn text(key: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(key).map_err(|_| "the key is not UTF-8")?;
    let opens = text.starts_with(['{', '[', '"']);
    if opens && serde_json::from_str::<IgnoredAny>(text).is_ok() {
        return Err("the key is JSON, not an id as it stands; where an input's keys are, \
                    the source's key says so (json, or a path such as json:$.id)"
            .to_owned());
    }
    Ok(text)
}

fn json(key: &[u8], names: &[String]) -> Result<String, String> {
    let framed = key.first().filter(|byte| **byte == 0).and_then(|_| key.get(CONFLUENT_LEN..));
    let key: Value = serde_json::from_slice(framed.unwrap_or(key))
        .map_err(|_| "the key is not JSON, as the source's key says")?;
    // Connect's converter may wrap keys as it wraps values.
    let payload = key.get("payload").filter(|_| key.get("schema").is_some());
    let is_asked_for = names.first().is_some_and(|name| name == "payload" || name == "schema");
    let mut found = payload.filter(|_| !is_asked_for).unwrap_or(&key);
    for name in names {
        found = found.get(name).ok_or_else(|| {
            format!("the key has no ${}, where the source's key says the id is", path(names))
        })?;
    }
    match found {
        Value::String(id) => Ok(id.clone()),
        Value::Number(id) if id.is_u64() => Ok(id.to_string()),
        Value::Object(_) if names.is_empty() => Err("the key is a JSON object; the source's key \
             must say where in it the id is, such as json:$.id"
            .to_owned()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(format!(
                "what the key has at ${} is neither a text nor a whole number",
                path(names)
            ))
        }
    }
}

fn path(names: &[String]) -> String {
    names.iter().map(|name| format!(".{name}")).collect()
}

/// The id in the key of a record of the contact log whose event names none.
pub(super) fn of_record(
    reader: &mut Reader<'_>,
    record: &Record,
    headers: Headers<'_>,
) -> Result<Span, Reject> {
    let key = record.key.map(|key| reader.bytes(key));
    let named = match problem(headers) {
        Some(problem) => Err(problem),
        None => KeyForm::Text.contact_id(key),
    };
    match (named, record.key) {
        (Ok(_), Some(key)) => Ok(key),
        (Err(problem), _) => Err(missing(&problem)),
        (Ok(_), None) => Err(missing("the record has no key")),
    }
}

/// Why the bridge could find no id in the key that a record had on its own topic.
pub(super) fn problem(mut headers: Headers<'_>) -> Option<String> {
    let (_, problem) = headers.find(|(name, _)| *name == KEY_PROBLEM)?;
    Some(String::from_utf8_lossy(problem.unwrap_or_default()).into_owned())
}

fn missing(problem: &str) -> Reject {
    let detail = format!("no contact id in data.id, contact_id or subject, and {problem}");
    Reject::new(DeadLetterReason::MissingContactId, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_the_setting_says() {
        let id = |form: &str, key: &str| {
            KeyForm::parse(form).unwrap().contact_id(Some(key.as_bytes())).ok()
        };
        for (form, key, expected) in [
            ("text", "j1", Some("j1")),
            ("", "{c8b5f7d9-8e7a}", Some("{c8b5f7d9-8e7a}")),
            ("text", r#"{"id":"j1"}"#, None),
            ("text", r#""q1""#, None),
            ("text", "[1]", None),
            ("text", "", None),
            ("text", "a\u{7}", None),
            ("json", r#""q1""#, Some("q1")),
            ("json", "17", Some("17")),
            ("json", "18446744073709551615", Some("18446744073709551615")),
            ("json", "j1", None),
            ("json", "1.5", None),
            ("json", "-1", None),
            ("json", "null", None),
            ("json", "\"\"", None),
            ("json", r#"{"id":"j1"}"#, None),
            ("json:$.id", r#"{"id":"j1"}"#, Some("j1")),
            ("json:$.id", r#"{"id":7,"region":"eu"}"#, Some("7")),
            ("json:$.id", r#"{"ID":"j1"}"#, None),
            ("json:$.id", r#""j1""#, None),
            ("json:$.payload.id", r#"{"schema":{},"payload":{"id":"j1"}}"#, Some("j1")),
            ("json:$.id", r#"{"schema":{},"payload":{"id":"j1"}}"#, Some("j1")),
            ("json", r#"{"schema":{"type":"int64"},"payload":7}"#, Some("7")),
            ("json:$.id", "\0\0\0\0\u{7}{\"id\":\"j1\"}", Some("j1")),
        ] {
            assert_eq!(id(form, key).as_deref(), expected, "{form} {key}");
        }
        assert!(KeyForm::Text.contact_id(None).is_err());
        assert!(KeyForm::Text.contact_id(Some(b"\xff")).is_err());
        for wrong in ["avro", "json:", "json:id", "json:$.", "json:$..id", "json:$.a..b"] {
            assert_eq!(KeyForm::parse(wrong), None, "{wrong}");
        }
    }
}
