//! The ids that sources have for contacts: as intake found them, or as a command says them.

use super::envelope::header_text;
use super::reader::{Reader, duplicate, wrong_type};
use super::{Reject, check_contact_id, check_id};
use crate::domain::event::{Event, Patch};
use crate::domain::external_ids::EXTERNAL_IDS;
use crate::domain::headers::{CONTACT_ID, EXTERNAL_ID, NAMED_ID};
use crate::domain::json::Token;
use crate::domain::record::Headers;
use crate::domain::span::Span;

/// The id that the event names, where intake has found out whose it is.
pub(super) fn named<'h>(headers: Headers<'h>) -> Option<&'h [u8]> {
    value(headers.clone(), EXTERNAL_ID).or_else(|| value(headers, NAMED_ID))
}

/// The event is the contact's that intake has found, and says what its source calls it.
pub(super) fn resolve(
    reader: &mut Reader<'_>,
    event: &mut Event,
    headers: Headers<'_>,
) -> Result<(), Reject> {
    let Some(contact_id) = value(headers.clone(), CONTACT_ID) else {
        return Ok(());
    };
    event.contact_id = header_text(reader, contact_id, CONTACT_ID)?;
    check_contact_id(reader, event.contact_id)?;
    if let Some(id) = value(headers, EXTERNAL_ID).filter(|_| !reader.bytes(event.source).is_empty())
    {
        let id = header_text(reader, id, EXTERNAL_ID)?;
        check_id(reader, id, "external id")?;
        event.external_ids = vec![(event.source, Patch::Set(id))];
    }
    Ok(())
}

fn value<'h>(mut headers: Headers<'h>, name: &str) -> Option<&'h [u8]> {
    headers.find(|(each, _)| *each == name).and_then(|(_, value)| value)
}

/// What a command says of them, by source.
pub(super) fn of_command(
    reader: &mut Reader<'_>,
    token: Token,
) -> Result<Vec<(Span, Patch)>, Reject> {
    let Token::Object { start, .. } = token else {
        return Err(wrong_type(EXTERNAL_IDS, "an object", token));
    };
    let mut patches = Vec::new();
    for member in reader.collect(&mut reader.scanner_at(start))? {
        check_id(reader, member.name, "external id's source")?;
        let patch = match reader.id_of(member.value, "the external id")? {
            Some(id) => {
                check_id(reader, id, "external id")?;
                Patch::Set(id)
            }
            None => Patch::Clear,
        };
        patches.push((member.name, patch));
    }
    patches.sort_by(|a, b| reader.bytes(a.0).cmp(reader.bytes(b.0)));
    let twice = |pair: &&[(Span, Patch)]| match pair {
        [(one, _), (other, _)] => reader.bytes(*one) == reader.bytes(*other),
        _ => false,
    };
    match patches.windows(2).find(twice) {
        Some(_) => Err(duplicate(EXTERNAL_IDS)),
        None => Ok(patches),
    }
}
