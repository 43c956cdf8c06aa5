//! From a record's bytes to an event in our words, or to the reason why there is none.
//!
//! ```text
//! value ─► framing (Confluent, Avro, Protobuf) ─┬► envelope (all spellings, CloudEvents) ─┬► contact (the source's names) ─► schema ─► Event
//!                                               └► wrapped (by the source's own paths) ───┘
//! ```
//! Texts stay where they lie in the batch's arena; what has to be unescaped or made is appended to it.
//!
//! - An object that names a member twice is refused: what it means would depend on the reader.
//! - A contact's id, in this order: `data.id` (or what the source calls it), `data.contact_id`,
//!   `contact_id`, `id` beside an `event_id`, a CloudEvent's subject, a flat event's `id`, the record's
//!   key. Whole numbers pass as ids.
//! - Where a source has ids of its own, they were looked up before the record was appended: its headers
//!   name the contact and the source's id, whatever stands in the value.
//! - Without `data` the event is flat: all members that aren't the envelope's are the contact's.
//! - A source's configured schemas are held against the record's JSON as it stands there, commands'
//!   excepted, which we write. Other sources pay nothing.
//! - The six fields and ids hold no control characters (fields: but tab, line feed and carriage return).

mod command;
mod contact;
mod envelope;
mod external_ids;
mod fields;
mod framing;
mod items;
mod key;
mod payment;
mod reader;
#[cfg(test)]
mod ring_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod theirs_tests;
mod wrapped;

use sha2::{Digest as _, Sha256};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::clock::{Clock, id_hash};
use super::event::{Event, EventKind, Patch};
use super::headers::{EVENT_ID, NOTICE, OUR_ENVELOPE};
use super::limits::{ID_BYTES_MAX, Limits};
use super::record::{Headers, Record, RecordBatch};
use super::schemas::SourceSchemas;
use super::sources::{Source, Sources};
use super::span::Span;
use super::texts::hex;
use super::verdict::DeadLetterReason;
use contact::ContactPart;
use envelope::{Envelope, Naming};
use reader::Reader;

pub use framing::{frame, key_schema_id, value_schema_id};
pub use items::{ITEMS_BYTES_MAX, ITEMS_MAX, Item, Most, TooMany};
pub use key::KeyForm;

/// Why a record says nothing: a stable reason, and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Reject {
    /// The stable reason.
    pub reason: DeadLetterReason,
    /// What exactly is wrong; holds no values of the record.
    pub detail: String,
    /// The event's id, where that could be read.
    pub event_id: Option<Box<[u8]>>,
}

impl Reject {
    /// With a sentence.
    pub fn new(reason: DeadLetterReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), event_id: None }
    }

    /// Of the event that has this id, unless it says already of which it is.
    fn of_event(self, id: Option<&[u8]>) -> Self {
        let usable = id.filter(|id| id_problem(id).is_none()).map(Box::from);
        Self { event_id: self.event_id.or(usable), ..self }
    }
}

/// Understands records. Pure: the same record gives the same event under the same rules.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    sources: Sources,
    schemas: SourceSchemas,
    limits: Limits,
    /// Whether payments are events here.
    payments: bool,
    /// The deliberate mistake that the tests must notice.
    #[cfg(debug_assertions)]
    clock_from_record: bool,
}

impl Decoder {
    /// A decoder that knows these sources and goes by these limits.
    pub fn new(sources: Sources, limits: Limits) -> Self {
        Self { sources, limits, ..Self::default() }
    }

    /// Events are held against their sources' schemas too.
    #[must_use]
    pub fn with_schemas(self, schemas: SourceSchemas) -> Self {
        Self { schemas, ..self }
    }

    /// Lets the deliberate mistake in that clocks come from the record's timestamp, which changes
    /// on redelivery; tests must notice it.
    #[cfg(debug_assertions)]
    #[doc(hidden)]
    #[must_use]
    pub fn with_seeded_bug_clock_from_record(mut self, is_in: bool) -> Self {
        self.clock_from_record = is_in;
        self
    }

    /// What the sources call things.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The bounds.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Decodes the record at `index`; the event's spans lie in the batch's arena.
    pub fn decode(&self, batch: &mut RecordBatch, index: usize) -> Result<Event, Reject> {
        let Some(record) = batch.records.get(index).copied() else {
            return Err(Reject::new(DeadLetterReason::NullValue, "there is no such record"));
        };
        match self.read(&batch.arena, &record) {
            Ok((event, appended)) => {
                batch.arena.extend_from_slice(&appended);
                Ok(event)
            }
            // What brought it may have said its id.
            Err(reject) => {
                let mut headers = batch.headers(&record);
                let given = headers.find(|(name, _)| *name == EVENT_ID).and_then(|(_, id)| id);
                Err(reject.of_event(given))
            }
        }
    }

    fn read(&self, arena: &[u8], record: &Record) -> Result<(Event, Vec<u8>), Reject> {
        let headers = Headers::new(record.headers.of(arena));
        if let Some(reject) = framing::noted_problem(headers.clone()) {
            return Err(reject);
        }
        let Some(value) = record.value else {
            let detail = match key::problem(headers) {
                Some(problem) => {
                    format!("a null value, whose key says whom it deletes, but {problem}")
                }
                None => "the record has no value".to_owned(),
            };
            return Err(Reject::new(DeadLetterReason::NullValue, detail));
        };
        let bytes = value.of(arena);
        let bytes_max = self.limits.record_bytes_max;
        if bytes.len() > bytes_max {
            let detail =
                format!("the value has {} bytes, at most {bytes_max} are read", bytes.len());
            return Err(Reject::new(DeadLetterReason::RecordTooLarge, detail));
        }
        let skipped = framing::json_start(bytes, headers.clone())?;
        let start = value.start as usize + skipped;
        let end = value.start as usize + bytes.len();
        let mut reader = Reader::new(arena, start, end)?;
        let (envelope, source) = self.envelope(&mut reader, record, headers.clone())?;
        match self.event(&mut reader, record, (&envelope, source), headers) {
            Ok(event) => Ok((event, reader.into_appended())),
            Err(reject) => {
                // A flat event's only id may be its contact's.
                let is_unclear = envelope.is_flat && envelope.contact_id.is_none();
                Err(reject.of_event(envelope.event_id(is_unclear).map(|id| reader.bytes(id))))
            }
        }
    }

    fn event(
        &self,
        reader: &mut Reader<'_>,
        record: &Record,
        (envelope, source): (&Envelope, Option<&Source>),
        headers: Headers<'_>,
    ) -> Result<Event, Reject> {
        if envelope.kind.is_of_payment() {
            return self.payment(reader, record, envelope, headers);
        }
        let contact = ContactPart::read(reader, envelope, source, headers.clone())?;
        let mut event = self.assemble(reader, record, envelope, contact, headers.clone())?;
        external_ids::resolve(reader, &mut event, headers.clone())?;
        event.command = command::read(reader, headers.clone(), &event, envelope)?;
        event.is_notice =
            event.command.is_none() && headers.clone().any(|(name, _)| name == NOTICE);
        if event.command.is_some() || event.is_notice {
            event.body_hash = None;
        }
        event.replaces = match &event.command {
            Some(command) => command.intent.replaces(),
            None => command::is_complete(headers),
        };
        if event.command.is_none() && event.kind.is_command_only() {
            let detail = format!("{} is a command, no event", event.kind.as_str());
            return Err(Reject::new(DeadLetterReason::UnknownEventType, detail));
        }
        check_known(&event, envelope)?;
        self.check_schema(reader, &event)?;
        Ok(event)
    }

    /// By the source's own paths where it has some, and it is known from outside whose it is.
    fn envelope(
        &self,
        reader: &mut Reader<'_>,
        record: &Record,
        headers: Headers<'_>,
    ) -> Result<(Envelope, Option<&Source>), Reject> {
        let naming = Naming::new(&self.sources, headers.clone());
        let given = naming.given.and_then(|name| self.sources.of(name));
        if let Some((source, paths)) = given.and_then(|it| Some((it, it.record()?)))
            && !headers.clone().any(|(name, _)| name == OUR_ENVELOPE)
        {
            // Which of several is meant its own key says, or what it was taken apart by.
            let named = external_ids::named(headers.clone());
            let key = named.or(record.key.map(|key| reader.bytes(key))).map(<[u8]>::to_vec);
            let mut envelope = wrapped::read(reader, source, paths, key.as_deref())?;
            wrapped::leave_out_unavailable(reader, &mut envelope);
            envelope.complete(reader, headers, naming)?;
            return Ok((envelope, Some(source)));
        }
        let mut envelope = Envelope::read(reader, headers, naming)?;
        let source = match naming.given {
            Some(_) => given,
            None => self.sources.of(reader.bytes(envelope.source)),
        };
        if source.is_some_and(|source| source.record().is_some()) {
            // It was made around what the source says.
            wrapped::leave_out_unavailable(reader, &mut envelope);
        }
        Ok((envelope, source))
    }

    fn check_schema(&self, reader: &Reader<'_>, event: &Event) -> Result<(), Reject> {
        let Some(schemas) = self.schemas.of(reader.bytes(event.source)) else {
            return Ok(());
        };
        let (start, end) = reader.range();
        match schemas.problem(event.kind, reader.raw(start, end)) {
            Some(problem) if event.command.is_none() => {
                Err(Reject::new(DeadLetterReason::Schema, problem))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn assemble(
        &self,
        reader: &mut Reader<'_>,
        record: &Record,
        envelope: &Envelope,
        contact: ContactPart,
        headers: Headers<'_>,
    ) -> Result<Event, Reject> {
        let contact_id = match contact.id {
            Some(id) => id,
            None => key::of_record(reader, record, headers.clone())?,
        };
        check_contact_id(reader, contact_id)?;
        let given_id = match envelope.event_id(contact.is_flat_id) {
            Some(id) => Some(id),
            None => envelope::given_id(reader, headers)?,
        };
        let event_id = match given_id {
            Some(id) => id,
            None => made_id(reader, envelope.source, record),
        };
        check_id(reader, event_id, "event id")?;
        let hash = id_hash(reader.bytes(envelope.source), reader.bytes(event_id));
        let timestamp = self.timestamp(envelope, record);
        let clock = |ts_us| Clock { ts_us, version: envelope.version, hash };
        Ok(Event {
            kind: envelope.kind,
            contact_id,
            event_id,
            is_id_given: given_id.is_some(),
            source: envelope.source,
            timestamp,
            body_hash: (!envelope.has_own_time).then(|| body_hash(reader, record, envelope.kind)),
            clock: timestamp.map(clock),
            id_hash: hash,
            source_version: envelope.version,
            fields: contact.fields,
            attributes: contact.attributes,
            external_ids: contact.external_ids,
            replaces: false,
            is_notice: false,
            payment: None,
            command: None,
        })
    }

    #[cfg(debug_assertions)]
    fn timestamp(&self, envelope: &Envelope, record: &Record) -> Option<u64> {
        if self.clock_from_record {
            return u64::try_from(record.timestamp_ms).ok().map(|ms| ms * 1000);
        }
        envelope.timestamp
    }

    #[cfg(not(debug_assertions))]
    fn timestamp(&self, envelope: &Envelope, _record: &Record) -> Option<u64> {
        envelope.timestamp
    }
}

/// A record in which nothing of ours is found must not pass for an empty contact.
fn check_known(event: &Event, envelope: &Envelope) -> Result<(), Reject> {
    let has_field = event.fields.iter().any(|patch| *patch != Patch::Absent);
    let says_values = matches!(event.kind, EventKind::Created | EventKind::Updated);
    if has_field || !says_values || event.command.is_some() {
        return Ok(());
    }
    // Some tell of a new contact, and of its fields one by one.
    let is_only_news = event.kind == EventKind::Created && envelope.data.is_empty();
    let is_nothing = envelope.is_theirs && event.attributes.is_empty() && !is_only_news;
    if !event.replaces && !is_nothing {
        return Ok(());
    }
    let detail = "none of its members is a field here: the source's table says what its fields are called \
                  and where they stand (`contactd source test` shows what becomes of each)";
    Err(Reject::new(DeadLetterReason::NothingKnown, detail))
}

/// What keeps bytes from being a contact's id, whichever way they come in: a client must be able to reach
/// it by its path.
pub fn contact_id_problem(bytes: &[u8]) -> Option<&'static str> {
    if matches!(bytes, b"batch" | b"." | b"..") {
        return Some("is a word that paths need for something else");
    }
    id_problem(bytes)
}

fn check_contact_id(reader: &Reader<'_>, id: Span) -> Result<(), Reject> {
    match contact_id_problem(reader.bytes(id)) {
        None => Ok(()),
        Some(problem) => {
            Err(Reject::new(DeadLetterReason::InvalidId, format!("the contact id {problem}")))
        }
    }
}

/// An id or source must be usable as one.
fn check_id(reader: &Reader<'_>, id: Span, what: &str) -> Result<(), Reject> {
    match id_problem(reader.bytes(id)) {
        None => Ok(()),
        Some(problem) => {
            Err(Reject::new(DeadLetterReason::InvalidId, format!("the {what} {problem}")))
        }
    }
}

/// Gives an event without an id of its own one, as the header [`EVENT_ID`](super::headers::EVENT_ID) does.
/// False: that can't be an id.
pub fn give_id(batch: &mut RecordBatch, event: &mut Event, id: &str) -> bool {
    if id_problem(id.as_bytes()).is_some() {
        return false;
    }
    event.event_id = Span::new(batch.arena.len(), id.len());
    batch.arena.extend_from_slice(id.as_bytes());
    event.is_id_given = true;
    event.id_hash = id_hash(event.source.of(&batch.arena), id.as_bytes());
    if let Some(clock) = &mut event.clock {
        clock.hash = event.id_hash;
    }
    true
}

/// What keeps bytes from being an id, of ours or of a source's.
pub fn id_problem(bytes: &[u8]) -> Option<&'static str> {
    if bytes.is_empty() {
        Some("is empty")
    } else if bytes.len() > ID_BYTES_MAX {
        Some("is too long")
    } else if holds_control(bytes) {
        Some("holds control characters")
    } else {
        None
    }
}

/// Control characters of ASCII, and U+0080 to U+009F.
fn holds_control(bytes: &[u8]) -> bool {
    bytes.iter().any(u8::is_ascii_control)
        || bytes.windows(2).any(|pair| matches!(pair, [0xC2, 0x80..=0x9F]))
}

/// What tells an event's repeats from another event under its id.
fn body_hash(reader: &Reader<'_>, record: &Record, kind: EventKind) -> u64 {
    let value = record.value.map(|value| reader.bytes(value)).unwrap_or_default();
    xxh3_64_with_seed(value, kind as u64)
}

/// The id of an event that has none: SHA-256 of source, key and value, each behind its length, so
/// that no two triples run together; a null key has the length −1.
fn made_id(reader: &mut Reader<'_>, source: Span, record: &Record) -> Span {
    let mut hasher = Sha256::new();
    let parts = [
        Some(reader.bytes(source)),
        record.key.map(|key| reader.bytes(key)),
        record.value.map(|value| reader.bytes(value)),
    ];
    for part in parts {
        let len = part.map_or(u64::MAX, |part| part.len() as u64);
        hasher.update(len.to_le_bytes());
        hasher.update(part.unwrap_or_default());
    }
    reader.append(hex(&hasher.finalize()).as_bytes())
}
