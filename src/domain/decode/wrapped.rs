//! What stands around the contact's data where a source has it elsewhere than we do: by its paths.

use std::collections::BTreeSet;

use super::Reject;
use super::envelope::{Envelope, kind_of, timestamp_of, version_of};
use super::fields::{descend, elements, lookup};
use super::reader::{Member, Reader, malformed, wrong_type};
use crate::domain::event::EventKind;
use crate::domain::json::Token;
use crate::domain::sources::{Path, RecordPaths, Segment, Source};
use crate::domain::span::Span;
use crate::domain::verdict::DeadLetterReason;

/// Names that may be null on purpose: no table has more columns.
const NULLS_MAX: usize = 1000;

/// Debezium's word for a value that the database did not say, as it was not changed.
const UNAVAILABLE: &[u8] = b"__debezium_unavailable_value";

/// Reads the value; `key`: the record's own, which says which of several contacts is meant.
pub(super) fn read(
    reader: &mut Reader<'_>,
    source: &Source,
    paths: &RecordPaths,
    key: Option<&[u8]>,
) -> Result<Envelope, Reject> {
    let members = event_members(reader, paths)?;
    let kind = joined(reader, &members, &paths.kind, "the event type")?;
    let kind = kind_of(reader, kind, || Some(source))?;
    let id = joined(reader, &members, &paths.id, "the event's id")?;
    let time = first(reader, &members, &paths.time)?;
    let version = first(reader, &members, &paths.version)?;
    let nulls = nulls(reader, &members, paths.nulls.as_ref())?;
    let contact_id = contact(reader, &members, &paths.contact, key)?;
    let mut data = data(reader, &members, paths, kind)?;
    if let Some(nulls) = &nulls {
        let name_of = |member: &Member| String::from_utf8_lossy(reader.bytes(member.name));
        data.retain(|member| {
            member.value != Token::Null || nulls.contains(name_of(member).as_ref())
        });
        let present: BTreeSet<String> = data.iter().map(|it| name_of(it).into_owned()).collect();
        for name in nulls.difference(&present).filter(|name| !name.contains('.')) {
            let name = reader.append(name.as_bytes());
            data.push(Member { name, value: Token::Null });
        }
    }
    Ok(Envelope {
        kind,
        source: Span::default(),
        timestamp: timestamp_of(reader, time)?,
        has_own_time: false,
        version: version_of(reader, version)?,
        contact_id,
        subject: None,
        id: None,
        named_event_id: id,
        data,
        is_flat: false,
        data_text: None,
        is_theirs: true,
        nulls,
    })
}

/// What is not said is not there.
pub(super) fn leave_out_unavailable(reader: &Reader<'_>, envelope: &mut Envelope) {
    envelope.data.retain(|member| match member.value {
        Token::String { start, end, .. } => reader.raw(start, end) != UNAVAILABLE,
        _ => true,
    });
}

/// The contacts that an event is about, where they are several; in a record each has one of its own. Or
/// how many there are, where they are more than `most`.
pub(super) fn contacts(
    reader: &mut Reader<'_>,
    paths: &RecordPaths,
    most: usize,
) -> Result<Result<Vec<Vec<u8>>, usize>, Reject> {
    let members = event_members(reader, paths)?;
    let Some(Token::Array { start, .. }) = first(reader, &members, &paths.contact)? else {
        return Ok(Ok(Vec::new()));
    };
    let tokens = elements(reader, start)?;
    if tokens.len() > most {
        return Ok(Err(tokens.len()));
    }
    let mut ids = Vec::with_capacity(tokens.len());
    for token in tokens {
        if let Some(id) = reader.id_of(token, "the contact's id")? {
            ids.push(reader.bytes(id).to_vec());
        }
    }
    Ok(Ok(ids))
}

/// The members of the object that is the event.
fn event_members(reader: &mut Reader<'_>, paths: &RecordPaths) -> Result<Vec<Member>, Reject> {
    let (start, _) = event_range(reader, paths)?;
    reader.collect(&mut reader.scanner_at(start))
}

/// Where the object that is the event begins and ends.
fn event_range(reader: &mut Reader<'_>, paths: &RecordPaths) -> Result<(usize, usize), Reject> {
    let mut scanner = reader.scanner();
    let root = scanner.value().map_err(malformed)?;
    scanner.finish().map_err(malformed)?;
    let Token::Object { start, end } = root else {
        return Err(wrong_type("the value", "an object", root));
    };
    for path in &paths.inside {
        if paths.kind.is_empty() && is_column(reader, root, path)? {
            continue;
        }
        match descend(reader, root, path.segments())? {
            Some(Token::Object { start, end }) => return Ok((start, end)),
            Some(Token::Null) => {
                let detail = format!("{} is null, so it says nothing", path.text());
                return Err(Reject::new(DeadLetterReason::NullValue, detail));
            }
            Some(_) | None => {}
        }
    }
    Ok((start, end))
}

/// Whether a `payload` is one of a row's columns, which may be called anything: what Connect wraps a row
/// in has its `schema` beside it, or nothing.
fn is_column(reader: &mut Reader<'_>, root: Token, path: &Path) -> Result<bool, Reject> {
    let outer = match path.segments().split_last() {
        Some((Segment::Name(last), outer)) if last == "payload" => outer,
        _ => return Ok(false),
    };
    let Some(Token::Object { start, .. }) = descend(reader, root, outer)? else {
        return Ok(false);
    };
    let members = reader.collect(&mut reader.scanner_at(start))?;
    let has_schema = members.iter().any(|member| reader.bytes(member.name) == b"schema");
    Ok(!has_schema && members.len() > 1)
}

/// Where the object with the contact's members begins and ends.
pub(super) fn row_range(
    reader: &mut Reader<'_>,
    paths: &RecordPaths,
) -> Result<(usize, usize), Reject> {
    let (start, end) = event_range(reader, paths)?;
    for path in paths.data.iter().take_while(|path| !path.segments().is_empty()) {
        let root = Token::Object { start, end };
        if let Some(Token::Object { start, end }) = descend(reader, root, path.segments())? {
            return Ok((start, end));
        }
    }
    Ok((start, end))
}

/// The first that is there and not null.
fn first(
    reader: &mut Reader<'_>,
    members: &[Member],
    paths: &[Path],
) -> Result<Option<Token>, Reject> {
    for path in paths {
        match lookup(reader, members, path)? {
            None | Some(Token::Null) => {}
            Some(token) => return Ok(Some(token)),
        }
    }
    Ok(None)
}

/// All that are there, with colons between them.
fn joined(
    reader: &mut Reader<'_>,
    members: &[Member],
    paths: &[Path],
    what: &str,
) -> Result<Option<Span>, Reject> {
    let mut texts: Vec<Span> = Vec::with_capacity(paths.len());
    for path in paths {
        if let Some(token) = lookup(reader, members, path)? {
            texts.extend(reader.id_of(token, what)?);
        }
    }
    if let [] | [_] = texts.as_slice() {
        return Ok(texts.first().copied());
    }
    let parts: Vec<&[u8]> = texts.iter().map(|text| reader.bytes(*text)).collect();
    let text = parts.join(&b':');
    Ok(Some(reader.append(&text)))
}

fn contact(
    reader: &mut Reader<'_>,
    members: &[Member],
    paths: &[Path],
    key: Option<&[u8]>,
) -> Result<Option<Span>, Reject> {
    let token = match first(reader, members, paths)? {
        Some(Token::Array { start, .. }) => {
            let ids = elements(reader, start)?;
            match ids.as_slice() {
                [one] => *one,
                several => return one_of(reader, several, key),
            }
        }
        Some(token) => token,
        None => return Ok(None),
    };
    reader.id_of(token, "the contact's id")
}

fn one_of(
    reader: &mut Reader<'_>,
    ids: &[Token],
    key: Option<&[u8]>,
) -> Result<Option<Span>, Reject> {
    for token in ids {
        let id = reader.id_of(*token, "the contact's id")?;
        if id.is_some_and(|id| Some(reader.bytes(id)) == key) {
            return Ok(id);
        }
    }
    let detail = format!("it is about {} contacts, and its key names none of them", ids.len());
    Err(Reject::new(DeadLetterReason::MissingContactId, detail))
}

fn nulls(
    reader: &mut Reader<'_>,
    members: &[Member],
    path: Option<&Path>,
) -> Result<Option<BTreeSet<String>>, Reject> {
    let Some(path) = path else {
        return Ok(None);
    };
    let Some(Token::Array { start, .. }) = lookup(reader, members, path)? else {
        return Ok(None);
    };
    let tokens = elements(reader, start)?;
    if tokens.len() > NULLS_MAX {
        let detail = format!("{} has more than {NULLS_MAX} names", path.text());
        return Err(Reject::new(DeadLetterReason::WrongType, detail));
    }
    let mut names = BTreeSet::new();
    for token in tokens {
        if let Some(name) = reader.text_of(token, path.text())? {
            names.insert(String::from_utf8_lossy(reader.bytes(name)).into_owned());
        }
    }
    Ok(Some(names))
}

fn data(
    reader: &mut Reader<'_>,
    members: &[Member],
    paths: &RecordPaths,
    kind: EventKind,
) -> Result<Vec<Member>, Reject> {
    if let Some((name, value)) = &paths.member {
        let Some(name) = lookup(reader, members, name)? else {
            return Ok(Vec::new());
        };
        let Some(name) = reader.text_of(name, "the changed member's name")? else {
            return Ok(Vec::new());
        };
        // Where a value is a text alone, one that was taken away is empty.
        let value = match lookup(reader, members, value)? {
            Some(Token::String { start, end, .. }) if start == end => Token::Null,
            Some(value) => value,
            None => Token::Null,
        };
        return Ok(vec![Member { name, value }]);
    }
    for path in &paths.data {
        if path.segments().is_empty() {
            break;
        }
        if let Some(Token::Object { start, .. }) = lookup(reader, members, path)? {
            return reader.collect(&mut reader.scanner_at(start));
        }
    }
    let has_root =
        paths.data.is_empty() || paths.data.iter().any(|path| path.segments().is_empty());
    if has_root {
        let others = members.iter().filter(|member| !paths.uses(reader.bytes(member.name)));
        return Ok(others.copied().collect());
    }
    if kind == EventKind::Deleted {
        return Ok(Vec::new());
    }
    let places: Vec<&str> = paths.data.iter().map(Path::text).collect();
    let detail = format!("there is no object at {}", places.join(" or "));
    Err(Reject::new(DeadLetterReason::NothingKnown, detail))
}
