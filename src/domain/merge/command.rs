//! A command, decided at its place in the home lane, on the state there.
//!
//! 1. Is the contact as the command needs it? Else `conflict` or `not_found`.
//! 2. Would its wish stand once it is joined? Else `superseded`.
//! 3. Only then is it joined. What was refused has changed nothing, not a clock.

use super::join;
use super::{Before, Limits, MergeError, into_empty, within, write_body};
use crate::domain::clock::Clock;
use crate::domain::command::{Command, Intent};
use crate::domain::contact::state::State;
use crate::domain::contact::{ContactView, Status};
use crate::domain::event::{Event, Patch};
use crate::domain::external_ids::{erased_form, is_erased_form};
use crate::domain::json::merge_patch::merge_patch;
use crate::domain::merge_notes::MERGED_INTO;
use crate::domain::span::Span;
use crate::domain::verdict::Verdict;

/// What the command's record says of time.
#[derive(Clone, Copy, Debug)]
pub struct CommandTimes {
    /// The record's own time, in ms since 1970.
    pub record_ms: i64,
    /// The greatest time that a stamp may have in it, in µs since 1970.
    pub latest_us: u64,
}

/// Decides a command on a contact's body (`None`: there is no contact). `out` is emptied, and holds the
/// new body where any stored byte changes: never where the command is refused.
pub fn decide(
    current: Option<&[u8]>,
    (event, command): (&Event, &Command),
    arena: &[u8],
    times: CommandTimes,
    limits: &Limits,
    out: &mut Vec<u8>,
) -> Result<Verdict, MergeError> {
    into_empty(out, |out| decide_into(current, (event, command), arena, times, limits, out))
}

fn decide_into(
    current: Option<&[u8]>,
    (event, command): (&Event, &Command),
    arena: &[u8],
    times: CommandTimes,
    limits: &Limits,
    out: &mut Vec<u8>,
) -> Result<Verdict, MergeError> {
    let view = current.map(ContactView::parse_trusted).transpose()?;
    if let Some(refusal) = command.refusal(view.as_ref(), arena) {
        return Ok(refusal);
    }
    let is_new = view.is_none();
    let may_be_silent = matches!(command.intent, Intent::Update | Intent::Upsert) && !is_new;
    if may_be_silent && !event.says_anything() && !command.clears_attributes {
        return Ok(Verdict::Unchanged);
    }
    let canonical = view.as_ref().map(ContactView::canonical);
    let mut before = view.as_ref().map_or_else(Before::default, Before::of);
    let (state, rings) = view.map_or_else(Default::default, ContactView::into_parts);
    before.rings = rings;
    let clock = counted(event, command, &state, times.latest_us);
    let mut after = state.clone();
    after.merging_into = bound_to(&state, command, arena);
    let (event, arena) = resolved(event, command, &state, arena, clock);
    // Whom a contact is merged into is no value, and has no clock.
    if !matches!(command.intent, Intent::Bind | Intent::Unbind) {
        join::join(&mut after, &event, &arena, is_new);
    }
    if !stands(&after, &event, command, clock) {
        return Ok(Verdict::Superseded);
    }
    let record_ms = times.record_ms;
    let written = write_body(&after, &before, None, record_ms, limits, out)?;
    if written.is_changed {
        return within(limits, written.values.len(), before.values.map_or(0, <[u8]>::len));
    }
    if out.get(written.canonical) == canonical {
        out.clear();
    }
    Ok(Verdict::Unchanged)
}

/// Whom the contact is being merged into after the command.
fn bound_to<'a>(state: &State<'a>, command: &Command, arena: &'a [u8]) -> Option<&'a [u8]> {
    let survivor = command.survivor.map(|survivor| survivor.of(arena));
    match command.intent {
        Intent::Bind => survivor,
        Intent::Unbind | Intent::GiveWay => state.merging_into.filter(|at| Some(*at) != survivor),
        _ => state.merging_into,
    }
}

/// The clock that counts: the stamp's, but not later than its record and the contact allow. A command
/// whose condition holds was made from this state, and comes behind it.
fn counted(event: &Event, command: &Command, state: &State<'_>, latest: u64) -> Clock {
    let behind = state.head.ts_us.saturating_add(1);
    let stamp = event.timestamp.unwrap_or(behind).min(latest.max(behind));
    let stamp = if command.condition.any_of.is_some() { stamp.max(behind) } else { stamp };
    Clock { ts_us: stamp, version: None, hash: event.id_hash }
}

/// The event with what its attributes come to on this state, and an arena that holds its texts.
fn resolved(
    event: &Event,
    command: &Command,
    state: &State<'_>,
    arena: &[u8],
    clock: Clock,
) -> (Event, Vec<u8>) {
    let mut texts = Vec::new();
    let mut copied = |bytes: &[u8]| {
        texts.extend_from_slice(bytes);
        Span::new(texts.len() - bytes.len(), bytes.len())
    };
    let mut patched = |patch: &Patch| match patch {
        Patch::Set(span) => Patch::Set(copied(span.of(arena))),
        other => *other,
    };
    let fields = event.fields.each_ref().map(&mut patched);
    // An erase leaves into whom it was merged, so that what comes for it still finds the survivor.
    let survivor = state.merged_into().filter(|_| command.intent == Intent::Erase);
    let mut attributes = Vec::with_capacity(event.attributes.len());
    let mut named = event.attributes.iter().peekable();
    let mut stands = state.attributes.iter().peekable();
    loop {
        let key = match (named.peek(), stands.peek()) {
            (Some((key, _)), Some((at, _))) => key.of(arena).min(at),
            (Some((key, _)), None) => key.of(arena),
            (None, Some((at, _))) => at,
            (None, None) => break,
        };
        let at = stands.next_if(|(at, _)| *at == key).and_then(|(_, register)| register.value);
        // What stood there before is hidden.
        let at = at.filter(|_| !event.replaces);
        match named.next_if(|(name, _)| name.of(arena) == key) {
            Some((_, Patch::Set(span))) => {
                let said = span.of(arena);
                let value = match command.merges_attributes {
                    true => copied(&merged(said, at)),
                    false => copied(said),
                };
                attributes.push((copied(key), Patch::Set(value)));
            }
            Some((_, patch)) => attributes.push((copied(key), *patch)),
            None if let Some(survivor) = survivor.filter(|_| key == MERGED_INTO.as_bytes()) => {
                attributes.push((copied(key), Patch::Set(copied(survivor))));
            }
            None if command.clears_attributes && at.is_some() => {
                attributes.push((copied(key), Patch::Clear));
            }
            None => {}
        }
    }
    let external_ids = resolved_ids(event, command, state, arena, &mut copied);
    let source = copied(event.source.of(arena));
    let timestamp = Some(clock.ts_us);
    let event = Event {
        clock: Some(clock),
        timestamp,
        source,
        fields,
        attributes,
        external_ids,
        ..event.clone()
    };
    (event, texts)
}

/// What the event says of external ids; an erase says that of each a hash is left, by which the source's
/// events still find the contact.
fn resolved_ids(
    event: &Event,
    command: &Command,
    state: &State<'_>,
    arena: &[u8],
    copied: &mut impl FnMut(&[u8]) -> Span,
) -> Vec<(Span, Patch)> {
    let mut patches = Vec::new();
    if command.intent == Intent::Erase {
        for (source, register) in &state.external_ids {
            if let Some(id) = register.value {
                let left = match is_erased_form(id) {
                    true => copied(id),
                    false => copied(erased_form(source, id).as_bytes()),
                };
                patches.push((copied(source), Patch::Set(left)));
            }
        }
        return patches;
    }
    for (source, patch) in &event.external_ids {
        let patch = match patch {
            Patch::Set(id) => Patch::Set(copied(id.of(arena))),
            other => *other,
        };
        patches.push((copied(source.of(arena)), patch));
    }
    patches
}

fn merged(said: &[u8], at: Option<&[u8]>) -> Vec<u8> {
    let text = |bytes| std::str::from_utf8(bytes).ok();
    match text(said) {
        Some(said) if said.starts_with('{') => merge_patch(said, at.and_then(text)).into_bytes(),
        Some(_) | None => said.to_vec(),
    }
}

/// Whether the wish is done in the state after it.
fn stands(after: &State<'_>, event: &Event, command: &Command, clock: Clock) -> bool {
    let values = || {
        let keyed = after.attributes.iter().chain(&after.external_ids);
        after.fields.iter().flatten().chain(keyed.map(|(_, register)| register))
    };
    let is_active = after.status() == Status::Active;
    match command.intent {
        Intent::Create | Intent::Replace => is_active && Some(clock) >= after.floor(),
        // What clears attributes where there are none has nothing that could stand.
        Intent::Update | Intent::Upsert | Intent::TakeIn => {
            is_active
                && (!event.says_anything() || values().any(|register| register.clock == clock))
        }
        Intent::Restore => is_active,
        Intent::Delete | Intent::GiveWay => !is_active,
        Intent::Erase => {
            let is_left = |key: &[u8]| key == MERGED_INTO.as_bytes();
            let attributes = after.attributes.iter().filter(|(key, _)| !is_left(key));
            let attributes = attributes.map(|(_, register)| register);
            let mut said = after.fields.iter().flatten().chain(attributes);
            !is_active && said.all(|register| register.value.is_none())
        }
        Intent::Bind | Intent::Unbind => true,
        Intent::Pay | Intent::Settle | Intent::Fail | Intent::Refund => false,
    }
}

/// What of a command did not take, by name and whether it was given a value, given the contact as it was
/// right after: newer events said otherwise.
pub fn superseded<'n>(
    named: impl Iterator<Item = (&'n str, bool)>,
    after: &ContactView<'_>,
    command_hash: u64,
) -> Vec<String> {
    let lost = |(name, is_set): &(&str, bool)| match after.clock_of(name) {
        Some(clock) => clock.hash != command_hash,
        // A value that stands nowhere was older than something that is forgotten.
        None => *is_set,
    };
    named.filter(lost).map(|(name, _)| name.to_owned()).collect()
}
