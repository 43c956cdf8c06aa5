//! The contact's part of an event: its id, fields by the source's names and ours, attributes.

use std::collections::BTreeSet;

use super::Reject;
use super::envelope::Envelope;
use super::external_ids;
use super::fields::{Made, made};
use super::reader::{Member, Reader, duplicate, wrong_type};
use crate::domain::event::{EventKind, FIELDS, Patch};
use crate::domain::external_ids::EXTERNAL_IDS;
use crate::domain::headers::COMMAND;
use crate::domain::json::Token;
use crate::domain::limits::ATTRIBUTE_KEY_BYTES_MAX;
use crate::domain::merge_notes::MERGE_NOTES;
use crate::domain::record::Headers;
use crate::domain::sources::{Owner, Source, Target, Unknown, field_of};
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
    pub(super) external_ids: Vec<(Span, Patch)>,
}

/// Members sorted by what they stand for.
struct Sorted<'e> {
    mapped_id: Option<Token>,
    id: Option<Token>,
    contact_id: Option<Token>,
    ours: [Option<Token>; 6],
    theirs: [Option<Token>; 6],
    /// Name, value, and whether it stood under `attributes`.
    attributes: Vec<(Span, Token, bool)>,
    has_attributes: bool,
    external_ids: Option<Token>,
    /// The members that are null on purpose; none: all that are.
    nulls: Option<&'e BTreeSet<String>>,
    /// Tell whether it is a command.
    headers: Headers<'e>,
}

impl ContactPart {
    pub(super) fn read(
        reader: &mut Reader<'_>,
        envelope: &Envelope,
        source: Option<&Source>,
        headers: Headers<'_>,
    ) -> Result<Self, Reject> {
        let mut sorted = Sorted::new(envelope.nulls.as_ref(), headers);
        for member in &envelope.data {
            sorted.take(reader, *member, source)?;
        }
        let mut part = Self::default();
        let by_rule = part.follow_rules(reader, envelope, source)?;
        // What is ours alone is not taken by another name either.
        let is_ours = |is_it: &dyn Fn(&Target) -> bool| {
            let mut rules = source.map(Source::rules).unwrap_or_default().iter();
            rules.any(|rule| rule.owner == Owner::Us && is_it(&rule.target))
        };
        for (place, field) in part.fields.iter_mut().enumerate() {
            let ours = sorted.ours.get(place).copied().flatten();
            let theirs = sorted.theirs.get(place).copied().flatten();
            // Where both stand the source's own wins.
            if *field == Patch::Absent
                && !is_ours(&|target| *target == Target::Field(place))
                && let Some(token) = theirs.or(ours)
            {
                *field = field_patch(reader, token, place)?;
            }
        }
        part.find_id(reader, envelope, &sorted)?;
        sorted.attributes.retain(|(name, _, _)| {
            let name = reader.bytes(*name);
            !is_ours(&|target| matches!(target, Target::Attribute(it) if it.as_bytes() == name))
        });
        part.attributes = attributes(reader, std::mem::take(&mut sorted.attributes))?;
        if let Some(token) = sorted.external_ids {
            part.external_ids = external_ids::of_command(reader, token)?;
        }
        for (name, patch) in by_rule {
            part.set_attribute(reader, name, patch);
        }
        if !part.attributes.is_empty() && !sorted.is_command() {
            // Whom events for a contact go to only we say.
            part.attributes.retain(|(name, _)| {
                !MERGE_NOTES.iter().any(|note| reader.bytes(*name) == note.as_bytes())
            });
        }
        if envelope.is_theirs && envelope.kind == EventKind::Deleted {
            // It says what was, or nothing but the key.
            (part.fields, part.attributes) = Default::default();
        }
        Ok(part)
    }

    /// What needs a walk of its own: id and fields; the attributes that it makes.
    fn follow_rules<'s>(
        &mut self,
        reader: &mut Reader<'_>,
        envelope: &Envelope,
        source: Option<&'s Source>,
    ) -> Result<Vec<(&'s str, Patch)>, Reject> {
        let mut attributes = Vec::new();
        for rule in source.map(Source::rules).unwrap_or_default() {
            let patch = match made(reader, envelope, rule)? {
                Made::Nothing => continue,
                Made::Null => Patch::Clear,
                Made::Text(text) => Patch::Set(text),
            };
            match (&rule.target, patch) {
                (Target::Id, Patch::Set(id)) => self.id = Some(id),
                (Target::Id, Patch::Absent | Patch::Clear) => {}
                (Target::Field(place), patch) => {
                    if let Patch::Set(text) = patch {
                        check_field(reader, text, *place)?;
                    }
                    if let Some(field) = self.fields.get_mut(*place) {
                        *field = patch;
                    }
                }
                (Target::Attribute(name), patch) => attributes.push((name.as_str(), patch)),
            }
        }
        Ok(attributes)
    }

    fn set_attribute(&mut self, reader: &mut Reader<'_>, name: &str, patch: Patch) {
        let found =
            self.attributes.binary_search_by(|(key, _)| reader.bytes(*key).cmp(name.as_bytes()));
        match found {
            Ok(place) => {
                if let Some((_, present)) = self.attributes.get_mut(place) {
                    *present = patch;
                }
            }
            Err(place) => {
                let key = reader.append(name.as_bytes());
                self.attributes.insert(place, (key, patch));
            }
        }
    }

    fn find_id(
        &mut self,
        reader: &mut Reader<'_>,
        envelope: &Envelope,
        sorted: &Sorted,
    ) -> Result<(), Reject> {
        // Where the source says what is the contact's, `id` is any member's name.
        let ours = |token: Option<Token>| token.filter(|_| !envelope.is_theirs);
        let tokens = [sorted.mapped_id, ours(sorted.id), ours(sorted.contact_id)];
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

impl<'e> Sorted<'e> {
    fn new(nulls: Option<&'e BTreeSet<String>>, headers: Headers<'e>) -> Self {
        Self {
            mapped_id: None,
            id: None,
            contact_id: None,
            ours: [None; 6],
            theirs: [None; 6],
            attributes: Vec::new(),
            has_attributes: false,
            external_ids: None,
            nulls,
            headers,
        }
    }

    /// Whose contact is whose only we say.
    fn is_command(&self) -> bool {
        self.headers.clone().any(|(name, _)| name == COMMAND)
    }

    fn take(
        &mut self,
        reader: &mut Reader<'_>,
        member: Member,
        source: Option<&Source>,
    ) -> Result<(), Reject> {
        let name = reader.bytes(member.name);
        let target = source.and_then(|source| source.target(name));
        let slot = match (target, name) {
            (Some(Target::Id), _) => Some(&mut self.mapped_id),
            (Some(Target::Field(place)), _) => self.theirs.get_mut(*place),
            (Some(Target::Attribute(_)), _) => None,
            (None, name) if source.is_some_and(|source| source.begins_a_path(name)) => {
                let path = String::from_utf8_lossy(name).into_owned();
                return self.take_rest(reader, &path, member.value, source);
            }
            (None, b"id") => Some(&mut self.id),
            (None, b"contact_id" | b"contactId") => Some(&mut self.contact_id),
            (None, b"attributes") => return self.take_attributes(reader, member.value),
            (None, name) if name == EXTERNAL_IDS.as_bytes() && self.is_command() => {
                Some(&mut self.external_ids)
            }
            (None, _) => match source.map_or_else(|| field_of(name), |it| it.field_of(name)) {
                Some(place) => self.ours.get_mut(place),
                None => None,
            },
        };
        match slot {
            None => return self.take_unknown(reader, member, source),
            Some(slot @ None) => *slot = Some(member.value),
            Some(Some(_)) => return Err(duplicate(&String::from_utf8_lossy(name))),
        }
        Ok(())
    }

    fn take_unknown(
        &mut self,
        reader: &Reader<'_>,
        member: Member,
        source: Option<&Source>,
    ) -> Result<(), Reject> {
        match source.map(Source::unknown).unwrap_or_default() {
            Unknown::Keep => self.attributes.push((member.name, member.value, false)),
            Unknown::Drop => {}
            Unknown::Refuse => {
                let name: String =
                    String::from_utf8_lossy(reader.bytes(member.name)).chars().take(64).collect();
                let detail = format!(
                    "nothing stands for {name:?}, and the source says unknown = \"refuse\""
                );
                return Err(Reject::new(DeadLetterReason::UnknownField, detail));
            }
        }
        Ok(())
    }

    /// What no path leads to, of a member that one leads into: under its own path.
    fn take_rest(
        &mut self,
        reader: &mut Reader<'_>,
        path: &str,
        value: Token,
        source: Option<&Source>,
    ) -> Result<(), Reject> {
        let Token::Object { start, .. } = value else {
            return Ok(());
        };
        let rules = source.map(Source::rules).unwrap_or_default();
        let paths = || rules.iter().flat_map(|rule| &rule.from).map(|path| path.text());
        if paths().any(|each| each == path) {
            return Ok(());
        }
        for member in reader.collect(&mut reader.scanner_at(start))? {
            let path = format!("{path}.{}", String::from_utf8_lossy(reader.bytes(member.name)));
            let leads_on = |each: &str| {
                let rest = each.strip_prefix(&*path);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            if paths().any(leads_on) {
                self.take_rest(reader, &path, member.value, source)?;
            } else if member.value == Token::Null
                && self.nulls.is_some_and(|nulls| !nulls.contains(&path))
            {
                continue;
            } else {
                let name = reader.append(path.as_bytes());
                self.take_unknown(reader, Member { name, ..member }, source)?;
            }
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
    check_field(reader, text, place)?;
    Ok(Patch::Set(text))
}

fn check_field(reader: &Reader<'_>, text: Span, place: usize) -> Result<(), Reject> {
    // Bare ones are no JSON, so only what was unescaped can hold any; DEL is the exception.
    let is_control = |byte: &u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r');
    if reader.bytes(text).iter().any(is_control) {
        let name = FIELDS.get(place).copied().unwrap_or_default();
        let detail = format!("{name} holds control characters");
        return Err(Reject::new(DeadLetterReason::ControlCharacter, detail));
    }
    Ok(())
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
