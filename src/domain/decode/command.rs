//! Whether a record is a command of ours, by its headers.

use xxhash_rust::xxh3::Xxh3Default;

use super::Reject;
use super::envelope::Envelope;
use super::reader::Reader;
use crate::domain::event::{Command, Event};
use crate::domain::headers::{
    COMMAND, COMMAND_REPLACE, COMMAND_UPDATE, EXPECTED_VERSION, PRINCIPAL, REQUEST_HASH, REQUEST_ID,
};
use crate::domain::record::Headers;
use crate::domain::span::Span;
use crate::domain::verdict::DeadLetterReason;

pub(super) fn read(
    reader: &mut Reader<'_>,
    headers: Headers<'_>,
    event: &Event,
    envelope: &Envelope,
) -> Result<Option<Box<Command>>, Reject> {
    let value =
        |name: &str| headers.clone().find(|(each, _)| *each == name).and_then(|(_, value)| value);
    let Some(command) = value(COMMAND) else {
        return Ok(None);
    };
    let replace = match std::str::from_utf8(command) {
        Ok(COMMAND_REPLACE) => true,
        Ok(COMMAND_UPDATE) => false,
        _ => return Err(invalid(COMMAND)),
    };
    let expected_version = match value(EXPECTED_VERSION) {
        None => None,
        Some(digits) => {
            let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
            Some(number.ok_or_else(|| invalid(EXPECTED_VERSION))?)
        }
    };
    let mut text = |name: &str| -> Result<Option<Span>, Reject> {
        let Some(bytes) = value(name) else {
            return Ok(None);
        };
        std::str::from_utf8(bytes).map_err(|_| invalid(name))?;
        Ok(Some(reader.append(bytes)))
    };
    let (principal, request_id) = (text(PRINCIPAL)?, text(REQUEST_ID)?);
    let body_hash = match value(REQUEST_HASH) {
        Some(given) => given.try_into().map_err(|_| invalid(REQUEST_HASH))?,
        None => body_hash(reader, event, envelope, replace, expected_version),
    };
    Ok(Some(Box::new(Command { expected_version, replace, body_hash, principal, request_id })))
}

fn invalid(name: &str) -> Reject {
    Reject::new(DeadLetterReason::InvalidCommand, format!("the header {name} can't be read"))
}

/// Over what was asked for; not over stamps (time, request), which differ in a retry.
fn body_hash(
    reader: &Reader<'_>,
    event: &Event,
    envelope: &Envelope,
    replace: bool,
    expected_version: Option<u64>,
) -> [u8; 16] {
    let mut hasher = Xxh3Default::new();
    hasher.update(&[event.kind as u8, u8::from(replace), u8::from(expected_version.is_some())]);
    hasher.update(&expected_version.unwrap_or_default().to_le_bytes());
    let id = reader.bytes(event.contact_id);
    hasher.update(&(id.len() as u64).to_le_bytes());
    hasher.update(id);
    let (start, end) = envelope.data_text.unwrap_or_default();
    hasher.update(reader.raw(start, end));
    hasher.digest128().to_le_bytes()
}
