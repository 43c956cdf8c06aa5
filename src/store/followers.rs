//! What followers read of the journal, and what it is kept for.
//!
//! A follower's place is a Position, so it is the same on every instance; which frame that is of this
//! store's journal is found by bisection.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::domain::control::ControlEntry;
use crate::domain::position::{CONTROL_LANE, Lane, NextOffset, Position};
use crate::segments::FrameNo;

use super::StoreError;
use super::changes::{Changes, before_frame};
use super::codec::ChangeRef;
use super::cut::Cut;
use super::reader::Reader;
use super::shared::Shared;

/// Control entries that say how far followers are: their keys begin with it.
pub(crate) const LEDGERS: &str = "follower/";
/// Ledgers that are looked at.
const LEDGERS_MAX: usize = 10_000;

/// Up to where each follower is done, as it is written down.
#[derive(Debug, Default)]
pub(crate) struct FollowerNeeds(Mutex<Needs>);

#[derive(Debug, Default)]
struct Needs {
    told: BTreeMap<String, Need>,
    /// Those that there are; none: not known, so that whatever has a ledger may be one.
    names: Option<Vec<String>>,
}

/// What a follower has written down, as far as the journal is kept for it.
#[derive(Deserialize)]
struct Ledger {
    position: String,
    #[serde(default)]
    waiting: Vec<(IgnoredAny, Lane, NextOffset)>,
    #[serde(default)]
    again: Vec<(IgnoredAny, Lane, NextOffset)>,
}

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
    pub(crate) fn of(&self, shared: &Shared, cut: &Cut) -> Result<Held, StoreError> {
        let mut held = Held { always: FrameNo(u64::MAX), bounded: FrameNo(u64::MAX) };
        let journal = &shared.journal;
        for need in self.all(shared).values() {
            let is_unseen = |after: &Cut| !has_contacts_of(&need.position, after);
            let frame = journal.first_where(journal.first()?, cut.next_frame, is_unseen)?;
            let at = if need.is_unbounded { &mut held.always } else { &mut held.bounded };
            *at = frame.min(*at);
        }
        Ok(held)
    }

    /// Of those that have told nothing yet, what they have written down: however large the journal grows,
    /// for they will tell soon, or this is no more than a look at the store.
    fn all(&self, shared: &Shared) -> BTreeMap<String, Need> {
        let needs = self.0.lock();
        let mut all = needs.told.clone();
        for (key, entry) in shared.controls.list(LEDGERS, None, LEDGERS_MAX) {
            let name = key.strip_prefix(LEDGERS).unwrap_or(&key);
            let is_one =
                needs.names.as_ref().is_none_or(|names| names.iter().any(|one| one == name));
            if is_one
                && !all.contains_key(name)
                && let Some(position) = written(&entry)
                && position.log == shared.commits.position_of(BTreeMap::new()).log
            {
                all.insert(name.to_owned(), Need { position, is_unbounded: true });
            }
        }
        all
    }
}

/// Before all that is owed.
fn written(entry: &ControlEntry) -> Option<Position> {
    let ledger: Ledger = serde_json::from_slice(&entry.value).ok()?;
    let mut position = Position::decode(&ledger.position).ok()?;
    for (_, lane, offset) in ledger.waiting.into_iter().chain(ledger.again) {
        // What is told as it is now needs nothing, and stands in no lane of contacts.
        if lane != CONTROL_LANE {
            let next = position.next.entry(lane).or_default();
            *next = offset.min(*next);
        }
    }
    Some(position)
}

impl Reader {
    /// The journal is kept for a follower that is done with all before a position; `is_unbounded`:
    /// however large it grows.
    pub fn follower_needs(&self, name: &str, position: Position, is_unbounded: bool) {
        let mut needs = self.shared().followers.0.lock();
        needs.told.insert(name.to_owned(), Need { position, is_unbounded });
    }

    /// Which followers there are: the journal is kept for no other, whatever was once written down.
    pub fn followers_are(&self, names: Vec<String>) {
        self.shared().followers.0.lock().names = Some(names);
    }

    /// How many control entries there are whose keys begin with `prefix`, up to a limit.
    pub fn control_count(&self, prefix: &str, limit: usize) -> usize {
        self.shared().controls.count(prefix, limit)
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
            return Ok((shared.commits.position_of(BTreeMap::new()), None));
        }
        let Some(frame) = shared.journal.frame(first)? else {
            let cut = shared.commits.cut.lock().clone();
            return Ok((shared.commits.position_of(cut.next_offsets()), Some(cut.record_time_ms)));
        };
        let next = before_frame(&frame)?;
        let next = next.into_iter().map(|(lane, next)| (lane, NextOffset(next))).collect();
        Ok((shared.commits.position_of(next), Some(frame.head.after.record_time_ms)))
    }

    /// The position before the first records of a time, in ms, or the present one where there are none
    /// yet; none: the journal begins later.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub fn position_at(&self, time_ms: i64) -> Result<Option<Position>, StoreError> {
        let shared = self.shared();
        let cut = shared.commits.cut.lock().clone();
        let first = shared.journal.first()?;
        let is_then = |after: &Cut| after.record_time_ms >= time_ms;
        let frame = shared.journal.first_where(first, cut.next_frame, is_then)?;
        let Some(before) = frame.0.checked_sub(1).map(FrameNo) else {
            return Ok(Some(shared.commits.position_of(BTreeMap::new())));
        };
        let head = shared.journal.head(before)?;
        Ok(head.map(|head| shared.commits.position_of(contact_lanes(&head.after))))
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
