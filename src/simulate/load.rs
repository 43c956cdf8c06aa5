//! The load generator: a reproducible stream of contact events with everything in it that a real
//! one has, in known shares.
//!
//! ```text
//! Zipf ─► contact ─► Event (a few numbers) ─┬─► render ─► LoadRecord
//!                                           ├─► held back, delivered late
//!                                           └─► remembered, delivered again
//! ```
//!
//! An event is a few numbers, and its bytes are a pure function of them: what is delivered late or
//! twice is rendered again. The first N records do not depend on how many follow.

use crate::domain::record::NamedValues;

use super::render::render;
use super::zipf::{Random, STEP, Zipf, mix, threshold};

/// When the first event happens: 2026-01-01T00:00:00Z, in milliseconds since 1970.
pub const START_MS: u64 = 1_767_225_600_000;
/// Events that may wait to be delivered late, and of which a duplicate is taken.
const WINDOW: u64 = 1024;
/// Between two events lie 1 to this many milliseconds.
pub const STEP_MS_MAX: u64 = 9;
/// Of the events for a deleted contact, the share that creates it again.
const RECREATED: f64 = 0.5;
/// Of the updates, the share that carries the whole contact and not some fields.
const WHOLE: f64 = 0.4;
/// Of the updates, the share that gives the contact another e-mail address.
const NEW_EMAIL: f64 = 0.03;

/// What to generate. Shares are between 0 and 1.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadOptions {
    /// Records in all.
    pub events: u64,
    /// Contacts that they are about; drawn by Zipf's law.
    pub contacts: u32,
    /// Equal seeds give equal records.
    pub seed: u64,
    /// Share of records that repeat an earlier one byte for byte.
    pub duplicates: f64,
    /// Share of events that arrive after up to 1,023 later ones.
    pub late: f64,
    /// Share of events that delete their contact.
    pub deletes: f64,
    /// Share of records that no reader can make sense of.
    pub malformed: f64,
    /// When the first event happens, in milliseconds since 1970.
    pub start_ms: u64,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            events: 1_000_000,
            contacts: 200_000,
            seed: 42,
            duplicates: 0.02,
            late: 0.03,
            deletes: 0.05,
            malformed: 0.0,
            start_ms: START_MS,
        }
    }
}

/// A record to be appended to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadRecord {
    /// The contact's id; empty for a malformed record without a key.
    pub key: Vec<u8>,
    /// The event; none for a malformed record that is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers, some without a value; none of the generated records needs one.
    pub headers: NamedValues,
    /// When the record arrives, in milliseconds since 1970.
    pub timestamp_ms: i64,
}

/// What an event does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Created,
    /// With the whole contact.
    UpdatedWhole,
    /// With some fields.
    UpdatedPart,
    Deleted,
    /// No event at all; which way is in the salt.
    Malformed,
}

/// An event as numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) kind: Kind,
    /// The contact's rank.
    pub(super) contact: u32,
    /// Its version at the source.
    pub(super) version: u32,
    /// Which of its e-mail addresses it has.
    pub(super) email: u8,
    /// Milliseconds since 1970.
    pub(super) timestamp_ms: u64,
    /// Unique in the stream; the event's id.
    pub(super) number: u64,
    /// Decides the fields and their values.
    pub(super) salt: u64,
}

/// What the source knows of a contact.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    version: u32,
    email: u8,
    deleted: bool,
}

/// Shares as bounds of a random number.
#[derive(Clone, Copy, Debug)]
struct Thresholds {
    duplicates: u64,
    late: u64,
    deletes: u64,
    malformed: u64,
    recreated: u64,
    whole: u64,
    new_email: u64,
}

/// Gives the records one by one.
#[derive(Clone, Debug)]
pub struct LoadGenerator {
    events: u64,
    id_seed: u64,
    thresholds: Thresholds,
    random: Random,
    zipf: Zipf,
    /// By rank.
    contacts: Vec<Known>,
    /// Now, at the source and at the log.
    clock_ms: u64,
    /// Records given so far.
    given: u64,
    /// Events made so far.
    made: u64,
    /// By the step that delivers it, modulo the window.
    held: Vec<Option<Event>>,
    /// The last events delivered, by step modulo the window.
    delivered: Vec<Event>,
}

impl LoadGenerator {
    /// A stream from its beginning.
    pub fn new(options: &LoadOptions) -> Self {
        let contacts = options.contacts.max(1);
        let mut random = Random::new(options.seed);
        Self {
            events: options.events,
            id_seed: random.next(),
            thresholds: Thresholds {
                duplicates: threshold(options.duplicates),
                late: threshold(options.late),
                deletes: threshold(options.deletes),
                malformed: threshold(options.malformed),
                recreated: threshold(RECREATED),
                whole: threshold(WHOLE),
                new_email: threshold(NEW_EMAIL),
            },
            random,
            zipf: Zipf::new(contacts),
            contacts: vec![Known::default(); contacts as usize],
            clock_ms: options.start_ms,
            given: 0,
            made: 0,
            held: vec![None; WINDOW as usize],
            delivered: Vec::with_capacity(WINDOW as usize),
        }
    }

    /// The next record, at `now_ms` or where the stream's clock stands, whichever is later. Goes on
    /// past the number of events: for demos that never end.
    pub fn record_at(&mut self, now_ms: u64) -> LoadRecord {
        self.clock_ms = self.clock_ms.max(now_ms);
        self.record()
    }

    /// The id of the contact with this rank, 0 being the most frequent.
    pub fn contact_id(&self, rank: u32) -> String {
        String::from_utf8_lossy(&super::render::contact_id(self.id_seed, rank)).into_owned()
    }

    fn record(&mut self) -> LoadRecord {
        let event = self.deliver();
        let (key, value) = render(&event, self.id_seed);
        let timestamp_ms = i64::try_from(self.clock_ms).unwrap_or(i64::MAX);
        self.clock_ms += 1 + self.random.below(STEP_MS_MAX);
        LoadRecord { key, value, headers: Vec::new(), timestamp_ms }
    }

    /// The event that arrives at this step: a held one that is due, an earlier one again, or new.
    fn deliver(&mut self) -> Event {
        let step = self.given;
        self.given += 1;
        let due = self.held.get_mut(slot(step)).and_then(Option::take);
        let event = match due {
            Some(event) => event,
            None if self.random.hits(self.thresholds.duplicates) => match self.earlier() {
                Some(event) => return event,
                None => self.make(),
            },
            None => self.make_and_hold_some(step),
        };
        match self.delivered.get_mut(slot(step)) {
            Some(oldest) => *oldest = event,
            None => self.delivered.push(event),
        }
        event
    }

    fn earlier(&mut self) -> Option<Event> {
        let index = self.random.below(self.delivered.len() as u64);
        self.delivered.get(index as usize).copied()
    }

    /// Makes events until one is not held back.
    fn make_and_hold_some(&mut self, step: u64) -> Event {
        loop {
            let event = self.make();
            if event.kind == Kind::Malformed || !self.random.hits(self.thresholds.late) {
                return event;
            }
            let due = slot(step + 1 + self.random.below(WINDOW - 1));
            match self.held.get_mut(due) {
                Some(empty @ None) => *empty = Some(event),
                Some(Some(_)) | None => return event,
            }
        }
    }

    /// The next thing that happens at the source.
    fn make(&mut self) -> Event {
        self.made += 1;
        let contact = self.zipf.draw(&mut self.random);
        let salt = self.random.next();
        let number = mix(self.id_seed ^ self.made.wrapping_mul(STEP));
        let mut event = Event {
            kind: Kind::Malformed,
            contact,
            version: 0,
            email: 0,
            timestamp_ms: self.clock_ms,
            number,
            salt,
        };
        if self.random.hits(self.thresholds.malformed) {
            return event;
        }
        let Some(known) = self.contacts.get_mut(contact as usize) else {
            return event;
        };
        event.kind = kind(known, &mut self.random, &self.thresholds);
        if matches!(event.kind, Kind::UpdatedWhole) && self.random.hits(self.thresholds.new_email) {
            known.email = known.email.wrapping_add(1);
        }
        known.version += 1;
        known.deleted = match event.kind {
            Kind::Deleted => true,
            Kind::Created => false,
            Kind::UpdatedWhole | Kind::UpdatedPart | Kind::Malformed => known.deleted,
        };
        event.version = known.version;
        event.email = known.email;
        event
    }
}

fn slot(step: u64) -> usize {
    (step % WINDOW) as usize
}

fn kind(known: &Known, random: &mut Random, thresholds: &Thresholds) -> Kind {
    if known.version == 0 || (known.deleted && random.hits(thresholds.recreated)) {
        Kind::Created
    } else if !known.deleted && random.hits(thresholds.deletes) {
        Kind::Deleted
    } else if random.hits(thresholds.whole) {
        Kind::UpdatedWhole
    } else {
        Kind::UpdatedPart
    }
}

impl Iterator for LoadGenerator {
    type Item = LoadRecord;

    fn next(&mut self) -> Option<LoadRecord> {
        (self.given < self.events).then(|| self.record())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.events.saturating_sub(self.given)).unwrap_or(usize::MAX);
        (left, Some(left))
    }
}
