//! The join itself: an event's clock, life and registers into a state.
//!
//! What comes while a contact is erased is not kept, nor does a row of a complete input bring it back: in
//! that the order of events counts, and in nothing else.
//!
//! What nobody sees is bounded. With D the deletes that no restore took back and C the greatest
//! `created`, the floor is max(max{d ∈ D : d < C}, the 33rd greatest of D): a function of the two sets
//! that grows with them, kept as `reset` and the deletes above it. Cleared attributes and external ids
//! beyond [`CLEARED_MAX`] or [`CLEARED_BYTES_MAX`] raise the horizon instead, the oldest first.

use super::clock_after;
use crate::domain::clock::Clock;
use crate::domain::contact::state::{Keyed, Register, State};
use crate::domain::event::{Event, EventKind, Patch};
use crate::domain::span::Span;

/// So many deletes raise the floor to the least of them.
const DELETES_MAX: usize = 33;
/// Cleared attributes and external ids that are remembered at most, by number and by bytes.
const CLEARED_MAX: usize = 64;
const CLEARED_BYTES_MAX: usize = 2 << 10;
/// Bytes of one besides its key, with the longest clock.
const CLEARED_BYTES: usize = 1 + 2 + 25;

/// What came of joining.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joined {
    pub(super) outcome: Outcome,
    /// The event's clock here.
    pub(super) clock: Clock,
}

/// What the event met, for the verdict when no value changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its clock stands on the contact already, with the same values.
    Seen,
    /// It lies below the floor, or every value in it lost.
    Lost,
    /// A register or the contact's life took its clock.
    Took,
    /// It had nothing to say.
    Silent,
}

/// Joins an event into a state; `is_new`: there was no contact yet. An untimed event comes behind
/// everything.
pub(super) fn join<'a>(
    state: &mut State<'a>,
    event: &Event,
    arena: &'a [u8],
    is_new: bool,
) -> Joined {
    let clock = match event.clock {
        Some(clock) => clock,
        None if is_new => clock_after(None, event.id_hash),
        None => clock_after(Some(&state.head), event.id_hash),
    };
    let seen_before = has_clock(state, &clock);
    join_facts(state, event, clock, arena, is_new);
    let took_life = join_life(state, event, clock, arena);

    let floor = state.floor();
    let mut joining = Joining { clock, ..Joining::default() };
    if event.kind != EventKind::Erased && state.is_erased() {
        // Erased stays erased: what is said of it is not kept until something brings it back.
        joining.said = event.says_anything();
    } else {
        let horizon = state.horizon;
        joining.fields(state, event, arena);
        joining.keyed(&mut state.attributes, &event.attributes, horizon, arena);
        joining.keyed(&mut state.external_ids, &event.external_ids, horizon, arena);
    }
    let source = event.source.of(arena);
    raise_head(state, joining.latest, source);
    drop_hidden(state, floor);
    if !event.attributes.is_empty() || !event.external_ids.is_empty() {
        bound_cleared(state);
    }

    let outcome = if seen_before && !joining.differs {
        Outcome::Seen
    } else if Some(clock) < floor {
        Outcome::Lost
    } else if took_life || joining.took {
        Outcome::Took
    } else if joining.said {
        Outcome::Lost
    } else {
        Outcome::Silent
    };
    Joined { outcome, clock }
}

/// Head, times and source version: they count every event, hidden ones too.
fn join_facts<'a>(
    state: &mut State<'a>,
    event: &Event,
    clock: Clock,
    arena: &'a [u8],
    is_new: bool,
) {
    if is_new {
        (state.head, state.source) = (clock, event.source.of(arena));
    } else {
        raise_head(state, clock, event.source.of(arena));
    }
    if event.command.is_none() {
        state.source_version = state.source_version.max(event.source_version);
    }
    if let Some(time) = event.timestamp {
        // An edit of ours has a contact to edit: only without other events is one the beginning,
        // unless the contact came to be by it.
        let is_edit = event.command.is_some() && event.kind == EventKind::Updated && !is_new;
        state.note_time(time, is_edit);
    }
}

fn raise_head<'a>(state: &mut State<'a>, clock: Clock, source: &'a [u8]) {
    // Equal clocks have equal sources, but for a collision of hashes: then the greater one counts.
    if (clock, source) > (state.head, state.source) {
        // Registers that stand at the old head keep it: each holds its own clock here.
        (state.head, state.source) = (clock, source);
    }
}

/// Whether the contact's life took the event's clock.
fn join_life<'a>(state: &mut State<'a>, event: &Event, clock: Clock, arena: &'a [u8]) -> bool {
    // A row says that it is the whole contact, not that it was made anew.
    let says_row = event.replaces && event.command.is_none();
    let stays_erased = says_row && state.is_erased();
    let mut took = match event.kind {
        EventKind::Created if stays_erased => false,
        EventKind::Created => raise(&mut state.created, clock),
        EventKind::Updated
        | EventKind::PaymentCreated
        | EventKind::PaymentSucceeded
        | EventKind::PaymentFailed
        | EventKind::PaymentRefunded => false,
        EventKind::Restored => raise(&mut state.restored, clock),
        EventKind::Erased => raise(&mut state.erased, clock) | raise(&mut state.reset, clock),
        EventKind::Deleted => {
            let place = state.deletes.binary_search(&clock).err();
            // At or below a restore it was taken back before it came.
            let place = place.filter(|_| Some(clock) > state.reset.max(state.restored));
            if let Some(place) = place {
                state.deletes.insert(place, clock);
            }
            place.is_some()
        }
    };
    if event.replaces && !stays_erased {
        took |= raise(&mut state.put, clock);
    }
    if event.kind != EventKind::Updated || event.replaces {
        raise_head(state, clock, event.source.of(arena));
    }
    settle_deletes(state, DELETES_MAX);
    took
}

fn raise(register: &mut Option<Clock>, clock: Clock) -> bool {
    let is_newer = Some(clock) > *register;
    if is_newer {
        *register = Some(clock);
    }
    is_newer
}

/// Takes the floor that the deletes make into `reset`, and drops what lies at or below it or a
/// restore. A delete with a newer `created` is final; of the final ones the greatest says it all.
pub(super) fn settle_deletes(state: &mut State<'_>, deletes_max: usize) {
    if state.deletes.is_empty() {
        return;
    }
    let is_final = |delete: &&Clock| Some(**delete) < state.created;
    let last_final = state.deletes.iter().rev().find(is_final).copied();
    let too_many = state.deletes.len().checked_sub(deletes_max);
    let too_many = too_many.and_then(|place| state.deletes.get(place)).copied();
    state.reset = state.reset.max(last_final).max(too_many);
    let gone = state.reset.max(state.restored);
    if state.deletes.first().is_some_and(|first| Some(*first) <= gone) {
        state.deletes.retain(|delete| Some(*delete) > gone);
    }
}

/// One event's registers going into a state.
#[derive(Debug, Default)]
struct Joining {
    clock: Clock,
    /// The greatest clock that a register took.
    latest: Clock,
    /// It had values.
    said: bool,
    /// One of its values is not what stands there under its clock.
    differs: bool,
    /// A register has its clock that had another.
    took: bool,
}

impl Joining {
    fn fields<'a>(&mut self, state: &mut State<'a>, event: &Event, arena: &'a [u8]) {
        for (current, patch) in state.fields.iter_mut().zip(&event.fields) {
            if let Some(value) = value_of(patch, arena) {
                let register = Register { clock: self.clock, value };
                let after = current.map_or(register, |current| current.max(register));
                self.note(*current, after, register);
                *current = Some(after);
            }
        }
    }

    /// Both lists are sorted: one walk over the two.
    fn keyed<'a>(
        &mut self,
        registers: &mut Keyed<'a>,
        patches: &[(Span, Patch)],
        horizon: Option<Clock>,
        arena: &'a [u8],
    ) {
        if patches.is_empty() {
            return;
        }
        let capacity = registers.len() + patches.len();
        let before = std::mem::replace(registers, Vec::with_capacity(capacity));
        let mut before = before.into_iter().peekable();
        for (key, patch) in patches {
            let Some(value) = value_of(patch, arena) else {
                continue;
            };
            let key = key.of(arena);
            while let Some(older) = before.next_if(|(each, _)| *each < key) {
                registers.push(older);
            }
            let current = before.next_if(|(each, _)| *each == key).map(|(_, register)| register);
            let register = Register { clock: self.clock, value };
            // What was cleared here once and is forgotten may have been newer.
            if current.is_none() && Some(register.clock) <= horizon {
                self.said = true;
                continue;
            }
            let after = current.map_or(register, |current| current.max(register));
            registers.push((key, after));
            self.note(current, after, register);
        }
        registers.extend(before);
    }

    fn note(&mut self, before: Option<Register<'_>>, after: Register<'_>, register: Register<'_>) {
        self.said = true;
        self.took |= before.is_none_or(|before| before.clock != after.clock);
        let is_tie = after.clock == register.clock;
        self.differs |= is_tie && after != register;
        if is_tie {
            self.latest = self.latest.max(register.clock);
        }
    }
}

pub(super) fn value_of<'a>(patch: &Patch, arena: &'a [u8]) -> Option<Option<&'a [u8]>> {
    match patch {
        Patch::Absent => None,
        Patch::Clear => Some(None),
        Patch::Set(span) => Some(Some(span.of(arena))),
    }
}

fn drop_hidden(state: &mut State<'_>, floor: Option<Clock>) {
    if floor.is_none() {
        return;
    }
    state.horizon = state.horizon.filter(|horizon| Some(*horizon) >= floor);
    let stands = |register: &Register<'_>| Some(register.clock) >= floor;
    for field in &mut state.fields {
        *field = field.filter(stands);
    }
    state.attributes.retain(|(_, register)| stands(register));
    let erased = state.erased;
    state.external_ids.retain(|(_, register)| Some(register.clock) >= erased);
}

/// Forgets the oldest of what was cleared where there is too much, and remembers up to when.
fn bound_cleared(state: &mut State<'_>) {
    let is_cleared = |(_, register): &&(&[u8], Register<'_>)| register.value.is_none();
    let cleared = state.attributes.iter().chain(&state.external_ids).filter(is_cleared);
    let bytes = |key: &[u8]| key.len() + CLEARED_BYTES;
    let (mut count, mut total) =
        cleared.clone().fold((0, 0), |(count, total), (key, _)| (count + 1, total + bytes(key)));
    if count <= CLEARED_MAX && total <= CLEARED_BYTES_MAX {
        return;
    }
    let mut oldest: Vec<(Clock, usize)> =
        cleared.map(|(key, register)| (register.clock, bytes(key))).collect();
    oldest.sort_unstable();
    let mut forgotten = None;
    for (clock, bytes) in oldest {
        if count <= CLEARED_MAX && total <= CLEARED_BYTES_MAX {
            break;
        }
        (count, total) = (count - 1, total - bytes);
        forgotten = Some(clock);
    }
    state.horizon = state.horizon.max(forgotten);
    let stands =
        |register: &Register<'_>| register.value.is_some() || Some(register.clock) > forgotten;
    state.attributes.retain(|(_, register)| stands(register));
    state.external_ids.retain(|(_, register)| stands(register));
}

fn has_clock(state: &State<'_>, clock: &Clock) -> bool {
    let life = [Some(state.head), state.created, state.restored, state.put, state.reset];
    // Nothing on the contact is newer than its head.
    *clock <= state.head
        && (life.contains(&Some(*clock))
            || state.deletes.contains(clock)
            || state.fields.iter().flatten().any(|register| register.clock == *clock)
            || state.attributes.iter().any(|(_, register)| register.clock == *clock)
            || state.external_ids.iter().any(|(_, register)| register.clock == *clock))
}
