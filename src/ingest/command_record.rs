//! A command as it stands on the log: an event in our own words, what only we may say in headers.

use serde::Serialize;

use crate::domain::command::Intent;
use crate::domain::contact::StateTag;
use crate::domain::headers::{
    CLEARS_ATTRIBUTES, COMMAND, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH, MERGES_ATTRIBUTES,
    MERGES_INTO, PRINCIPAL, REQUEST_HASH, REQUEST_ID,
};
use crate::domain::record::NamedValues;
use crate::domain::timestamp::format_rfc3339_us;
use crate::event_log::NewRecord;

use super::commands::{Author, Command, PaymentCommand};
use super::patch::Data;

pub use crate::domain::event::API_SOURCE;

/// Begins the ids that commands are given here.
pub const COMMAND_ID: &str = "cmd_";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a, D> {
    id: &'a str,
    event_type: &'static str,
    timestamp: String,
    source: &'static str,
    data: D,
}

/// `stamp` is to become the command's clock, `record_ms` is the record's own time.
pub(super) fn record(command: &Command, stamp: u64, record_ms: u64) -> NewRecord {
    let event = Event {
        id: &command.event_id,
        event_type: command.intent.kind().as_str(),
        timestamp: format_rfc3339_us(stamp),
        source: API_SOURCE,
        data: Data { id: &command.id, patch: &command.patch },
    };
    let mut headers = headers(command.intent, &command.author);
    if let Some(tags) = &command.condition.any_of {
        headers.push((IF_MATCH.to_owned(), Some(listed(tags))));
    }
    if !command.condition.none_of.is_empty() {
        headers.push((IF_NONE_MATCH.to_owned(), Some(listed(&command.condition.none_of))));
    }
    if command.patch.merges_attributes {
        headers.push(text(MERGES_ATTRIBUTES, "true"));
    }
    if command.patch.clears_attributes {
        headers.push(text(CLEARS_ATTRIBUTES, "true"));
    }
    if let Some(survivor) = &command.survivor {
        headers.push(text(MERGES_INTO, survivor));
    }
    headers.extend(command.request_hash.map(request_hash));
    new_record(&command.id, &event, headers, record_ms)
}

/// The same of a payment's command.
pub(super) fn payment_record(command: &PaymentCommand, stamp: u64, record_ms: u64) -> NewRecord {
    let event = Event {
        id: &command.event_id,
        event_type: command.intent.kind().as_str(),
        timestamp: format_rfc3339_us(stamp),
        source: API_SOURCE,
        data: &command.data,
    };
    let mut headers = headers(command.intent, &command.author);
    headers.extend(command.request_hash.map(request_hash));
    new_record(&command.contact_id, &event, headers, record_ms)
}

fn new_record(
    contact_id: &str,
    event: &impl Serialize,
    headers: NamedValues,
    record_ms: u64,
) -> NewRecord {
    NewRecord {
        key: contact_id.as_bytes().to_vec(),
        // Texts and numbers alone: they always become JSON.
        value: Some(serde_json::to_vec(event).unwrap_or_default()),
        headers,
        timestamp_ms: i64::try_from(record_ms).unwrap_or(i64::MAX),
        lane: None,
    }
}

fn headers(intent: Intent, author: &Author) -> NamedValues {
    vec![
        text(COMMAND, intent.as_str()),
        text(CONTENT_TYPE, "application/json"),
        text(PRINCIPAL, &author.principal),
        text(REQUEST_ID, &author.request_id),
    ]
}

fn text(name: &str, value: &str) -> (String, Option<Vec<u8>>) {
    (name.to_owned(), Some(value.as_bytes().to_vec()))
}

fn request_hash(hash: [u8; 16]) -> (String, Option<Vec<u8>>) {
    (REQUEST_HASH.to_owned(), Some(hash.to_vec()))
}

fn listed(tags: &[StateTag]) -> Vec<u8> {
    let mut text = Vec::new();
    for tag in tags {
        if !text.is_empty() {
            text.push(b',');
        }
        tag.write(&mut text);
    }
    text
}
