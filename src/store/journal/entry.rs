//! The words of a journal entry, as they are staged and as they are read.

use xxhash_rust::xxh3::xxh3_64;

use crate::domain::attempts::ENCODED_BYTES;
use crate::domain::event::{Event, EventKind};
use crate::domain::payment::of_row;
use crate::domain::position::{Lane, NextOffset, Offset};
use crate::domain::record::{Record, RecordBatch, RecordKind, record_hash};
use crate::domain::rules::InForce;
use crate::domain::verdict::{DeadLetterReason, Verdict};

use super::super::codec::{ChangeRef, Links};
use super::super::rows::RowClass;
use super::varint::Cursor;

/// How far a lane was read, and what was read last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneProgress {
    /// The offset to read next.
    pub next: NextOffset,
    /// The last record, to tell whether the log is still the same one.
    pub last: Option<LastRecord>,
}

/// What is remembered of a lane's last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastRecord {
    /// Its offset.
    pub offset: Offset,
    /// The leader epoch it came under, where the log has such.
    pub leader_epoch: Option<i32>,
    /// [`record_hash`] of its timestamp, key and value.
    pub hash: u64,
}

impl LaneProgress {
    /// A lane at an offset of which no record is known.
    pub fn at(next: NextOffset) -> Self {
        Self { next, last: None }
    }

    /// After all of a batch.
    pub fn after(batch: &RecordBatch) -> Self {
        let last = batch.records.last().map(|record| LastRecord {
            offset: record.offset,
            leader_epoch: batch.leader_epoch,
            hash: record_hash(
                record.timestamp_ms,
                record.key.map(|at| at.of(&batch.arena)),
                record.value.map(|at| at.of(&batch.arena)),
            ),
        });
        Self { next: batch.next, last }
    }
}

/// Totals over everything applied; absolute, so that redo takes them as they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// How often each verdict was given, by [`Verdict::index`].
    pub verdicts: [u64; Verdict::COUNT],
    /// Contacts that are ACTIVE.
    pub active: u64,
    /// Contacts that are DELETED.
    pub deleted: u64,
}

impl Counters {
    /// Records that got a verdict.
    pub fn received(&self) -> u64 {
        self.verdicts.iter().sum()
    }

    /// How often that verdict was given.
    pub fn verdict(&self, verdict: Verdict) -> u64 {
        self.verdicts.get(verdict.index()).copied().unwrap_or(0)
    }

    /// Those that a row of a class counts with; payments are counted where they are listed.
    pub(crate) fn of_class(&mut self, class: RowClass) -> Option<&mut u64> {
        match class {
            RowClass::Active => Some(&mut self.active),
            RowClass::Deleted => Some(&mut self.deleted),
            RowClass::Payment => None,
        }
    }

    pub(crate) fn count(&mut self, verdict: Verdict) {
        if let Some(total) = self.verdicts.get_mut(verdict.index()) {
            *total += 1;
        }
    }
}

/// Where an entry comes from and what it is about.
#[derive(Clone, Copy, Debug)]
pub struct EntryMeta<'a> {
    /// The record's lane.
    pub lane: Lane,
    /// The record's offset.
    pub offset: Offset,
    /// The record's timestamp, in ms.
    pub record_time_ms: i64,
    /// What the record is about.
    pub record_kind: RecordKind,
    /// The event's id; empty where it could not be decoded.
    pub event_id: &'a [u8],
    /// What the event says.
    pub kind: EventKind,
    /// Who says it.
    pub source: &'a [u8],
    /// The event's own timestamp, in µs.
    pub event_time_us: Option<u64>,
    /// Who gave the command.
    pub principal: Option<&'a [u8]>,
    /// The request that carried the command.
    pub request_id: Option<&'a [u8]>,
    /// The attempt that a command was, as it is stored; none for events and repeats.
    pub attempt: Option<&'a [u8; ENCODED_BYTES]>,
}

impl<'a> EntryMeta<'a> {
    /// Of a record at a place, of which nothing else is known.
    pub fn at(lane: Lane, offset: Offset, record_time_ms: i64) -> Self {
        Self {
            lane,
            offset,
            record_time_ms,
            record_kind: RecordKind::Contact,
            event_id: &[],
            kind: EventKind::Updated,
            source: &[],
            event_time_us: None,
            principal: None,
            request_id: None,
            attempt: None,
        }
    }

    /// Of a record that could not be decoded.
    pub fn of_record(lane: Lane, record: &Record) -> Self {
        Self::at(lane, record.offset, record.timestamp_ms)
    }

    /// Of a decoded event.
    pub fn of_event(batch: &'a RecordBatch, record: &Record, event: &Event) -> Self {
        let arena = &batch.arena;
        let command = event.command.as_deref();
        Self {
            record_kind: match event.payment {
                Some(_) => RecordKind::Payment,
                None => RecordKind::Contact,
            },
            event_id: event.event_id.of(arena),
            kind: event.kind,
            source: event.source.of(arena),
            event_time_us: event.timestamp,
            principal: command.and_then(|at| at.principal).map(|at| at.of(arena)),
            request_id: command.and_then(|at| at.request_id).map(|at| at.of(arena)),
            ..Self::of_record(batch.lane, record)
        }
    }
}

/// A record that will never be applied, as it came.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetter<'a> {
    /// Why.
    pub reason: DeadLetterReason,
    /// Why, in words.
    pub detail: &'a str,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The record's value.
    pub value: Option<&'a [u8]>,
    /// The record's headers, as a batch's arena holds them.
    pub headers: &'a [u8],
}

impl<'a> DeadLetter<'a> {
    /// Of a record of a batch.
    pub fn of_record(
        batch: &'a RecordBatch,
        record: &Record,
        reason: DeadLetterReason,
        detail: &'a str,
    ) -> Self {
        Self {
            reason,
            detail,
            key: record.key.map(|at| at.of(&batch.arena)),
            value: record.value.map(|at| at.of(&batch.arena)),
            headers: record.headers.of(&batch.arena),
        }
    }
}

/// A record that stands away from its contact's home lane, as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AwayRecord<'a> {
    /// The contact.
    pub contact_id: &'a [u8],
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The record's value.
    pub value: Option<&'a [u8]>,
    /// The record's headers, as a batch's arena holds them.
    pub headers: &'a [u8],
}

impl<'a> AwayRecord<'a> {
    /// Of a record of a batch.
    pub fn of_record(batch: &'a RecordBatch, record: &Record, contact_id: &'a [u8]) -> Self {
        Self {
            contact_id,
            key: record.key.map(|at| at.of(&batch.arena)),
            value: record.value.map(|at| at.of(&batch.arena)),
            headers: record.headers.of(&batch.arena),
        }
    }
}

/// One entry as read back.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its own place.
    pub change: ChangeRef,
    /// The record's lane.
    pub lane: Lane,
    /// The record's offset.
    pub offset: Offset,
    /// The record's timestamp, in ms.
    pub record_time_ms: i64,
    /// What the record is about.
    pub record_kind: RecordKind,
    /// The attempt that it was, as it is stored, where it is a command.
    pub attempt: Option<&'a [u8]>,
    /// What became of the record.
    pub verdict: Verdict,
    /// xxh3_64 of the event's id; 0 where it has none.
    pub event_hash: u64,
    /// Who said it; empty where that could not be read.
    pub source: &'a [u8],
    /// More, by verdict.
    pub outcome: Outcome<'a>,
}

/// What an entry holds besides its verdict.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// The contact changed.
    Applied(Applied<'a>),
    /// Its stored bytes changed and no value: a clock moved, or something is remembered.
    Noted(Applied<'a>),
    /// A control record was decided, whatever its verdict.
    Control(ControlChange<'a>),
    /// Other rules hold from the record on.
    Rules(RulesChange<'a>),
    /// The record was set aside.
    DeadLettered(Letter<'a>),
    /// The record is to be decided in its contact's home lane.
    Rehomed(Rehomed<'a>),
    /// Nothing changed.
    Settled,
}

/// What a contact is after an entry.
#[derive(Clone, Copy, Debug)]
pub struct Applied<'a> {
    /// The contact, or a payment's row.
    pub id: &'a [u8],
    /// Its body after the change.
    pub body: &'a [u8],
    /// `id 0x00 body`, for [`super::super::digest::joined_hash`].
    pub joined: &'a [u8],
    /// Where it and its latest change lay before this.
    pub previous: Links,
    /// What the event said.
    pub kind: EventKind,
    /// The event's id.
    pub event_id: &'a [u8],
    /// Who said it.
    pub source: &'a [u8],
    /// The event's own timestamp, in µs.
    pub event_time_us: Option<u64>,
    /// Who gave the command.
    pub principal: Option<&'a [u8]>,
    /// The request that carried the command.
    pub request_id: Option<&'a [u8]>,
}

impl Applied<'_> {
    /// The contact that changed, or whose payment did.
    pub fn contact_id(&self) -> &[u8] {
        of_row(self.id).map_or(self.id, |(contact, _)| contact)
    }

    /// Where the contact and its latest change lie after the entry that this stands in.
    pub(crate) fn links(&self, entry: &Entry<'_>) -> Links {
        let is_change = entry.verdict == Verdict::Applied;
        let change = if is_change { entry.change } else { self.previous.change };
        Links { image: entry.change, change }
    }
}

/// What a control record did.
#[derive(Clone, Copy, Debug)]
pub struct ControlChange<'a> {
    /// The record's id.
    pub event_id: &'a [u8],
    /// What it is about.
    pub key: &'a [u8],
    /// Who wrote it.
    pub principal: Option<&'a [u8]>,
    /// The request that it came with.
    pub request_id: Option<&'a [u8]>,
    /// The entry after it, encoded, where it was applied.
    pub entry: Option<&'a [u8]>,
    /// Keys whose time was over, each behind its length.
    pub(crate) expired: &'a [u8],
}

impl<'a> ControlChange<'a> {
    /// Keys of the entries that were dropped because their time was over.
    pub fn expired(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = Cursor(self.expired);
        std::iter::from_fn(move || {
            let len = rest.len()?;
            rest.bytes(len)
        })
    }
}

/// A record that is to be decided elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Rehomed<'a> {
    /// The event's id.
    pub event_id: &'a [u8],
    /// The event's own timestamp, in µs.
    pub event_time_us: Option<u64>,
    /// As it came.
    pub record: AwayRecord<'a>,
}

/// What a marker did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RulesChange<'a> {
    /// The marker's number.
    pub number: u64,
    /// Not a lane's marker, but what holds in every lane before its first one: the revision of the
    /// founding.
    pub beginning: Option<u64>,
    /// The rules.
    pub packed: &'a [u8],
    /// Who adopted them.
    pub principal: Option<&'a [u8]>,
}

impl<'a> RulesChange<'a> {
    pub(crate) fn marker(at: &'a InForce) -> Self {
        let principal = at.principal.as_deref().map(str::as_bytes);
        Self { number: at.number, beginning: None, packed: at.rules.packed(), principal }
    }

    pub(crate) fn beginning(founding: u64, at: &'a InForce) -> Self {
        Self { beginning: Some(founding), ..Self::marker(at) }
    }
}

/// A record that was set aside.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// Why.
    pub reason: DeadLetterReason,
    /// Why, in words.
    pub detail: &'a str,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The record's value, or its head where it was longer than is kept.
    pub value: Option<&'a [u8]>,
    /// The value's length as it came, in bytes.
    pub value_len: u64,
    /// xxh3_64 of the value as it came.
    pub value_hash: u64,
    /// The record's headers, as a batch's arena holds them.
    pub headers: &'a [u8],
}

/// What event lookups go by; 0 for an event without an id.
pub(crate) fn event_hash(event_id: &[u8]) -> u64 {
    if event_id.is_empty() { 0 } else { xxh3_64(event_id) }
}
