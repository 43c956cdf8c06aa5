//! What an event makes of a contact: a join of clocked registers, so the order of events is no matter.
//!
//! Between the same commands the canonical part of a body is a function of the set of timed events that
//! a contact has had. Untimed events depend on when they arrive: they take a clock just behind what
//! they meet. Commands are decided at their place ([`command`]). What a contact carries that nobody sees is
//! bounded ([`join`]).

mod command;
#[cfg(test)]
mod external_ids_tests;
mod join;
mod notice;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unseen_tests;

use std::ops::Range;

use super::Class;
use super::clock::Clock;
use super::contact::rings::{FirstSeen, Rings};
use super::contact::state::State;
use super::contact::{ContactView, CorruptContact, HEAD_BYTES, Status, head_of};
use super::event::{Event, EventKind};
use super::external_ids::EXTERNAL_IDS_MAX;
use super::payment::REFUNDS_MAX;
use super::verdict::Verdict;

pub use super::limits::Limits;
use notice::Word;

pub use command::{CommandTimes, decide, superseded};

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
    /// Sources would have too many ids for it; nothing changed.
    #[error(
        "the contact would have external ids of {ids} sources, at most {EXTERNAL_IDS_MAX} are kept"
    )]
    TooManyIds {
        /// So many.
        ids: usize,
    },
    /// The payment would have too many refunds; nothing changed.
    #[error("the payment has {REFUNDS_MAX} refunds already, which is as many as are kept")]
    TooManyRefunds,
    /// What is stored can't be read.
    #[error(transparent)]
    Corrupt(#[from] CorruptContact),
}

impl MergeError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::TooLarge { .. } | Self::TooManyIds { .. } | Self::TooManyRefunds => Class::Poison,
            Self::Corrupt(corrupt) => corrupt.class(),
        }
    }
}

/// Merges an event into a contact's body (`None`: there is no contact yet), whose record has that
/// time. `out` is emptied, and holds the new body where any stored byte changes: always when the
/// verdict is `Applied`, and when an event took a clock or has to be remembered without changing a
/// value.
pub fn merge(
    current: Option<&[u8]>,
    event: &Event,
    arena: &[u8],
    record_time_ms: i64,
    limits: &Limits,
    out: &mut Vec<u8>,
) -> Result<Verdict, MergeError> {
    into_empty(out, |out| merge_into(current, event, arena, record_time_ms, limits, out))
}

/// Empties `out` for what is done, and again where that fails.
fn into_empty(
    out: &mut Vec<u8>,
    done: impl FnOnce(&mut Vec<u8>) -> Result<Verdict, MergeError>,
) -> Result<Verdict, MergeError> {
    out.clear();
    let verdict = done(out);
    if verdict.is_err() {
        out.clear();
    }
    verdict
}

fn merge_into(
    current: Option<&[u8]>,
    event: &Event,
    arena: &[u8],
    record_time_ms: i64,
    limits: &Limits,
    out: &mut Vec<u8>,
) -> Result<Verdict, MergeError> {
    if event.is_notice && current.is_none() {
        return Ok(Verdict::Unchanged);
    }
    let Some(body) = current else {
        let mut state = State::default();
        let joined = join::join(&mut state, event, arena, true);
        let before = Before::default();
        let first = first_seen(event, &joined, record_time_ms);
        let written = write_body(&state, &before, first, record_time_ms, limits, out)?;
        return within(limits, written.values.len(), 0);
    };
    let view = ContactView::parse_trusted(body)?;
    let (canonical, values) = (view.canonical(), view.values());
    let is_deleted = view.status() == Status::Deleted;
    let mut before = Before::of(&view);
    let (mut state, rings) = view.into_parts();
    before.rings = rings;
    if event.body_hash.is_some_and(|body| rings.first_seen(event.id_hash, body).is_some()) {
        return Ok(Verdict::Duplicate);
    }
    if event.is_notice {
        let Some(notice) = notice::of(event, arena, record_time_ms) else {
            return Ok(Verdict::Unchanged);
        };
        write_body(&state, &before, Some(notice), record_time_ms, limits, out)?;
        return Ok(Verdict::Unchanged);
    }
    let mut noted = None;
    match notice::told(rings, event, arena) {
        Word::News => {}
        Word::Again => return Ok(Verdict::Duplicate),
        // What the source said before it deleted the contact is gone there, whenever we did.
        Word::First(notice) if is_deleted && event.kind == EventKind::Deleted => {
            noted = Some(notice);
        }
        Word::First(notice) => {
            notice::confirm(&mut state, event, arena);
            write_body(&state, &before, Some(notice), record_time_ms, limits, out)?;
            return Ok(Verdict::Duplicate);
        }
    }
    let joined = join::join(&mut state, event, arena, false);
    let first = noted.or_else(|| first_seen(event, &joined, record_time_ms));
    let written = write_body(&state, &before, first, record_time_ms, limits, out)?;
    if written.is_changed {
        return within(limits, written.values.len(), values.len());
    }
    let is_same = first.is_none() && out.get(written.canonical) == Some(canonical);
    if is_same {
        out.clear();
    }
    Ok(without_change(joined.outcome))
}

/// The verdict when no value is different.
fn without_change(outcome: join::Outcome) -> Verdict {
    match outcome {
        join::Outcome::Seen => Verdict::Duplicate,
        join::Outcome::Lost => Verdict::Stale,
        join::Outcome::Took | join::Outcome::Silent => Verdict::Unchanged,
    }
}

/// What a body held besides its state.
#[derive(Debug, Default)]
struct Before<'a> {
    version: u64,
    changed_at_ms: Option<u64>,
    /// None where there was no contact.
    values: Option<&'a [u8]>,
    rings: Rings<'a>,
}

impl<'a> Before<'a> {
    /// All but the rings.
    fn of(view: &ContactView<'a>) -> Self {
        Self {
            version: view.version(),
            changed_at_ms: view.changed_at_ms(),
            values: Some(view.values()),
            ..Self::default()
        }
    }
}

/// What is remembered of an event that has no time of its own.
fn first_seen(event: &Event, joined: &join::Joined, record_time_ms: i64) -> Option<FirstSeen> {
    let (id_hash, time_us) = (event.id_hash, joined.clock.ts_us);
    event.body_hash.map(|body_hash| FirstSeen { id_hash, body_hash, time_us, record_time_ms })
}

/// What was written of a body.
#[derive(Debug)]
struct Written {
    canonical: Range<usize>,
    values: Range<usize>,
    /// The values are not those of before.
    is_changed: bool,
}

fn write_body(
    state: &State<'_>,
    before: &Before<'_>,
    first: Option<FirstSeen>,
    record_time_ms: i64,
    limits: &Limits,
    out: &mut Vec<u8>,
) -> Result<Written, MergeError> {
    // Counts are 16-bit in the body; so many entries are too large in bytes as well.
    let entries = state.attributes.len();
    if entries > usize::from(u16::MAX) {
        return Err(MergeError::TooLarge { bytes: entries, bytes_max: limits.contact_bytes_max });
    }
    let ids = state.external_ids.iter().filter(|(_, register)| register.value.is_some()).count();
    if ids > EXTERNAL_IDS_MAX {
        return Err(MergeError::TooManyIds { ids });
    }
    out.extend_from_slice(&[0; HEAD_BYTES]);
    let values = state.write(out);
    let canonical = HEAD_BYTES..out.len();
    let is_changed = before.values.is_none() || out.get(values.clone()) != before.values;
    let (version, changed_at_ms) = if is_changed {
        (before.version.saturating_add(1), u64::try_from(record_time_ms).ok())
    } else {
        (before.version, before.changed_at_ms)
    };
    if let Some(head) = out.first_chunk_mut::<HEAD_BYTES>() {
        *head = head_of(version, changed_at_ms, canonical.len());
    }
    before.rings.write_with(first, out);
    Ok(Written { canonical, values, is_changed })
}

/// Applied, unless the values outgrew their limit. What does not make them more is never refused.
fn within(limits: &Limits, bytes: usize, bytes_before: usize) -> Result<Verdict, MergeError> {
    let bytes_max = limits.contact_bytes_max;
    if bytes > bytes_max && bytes > bytes_before {
        return Err(MergeError::TooLarge { bytes, bytes_max });
    }
    Ok(Verdict::Applied)
}

/// The clock that an event takes on what it meets; also for a command to be stamped by.
pub fn clock_after(head: Option<&Clock>, hash: u64) -> Clock {
    let nothing = Clock::default();
    Clock::after(head.unwrap_or(&nothing), hash)
}
