//! Whether a record is a command of ours, by its headers.

use xxhash_rust::xxh3::Xxh3Default;

use super::envelope::Envelope;
use super::reader::Reader;
use super::{Reject, id_problem};
use crate::domain::command::{Command, Condition, Intent};
use crate::domain::contact::StateTag;
use crate::domain::event::Event;
use crate::domain::headers::{
    CLEARS_ATTRIBUTES, COMMAND, COMPLETE, IF_MATCH, IF_NONE_MATCH, LANE_NEXT, MERGES_ATTRIBUTES,
    MERGES_INTO, PRINCIPAL, REQUEST_HASH, REQUEST_ID,
};
use crate::domain::position::NextOffset;
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
    let Some(name) = value(COMMAND) else {
        return Ok(None);
    };
    let intent = Intent::from_name(name)
        .filter(|intent| intent.kind() == event.kind)
        .ok_or_else(|| invalid(COMMAND))?;
    let tags = |name: &str| match value(name) {
        None => Ok(None),
        Some(text) => state_tags(text).map(Some).ok_or_else(|| invalid(name)),
    };
    let condition =
        Condition { any_of: tags(IF_MATCH)?, none_of: tags(IF_NONE_MATCH)?.unwrap_or_default() };
    let lane_next = match value(LANE_NEXT) {
        None => NextOffset(u64::MAX),
        Some(digits) => NextOffset(number(digits).ok_or_else(|| invalid(LANE_NEXT))?),
    };
    let mut text = |name: &str| -> Result<Option<Span>, Reject> {
        let Some(bytes) = value(name) else {
            return Ok(None);
        };
        std::str::from_utf8(bytes).map_err(|_| invalid(name))?;
        Ok(Some(reader.append(bytes)))
    };
    let (principal, request_id) = (text(PRINCIPAL)?, text(REQUEST_ID)?);
    let survivor = text(MERGES_INTO)?.filter(|_| intent.names_survivor());
    if intent.names_survivor() && survivor.is_none() {
        return Err(invalid(MERGES_INTO));
    }
    // It stands in histories, as a source does.
    if principal.is_some_and(|name| id_problem(reader.bytes(name)).is_some()) {
        return Err(invalid(PRINCIPAL));
    }
    let given = value(REQUEST_HASH);
    let body_hash = match given {
        Some(given) => given.try_into().map_err(|_| invalid(REQUEST_HASH))?,
        None => body_hash(reader, event, envelope, intent),
    };
    Ok(Some(Box::new(Command {
        intent,
        condition,
        clears_attributes: value(CLEARS_ATTRIBUTES).is_some(),
        merges_attributes: value(MERGES_ATTRIBUTES).is_some(),
        body_hash,
        is_keyed: given.is_some(),
        lane_next,
        survivor,
        principal,
        request_id,
    })))
}

/// Whether a record says that it is the whole contact.
pub(super) fn is_complete(headers: Headers<'_>) -> bool {
    headers.into_iter().any(|(name, _)| name == COMPLETE)
}

fn invalid(name: &str) -> Reject {
    Reject::new(DeadLetterReason::InvalidCommand, format!("the header {name} can't be read"))
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// `version-hash` with commas between them; an empty text is none of them.
fn state_tags(text: &[u8]) -> Option<Vec<StateTag>> {
    let text = std::str::from_utf8(text).ok()?;
    text.split(',').filter(|tag| !tag.is_empty()).map(StateTag::parse).collect()
}

/// Over what was asked for; not over stamps (time, request), which differ in a retry.
fn body_hash(reader: &Reader<'_>, event: &Event, envelope: &Envelope, intent: Intent) -> [u8; 16] {
    let mut hasher = Xxh3Default::new();
    hasher.update(intent.as_str().as_bytes());
    let id = reader.bytes(event.contact_id);
    hasher.update(&(id.len() as u64).to_le_bytes());
    hasher.update(id);
    let (start, end) = envelope.data_text.unwrap_or_default();
    hasher.update(reader.raw(start, end));
    hasher.digest128().to_le_bytes()
}
