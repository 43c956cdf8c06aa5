//! A command as it stands on the log: an event in our own words, what only we may say in headers.

use serde::Serialize;

use crate::domain::contact::StateTag;
use crate::domain::headers::{
    CLEARS_ATTRIBUTES, COMMAND, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH, MERGES_ATTRIBUTES,
    MERGES_INTO, PRINCIPAL, REQUEST_HASH, REQUEST_ID,
};
use crate::domain::timestamp::format_rfc3339_us;
use crate::event_log::NewRecord;

use super::commands::Command;
use super::patch::Data;

pub use crate::domain::event::API_SOURCE;

/// Begins the ids that commands are given here.
pub const COMMAND_ID: &str = "cmd_";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    id: &'a str,
    event_type: &'static str,
    timestamp: String,
    source: &'static str,
    data: Data<'a>,
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
    let text = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
    let mut headers = vec![
        text(COMMAND, command.intent.as_str()),
        text(CONTENT_TYPE, "application/json"),
        text(PRINCIPAL, &command.author.principal),
        text(REQUEST_ID, &command.author.request_id),
    ];
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
    if let Some(hash) = command.request_hash {
        headers.push((REQUEST_HASH.to_owned(), Some(hash.to_vec())));
    }
    NewRecord {
        key: command.id.as_bytes().to_vec(),
        // Texts and numbers alone: they always become JSON.
        value: Some(serde_json::to_vec(&event).unwrap_or_default()),
        headers,
        timestamp_ms: i64::try_from(record_ms).unwrap_or(i64::MAX),
        lane: None,
    }
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
