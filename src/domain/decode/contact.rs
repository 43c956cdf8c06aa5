//! The contact's part of an event: its id, fields by the source's names and ours, attributes.

use super::Reject;
use super::envelope::Envelope;
use super::reader::{Member, Reader, duplicate, wrong_type};
use crate::domain::event::{FIELDS, Patch};
use crate::domain::json::Token;
use crate::domain::limits::ATTRIBUTE_KEY_BYTES_MAX;
use crate::domain::mapping::{Mapping, SourceMapping, Target, field_of};
use crate::domain::span::Span;
use crate::domain::verdict::DeadLetterReason;

/// What an event says about its contact.
#[derive(Debug, Default)]
pub(super) struct ContactPart {
    pub(super) id: Option<Span>,
    /// The id is the flat event's only `id`, which therefore isn't the event's.
    pub(super) is_flat_id: bool,
    pub(super) fields: [Patch; 6],
    pub(super) attributes: Vec<(Span, Patch)>,
}

/// Members sorted by what they stand for.
#[derive(Debug, Default)]
struct Sorted {
    mapped_id: Option<Token>,
    id: Option<Token>,
    contact_id: Option<Token>,
    ours: [Option<Token>; 6],
    theirs: [Option<Token>; 6],
    /// Name, value, and whether it stood under `attributes`.
    attributes: Vec<(Span, Token, bool)>,
    has_attributes: bool,
}

impl ContactPart {
    pub(super) fn read(
        reader: &mut Reader<'_>,
        envelope: &Envelope,
        mapping: &Mapping,
    ) -> Result<Self, Reject> {
        let names = mapping.of_source(reader.bytes(envelope.source));
        let mut sorted = Sorted::default();
        for member in &envelope.data {
            sorted.take(reader, *member, names)?;
        }
        let mut part = Self::default();
        for (place, field) in part.fields.iter_mut().enumerate() {
            let ours = sorted.ours.get(place).copied().flatten();
            let theirs = sorted.theirs.get(place).copied().flatten();
            // Where both stand the source's own wins.
            if let Some(token) = theirs.or(ours) {
                *field = field_patch(reader, token, place)?;
            }
        }
        part.find_id(reader, envelope, &sorted)?;
        part.attributes = attributes(reader, sorted.attributes)?;
        Ok(part)
    }

    fn find_id(
        &mut self,
        reader: &mut Reader<'_>,
        envelope: &Envelope,
        sorted: &Sorted,
    ) -> Result<(), Reject> {
        let tokens = [sorted.mapped_id, sorted.id, sorted.contact_id];
        for token in tokens.into_iter().flatten() {
            self.id = self.id.or(reader.id_of(token, "the contact's id")?);
        }
        let beside = envelope.id.filter(|_| envelope.has_event_id());
        self.id = self.id.or(envelope.contact_id).or(beside).or(envelope.subject);
        if self.id.is_none() && envelope.is_flat {
            (self.id, self.is_flat_id) = (envelope.id, true);
        }
        Ok(())
    }
}

impl Sorted {
    fn take(
        &mut self,
        reader: &mut Reader<'_>,
        member: Member,
        names: Option<&SourceMapping>,
    ) -> Result<(), Reject> {
        let name = reader.bytes(member.name);
        let target = names.and_then(|names| names.target(name));
        let slot = match (target, name) {
            (Some(Target::Id), _) => Some(&mut self.mapped_id),
            (Some(Target::Field(place)), _) => self.theirs.get_mut(place),
            (None, b"id") => Some(&mut self.id),
            (None, b"contact_id" | b"contactId") => Some(&mut self.contact_id),
            (None, b"attributes") => return self.take_attributes(reader, member.value),
            (None, _) => match field_of(name) {
                Some(place) => self.ours.get_mut(place),
                None => None,
            },
        };
        match slot {
            None => self.attributes.push((member.name, member.value, false)),
            Some(slot @ None) => *slot = Some(member.value),
            Some(Some(_)) => return Err(duplicate(&String::from_utf8_lossy(name))),
        }
        Ok(())
    }

    fn take_attributes(&mut self, reader: &mut Reader<'_>, value: Token) -> Result<(), Reject> {
        if std::mem::replace(&mut self.has_attributes, true) {
            return Err(duplicate("attributes"));
        }
        match value {
            // Says nothing about any of them.
            Token::Null => Ok(()),
            Token::Object { start, .. } => {
                let members = reader.collect(&mut reader.scanner_at(start))?;
                let named = members.into_iter().map(|member| (member.name, member.value, true));
                self.attributes.extend(named);
                Ok(())
            }
            _ => Err(wrong_type("attributes", "an object", value)),
        }
    }
}

fn field_patch(reader: &mut Reader<'_>, token: Token, place: usize) -> Result<Patch, Reject> {
    let name = FIELDS.get(place).copied().unwrap_or_default();
    let Some(text) = reader.text_of(token, name)? else {
        return Ok(Patch::Clear);
    };
    // Bare ones are no JSON, so only what was unescaped can hold any; DEL is the exception.
    let is_control = |byte: &u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r');
    if reader.bytes(text).iter().any(is_control) {
        let detail = format!("{name} holds control characters");
        return Err(Reject::new(DeadLetterReason::ControlCharacter, detail));
    }
    Ok(Patch::Set(text))
}

/// Sorted by name; where a name stands both under `attributes` and beside it, the former wins.
fn attributes(
    reader: &mut Reader<'_>,
    mut found: Vec<(Span, Token, bool)>,
) -> Result<Vec<(Span, Patch)>, Reject> {
    if found.is_empty() {
        return Ok(Vec::new());
    }
    found.sort_by(|a, b| (reader.bytes(a.0), !a.2).cmp(&(reader.bytes(b.0), !b.2)));
    let mut patches: Vec<(Span, Patch)> = Vec::with_capacity(found.len());
    let mut last: Option<(Span, bool)> = None;
    for (name, token, is_explicit) in found {
        let same = last.filter(|(last, _)| reader.bytes(*last) == reader.bytes(name));
        last = Some((name, is_explicit));
        match same {
            Some((_, was_explicit)) if was_explicit == is_explicit => {
                return Err(duplicate(&String::from_utf8_lossy(reader.bytes(name))));
            }
            Some(_) => continue,
            None => {}
        }
        let bytes = reader.bytes(name);
        if bytes.len() > ATTRIBUTE_KEY_BYTES_MAX || bytes.iter().any(u8::is_ascii_control) {
            let detail = "an attribute's name is too long or holds control characters";
            return Err(Reject::new(DeadLetterReason::InvalidId, detail));
        }
        let patch = match token {
            Token::Null => Patch::Clear,
            token => Patch::Set(reader.compact(token)?),
        };
        patches.push((name, patch));
    }
    Ok(patches)
}
