//! The one flat object that a contact is everywhere outside.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{ContactView, Status};
use crate::domain::digits::write_decimal;
use crate::domain::event::FIELDS;
use crate::domain::external_ids::EXTERNAL_IDS;
use crate::domain::json::write_string;
use crate::domain::timestamp::{format_rfc3339, format_rfc3339_us, write_rfc3339_us};

/// A contact in its public shape.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    /// Its id.
    pub id: String,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// E-mail address as the source wrote it.
    pub email: Option<String>,
    /// Telephone number as the source wrote it.
    pub phone: Option<String>,
    /// Company.
    pub company: Option<String>,
    /// Job title.
    pub title: Option<String>,
    /// Everything else that sources say about it.
    pub attributes: BTreeMap<String, Box<RawValue>>,
    /// What sources call it, by source; left out where none has an id of its own for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub external_ids: BTreeMap<String, String>,
    /// Active or deleted.
    pub status: Status,
    /// Counts its changes.
    pub version: u64,
    /// The greatest version that a source gave.
    pub source_version: Option<u64>,
    /// The source of the newest event.
    pub source: Option<String>,
    /// When it came to be: RFC 3339, UTC, three or six decimals.
    pub created_at: Option<String>,
    /// The time of its newest event: RFC 3339, UTC, three or six decimals.
    pub updated_at: Option<String>,
    /// When the record came that made the present version: RFC 3339, UTC, milliseconds.
    pub changed_at: Option<String>,
}

impl Contact {
    /// The contact of a body and its key.
    pub fn from_view(id: &str, view: &ContactView<'_>) -> Self {
        let field = |place| view.field(place).map(str::to_owned);
        let attributes = view.attributes().filter_map(|(key, value)| {
            Some((key.to_owned(), RawValue::from_string(value.to_owned()).ok()?))
        });
        Self {
            id: id.to_owned(),
            first_name: field(0),
            last_name: field(1),
            email: field(2),
            phone: field(3),
            company: field(4),
            title: field(5),
            attributes: attributes.collect(),
            external_ids: view
                .external_ids()
                .map(|(source, id)| (source.to_owned(), id.to_owned()))
                .collect(),
            status: view.status(),
            version: view.version(),
            source_version: view.source_version(),
            source: Some(view.source()).filter(|source| !source.is_empty()).map(str::to_owned),
            created_at: view.created_at_us().map(format_rfc3339_us),
            updated_at: view.updated_at_us().map(format_rfc3339_us),
            changed_at: view.changed_at_ms().map(format_rfc3339),
        }
    }
}

/// Appends the same JSON as [`Contact`] serializes to, without building one.
pub fn write_json(id: &str, view: &ContactView<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    write_string(id, out);
    for (place, name) in FIELDS.iter().enumerate() {
        member(name, out);
        optional(view.field(place), out, write_string);
    }
    member("attributes", out);
    out.push(b'{');
    for (count, (key, value)) in view.attributes().enumerate() {
        if count > 0 {
            out.push(b',');
        }
        write_string(key, out);
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
    }
    out.push(b'}');
    let mut external_ids = view.external_ids().peekable();
    if external_ids.peek().is_some() {
        member(EXTERNAL_IDS, out);
        for (count, (source, id)) in external_ids.enumerate() {
            out.push(if count == 0 { b'{' } else { b',' });
            write_string(source, out);
            out.push(b':');
            write_string(id, out);
        }
        out.push(b'}');
    }
    member("status", out);
    write_string(view.status().as_str(), out);
    member("version", out);
    write_decimal(view.version(), out);
    member("sourceVersion", out);
    optional(view.source_version(), out, write_decimal);
    member("source", out);
    optional(Some(view.source()).filter(|source| !source.is_empty()), out, write_string);
    member("createdAt", out);
    optional(view.created_at_us(), out, write_time);
    member("updatedAt", out);
    optional(view.updated_at_us(), out, write_time);
    member("changedAt", out);
    optional(view.changed_at_ms().map(|ms| ms.saturating_mul(1000)), out, write_time);
    out.push(b'}');
}

fn member(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn optional<T>(value: Option<T>, out: &mut Vec<u8>, write: impl Fn(T, &mut Vec<u8>)) {
    match value {
        Some(value) => write(value, out),
        None => out.extend_from_slice(b"null"),
    }
}

fn write_time(us: u64, out: &mut Vec<u8>) {
    out.push(b'"');
    write_rfc3339_us(us, out);
    out.push(b'"');
}
