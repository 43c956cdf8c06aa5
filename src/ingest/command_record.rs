//! A command as it stands on the log: an event in our own words, what only we may say in headers.

use serde::Serialize;

use crate::domain::headers::{
    COMMAND, COMMAND_REPLACE, COMMAND_UPDATE, CONTENT_TYPE, EXPECTED_VERSION, PRINCIPAL,
    REQUEST_HASH, REQUEST_ID,
};
use crate::domain::timestamp::format_rfc3339_us;
use crate::event_log::NewRecord;

use super::commands::Command;
use super::patch::Data;

pub use crate::domain::event::API_SOURCE;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    id: &'a str,
    event_type: &'static str,
    timestamp: String,
    source: &'static str,
    data: Data<'a>,
}

/// `event_us` becomes the command's clock, `record_ms` the record's own time.
pub(super) fn record(command: &Command, event_us: u64, record_ms: u64) -> NewRecord {
    let event = Event {
        id: &command.event_id,
        event_type: command.kind.as_str(),
        timestamp: format_rfc3339_us(event_us),
        source: API_SOURCE,
        data: Data { id: &command.id, patch: &command.patch },
    };
    let kind = if command.replace { COMMAND_REPLACE } else { COMMAND_UPDATE };
    let text = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
    let mut headers = vec![
        text(COMMAND, kind),
        text(CONTENT_TYPE, "application/json"),
        text(PRINCIPAL, &command.author.principal),
        text(REQUEST_ID, &command.author.request_id),
    ];
    if let Some(version) = command.expected_version {
        headers.push(text(EXPECTED_VERSION, &version.to_string()));
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
