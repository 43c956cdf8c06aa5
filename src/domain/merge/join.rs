//! The join itself: an event's clock, life and registers into a state.

use super::clock_after;
use crate::domain::clock::Clock;
use crate::domain::contact::state::{Register, State};
use crate::domain::event::{Event, EventKind, Patch};

/// What the event met, for the verdict when nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its clock stands on the contact already, with the same values.
    Seen,
    /// It lies below the floor, or every value in it lost.
    Lost,
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
) -> Outcome {
    let clock = match event.clock {
        Some(clock) => clock,
        None if is_new => clock_after(None, event.id_hash),
        None => clock_after(Some(&state.head), event.id_hash),
    };
    let seen_before = has_clock(state, &clock);
    join_facts(state, event, clock, arena, is_new);
    join_life(state, event, clock, arena);

    let floor = state.floor();
    let mut joining = Joining { clock, ..Joining::default() };
    joining.fields(state, event, arena);
    joining.attributes(state, event, arena);
    let source = event.source.of(arena);
    raise_head(state, joining.latest, source);
    drop_hidden(state, floor);

    if seen_before && !joining.differs {
        Outcome::Seen
    } else if Some(clock) < floor || joining.said {
        Outcome::Lost
    } else {
        Outcome::Silent
    }
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
        // An edit of ours has a contact to edit: only without other events is one the beginning.
        let is_edit = event.command.is_some() && event.kind == EventKind::Updated;
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

fn join_life<'a>(state: &mut State<'a>, event: &Event, clock: Clock, arena: &'a [u8]) {
    match event.kind {
        EventKind::Created => state.created = state.created.max(Some(clock)),
        EventKind::Updated => {}
        EventKind::Restored => state.restored = state.restored.max(Some(clock)),
        EventKind::Erased => state.reset = state.reset.max(Some(clock)),
        EventKind::Deleted => {
            if let Err(place) = state.deletes.binary_search(&clock) {
                state.deletes.insert(place, clock);
            }
        }
    }
    if event.replaces {
        state.put = state.put.max(Some(clock));
    }
    if event.kind != EventKind::Updated || event.replaces {
        raise_head(state, clock, event.source.of(arena));
    }
    // A delete with a newer `created` is final; of the final ones the greatest says it all.
    let is_final = |delete: &&Clock| Some(**delete) < state.created;
    let last_final = state.deletes.iter().rev().find(is_final).copied();
    state.reset = state.reset.max(last_final);
    if state.deletes.first().is_some_and(|first| Some(*first) <= state.reset) {
        let reset = state.reset;
        state.deletes.retain(|delete| Some(*delete) > reset);
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
}

impl Joining {
    fn fields<'a>(&mut self, state: &mut State<'a>, event: &Event, arena: &'a [u8]) {
        for (current, patch) in state.fields.iter_mut().zip(&event.fields) {
            if let Some(value) = value_of(patch, arena) {
                let register = Register { clock: self.clock, value };
                let after = current.map_or(register, |current| current.max(register));
                *current = Some(after);
                self.note(after, register);
            }
        }
    }

    /// Both lists are sorted: one walk over the two.
    fn attributes<'a>(&mut self, state: &mut State<'a>, event: &Event, arena: &'a [u8]) {
        if event.attributes.is_empty() {
            return;
        }
        let capacity = state.attributes.len() + event.attributes.len();
        let before = std::mem::replace(&mut state.attributes, Vec::with_capacity(capacity));
        let mut before = before.into_iter().peekable();
        for (key, patch) in &event.attributes {
            let Some(value) = value_of(patch, arena) else {
                continue;
            };
            let key = key.of(arena);
            while let Some(older) = before.next_if(|(each, _)| *each < key) {
                state.attributes.push(older);
            }
            let current = before.next_if(|(each, _)| *each == key).map(|(_, register)| register);
            let register = Register { clock: self.clock, value };
            let after = current.map_or(register, |current| current.max(register));
            state.attributes.push((key, after));
            self.note(after, register);
        }
        state.attributes.extend(before);
    }

    fn note(&mut self, after: Register<'_>, register: Register<'_>) {
        self.said = true;
        let is_tie = after.clock == register.clock;
        self.differs |= is_tie && after != register;
        if is_tie {
            self.latest = self.latest.max(register.clock);
        }
    }
}

fn value_of<'a>(patch: &Patch, arena: &'a [u8]) -> Option<Option<&'a [u8]>> {
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
    let stands = |register: &Register<'_>| Some(register.clock) >= floor;
    for field in &mut state.fields {
        *field = field.filter(stands);
    }
    state.attributes.retain(|(_, register)| stands(register));
}

fn has_clock(state: &State<'_>, clock: &Clock) -> bool {
    let life = [Some(state.head), state.created, state.restored, state.put, state.reset];
    // Nothing on the contact is newer than its head.
    *clock <= state.head
        && (life.contains(&Some(*clock))
            || state.deletes.contains(clock)
            || state.fields.iter().flatten().any(|register| register.clock == *clock)
            || state.attributes.iter().any(|(_, register)| register.clock == *clock))
}
