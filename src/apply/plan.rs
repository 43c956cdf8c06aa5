//! The pure step: what one record does to the contacts, given what they are now.

use crate::domain::attempts::{Attempt, Seen};
use crate::domain::base::BaseRule;
use crate::domain::clock::id_hash;
use crate::domain::command::Command;
use crate::domain::contact::{ContactView, Status};
use crate::domain::event::{API_SOURCE, Event};
use crate::domain::founding::Founding;
use crate::domain::headers::FOUNDING;
use crate::domain::merge::{CommandTimes, MergeError, decide, merge};
use crate::domain::payment::{self, Owner, row_id};
use crate::domain::position::{Lane, Offset};
use crate::domain::record::{Record, RecordBatch};
use crate::domain::rules::RuleSet;
use crate::domain::timestamp::{format_rfc3339, format_rfc3339_us};
use crate::domain::verdict::{DeadLetterReason, Verdict};
use crate::store::{AwayRecord, DeadLetter, EntryMeta, LaneProgress, StoreError, Writer};
use crate::telemetry::fault;

use super::ApplyError;
use super::decoded::{DecodedBatch, MarkerRuling};

/// Records of before 2001 are dated in other units, or not at all: Kafka is younger.
const RECORD_TIME_MS_MIN: u64 = 1_000_000_000_000;

/// What the log says of itself that planning goes by, the same for every lane.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Which lane a contact belongs to.
    pub founding: Founding,
    /// What happens when the log is given a base.
    pub base: BaseRule,
}

impl Terms {
    /// Of a log that has no base.
    pub fn of(founding: Founding) -> Self {
        Self { founding, base: BaseRule::default() }
    }
}

/// A record that was staged as a dead letter.
#[derive(Clone, Copy, Debug)]
pub struct SetAside {
    /// Where it stands.
    pub lane: Lane,
    /// Where it stands.
    pub offset: Offset,
    /// Why.
    pub reason: DeadLetterReason,
}

/// Plans batches against the store's writer.
#[derive(Debug)]
pub struct Planner {
    terms: Terms,
    /// Of the rules of the batch in hand.
    founding: u64,
    body: Vec<u8>,
    set_aside: Vec<SetAside>,
}

impl Planner {
    /// A planner of records of a log with those terms.
    pub fn new(terms: Terms) -> Self {
        Self { terms, founding: 0, body: Vec::new(), set_aside: Vec::new() }
    }

    /// What was staged as dead letters since the last call.
    pub fn take_set_aside(&mut self) -> Vec<SetAside> {
        std::mem::take(&mut self.set_aside)
    }

    /// Stages a lane's batch in the writer; nothing counts before the writer's commit.
    pub fn plan(&mut self, writer: &mut Writer, decoded: &DecodedBatch) -> Result<(), ApplyError> {
        let DecodedBatch { batch, events, controls, rules, founding, markers } = decoded;
        self.founding = *founding;
        for (record, control) in batch.records.iter().zip(controls) {
            self.plan_control(writer, batch, record, control)?;
        }
        let (mut rules, mut markers) = (rules.as_ref(), markers.iter());
        let mut marker = markers.next();
        for (index, (record, event)) in batch.records.iter().zip(events).enumerate() {
            if let Some(at) = marker.filter(|at| at.index == index) {
                self.plan_marker(writer, batch, record, &at.ruling)?;
                if let MarkerRuling::Applied(in_force) = &at.ruling {
                    rules = Some(&in_force.rules);
                }
                marker = markers.next();
                continue;
            }
            match event {
                Ok(event) => {
                    let rules = rules.ok_or(ApplyError::NoRules)?;
                    self.plan_event(writer, batch, record, event, rules)?;
                }
                Err(reject) => {
                    let meta = EntryMeta {
                        event_id: reject.event_id.as_deref().unwrap_or_default(),
                        ..EntryMeta::of_record(batch.lane, record)
                    };
                    self.dead_letter(writer, &meta, batch, record, reject.reason, &reject.detail)?;
                }
            }
        }
        // Empty where its first record can't be passed: the lane stands where it stood.
        if !batch.records.is_empty() {
            writer.advance(batch.lane, LaneProgress::after(batch));
        }
        Ok(())
    }

    pub(super) fn terms(&self) -> &Terms {
        &self.terms
    }

    pub(super) fn set_aside(&mut self, record: SetAside) {
        self.set_aside.push(record);
    }

    fn plan_event(
        &mut self,
        writer: &mut Writer,
        batch: &RecordBatch,
        record: &Record,
        event: &Event,
        rules: &RuleSet,
    ) -> Result<(), ApplyError> {
        let meta = EntryMeta::of_event(batch, record, event);
        let id = event.contact_id.of(&batch.arena);
        if let Some((reason, detail)) = self.away(batch, record, id) {
            // One that was brought home once and is away again would go round for ever.
            if was_brought(batch, record, self.founding) {
                return self.dead_letter(writer, &meta, batch, record, reason, &detail);
            }
            return Ok(writer.rehomed(&meta, &AwayRecord::of_record(batch, record, id))?);
        }
        if let Some(detail) = in_future(record, event, rules) {
            let reason = DeadLetterReason::TimestampInFuture;
            return self.dead_letter(writer, &meta, batch, record, reason, &detail);
        }
        let row = event.payment.as_ref().map(|it| row_id(id, it.payment_id.of(&batch.arena)));
        let id = row.as_deref().unwrap_or(id);
        if let Some(command) = event.command.as_deref() {
            let (at, said) = ((batch, record), (event, command));
            return self.plan_command(writer, at, said, meta, id, rules);
        }
        // Somebody tells us of a change that we made.
        let as_ours = || id_hash(API_SOURCE.as_bytes(), event.event_id.of(&batch.arena));
        if event.is_id_given && writer.is_done(batch.lane, as_ours) {
            return Ok(writer.settled(&meta, Verdict::Duplicate, id)?);
        }
        let (time, limits) = (record.timestamp_ms, rules.limits());
        let merged = match event.payment.as_deref() {
            Some(said) => {
                let owner = owner(writer, event.contact_id.of(&batch.arena))?;
                let current = writer.contact(id)?;
                payment::merge(current, (event, said), owner, &batch.arena, time, &mut self.body)
            }
            None => {
                let current = writer.contact(id)?;
                merge(current, event, &batch.arena, time, limits, &mut self.body)
            }
        };
        self.stage(writer, (batch, record), &meta, id, merged)
    }

    fn plan_command(
        &mut self,
        writer: &mut Writer,
        (batch, record): (&RecordBatch, &Record),
        (event, command): (&Event, &Command),
        meta: EntryMeta<'_>,
        id: &[u8],
        rules: &RuleSet,
    ) -> Result<(), ApplyError> {
        let (lane, limits) = (batch.lane, rules.limits());
        let mut attempt = Attempt {
            id_hash: event.id_hash,
            stamp: event.timestamp.unwrap_or_default(),
            body_hash: command.body_hash,
            verdict: Verdict::Duplicate,
            is_keyed: command.is_keyed,
            version: 0,
        };
        let verdict = match writer.seen(lane, &attempt, command.lane_next) {
            Seen::Never => None,
            _ if fault::bug("attempts_forgotten") => None,
            Seen::Before(_) => Some(Verdict::Duplicate),
            Seen::AsAnother(_) => Some(Verdict::Conflict),
            Seen::TooOld => Some(Verdict::Superseded),
        };
        if let Some(verdict) = verdict {
            return Ok(writer.settled(&meta, verdict, id)?);
        }
        let owner = match event.payment {
            Some(_) => owner(writer, event.contact_id.of(&batch.arena))?,
            None => Owner::default(),
        };
        let current = writer.contact(id)?;
        let before = current.and_then(ContactView::version_of).unwrap_or_default();
        let times = CommandTimes {
            record_ms: record.timestamp_ms,
            latest_us: latest_ms(record.timestamp_ms, rules.future_tolerance_ms())
                .saturating_mul(1000),
        };
        let (arena, body) = (&batch.arena, &mut self.body);
        let decided = match event.payment.as_deref() {
            Some(said) => {
                payment::decide(current, (event, said), command, owner, arena, times, body)
            }
            None => decide(current, (event, command), arena, times, limits, body),
        };
        // What was set aside may be redriven.
        let noted = decided.as_ref().ok().map(|verdict| {
            attempt.verdict = *verdict;
            attempt.version = before + u64::from(*verdict == Verdict::Applied);
            writer.note_attempt((lane, record.offset), attempt, record.timestamp_ms)
        });
        let meta = EntryMeta { attempt: noted.as_ref(), ..meta };
        self.stage(writer, (batch, record), &meta, id, decided)
    }

    /// Stages what an event or command did.
    fn stage(
        &mut self,
        writer: &mut Writer,
        (batch, record): (&RecordBatch, &Record),
        meta: &EntryMeta<'_>,
        id: &[u8],
        merged: Result<Verdict, MergeError>,
    ) -> Result<(), ApplyError> {
        match merged {
            Ok(verdict) if self.body.is_empty() => writer.settled(meta, verdict, id)?,
            Ok(verdict) => writer.image(meta, verdict, id, &self.body)?,
            Err(
                error @ (MergeError::TooLarge { .. }
                | MergeError::TooManyIds { .. }
                | MergeError::TooManyRefunds),
            ) => {
                let (reason, detail) = (DeadLetterReason::TooLarge, error.to_string());
                self.dead_letter(writer, meta, batch, record, reason, &detail)?;
            }
            Err(MergeError::Corrupt(source)) => {
                return Err(ApplyError::CorruptContact {
                    id: String::from_utf8_lossy(id).into_owned(),
                    lane: batch.lane,
                    offset: record.offset,
                    source,
                });
            }
        }
        Ok(())
    }

    /// Why a decoded event is not at home where it stands, if it is not.
    fn away(
        &self,
        batch: &RecordBatch,
        record: &Record,
        contact_id: &[u8],
    ) -> Option<(DeadLetterReason, String)> {
        if record.key.is_none() {
            return Some((
                DeadLetterReason::KeyMissing,
                "the record has no key, so its place among the contact's events is unknown".into(),
            ));
        }
        let home = self.terms.founding.home(contact_id);
        if fault::bug("taken_where_it_stands") {
            return None;
        }
        (home != batch.lane).then(|| (DeadLetterReason::MisroutedKey, misrouted(home, batch.lane)))
    }

    pub(super) fn dead_letter(
        &mut self,
        writer: &mut Writer,
        meta: &EntryMeta<'_>,
        batch: &RecordBatch,
        record: &Record,
        reason: DeadLetterReason,
        detail: &str,
    ) -> Result<(), ApplyError> {
        let letter = DeadLetter::of_record(batch, record, reason, detail);
        writer.dead_letter(meta, &letter)?;
        self.set_aside.push(SetAside { lane: batch.lane, offset: record.offset, reason });
        Ok(())
    }
}

/// What a payment's contact is by now, the staged batch's changes included.
fn owner(writer: &mut Writer, contact_id: &[u8]) -> Result<Owner, StoreError> {
    let owner = writer.contact(contact_id)?.map(|body| Owner {
        is_active: ContactView::status_of(body).is_ok_and(|status| status == Status::Active),
        is_erased: ContactView::was_erased(body)
            && ContactView::parse_trusted(body).is_ok_and(|view| view.is_erased()),
    });
    Ok(owner.unwrap_or_default())
}

/// Whether it was brought home under this founding.
fn was_brought(batch: &RecordBatch, record: &Record, founding: u64) -> bool {
    let founding = founding.to_string();
    let brought = batch.headers(record).filter(|(name, _)| *name == FOUNDING);
    brought.filter_map(|(_, value)| value).any(|value| value == founding.as_bytes())
}

/// How an event is dated too far ahead of its record, if it is.
fn in_future(record: &Record, event: &Event, rules: &RuleSet) -> Option<String> {
    // Of a command's stamp so much counts as its record allows.
    let timestamp = event.timestamp.filter(|_| event.command.is_none())?;
    ahead(timestamp, record.timestamp_ms, rules.future_tolerance_ms())
}

/// Why an event may not be dated so, if it may not.
fn ahead(dated_us: u64, record_ms: i64, tolerance_ms: u64) -> Option<String> {
    if dated_us / 1000 <= latest_ms(record_ms, tolerance_ms) {
        return None;
    }
    let record_ms = u64::try_from(record_ms).unwrap_or(0);
    let (dated, recorded) = (format_rfc3339_us(dated_us), format_rfc3339(record_ms));
    Some(if record_ms < RECORD_TIME_MS_MIN {
        format!(
            "the event's record has no time that can be right ({recorded}), so its own, {dated}, is \
             ahead of it: the producer must give records none, or milliseconds since 1970"
        )
    } else {
        format!(
            "the event is dated {dated}, more than {} s ahead of its record of {recorded}: one of the \
             two clocks is wrong",
            tolerance_ms / 1000
        )
    })
}

/// The greatest time that anything may be dated in a record, in ms.
fn latest_ms(record_ms: i64, tolerance_ms: u64) -> u64 {
    u64::try_from(record_ms).unwrap_or(0).saturating_add(tolerance_ms)
}

fn misrouted(home: Lane, found: Lane) -> String {
    format!("the contact's home is partition {home}, the record stands in {found}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_ahead_is_told_apart_from_a_record_without_one() {
        let dated_us = 1_763_719_200_000_000;
        let detail = |record_ms| ahead(dated_us, record_ms, 300_000);
        assert_eq!(detail(1_763_718_900_000), None);
        let behind = detail(1_763_718_899_999).unwrap();
        assert!(behind.contains("more than 300 s ahead of its record of 2025-11-21T09:54:59.999Z"));
        // No time, and one in seconds.
        for record_ms in [-1, 0, 1_763_719_200] {
            let undated = detail(record_ms).unwrap();
            assert!(
                undated.contains("record has no time that can be right (1970-01-"),
                "{undated}"
            );
        }
    }
}
