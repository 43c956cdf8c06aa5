//! What is read of the journal for those that are behind, all at once. It waits for the disk.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::domain::position::{NextOffset, Position};
use crate::store::{Reader, StoreError};

use super::message::{Message, Place};
use super::subscription::{Content, Facts, Subscription};

/// Entries that are looked at in one go.
const LOOKED_AT_MAX: usize = 16 << 10;
/// Bytes of messages that are read in one go.
const BYTES_MAX: usize = 2 << 20;

/// One that is read for.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) id: String,
    subscription: Arc<Subscription>,
    /// All before it was seen when the reading began.
    pub(super) from: Position,
    /// The same now.
    pub(super) seen: Position,
    room: usize,
    /// Whether it takes no more.
    is_full: bool,
    pub(super) taken: Vec<Arc<Message>>,
    /// Whether the journal begins later than where it was.
    pub(super) is_overrun: bool,
}

impl Reading {
    pub(super) fn new(
        (id, subscription, from, room): (String, Arc<Subscription>, Position, usize),
    ) -> Self {
        let (seen, taken) = (from.clone(), Vec::new());
        Self { id, subscription, from, seen, room, is_full: false, taken, is_overrun: false }
    }

    fn wants(&self, facts: &Facts<'_>) -> bool {
        !self.is_full && self.subscription.filter.passes(facts)
    }

    fn offer(&mut self, message: &Arc<Message>, before: &Position) {
        let (lane, offset) = message.place;
        let is_new = self.seen.next_of(lane).0 <= offset.0;
        if self.is_full || !is_new || !message.is_wanted_by(&self.subscription) {
            return;
        }
        if self.taken.len() >= self.room {
            // What was seen before it was seen by this one.
            self.seen.advance_to(before.next.iter().map(|(lane, next)| (*lane, *next)));
            self.is_full = true;
            return;
        }
        self.taken.push(Arc::clone(message));
    }
}

/// Reads on from where the first of them is; all others have seen what it has.
pub(super) fn read_on(
    reader: &Reader,
    mut readings: Vec<Reading>,
) -> Result<Vec<Reading>, StoreError> {
    let Some(start) = readings.first().map(|first| first.from.clone()) else {
        return Ok(readings);
    };
    let compares = readings.iter().any(|it| {
        !it.subscription.filter.fields.is_empty() || it.subscription.send == Content::Change
    });
    let (mut changes, reaches) = reader.entries_after(&start)?;
    let (mut looked_at, mut bytes) = (0, 0);
    let _ = changes.read_entries(reader.changes_end(), &mut |entry, seen| {
        looked_at += 1;
        let wants = |facts: &Facts<'_>| readings.iter().any(|it| it.wants(facts));
        if let Some(message) = Message::of(entry, reader, wants, compares) {
            bytes += message.bytes();
            let message = Arc::new(message);
            readings.iter_mut().for_each(|it| it.offer(&message, seen));
        }
        let is_enough = looked_at >= LOOKED_AT_MAX
            || bytes >= BYTES_MAX
            || readings.iter().all(|it| it.is_full);
        if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    for reading in &mut readings {
        reading.is_overrun = !reaches;
        if !reading.is_full {
            let seen = changes.seen().next.iter().map(|(lane, next)| (*lane, *next));
            reading.seen.advance_to(seen);
        }
    }
    Ok(readings)
}

/// Messages by their places; those that the journal no longer has are left out.
pub(super) fn read_places(
    reader: &Reader,
    places: &[(Place, u32)],
    compares: bool,
) -> Result<Vec<(Arc<Message>, u32)>, StoreError> {
    let mut found = Vec::new();
    for (place, tried) in places {
        match read_place(reader, *place, compares)? {
            Some(message) => found.push((Arc::new(message), *tried)),
            None => tracing::error!("a change is gone that a subscription was owed"),
        }
    }
    Ok(found)
}

/// The message about the change at a place; none: nothing is told of it, or the journal no longer has it.
pub(super) fn read_place(
    reader: &Reader,
    (lane, offset): Place,
    compares: bool,
) -> Result<Option<Message>, StoreError> {
    let end = reader.position();
    let lanes = end.next.keys().map(|lane| (*lane, NextOffset(u64::MAX)));
    let mut from = Position::of_lanes(end.log, lanes.collect::<BTreeMap<_, _>>());
    from.next.insert(lane, NextOffset(offset.0));
    let (mut changes, reaches) = reader.entries_after(&from)?;
    if !reaches {
        return Ok(None);
    }
    let mut found = None;
    let _ = changes.read_entries(reader.changes_end(), &mut |entry, _| {
        if entry.lane != lane {
            return ControlFlow::Continue(());
        }
        if entry.offset == offset {
            found = Message::of(entry, reader, |_| true, compares);
        }
        ControlFlow::Break(())
    })?;
    Ok(found)
}
