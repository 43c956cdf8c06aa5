//! The body of a write: read strictly, and everything that is wrong with it named at once.

use serde_json::value::RawValue;

use crate::domain::decode::contact_id_problem;
use crate::domain::event::{EMAIL, FIELDS};
use crate::domain::limits::ID_BYTES_MAX;
use crate::ingest::{ContactPatch, Said};

use super::email::is_email;
use crate::http::exchange::json_body::{Members, Problems, shown};

/// Characters of each of [`FIELDS`].
pub(super) const FIELD_CHARS_MAX: [usize; FIELDS.len()] = [256, 256, 254, 64, 256, 256];
const ATTRIBUTES_MAX: usize = 256;
const ATTRIBUTE_NAME_BYTES_MAX: usize = 256;
const ATTRIBUTES_BYTES_MAX: usize = 32 << 10;
const ATTRIBUTE_DEPTH_MAX: usize = 32;
/// Members that a contact is shown with and that nobody writes.
const READ_ONLY: [&str; 8] = [
    "externalIds",
    "status",
    "version",
    "sourceVersion",
    "source",
    "createdAt",
    "updatedAt",
    "changedAt",
];

/// How a body is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meant {
    /// As the whole contact.
    Whole,
    /// As a merge patch (RFC 7396).
    Patch,
}

/// A contact's body with the id that it names.
pub(super) struct ContactBody {
    pub(super) id: Option<String>,
    pub(super) patch: ContactPatch,
}

impl ContactBody {
    /// Reads the members; what is wrong is added to `problems`.
    pub(super) fn read(members: &Members, meant: Meant, problems: &mut Problems) -> Self {
        let mut patch =
            ContactPatch { merges_attributes: meant == Meant::Patch, ..ContactPatch::default() };
        let mut id = None;
        for (name, value) in &members.0 {
            let field = FIELDS.iter().position(|field| field == name);
            if let Some((place, slot)) = field.and_then(|at| Some((at, patch.fields.get_mut(at)?)))
            {
                *slot = field_said(place, value, problems);
            } else if name == "id" {
                id = id_of(value, problems);
            } else if name == "attributes" {
                attributes(value, meant, &mut patch, problems);
            } else if READ_ONLY.contains(&name.as_str()) {
                problems.add(name, "can't be written");
            } else {
                problems.add(
                    shown(name),
                    "is no field of a contact; what is your own goes under attributes",
                );
            }
        }
        Self { id, patch }
    }
}

fn field_said(place: usize, value: &RawValue, problems: &mut Problems) -> Said<String> {
    let name = FIELDS.get(place).copied().unwrap_or_default();
    let chars_max = FIELD_CHARS_MAX.get(place).copied().unwrap_or_default();
    let text = match serde_json::from_str::<Option<String>>(value.get()) {
        Ok(None) => return Some(None),
        Ok(Some(text)) => text,
        Err(_) => {
            problems.add(name, "must be a string or null");
            return None;
        }
    };
    if text.is_empty() {
        problems.add(name, "is empty; null clears it");
    } else if text.chars().count() > chars_max {
        problems.add(name, format!("has {chars_max} characters at most"));
    } else if text.chars().any(char::is_control) {
        problems.add(name, "holds control characters");
    } else if place == EMAIL && !is_email(&text) {
        problems.add(name, "is no e-mail address");
    } else {
        return Some(Some(text));
    }
    None
}

fn id_of(value: &RawValue, problems: &mut Problems) -> Option<String> {
    let Ok(id) = serde_json::from_str::<String>(value.get()) else {
        problems.add("id", "must be a string");
        return None;
    };
    match id_problem(&id) {
        Some(problem) => {
            problems.add("id", problem);
            None
        }
        None => Some(id),
    }
}

/// What keeps a text from being the id of a contact that a client makes.
pub(super) fn id_problem(id: &str) -> Option<String> {
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        return Some(format!("has 1 to {ID_BYTES_MAX} bytes"));
    }
    contact_id_problem(id.as_bytes()).map(str::to_owned)
}

fn attributes(value: &RawValue, meant: Meant, patch: &mut ContactPatch, problems: &mut Problems) {
    if value.get() == "null" {
        // In a merge patch that takes the member away: all of it.
        patch.clears_attributes = meant == Meant::Patch;
        return;
    }
    let Some(Members(members)) = Members::of_value(value, "attributes", problems) else {
        return;
    };
    if members.len() > ATTRIBUTES_MAX {
        problems.add("attributes", format!("has {ATTRIBUTES_MAX} members at most"));
    }
    if value.get().len() > ATTRIBUTES_BYTES_MAX {
        problems.add("attributes", format!("has {ATTRIBUTES_BYTES_MAX} bytes at most"));
        return;
    }
    for (name, value) in members {
        let place = || format!("attributes.{}", shown(&name));
        if name.is_empty() || name.len() > ATTRIBUTE_NAME_BYTES_MAX {
            problems.add(place(), format!("has a name of 1 to {ATTRIBUTE_NAME_BYTES_MAX} bytes"));
        } else if name.chars().any(char::is_control) {
            problems.add(place(), "has control characters in its name");
        } else if depth(value.get()) > ATTRIBUTE_DEPTH_MAX {
            problems.add(place(), format!("is nested {ATTRIBUTE_DEPTH_MAX} deep at most"));
        } else {
            let value = (value.get() != "null").then_some(value);
            patch.attributes.insert(name, value);
        }
    }
}

/// How deep arrays and objects are nested in a JSON text.
fn depth(json: &str) -> usize {
    let (mut now, mut deepest) = (0_usize, 0);
    let (mut is_text, mut is_escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'[' | b'{' if !is_text => {
                now += 1;
                deepest = deepest.max(now);
            }
            b']' | b'}' if !is_text => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(body: &str, meant: Meant) -> Vec<String> {
        let mut problems = Problems::default();
        let members = Members::of(body.as_bytes()).unwrap();
        ContactBody::read(&members, meant, &mut problems);
        problems.0.into_iter().map(|(field, _)| field).collect()
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let body = r#"{"id":"a\u0000","firstName":7,"lastName":"","email":"ada","phone":"\u0007",
            "nick":"x","version":3,"attributes":{"":1,"ok":{"a":[1]}}}"#;
        assert_eq!(
            problems_of(body, Meant::Whole),
            ["id", "firstName", "lastName", "email", "phone", "nick", "version", "attributes."]
        );
        assert!(
            problems_of(r#"{"email":"a@b","title":null,"attributes":null}"#, Meant::Patch)
                .is_empty()
        );
    }

    #[test]
    fn depth_counts_what_is_no_text() {
        for (json, expected) in [("1", 0), ("[]", 1), (r#"{"a":["[[["]}"#, 2), (r#""\"[""#, 0)] {
            assert_eq!(depth(json), expected, "{json}");
        }
    }
}
