//! What stands around the contact's data, in every spelling that is met: ours, snake case,
//! CloudEvents structured (in the value) and binary (in `ce_` headers).

use std::collections::BTreeSet;

use super::framing::media_type;
use super::reader::{Member, Reader, duplicate, malformed, wrong_type};
use super::{Reject, check_id};
use crate::domain::event::EventKind;
use crate::domain::headers::{CLOUDEVENT_PREFIX, EVENT_ID, SOURCE, TIME};
use crate::domain::json::Token;
use crate::domain::record::Headers;
use crate::domain::sources::{Source, Sources};
use crate::domain::span::Span;
use crate::domain::timestamp::{EVENT_TIME_US_MAX, lacks_offset, parse_epoch_us, parse_time_us};
use crate::domain::verdict::DeadLetterReason;

/// First byte of a text in the arena, and the one after its last.
type TextRange = (usize, usize);

/// An event but for its contact.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) kind: EventKind,
    /// May be empty.
    pub(super) source: Span,
    pub(super) timestamp: Option<u64>,
    /// The timestamp is the event's own, not one that it was given on its way in.
    pub(super) has_own_time: bool,
    pub(super) version: Option<u64>,
    /// `contact_id` beside the data.
    pub(super) contact_id: Option<Span>,
    /// A CloudEvent's subject.
    pub(super) subject: Option<Span>,
    /// `id`: the event's, unless there is an `event_id` too.
    pub(super) id: Option<Span>,
    pub(super) named_event_id: Option<Span>,
    /// The contact's members.
    pub(super) data: Vec<Member>,
    /// There was no `data`: its members stand beside the envelope's.
    pub(super) is_flat: bool,
    /// The text of what was asked for, for telling retries of commands.
    pub(super) data_text: Option<TextRange>,
    /// It was read by the source's paths.
    pub(super) is_theirs: bool,
    /// The members that are null on purpose; none: all that are.
    pub(super) nulls: Option<BTreeSet<String>>,
}

/// Who an event is of, as far as others than itself say it, and what sources there are.
#[derive(Clone, Copy)]
pub(super) struct Naming<'a> {
    pub(super) sources: &'a Sources,
    /// As the intake verified it.
    pub(super) given: Option<&'a [u8]>,
}

impl<'a> Naming<'a> {
    pub(super) fn new(sources: &'a Sources, mut headers: Headers<'a>) -> Self {
        let given = headers.find(|(name, _)| *name == SOURCE).and_then(|(_, source)| source);
        Self { sources, given }
    }

    /// The source of an event that names this one itself.
    fn source(self, reader: &Reader<'_>, named: Span) -> Option<&'a Source> {
        self.sources.of(self.given.unwrap_or(reader.bytes(named)))
    }
}

/// The envelope's members as they stand there.
#[derive(Debug, Default)]
struct Slots {
    event_type: [Option<Token>; 3],
    id: Option<Token>,
    event_id: Option<Token>,
    contact_id: Option<Token>,
    source: Option<Token>,
    timestamp: Option<Token>,
    version: Option<Token>,
    specversion: Option<Token>,
    subject: Option<Token>,
    datacontenttype: Option<Token>,
    data: Option<Token>,
    data_base64: Option<Token>,
}

impl Slots {
    fn of(&mut self, name: &[u8]) -> Option<&mut Option<Token>> {
        let [camel, snake, short] = &mut self.event_type;
        Some(match name {
            b"eventType" => camel,
            b"event_type" => snake,
            b"type" => short,
            b"id" => &mut self.id,
            b"event_id" | b"eventId" => &mut self.event_id,
            b"contact_id" | b"contactId" => &mut self.contact_id,
            b"source" => &mut self.source,
            b"timestamp" | b"time" => &mut self.timestamp,
            b"version" | b"source_version" | b"sourceVersion" | b"sourceversion" => {
                &mut self.version
            }
            b"specversion" => &mut self.specversion,
            b"subject" => &mut self.subject,
            b"datacontenttype" => &mut self.datacontenttype,
            b"data" => &mut self.data,
            b"data_base64" => &mut self.data_base64,
            _ => return None,
        })
    }
}

impl Envelope {
    /// The event's id, if it has one. A flat event without another contact id has spent `id` on it.
    pub(super) fn event_id(&self, is_flat_id: bool) -> Option<Span> {
        self.named_event_id.or(self.id.filter(|_| !is_flat_id))
    }

    /// Whether `id` is the contact's, as the event's has a name of its own.
    pub(super) fn has_event_id(&self) -> bool {
        self.named_event_id.is_some()
    }

    /// Reads the value, and headers where they are part of the event.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        headers: Headers<'_>,
        naming: Naming<'_>,
    ) -> Result<Self, Reject> {
        let mut attributes =
            headers.clone().filter(|(name, _)| name.starts_with(CLOUDEVENT_PREFIX));
        let media_type = media_type(headers.clone());
        let is_structured = media_type.starts_with("application/cloudevents");
        if media_type.starts_with("application/cloudevents-batch") {
            return Err(invalid("a batch of events in one record"));
        }
        let mut envelope = if !is_structured && attributes.next().is_some() {
            Self::read_binary(reader, headers.clone(), naming)?
        } else {
            Self::read_structured(reader, is_structured, naming)?
        };
        envelope.complete(reader, headers, naming)?;
        Ok(envelope)
    }

    /// What headers say over what the event says itself.
    pub(super) fn complete(
        &mut self,
        reader: &mut Reader<'_>,
        headers: Headers<'_>,
        naming: Naming<'_>,
    ) -> Result<(), Reject> {
        if let Some(source) = naming.given {
            self.source = header_text(reader, source, SOURCE)?;
        }
        if !self.source.is_empty() {
            check_id(reader, self.source, "source")?;
        }
        self.has_own_time = self.timestamp.is_some();
        if !self.has_own_time {
            self.timestamp = given_time(headers)?;
        }
        Ok(())
    }

    fn read_structured(
        reader: &mut Reader<'_>,
        is_cloudevent: bool,
        naming: Naming<'_>,
    ) -> Result<Self, Reject> {
        let mut slots = Slots::default();
        let mut data = Vec::new();
        let mut beside = Vec::new();
        let mut scanner = reader.scanner();
        if !scanner.at_object() {
            let token = scanner.value().map_err(malformed)?;
            scanner.finish().map_err(malformed)?;
            return Err(wrong_type("the value", "an object", token));
        }
        reader.members(&mut scanner, |reader, scanner, name| {
            let Some(slot) = slots.of(reader.bytes(name)) else {
                let value = scanner.value().map_err(malformed)?;
                beside.push(Member { name, value });
                return Ok(());
            };
            if slot.is_some() {
                return Err(twice(reader, name));
            }
            if reader.bytes(name) == b"data" && scanner.at_object() {
                let start = scanner.at();
                data = reader.collect(scanner)?;
                *slot = Some(Token::Object { start, end: scanner.at() });
            } else {
                *slot = Some(scanner.value().map_err(malformed)?);
            }
            Ok(())
        })?;
        scanner.finish().map_err(malformed)?;
        if is_cloudevent || slots.specversion.is_some() {
            check_cloudevent(reader, &slots)?;
            // What stands beside the data are extensions, never the contact's.
            return Self::of_slots(reader, &slots, data, false, naming);
        }
        let is_flat = slots.data.is_none();
        let members = if is_flat { beside } else { data };
        Self::of_slots(reader, &slots, members, is_flat, naming)
    }

    fn of_slots(
        reader: &mut Reader<'_>,
        slots: &Slots,
        data: Vec<Member>,
        is_flat: bool,
        naming: Naming<'_>,
    ) -> Result<Self, Reject> {
        let read = Self::read_slots(reader, slots, data, is_flat, naming);
        read.map_err(|reject| {
            // A flat event's only id may be its contact's.
            let id = slots.id.filter(|_| !is_flat || slots.contact_id.is_some());
            let id = slots.event_id.or(id).and_then(|id| reader.id_of(id, "id").ok().flatten());
            reject.of_event(id.map(|id| reader.bytes(id)))
        })
    }

    fn read_slots(
        reader: &mut Reader<'_>,
        slots: &Slots,
        data: Vec<Member>,
        is_flat: bool,
        naming: Naming<'_>,
    ) -> Result<Self, Reject> {
        let data_text = match slots.data {
            Some(Token::Object { start, end }) => Some((start, end)),
            None if is_flat => Some(reader.range()),
            None | Some(Token::Null) => None,
            Some(token) => return Err(wrong_type("data", "an object", token)),
        };
        let kind = slots.event_type.iter().flatten().find(|token| **token != Token::Null);
        let kind = match kind {
            Some(token) => reader.text_of(*token, "the event type")?,
            None => None,
        };
        let mut id = |token: Option<Token>, what| match token {
            Some(token) => reader.id_of(token, what),
            None => Ok(None),
        };
        let event_id = id(slots.id, "id")?;
        let named_event_id = id(slots.event_id, "event_id")?;
        let contact_id = id(slots.contact_id, "contact_id")?;
        let source = id(slots.source, "source")?.unwrap_or_default();
        let subject = match slots.subject {
            Some(token) if slots.specversion.is_some() => reader.text_of(token, "subject")?,
            _ => None,
        };
        Ok(Self {
            kind: kind_of(reader, kind, || naming.source(reader, source))?,
            source,
            timestamp: timestamp_of(reader, slots.timestamp)?,
            has_own_time: false,
            version: version_of(reader, slots.version)?,
            contact_id,
            subject,
            id: event_id,
            named_event_id,
            data,
            is_flat,
            data_text,
            is_theirs: false,
            nulls: None,
        })
    }

    /// A binary CloudEvent: the attributes in headers, the value is the data.
    fn read_binary(
        reader: &mut Reader<'_>,
        headers: Headers<'_>,
        naming: Naming<'_>,
    ) -> Result<Self, Reject> {
        let mut header = |name: &str| {
            let found = headers
                .clone()
                .find(|(each, _)| each.strip_prefix(CLOUDEVENT_PREFIX) == Some(name));
            match found.and_then(|(_, value)| value) {
                Some(value) => header_text(reader, value, name).map(Some),
                None => Ok(None),
            }
        };
        let specversion = header("specversion")?;
        let (id, kind, source) = (header("id")?, header("type")?, header("source")?);
        let (subject, time) = (header("subject")?, header("time")?);
        let version = match header("version")? {
            Some(version) => Some(version),
            None => header("sourceversion")?,
        };
        if specversion.map(|text| reader.bytes(text)) != Some(b"1.0") {
            return Err(invalid("specversion is not 1.0"));
        }
        let (Some(id), Some(kind), Some(source)) = (id, kind, source) else {
            return Err(invalid("id, type or source is missing"));
        };
        let (data, data_text) = read_data(reader)?;
        let timestamp = time.map(|time| event_time(reader.bytes(time), parse_time_us));
        let version =
            version.map(|version| parse_version(reader.bytes(version)).ok_or_else(no_version));
        Ok(Self {
            kind: kind_of(reader, Some(kind), || naming.source(reader, source))?,
            source,
            timestamp: timestamp.transpose()?,
            has_own_time: false,
            version: version.transpose()?,
            contact_id: None,
            subject,
            id: Some(id),
            named_event_id: None,
            data,
            is_flat: false,
            data_text,
            is_theirs: false,
            nulls: None,
        })
    }
}

/// The members of a binary event's value, and the text that they stand in.
fn read_data(reader: &mut Reader<'_>) -> Result<(Vec<Member>, Option<TextRange>), Reject> {
    let mut scanner = reader.scanner();
    if reader.is_empty() {
        return Ok((Vec::new(), None));
    }
    if !scanner.at_object() {
        let token = scanner.value().map_err(malformed)?;
        scanner.finish().map_err(malformed)?;
        return match token {
            Token::Null => Ok((Vec::new(), None)),
            _ => Err(wrong_type("the value", "an object", token)),
        };
    }
    let start = scanner.at();
    let data = reader.collect(&mut scanner)?;
    let end = scanner.at();
    scanner.finish().map_err(malformed)?;
    Ok((data, Some((start, end))))
}

pub(super) fn header_text(
    reader: &mut Reader<'_>,
    value: &[u8],
    name: &str,
) -> Result<Span, Reject> {
    if std::str::from_utf8(value).is_err() {
        let detail = format!("the header {name} is not UTF-8");
        return Err(Reject::new(DeadLetterReason::InvalidUtf8, detail));
    }
    Ok(reader.append(value))
}

/// What CloudEvents 1.0 requires of a structured event.
fn check_cloudevent(reader: &mut Reader<'_>, slots: &Slots) -> Result<(), Reject> {
    let [_, _, event_type] = slots.event_type;
    let required = [
        (slots.specversion, "specversion"),
        (slots.id, "id"),
        (event_type, "type"),
        (slots.source, "source"),
    ];
    for (token, name) in required {
        let is_there = matches!(token, Some(Token::String { start, end, .. }) if end > start);
        if !is_there {
            return Err(invalid(&format!("{name} is missing or no text")));
        }
    }
    let mut text = |token: Option<Token>| match token {
        Some(Token::String { start, end, is_escaped }) => reader.string(start, end, is_escaped),
        _ => Span::default(),
    };
    let (specversion, content_type) = (text(slots.specversion), text(slots.datacontenttype));
    if reader.bytes(specversion) != b"1.0" {
        return Err(invalid("specversion is not 1.0"));
    }
    if slots.data_base64.is_some() {
        return Err(invalid("data_base64 is not read, only JSON data"));
    }
    let content_type = String::from_utf8_lossy(reader.bytes(content_type)).to_ascii_lowercase();
    if !content_type.is_empty() && !content_type.contains("json") {
        return Err(invalid("datacontenttype is not JSON"));
    }
    Ok(())
}

fn invalid(detail: &str) -> Reject {
    Reject::new(DeadLetterReason::InvalidCloudevent, format!("no CloudEvent 1.0: {detail}"))
}

fn twice(reader: &Reader<'_>, name: Span) -> Reject {
    duplicate(&String::from_utf8_lossy(reader.bytes(name)))
}

/// `source` is asked for only where it is no type of ours.
pub(super) fn kind_of<'s>(
    reader: &Reader<'_>,
    text: Option<Span>,
    source: impl Fn() -> Option<&'s Source>,
) -> Result<EventKind, Reject> {
    let unknown = |detail: String| Reject::new(DeadLetterReason::UnknownEventType, detail);
    let theirs = |text: &[u8]| source().and_then(|source| source.kind(text));
    let Some(text) = text else {
        return theirs(b"").ok_or_else(|| unknown("there is no event type".into()));
    };
    let bytes = reader.bytes(text);
    EventKind::from_type(bytes).or_else(|| theirs(bytes)).ok_or_else(|| {
        let shown: String = String::from_utf8_lossy(bytes).chars().take(64).collect();
        unknown(format!("the event type {shown:?} is not known here"))
    })
}

pub(super) fn timestamp_of(
    reader: &mut Reader<'_>,
    token: Option<Token>,
) -> Result<Option<u64>, Reject> {
    let time = match token {
        None | Some(Token::Null) => return Ok(None),
        Some(Token::Number { start, end }) => event_time(reader.raw(start, end), parse_epoch_us),
        Some(Token::String { start, end, is_escaped }) => {
            let text = reader.string(start, end, is_escaped);
            event_time(reader.bytes(text), parse_time_us)
        }
        Some(token) => Err(wrong_type("the timestamp", "a text or a number", token)),
    };
    time.map(Some)
}

/// The id that the event was given where it came in.
pub(super) fn given_id(
    reader: &mut Reader<'_>,
    mut headers: Headers<'_>,
) -> Result<Option<Span>, Reject> {
    match headers.find(|(name, _)| *name == EVENT_ID) {
        Some((_, Some(id))) => header_text(reader, id, EVENT_ID).map(Some),
        Some((_, None)) | None => Ok(None),
    }
}

/// The time that the event was given where it came in.
fn given_time(mut headers: Headers<'_>) -> Result<Option<u64>, Reject> {
    let Some((_, value)) = headers.find(|(name, _)| *name == TIME) else {
        return Ok(None);
    };
    let us = value.and_then(parse_version);
    us.filter(|us| *us <= EVENT_TIME_US_MAX).map(Some).ok_or_else(|| {
        let detail = format!("the header {TIME} is no number of microseconds up to the year 2200");
        Reject::new(DeadLetterReason::InvalidTimestamp, detail)
    })
}

/// A time that an event may have, in µs since 1970.
fn event_time(text: &[u8], parse: fn(&[u8]) -> Option<u64>) -> Result<u64, Reject> {
    let detail = match parse(text) {
        Some(us) if us <= EVENT_TIME_US_MAX => return Ok(us),
        Some(_) => "the timestamp lies after the year 2200",
        None if lacks_offset(text) => {
            "the timestamp has no offset from UTC, such as Z or +01:00, so that it names no moment"
        }
        None => {
            "the timestamp is in no spelling that is read, such as RFC 3339, or seconds, milliseconds, \
             microseconds or nanoseconds since 1970"
        }
    };
    Err(Reject::new(DeadLetterReason::InvalidTimestamp, detail))
}

/// A number, or one as text: encoders that keep all 64 bits write that.
pub(super) fn version_of(
    reader: &mut Reader<'_>,
    token: Option<Token>,
) -> Result<Option<u64>, Reject> {
    match token {
        None | Some(Token::Null) => Ok(None),
        Some(Token::Number { start, end }) => {
            parse_version(reader.raw(start, end)).map(Some).ok_or_else(no_version)
        }
        Some(Token::String { start, end, is_escaped }) => {
            let text = reader.string(start, end, is_escaped);
            parse_version(reader.bytes(text)).map(Some).ok_or_else(no_version)
        }
        Some(token) => Err(wrong_type("version", "a number", token)),
    }
}

fn parse_version(digits: &[u8]) -> Option<u64> {
    let is_number = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
}

fn no_version() -> Reject {
    Reject::new(DeadLetterReason::WrongType, "version is no whole number from 0 to 2^64 - 1")
}
