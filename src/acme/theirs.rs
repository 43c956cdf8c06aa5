//! A contact of Acme, read as applying will read it: as an event with an id and a time such that what
//! is read twice is the same event twice.

use serde_json::{Value, json};

use crate::domain::clock::{Clock, id_hash};
use crate::domain::decode::{Decoder, Reject};
use crate::domain::event::{EventKind, FIELDS, Patch};
use crate::domain::headers::{NOTICE, OUR_ENVELOPE, SOURCE};
use crate::domain::position::{Lane, Offset};
use crate::domain::record::{NamedValues, RecordBatch, header_refs};
use crate::domain::sources::{Source, field_of};
use crate::domain::timestamp::parse_rfc3339_us;
use crate::event_log::NewRecord;
use crate::ingest::now_ms;

use super::wire::{Contact, Fields};

/// Begins the ids of events that were made from what Acme answered.
const READ_PREFIX: &str = "acme-read-";
/// Begins the ids of notices.
const NOTICE_PREFIX: &str = "acme-notice-";

/// What Acme has.
#[derive(Debug)]
pub(super) struct Theirs {
    pub(super) id: String,
    pub(super) version: u64,
    /// By Acme's names.
    pub(super) raw: Fields,
    /// In our words, by places in [`FIELDS`]; none: nothing is said of it.
    pub(super) values: [Option<Option<String>>; FIELDS.len()],
    /// Of the event that it is.
    pub(super) clock: Clock,
    /// When it came to be there, in µs since 1970.
    pub(super) created_us: u64,
    source: String,
    headers: NamedValues,
    contact: Contact,
}

impl Theirs {
    /// By the rules that hold.
    ///
    /// # Errors
    /// Why no event can be made of it; holds no values.
    pub(super) fn read(contact: Contact, decoder: &Decoder, source: &str) -> Result<Self, Reject> {
        let headers = headers_of(decoder, source);
        let mut theirs = Self {
            id: contact.id.clone(),
            version: contact.acme_version,
            raw: contact.fields.clone(),
            values: Default::default(),
            clock: Clock::default(),
            created_us: 0,
            source: source.to_owned(),
            headers,
            contact,
        };
        let event =
            (EventKind::Updated, &*theirs.contact.acme_updated_at, theirs.event_id("updated"));
        let record = theirs.record(event, theirs.raw.clone(), 0);
        let mut batch = RecordBatch::new(Lane(0));
        let headers = header_refs(&record.headers);
        batch.push(Offset(0), 0, Some(&record.key), record.value.as_deref(), headers);
        let event = decoder.decode(&mut batch, 0)?;
        for (value, patch) in theirs.values.iter_mut().zip(&event.fields) {
            *value = match patch {
                Patch::Absent => None,
                Patch::Clear => Some(None),
                Patch::Set(span) => Some(Some(span.text(&batch.arena).to_owned())),
            };
        }
        theirs.clock = event.clock.unwrap_or_default();
        let created = parse_rfc3339_us(theirs.contact.acme_created_at.as_bytes());
        theirs.created_us = created.unwrap_or(theirs.clock.ts_us);
        Ok(theirs)
    }

    /// What is appended to make it a contact here, that came to be when it did there.
    pub(super) fn whole(&self, now_ms: u64) -> Vec<NewRecord> {
        let Contact { acme_created_at, acme_updated_at, .. } = &self.contact;
        let id = |word: &str| self.event_id(word);
        let created = (EventKind::Created, acme_created_at.as_str(), id("created"));
        let updated = (EventKind::Updated, acme_updated_at.as_str(), id("updated"));
        // With one time the two would be one.
        let is_changed = self.created_us < self.clock.ts_us;
        let events = std::iter::once(created).chain(is_changed.then_some(updated));
        events.map(|event| self.record(event, self.raw.clone(), now_ms)).collect()
    }

    /// What is appended to take some fields, by our names: the others may be newer here.
    pub(super) fn some(&self, fields: &[&str], source: &Source, now_ms: u64) -> NewRecord {
        let mut data = Fields::new();
        let mut word = "fields".to_owned();
        let taken = FIELDS.iter().enumerate().filter(|(_, name)| fields.contains(name));
        for (place, _) in taken {
            word.push_str(&format!("-{place}"));
            let members = source.members_of(place).into_iter();
            data.extend(members.filter_map(|it| Some((it.to_owned(), self.raw.get(it)?.clone()))));
        }
        let time = self.contact.acme_updated_at.as_str();
        self.record((EventKind::Updated, time, self.event_id(&word)), data, now_ms)
    }

    /// Fields that Acme has a value of and that are ours alone.
    pub(super) fn not_taken(&self, source: &Source) -> Vec<&'static str> {
        let fields = FIELDS.iter().zip(&self.values).enumerate();
        let untaken = fields.filter(|(place, (_, said))| {
            let has_value = |name: &str| self.raw.get(name).is_some_and(|value| !value.is_null());
            said.is_none() && source.members_of(*place).into_iter().any(has_value)
        });
        untaken.map(|(_, (name, _))| *name).collect()
    }

    /// The same for the same contact at the same version.
    fn event_id(&self, word: &str) -> String {
        let contact = id_hash(self.source.as_bytes(), self.id.as_bytes());
        format!("{READ_PREFIX}{contact:016x}-{}-{word}", self.version)
    }

    fn record(
        &self,
        (kind, time, event_id): (EventKind, &str, String),
        mut data: Fields,
        now_ms: u64,
    ) -> NewRecord {
        data.insert("id".to_owned(), Value::from(self.id.as_str()));
        let event = json!({
            "id": event_id,
            "eventType": kind.as_str(),
            "timestamp": time,
            "version": self.version,
            "data": data,
        });
        NewRecord {
            key: self.id.clone().into_bytes(),
            value: Some(event.to_string().into_bytes()),
            headers: self.headers.clone(),
            timestamp_ms: i64::try_from(now_ms).unwrap_or(i64::MAX),
            lane: None,
        }
    }

    /// What it says of a field, by our name; none: nothing.
    pub(super) fn said(&self, name: &str) -> Option<Option<&str>> {
        let said = self.values.get(field_of(name.as_bytes())?)?.as_ref()?;
        Some(said.as_deref())
    }
}

/// What is about to be changed at Acme, as Acme will tell of it.
pub(super) struct Notice<'n> {
    pub(super) id: &'n str,
    pub(super) kind: EventKind,
    /// The version that the change makes there.
    pub(super) version: u64,
    /// What it changes, by Acme's names.
    pub(super) fields: Fields,
}

impl Notice<'_> {
    /// The record that notes it; none: what Acme will tell can't be applied either.
    pub(super) fn record(self, decoder: &Decoder, source: &str) -> Option<NewRecord> {
        let Self { id, kind, version, mut fields } = self;
        let contact = id_hash(source.as_bytes(), id.as_bytes());
        fields.insert("id".to_owned(), Value::from(id));
        let event = json!({
            "id": format!("{NOTICE_PREFIX}{contact:016x}-{version}"),
            "eventType": kind.as_str(),
            "version": version,
            "data": fields,
        });
        let mut headers = headers_of(decoder, source);
        headers.push((NOTICE.to_owned(), Some(b"1".to_vec())));
        let record = NewRecord {
            key: id.as_bytes().to_vec(),
            value: Some(event.to_string().into_bytes()),
            headers,
            timestamp_ms: i64::try_from(now_ms()).unwrap_or(i64::MAX),
            lane: None,
        };
        let mut batch = RecordBatch::new(Lane(0));
        let headers = header_refs(&record.headers);
        batch.push(Offset(0), 0, Some(&record.key), record.value.as_deref(), headers);
        decoder.decode(&mut batch, 0).is_ok().then_some(record)
    }
}

/// Whether an event of the source is a notice, by its id.
pub(super) fn is_notice(event_id: &[u8]) -> bool {
    event_id.starts_with(NOTICE_PREFIX.as_bytes())
}

/// Of an event that is made around Acme's words.
fn headers_of(decoder: &Decoder, source: &str) -> NamedValues {
    let mut headers = vec![(SOURCE.to_owned(), Some(source.as_bytes().to_vec()))];
    if decoder.sources().record_of(source.as_bytes()).is_some() {
        headers.push((OUR_ENVELOPE.to_owned(), Some(b"1".to_vec())));
    }
    headers
}
