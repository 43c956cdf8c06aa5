//! What an event makes of a contact: a join of clocked registers, so the order of events is no matter.
//!
//! Between the same commands the canonical part of a body is a function of the set of timed events that
//! a contact has had. Untimed events depend on when they arrive: they take a clock just behind what
//! they meet. Commands are decided at their place ([`command`]).

mod command;
mod join;
#[cfg(test)]
mod tests;

use std::ops::Range;

use super::Class;
use super::clock::Clock;
use super::contact::rings::Rings;
use super::contact::state::State;
use super::contact::{ContactView, CorruptContact};
use super::event::Event;
use super::verdict::Verdict;

pub use super::limits::Limits;
pub use command::{decide, superseded};

/// Why an event can't be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// The contact would outgrow its limit; nothing changed.
    #[error("the contact would grow to {bytes} bytes, at most {bytes_max} are kept")]
    TooLarge {
        /// The body it would have, in bytes.
        bytes: usize,
        /// The limit, in bytes.
        bytes_max: usize,
    },
    /// What is stored can't be read.
    #[error(transparent)]
    Corrupt(#[from] CorruptContact),
}

impl MergeError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::TooLarge { .. } => Class::Poison,
            Self::Corrupt(corrupt) => corrupt.class(),
        }
    }
}

/// Merges an event into a contact's body (`None`: there is no contact yet). `out` is emptied, and
/// holds the new body if and only if the verdict is `Applied`.
pub fn merge(
    current: Option<&[u8]>,
    event: &Event,
    arena: &[u8],
    limits: &Limits,
    out: &mut Vec<u8>,
) -> Result<Verdict, MergeError> {
    out.clear();
    let merged = merge_into(current, event, arena, limits, out);
    if !matches!(merged, Ok(Verdict::Applied)) {
        out.clear();
    }
    merged
}

fn merge_into(
    current: Option<&[u8]>,
    event: &Event,
    arena: &[u8],
    limits: &Limits,
    out: &mut Vec<u8>,
) -> Result<Verdict, MergeError> {
    let Some(body) = current else {
        let mut state = State::default();
        join::join(&mut state, event, arena, true);
        write_body(&state, 1, &Rings::default(), event, limits, out)?;
        return within(limits, out);
    };
    let view = ContactView::parse_trusted(body)?;
    let (version, before) = (view.version(), view.canonical());
    let (mut state, rings) = view.into_parts();
    if event.clock.is_none() && rings.has_untimed(event.id_hash) {
        return Ok(Verdict::Duplicate);
    }
    let outcome = join::join(&mut state, event, arena, false);
    let canonical = write_body(&state, version.saturating_add(1), &rings, event, limits, out)?;
    if out.get(canonical) == Some(before) {
        return Ok(without_change(outcome));
    }
    within(limits, out)
}

/// The verdict when no stored byte is different.
fn without_change(outcome: join::Outcome) -> Verdict {
    match outcome {
        join::Outcome::Seen => Verdict::Duplicate,
        join::Outcome::Lost => Verdict::Stale,
        join::Outcome::Silent => Verdict::Unchanged,
    }
}

/// Writes the body, and returns where its canonical part lies.
fn write_body(
    state: &State<'_>,
    version: u64,
    rings: &Rings<'_>,
    event: &Event,
    limits: &Limits,
    out: &mut Vec<u8>,
) -> Result<Range<usize>, MergeError> {
    // Counts are 16-bit in the body; so many entries are too large in bytes as well.
    let entries = state.deletes.len().max(state.attributes.len());
    if entries > usize::from(u16::MAX) {
        return Err(MergeError::TooLarge { bytes: entries, bytes_max: limits.contact_bytes_max });
    }
    out.extend_from_slice(&version.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    let start = out.len();
    state.write(out);
    let end = out.len();
    if let Some(place) = out.get_mut(start - 4..start) {
        place.copy_from_slice(&((end - start) as u32).to_le_bytes());
    }
    let untimed = event.clock.is_none().then_some(event.id_hash);
    rings.write_with(untimed, out);
    Ok(start..end)
}

/// Applied, unless the body outgrew its limit.
fn within(limits: &Limits, body: &[u8]) -> Result<Verdict, MergeError> {
    let (bytes, bytes_max) = (body.len(), limits.contact_bytes_max);
    if bytes > bytes_max {
        return Err(MergeError::TooLarge { bytes, bytes_max });
    }
    Ok(Verdict::Applied)
}

/// The clock that an event takes on what it meets; also for a command to be stamped by.
pub fn clock_after(head: Option<&Clock>, hash: u64) -> Clock {
    let nothing = Clock::default();
    Clock::after(head.unwrap_or(&nothing), hash)
}
