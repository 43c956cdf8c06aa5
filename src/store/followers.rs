//! What followers read of the journal.
//!
//! A follower's place is a Position, so it is the same on every instance; which frame that is of this
//! store's journal is found by bisection.

use std::collections::BTreeMap;

use crate::domain::position::{NextOffset, Position};
use crate::segments::FrameNo;

use super::StoreError;
use super::changes::{Changes, before_frame};
use super::codec::ChangeRef;
use super::cut::Cut;
use super::follower_needs::FollowerNeed;
use super::journal::{Applied, Outcome};
use super::reader::Reader;

impl Reader {
    /// What the journal is kept for of a follower.
    pub fn follower_needs(&self, name: &str, need: FollowerNeed) {
        self.shared().followers.tell(name, need);
    }

    /// Which followers there are: the journal is kept for no other, whatever was once written down.
    pub fn followers_are(&self, names: Vec<String>) {
        self.shared().followers.are(names);
    }

    /// A follower runs elsewhere, and nothing here tells how far it is: the journal is not kept for it.
    pub fn follower_is_elsewhere(&self, name: &str) {
        self.shared().followers.lose(name);
    }

    /// What is counted up to the state that readers see.
    pub fn counted(&self, count: impl Fn(&Cut) -> Option<u64>) -> Option<u64> {
        count(&self.shared().commits.cut.lock())
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

    /// A contact's body before a change of it; none: there was none, or the journal no longer has it.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub(crate) fn body_before(&self, applied: &Applied<'_>) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(entry) = self.shared().journal.entry(applied.previous.image)? else {
            return Ok(None);
        };
        Ok(match entry.view()?.outcome {
            Outcome::Applied(before) | Outcome::Noted(before) => Some(before.body.to_vec()),
            Outcome::Control(_)
            | Outcome::Rules(_)
            | Outcome::DeadLettered(_)
            | Outcome::Rehomed(_)
            | Outcome::Settled => None,
        })
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
        Ok(head.map(|head| shared.commits.position_of(head.after.contact_lanes().collect())))
    }
}
