//! From an input's record to the contact log's: pure, so that one that is read again becomes the same
//! record again.
//!
//! - The event stays as it is, and so does its record's time; the key becomes its contact's id. Where
//!   nothing else says that, the record's own key does, read as the input's setting says.
//! - What only we may say in headers is left out, so no input can bring in a command.
//! - Avro is appended as the JSON that it says by its writer's schema; what can't be read by that stays as it
//!   came, with the reason in a header, so that it can be read once more.
//! - What has no contact that can be found is appended as it came: applying keeps it as a dead letter.
//! - In an input of complete records a null value is a delete, and a value replaces the contact. Where
//!   it has no time of its own it gets its record's, and as its version the offset, which orders what
//!   came within one millisecond.

use std::sync::Arc;

use crate::config::{InputConfig, Tombstones};
use crate::domain::decode::{ITEMS_BYTES_MAX, ITEMS_MAX, Item, KeyForm, Most, Reject};
use crate::domain::event::{Event, EventKind};
use crate::domain::headers::{
    COMPLETE, CONTENT_TYPE, DECODE_PROBLEM, KEY_PROBLEM, MARKER, NOTICE, ORIGIN, ORIGIN_BYTES,
    ORIGIN_KEY, ORIGIN_TIMESTAMP, OUR_ENVELOPE, OURS_PREFIX, SCHEMA_ID, SOURCE,
};
use crate::domain::position::{Lane, Offset};
use crate::domain::record::{NamedValues, Record, RecordBatch, header_refs, owned_headers};
use crate::domain::timestamp::format_rfc3339;
use crate::domain::verdict::DeadLetterReason;
use crate::event_log::NewRecord;
use crate::ingest::PresentRules;
use crate::schema_registry::SchemaRegistry;
use crate::telemetry::BridgeOutcome;

use super::readable::{KeyProblem, Obstacle, readable};

/// How much is kept of a value that the contact log doesn't take.
const HEAD_BYTES: usize = 4 << 10;
/// Characters of a problem that are noted.
const NOTE_CHARS_MAX: usize = 512;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Makes the contact log's records.
#[derive(Debug)]
pub(super) struct Converter {
    /// Understands records as applying will.
    pub(super) rules: PresentRules,
    /// Lanes of the contact log.
    pub(super) lanes: u16,
    /// The contact log's topic, where the inputs are at the same brokers.
    pub(super) own_topic: Option<String>,
    /// Bytes of texts that a record may become.
    pub(super) bytes_max: usize,
    /// Says what Avro records hold; none: they are dead letters.
    pub(super) registry: Option<Arc<SchemaRegistry>>,
    /// What it did not know before (ms since 1970) is asked for once more.
    pub(super) asked_since_ms: Option<u64>,
}

/// What a record becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bridged {
    /// To be appended; none: it came from the contact log, and stays there.
    pub(super) record: Option<NewRecord>,
    /// What happened to the contact whose id, as its source names it, is the record's key; none: no
    /// contact is named.
    pub(super) named: Option<EventKind>,
    /// What it counts as.
    pub(super) outcome: BridgeOutcome,
    /// It has no time: that it is a repeat is known only among the contact's last such events.
    pub(super) is_untimed: bool,
}

impl Bridged {
    fn nothing(outcome: BridgeOutcome) -> Self {
        Self { record: None, named: None, outcome, is_untimed: false }
    }
}

/// A record on its way: what all that it becomes has in common.
struct Arrival<'a> {
    input: &'a InputConfig,
    record: &'a Record,
    lane: Lane,
    headers: NamedValues,
}

impl Arrival<'_> {
    fn note(&mut self, name: &str, text: String) {
        self.headers.push(note(name, &text));
    }
}

/// What of a record is one event of one contact.
#[derive(Clone, Copy)]
struct Part<'p> {
    key: Option<&'p [u8]>,
    /// The contact that the key names, or why it names none.
    named: &'p Result<String, KeyProblem>,
    value: Option<&'p [u8]>,
}

impl Converter {
    /// A record of `topic`, in its batch: as many as it has events, and contacts that they are about.
    ///
    /// # Errors
    /// The id of a schema that is awaited: then it is to be asked for later.
    pub(super) fn convert(
        &self,
        input: &InputConfig,
        topic: &str,
        batch: &RecordBatch,
        record: &Record,
    ) -> Result<Vec<Bridged>, u32> {
        if self.is_ours(batch, record) {
            return Ok(vec![Bridged::nothing(BridgeOutcome::Returned)]);
        }
        if is_for_itself(batch, record) {
            return Ok(vec![Bridged::nothing(BridgeOutcome::Ignored)]);
        }
        let source = input.source.as_deref().unwrap_or_default().as_bytes();
        let decoder = self.rules.decoder();
        let is_taken_apart = decoder
            .sources()
            .of(source)
            .is_some_and(|it| it.each().is_some() || it.record().is_some());
        let bytes_max =
            if is_taken_apart { ITEMS_BYTES_MAX } else { decoder.limits().record_bytes_max };
        let (key, headers) = (batch.key(record), headers(input, topic, batch, record));
        let mut arrival = Arrival { input, record, lane: batch.lane, headers };
        let look = self
            .registry
            .as_deref()
            .map(|registry| move |id| registry.look(id, record.timestamp_ms, self.asked_since_ms));
        let read = match readable(look, &input.key, batch, record, bytes_max) {
            Ok(read) => read,
            Err(Obstacle::Awaited(id)) => return Err(id),
            Err(Obstacle::Refused(reject)) => {
                arrival.note(DECODE_PROBLEM, reject.to_string());
                return Ok(vec![self.unreadable(&arrival, key, batch.value(record), None)]);
            }
        };
        if let Some(id) = read.schema_id {
            // It told of the bytes that were.
            arrival.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(CONTENT_TYPE));
            arrival.note(SCHEMA_ID, id.to_string());
        }
        let whole = Part { key, named: &read.named, value: read.value.as_deref() };
        let Some(value) = whole.value.filter(|_| is_taken_apart) else {
            return Ok(vec![self.one(&arrival, &whole)]);
        };
        // What can't be taken apart is one.
        let events = decoder.events(source, value).map_or_else(|_| vec![value], |(all, _)| all);
        // Each of them has all headers.
        let items = self.bytes_max / bytes_of(&arrival.headers).max(1);
        let most = Most { items: items.clamp(1, ITEMS_MAX), bytes: self.bytes_max };
        let items = match decoder.items(source, &events, most) {
            Ok(items) => items,
            Err(too_many) => {
                // Without a key, or it might pass for an event of the one contact that its key happens to name.
                if let Some(key) = key {
                    arrival.headers.push((ORIGIN_KEY.to_owned(), Some(key.to_vec())));
                }
                if read.schema_id.is_some() {
                    arrival.note(DECODE_PROBLEM, Reject::from(too_many).to_string());
                }
                return Ok(vec![self.unreadable(&arrival, None, batch.value(record), None)]);
            }
        };
        let convert = |item: Item<'_>| match &item.contact {
            Some(id) => {
                let named = &KeyForm::Text.contact_id(Some(id)).map_err(KeyProblem::Form);
                self.one(&arrival, &Part { key: Some(id), named, value: Some(item.text) })
            }
            None => self.one(&arrival, &Part { value: Some(item.text), ..whole }),
        };
        Ok(items.into_iter().map(convert).collect())
    }

    /// What is one event of one contact.
    fn one(&self, arrival: &Arrival<'_>, part: &Part<'_>) -> Bridged {
        let Arrival { input, record, headers, .. } = arrival;
        let Part { key, named, value } = *part;
        let id = named.as_ref().ok().map(String::as_str);
        let event = match (value, input.tombstones) {
            (Some(value), _) if input.complete => self.complete(headers, id, value, record),
            (Some(value), _) => self.event(headers.clone(), id, value.to_vec(), record),
            (None, Tombstones::Delete) => id.and_then(|id| self.delete(headers, id, record)),
            (None, Tombstones::Ignore) => return Bridged::nothing(BridgeOutcome::Ignored),
            (None, Tombstones::Refuse) => None,
        };
        let Some(mut event) = event else {
            // A null value says nothing in other inputs, whatever its key is.
            let deletes = input.tombstones == Tombstones::Delete;
            let problem = named.as_ref().err().filter(|_| deletes || value.is_some());
            return self.unreadable(arrival, key, value, problem);
        };
        if let Some(key) = key.filter(|key| *key != event.contact_id.as_slice()) {
            event.headers.push((ORIGIN_KEY.to_owned(), Some(key.to_vec())));
        }
        let appended = NewRecord {
            key: event.contact_id,
            value: Some(event.value),
            headers: event.headers,
            timestamp_ms: record.timestamp_ms,
            lane: None,
        };
        let (outcome, is_untimed) = (event.outcome, event.is_untimed);
        Bridged { record: Some(appended), named: Some(event.kind), outcome, is_untimed }
    }

    /// Whether it was bridged before, out of this very contact log: two installations that bridge
    /// each other's contact log would hand one event round for ever.
    fn is_ours(&self, batch: &RecordBatch, record: &Record) -> bool {
        let Some(own) = &self.own_topic else {
            return false;
        };
        let origins = batch.headers(record).filter(|(name, _)| *name == ORIGIN);
        origins.filter_map(|(_, value)| value).any(|origin| {
            let rest = origin.strip_prefix(own.as_bytes());
            rest.is_some_and(|rest| rest.starts_with(b":"))
        })
    }

    /// As it came, for applying to keep with its reason.
    fn unreadable(
        &self,
        arrival: &Arrival<'_>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        key_problem: Option<&KeyProblem>,
    ) -> Bridged {
        let mut headers = arrival.headers.clone();
        let noted = match key_problem {
            Some(KeyProblem::Form(problem)) => Some(note(KEY_PROBLEM, problem)),
            Some(KeyProblem::Refused(reject)) => Some(note(DECODE_PROBLEM, &reject.to_string())),
            None => None,
        };
        headers.extend(noted);
        let key = key.unwrap_or_default().to_vec();
        // Without a key no lane is its home.
        let lane = key.is_empty().then(|| Lane(arrival.lane.0 % self.lanes.max(1)));
        let value = value.map(<[u8]>::to_vec);
        let timestamp_ms = arrival.record.timestamp_ms;
        let record = Some(NewRecord { key, value, headers, timestamp_ms, lane });
        let outcome = BridgeOutcome::Unreadable;
        Bridged { record, named: None, outcome, is_untimed: false }
    }

    fn event(
        &self,
        headers: NamedValues,
        id: Option<&str>,
        value: Vec<u8>,
        record: &Record,
    ) -> Option<Found> {
        let decoded = self.decode(&headers, id, &value, record).ok()?;
        Some(Found::new(&decoded, headers, value))
    }

    /// A delete that has no time of its own: a tombstone, or one that a complete record tells.
    fn delete(&self, headers: &NamedValues, id: &str, record: &Record) -> Option<Found> {
        let named = serde_json::to_string(id).ok()?;
        let stamp = stamp(record);
        let value = format!(
            r#"{{"eventType":"contact.deleted"{stamp},"contact_id":{named},"data":{{"id":{named}}}}}"#
        );
        self.event(in_our_envelope(headers.clone()), Some(id), value.into_bytes(), record)
    }

    /// A complete record: an event, or nothing but the contact.
    fn complete(
        &self,
        headers: &NamedValues,
        id: Option<&str>,
        value: &[u8],
        record: &Record,
    ) -> Option<Found> {
        let decoded = match self.decode(headers, id, value, record) {
            // A row, which has neither a type nor a time of its own.
            Ok((batch, event)) if self.is_elsewhere(headers) && event.timestamp.is_none() => {
                let id = std::str::from_utf8(event.contact_id.of(&batch.arena)).ok()?;
                if event.kind == EventKind::Deleted {
                    return self.delete(headers, id, record);
                }
                let row = self.row(headers, value)?;
                let (value, id) = (around(row, Some(id), record)?, Some(id));
                return self.made(in_our_envelope(replacing(headers)), id, value, record);
            }
            Ok(decoded) => decoded,
            Err(reject) if reject.reason == DeadLetterReason::UnknownEventType => {
                let value = around(value, id, record)?;
                return self.made(replacing(headers), id, value, record);
            }
            Err(_) => return None,
        };
        let replaces = decoded.1.kind != EventKind::Deleted;
        let headers = if replaces { replacing(headers) } else { headers.clone() };
        if decoded.1.timestamp.is_none()
            && let Some(value) = stamped(value, record)
            && let Some(timed) = self.event(headers.clone(), id, value, record)
            && !timed.is_untimed
        {
            return Some(timed);
        }
        self.made(headers, id, value.to_vec(), record)
    }

    /// The same as [`Self::event`], but that one in which nothing is known goes to its contact's lane too,
    /// for applying to keep it as what it is.
    fn made(
        &self,
        headers: NamedValues,
        id: Option<&str>,
        value: Vec<u8>,
        record: &Record,
    ) -> Option<Found> {
        match self.decode(&headers, id, &value, record) {
            Ok(decoded) => Some(Found::new(&decoded, headers, value)),
            Err(reject) if reject.reason == DeadLetterReason::NothingKnown => Some(Found {
                contact_id: id?.as_bytes().to_vec(),
                kind: EventKind::Updated,
                headers,
                value,
                is_untimed: false,
                outcome: BridgeOutcome::Unreadable,
            }),
            Err(_) => None,
        }
    }

    /// Whether the source's events have elsewhere what ours have in their envelope.
    fn is_elsewhere(&self, headers: &NamedValues) -> bool {
        let decoder = self.rules.decoder();
        source_of(headers).and_then(|name| decoder.sources().record_of(name)).is_some()
    }

    /// The contact in a record that is nothing else, without what is wrapped around it.
    fn row<'v>(&self, headers: &NamedValues, value: &'v [u8]) -> Option<&'v [u8]> {
        let decoder = self.rules.decoder();
        decoder.row(source_of(headers)?, value).ok()
    }

    /// `id` stands for the key that it will have on the contact log, where nothing else names one.
    fn decode(
        &self,
        headers: &NamedValues,
        id: Option<&str>,
        value: &[u8],
        record: &Record,
    ) -> Result<(RecordBatch, Event), Reject> {
        let mut batch = RecordBatch::new(Lane(0));
        let key = id.map(str::as_bytes);
        batch.push(Offset(0), record.timestamp_ms, key, Some(value), header_refs(headers));
        let event = self.rules.decoder().decode(&mut batch, 0)?;
        Ok((batch, event))
    }
}

/// An event whose contact is known.
struct Found {
    contact_id: Vec<u8>,
    kind: EventKind,
    headers: NamedValues,
    value: Vec<u8>,
    is_untimed: bool,
    outcome: BridgeOutcome,
}

impl Found {
    fn new((batch, event): &(RecordBatch, Event), headers: NamedValues, value: Vec<u8>) -> Self {
        let contact_id = event.contact_id.of(&batch.arena).to_vec();
        let (is_untimed, outcome) = (event.timestamp.is_none(), BridgeOutcome::Event);
        Self { contact_id, kind: event.kind, headers, value, is_untimed, outcome }
    }
}

/// The record's own headers but for those that only we may write, and ours.
fn headers(input: &InputConfig, topic: &str, batch: &RecordBatch, record: &Record) -> NamedValues {
    let own = batch.headers(record).filter(|(name, _)| !name.starts_with(OURS_PREFIX));
    let mut headers = owned_headers(own);
    if let Some(source) = &input.source {
        headers.push((SOURCE.to_owned(), Some(source.clone().into_bytes())));
    }
    let origin = format!("{topic}:{}:{}", batch.lane, record.offset);
    headers.push((ORIGIN.to_owned(), Some(origin.into_bytes())));
    headers
}

/// Whether it is what another contact log says to itself: a notice, or a marker, whose value is no JSON.
fn is_for_itself(batch: &RecordBatch, record: &Record) -> bool {
    let has = |wanted: &str| batch.headers(record).any(|(name, _)| name == wanted);
    let is_json = |value: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(value).is_ok();
    has(NOTICE) || has(MARKER) && !batch.value(record).is_some_and(is_json)
}

/// A schema's names, which a problem may tell, can be as long as they like.
fn note(name: &str, text: &str) -> (String, Option<Vec<u8>>) {
    let text: String = text.chars().take(NOTE_CHARS_MAX).collect();
    (name.to_owned(), Some(text.into_bytes()))
}

pub(super) fn bytes_of(headers: &NamedValues) -> usize {
    let sizes = headers.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len));
    sizes.sum()
}

/// What lets applying replace the contact: here it is the configuration that says so.
fn replacing(headers: &NamedValues) -> NamedValues {
    let mut headers = headers.clone();
    headers.push((COMPLETE.to_owned(), None));
    headers
}

/// Says that the event was made here, around what the source says.
fn in_our_envelope(mut headers: NamedValues) -> NamedValues {
    headers.push((OUR_ENVELOPE.to_owned(), None));
    headers
}

fn source_of(headers: &NamedValues) -> Option<&[u8]> {
    let (_, source) = headers.iter().find(|(name, _)| name == SOURCE)?;
    source.as_deref()
}

/// Members that give an event its record's time and place.
fn stamp(record: &Record) -> String {
    let version = record.offset.0;
    match u64::try_from(record.timestamp_ms) {
        Ok(time) => format!(r#","timestamp":"{}","version":{version}"#, format_rfc3339(time)),
        Err(_) => String::new(),
    }
}

/// The event around a value that is nothing but the contact; none: it is an event after all, or no
/// object.
fn around(value: &[u8], id: Option<&str>, record: &Record) -> Option<Vec<u8>> {
    let framed = value.first().filter(|byte| **byte == 0).and_then(|_| value.get(5..));
    let json = framed.unwrap_or(value);
    let json = json.strip_prefix(BYTE_ORDER_MARK).unwrap_or(json);
    let members: std::collections::BTreeMap<String, &serde_json::value::RawValue> =
        serde_json::from_slice(json).ok()?;
    let is_event = ["eventType", "event_type", "specversion"];
    if is_event.iter().any(|name| members.contains_key(*name)) {
        return None;
    }
    let mut event = format!(r#"{{"eventType":"contact.created"{}"#, stamp(record)).into_bytes();
    // Where the contact doesn't say its id, its key does.
    if let Some(id) = id {
        event.extend_from_slice(br#","contact_id":"#);
        event.extend_from_slice(serde_json::to_string(id).ok()?.as_bytes());
    }
    event.extend_from_slice(br#","data":"#);
    event.extend_from_slice(json);
    event.push(b'}');
    Some(event)
}

/// The event with its record's time.
fn stamped(value: &[u8], record: &Record) -> Option<Vec<u8>> {
    let time = format_rfc3339(u64::try_from(record.timestamp_ms).ok()?);
    let members = value.strip_prefix(b"{")?;
    let comma = if members.trim_ascii_start().starts_with(b"}") { "" } else { "," };
    let mut stamped = format!(r#"{{"timestamp":"{time}"{comma}"#).into_bytes();
    stamped.extend_from_slice(members);
    Some(stamped)
}

/// Makes a record smaller or younger that the contact log refused; false: nothing more can be done.
/// What is left of it is kept as a dead letter, with what it lost in headers.
pub fn reduce(record: &mut NewRecord, is_too_large: bool, now_ms: i64) -> bool {
    if !is_too_large {
        let is_stamped = record.headers.iter().any(|(name, _)| name == ORIGIN_TIMESTAMP);
        if !is_stamped {
            let time = record.timestamp_ms.to_string().into_bytes();
            record.headers.push((ORIGIN_TIMESTAMP.to_owned(), Some(time)));
            record.timestamp_ms = now_ms;
        }
        return !is_stamped;
    }
    if let Some(value) = record.value.as_mut().filter(|value| value.len() > HEAD_BYTES) {
        let bytes = value.len();
        value.truncate(HEAD_BYTES);
        // What is cut off is not the whole contact.
        record.headers.retain(|(name, _)| name != COMPLETE);
        record.headers.push((ORIGIN_BYTES.to_owned(), Some(bytes.to_string().into_bytes())));
        return true;
    }
    // The headers, then; without the origin's nobody could tell what it was.
    let is_ours = |name: &str| name.starts_with(OURS_PREFIX);
    let others = header_refs(&record.headers).filter(|(name, _)| !is_ours(name));
    let bytes: usize = others.map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len)).sum();
    if bytes > HEAD_BYTES {
        record.headers.retain(|(name, _)| is_ours(name) && name != COMPLETE);
    }
    bytes > HEAD_BYTES
}
