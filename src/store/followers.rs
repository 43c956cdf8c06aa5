//! What followers read of the journal, and what it is kept for.
//!
//! A follower's place is a Position, so it is the same on every instance; which frame that is of this
//! store's journal is found by bisection.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::domain::position::{CONTROL_LANE, Lane, NextOffset, Position};
use crate::segments::FrameNo;

use super::StoreError;
use super::changes::{Changes, before_frame};
use super::codec::ChangeRef;
use super::journal::Journal;
use super::reader::Reader;
use super::shared::Cut;

/// Up to where each follower is done, as it is written down.
#[derive(Debug, Default)]
pub(crate) struct FollowerNeeds(Mutex<BTreeMap<String, Need>>);

#[derive(Clone, Debug)]
struct Need {
    position: Position,
    /// Whether the journal waits for it however large it grows.
    is_unbounded: bool,
}

/// The first frames of the journal that followers still need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// However large the journal grows.
    pub(crate) always: FrameNo,
    /// As long as it is not too large.
    pub(crate) bounded: FrameNo,
}

impl FollowerNeeds {
    /// What is still needed of the frames of a state.
    pub(crate) fn of(&self, journal: &Journal, cut: &Cut) -> Result<Held, StoreError> {
        let mut held = Held { always: FrameNo(u64::MAX), bounded: FrameNo(u64::MAX) };
        let needs = self.0.lock().clone();
        for need in needs.values() {
            let is_unseen = |after: &Cut| !has_contacts_of(&need.position, after);
            let frame = journal.first_where(journal.first()?, cut.next_frame, is_unseen)?;
            let at = if need.is_unbounded { &mut held.always } else { &mut held.bounded };
            *at = frame.min(*at);
        }
        Ok(held)
    }
}

impl Reader {
    /// The journal is kept for a follower that is done with all before a position; `is_unbounded`:
    /// however large it grows.
    pub fn follower_needs(&self, name: &str, position: Position, is_unbounded: bool) {
        let mut needs = self.shared().followers.0.lock();
        needs.insert(name.to_owned(), Need { position, is_unbounded });
    }

    /// The journal's entries that a position has not seen, and whether those are all: where the journal
    /// begins later it is read from its beginning.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub fn entries_after(&self, position: &Position) -> Result<(Changes, bool), StoreError> {
        if let Some(changes) = self.changes_after(position)? {
            return Ok((changes, true));
        }
        let first = self.shared().journal.first()?;
        Ok((self.changes_at(ChangeRef::new(first, 0), position.clone()), false))
    }

    /// The earliest position from which the journal has everything, and the record time of about then,
    /// in ms; no time where it begins with the log.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub fn earliest_position(&self) -> Result<(Position, Option<i64>), StoreError> {
        let shared = self.shared();
        let first = shared.journal.first()?;
        if first == FrameNo(0) {
            return Ok((shared.position_of(BTreeMap::new()), None));
        }
        let Some(frame) = shared.journal.frame(first)? else {
            let cut = shared.cut.lock().clone();
            return Ok((shared.position_of(cut.next_offsets()), Some(cut.record_time_ms)));
        };
        let next = before_frame(&frame)?;
        let next = next.into_iter().map(|(lane, next)| (lane, NextOffset(next))).collect();
        Ok((shared.position_of(next), Some(frame.head.after.record_time_ms)))
    }

    /// The position before the first records of a time, in ms, or the present one where there are none
    /// yet; none: the journal begins later.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub fn position_at(&self, time_ms: i64) -> Result<Option<Position>, StoreError> {
        let shared = self.shared();
        let cut = shared.cut.lock().clone();
        let first = shared.journal.first()?;
        let is_then = |after: &Cut| after.record_time_ms >= time_ms;
        let frame = shared.journal.first_where(first, cut.next_frame, is_then)?;
        let Some(before) = frame.0.checked_sub(1).map(FrameNo) else {
            return Ok(Some(shared.position_of(BTreeMap::new())));
        };
        let head = shared.journal.head(before)?;
        Ok(head.map(|head| shared.position_of(contact_lanes(&head.after))))
    }
}

/// A follower of contacts alone does without control records.
fn contact_lanes(cut: &Cut) -> BTreeMap<Lane, NextOffset> {
    let mut next = cut.next_offsets();
    next.remove(&CONTROL_LANE);
    next
}

/// Whether the position has seen all that is in a state, control records aside: they come all the time,
/// and no follower's cursor is written for them.
fn has_contacts_of(position: &Position, after: &Cut) -> bool {
    let lanes = after.lanes.iter().filter(|(lane, _)| **lane != CONTROL_LANE);
    lanes
        .into_iter()
        .all(|(lane, at)| position.next.get(lane).copied().unwrap_or_default() >= at.next)
}
