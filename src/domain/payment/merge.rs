//! What an event makes of a payment: a join of clocked registers, so the order of events is no matter, nor
//! how often they come. A command is decided at its place, on the payment as it is there.

use super::state::{Outcome, Payment, PaymentStatus, Refund};
use super::{PaymentEvent, REFUNDS_MAX, Register};
use crate::domain::clock::Clock;
use crate::domain::command::{Command, Intent};
use crate::domain::event::{Event, EventKind};
use crate::domain::merge::{CommandTimes, MergeError};
use crate::domain::verdict::Verdict;

/// What a payment's contact is, where the payment's record stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// It is there, and not deleted.
    pub is_active: bool,
    /// It was erased: what tells of a person is not kept.
    pub is_erased: bool,
}

/// Merges an event into a payment's body (`None`: there is none yet), whose record has that time. `out` is
/// emptied, and holds the new body where any stored byte changes.
///
/// # Errors
/// Where what is stored can't be read, or there would be too many refunds.
pub fn merge(
    current: Option<&[u8]>,
    (event, said): (&Event, &PaymentEvent),
    owner: Owner,
    arena: &[u8],
    record_time_ms: i64,
    out: &mut Vec<u8>,
) -> Result<Verdict, MergeError> {
    let before = current.map(Payment::parse).transpose()?;
    out.clear();
    // Decoding lets none pass without a time.
    let clock = event.clock.unwrap_or_default();
    write(before, (event, said), clock, owner, arena, record_time_ms, out)
}

/// Decides a command. `out` is emptied, and never holds a body where the command is refused.
///
/// # Errors
/// As [`merge`].
pub fn decide(
    current: Option<&[u8]>,
    (event, said): (&Event, &PaymentEvent),
    command: &Command,
    owner: Owner,
    arena: &[u8],
    times: CommandTimes,
    out: &mut Vec<u8>,
) -> Result<Verdict, MergeError> {
    let before = current.map(Payment::parse).transpose()?;
    out.clear();
    if let Some(refusal) = refusal(before.as_ref(), said, command, owner, arena) {
        return Ok(refusal);
    }
    let ts_us = event.timestamp.unwrap_or_default().min(times.latest_us);
    let clock = Clock { ts_us, version: None, hash: event.id_hash };
    write(before, (event, said), clock, owner, arena, times.record_ms, out)
}

/// Why the payment does not let it, if it does not.
fn refusal(
    before: Option<&Payment<'_>>,
    said: &PaymentEvent,
    command: &Command,
    owner: Owner,
    arena: &[u8],
) -> Option<Verdict> {
    let facts = before.map(Payment::facts);
    match command.intent {
        Intent::Pay => match before {
            Some(there) => {
                let is_same = there.created.is_some_and(|(_, hash)| hash == command.body_hash);
                Some(if is_same { Verdict::Duplicate } else { Verdict::Conflict })
            }
            None => (!owner.is_active).then_some(Verdict::NotFound),
        },
        Intent::Settle | Intent::Fail => match facts {
            None => Some(Verdict::NotFound),
            Some(facts) => (facts.status != PaymentStatus::Pending).then_some(Verdict::Conflict),
        },
        Intent::Refund => {
            let (Some(there), Some(facts)) = (before, facts) else {
                return Some(Verdict::NotFound);
            };
            let id = said.refund_id.of(arena);
            if let Some(refund) = there.refunds.iter().find(|refund| refund.id == id) {
                let is_same = Some(refund.said.1.0) == said.amount;
                return Some(if is_same { Verdict::Duplicate } else { Verdict::Conflict });
            }
            let (paid, amount) = (paid_of(there), said.amount.unwrap_or(u64::MAX));
            let left = paid.saturating_sub(facts.refunded);
            let is_full = there.refunds.len() >= REFUNDS_MAX;
            (amount > left || is_full).then_some(Verdict::Conflict)
        }
        Intent::Create
        | Intent::Replace
        | Intent::Update
        | Intent::Upsert
        | Intent::Delete
        | Intent::Restore
        | Intent::Erase
        | Intent::Bind
        | Intent::Unbind
        | Intent::TakeIn
        | Intent::GiveWay => Some(Verdict::Conflict),
    }
}

fn paid_of(payment: &Payment<'_>) -> u64 {
    match (payment.outcome, payment.money) {
        (Some((_, (Outcome::Succeeded, _))), Some((_, money))) => money.amount,
        _ => 0,
    }
}

fn write(
    before: Option<Payment<'_>>,
    (event, said): (&Event, &PaymentEvent),
    clock: Clock,
    owner: Owner,
    arena: &[u8],
    record_ms: i64,
    out: &mut Vec<u8>,
) -> Result<Verdict, MergeError> {
    let is_new = before.is_none();
    let before = before.unwrap_or_else(|| Payment { first_us: clock.ts_us, ..Payment::default() });
    let mut after = before.clone();
    join(&mut after, (event, said), clock, owner, arena);
    if after.refunds.len() > REFUNDS_MAX {
        return Err(MergeError::TooManyRefunds);
    }
    if is_new || !after.says_the_same(&before) {
        after.version += 1;
        after.changed_at_ms = u64::try_from(record_ms).ok();
        after.write(out);
        return Ok(Verdict::Applied);
    }
    if after == before {
        let is_repeat = before.has_clock(clock);
        return Ok(if is_repeat { Verdict::Duplicate } else { Verdict::Stale });
    }
    after.write(out);
    Ok(Verdict::Unchanged)
}

fn join<'a>(
    payment: &mut Payment<'a>,
    (event, said): (&Event, &PaymentEvent),
    clock: Clock,
    owner: Owner,
    arena: &'a [u8],
) {
    payment.first_us = payment.first_us.min(clock.ts_us);
    payment.newest = payment.newest.max((clock, event.source.of(arena)));
    let text =
        |span: Option<super::Span>| span.filter(|_| !owner.is_erased).map(|span| span.of(arena));
    if event.kind == EventKind::PaymentRefunded {
        let amount = said.amount.unwrap_or_default();
        put_refund(payment, said.refund_id.of(arena), (clock, (amount, said.currency)));
        return;
    }
    raise(&mut payment.money, clock, said.money());
    raise(&mut payment.card, clock, said.card.filter(|_| !owner.is_erased));
    raise(&mut payment.description, clock, text(said.description));
    let reason = text(said.reason).unwrap_or_default();
    match event.kind {
        EventKind::PaymentCreated => {
            let hash = event.command.as_ref().map_or([0; 16], |command| command.body_hash);
            raise(&mut payment.created, clock, Some(hash));
        }
        EventKind::PaymentSucceeded => {
            raise(&mut payment.outcome, clock, Some((Outcome::Succeeded, &[][..])));
        }
        EventKind::PaymentFailed => {
            raise(&mut payment.outcome, clock, Some((Outcome::Failed, reason)));
        }
        EventKind::PaymentRefunded
        | EventKind::Created
        | EventKind::Updated
        | EventKind::Deleted
        | EventKind::Restored
        | EventKind::Erased => {}
    }
}

fn raise<T: Ord + Copy>(register: &mut Option<Register<T>>, clock: Clock, value: Option<T>) {
    *register = (*register).max(value.map(|value| (clock, value)));
}

fn put_refund<'a>(
    payment: &mut Payment<'a>,
    id: &'a [u8],
    said: Register<(u64, Option<super::Currency>)>,
) {
    match payment.refunds.binary_search_by(|refund| refund.id.cmp(id)) {
        Ok(at) => {
            if let Some(refund) = payment.refunds.get_mut(at) {
                refund.said = refund.said.max(said);
            }
        }
        Err(at) => payment.refunds.insert(at, Refund { id, said }),
    }
}
