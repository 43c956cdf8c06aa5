//! Records that stood away from their contact's home lane: as the journal keeps them, to be appended
//! at home.
//!
//! Every frame says how many there were up to it, so frames with some are found by bisection, and
//! nothing is read while there are none. The journal is not trimmed before they are brought.

use std::sync::Arc;

use crate::domain::position::{Lane, NextOffset, Offset, Position};
use crate::segments::FrameNo;

use super::StoreError;
use super::cut::Cut;
use super::journal::{Entry, Frame, FrameHead, Journal, Outcome};
use super::reader::Reader;

/// A record as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RehomedRecord {
    /// Where it stands.
    pub lane: Lane,
    /// Where it stands.
    pub offset: Offset,
    /// Its timestamp, in ms.
    pub timestamp_ms: i64,
    /// The contact whose home lane it belongs to.
    pub contact_id: Vec<u8>,
    /// Its event's id, made of its bytes where it has none.
    pub event_id: Vec<u8>,
    /// Whether its event has a time of its own.
    pub is_timed: bool,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers, as a batch's arena holds them.
    pub headers: Vec<u8>,
}

/// Some of them, in the order in which they were applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehomed {
    /// The records.
    pub records: Vec<RehomedRecord>,
    /// What has been looked through, of contacts' lanes.
    pub seen: Position,
    /// How many there were in this store's frames up to there.
    pub count: u64,
    /// Whether that was all.
    pub is_end: bool,
}

impl Reader {
    /// Records away from home that the position has not seen, of one frame that has some; none: up
    /// to the end. `count`: how many there were in the frames of this store that were looked through,
    /// where that is known. While there are no more, nothing is read.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub fn rehomed_after(
        &self,
        position: &Position,
        count: Option<u64>,
    ) -> Result<Rehomed, StoreError> {
        let shared = self.shared();
        let cut = shared.commits.cut.lock().clone();
        let seen = shared.commits.position_of(cut.contact_lanes().collect());
        let all = cut.rehomed();
        let nothing = Rehomed { records: Vec::new(), seen, count: all, is_end: true };
        if count == Some(all) {
            self.brought_home(all, cut.next_frame);
            return Ok(nothing);
        }
        let journal = &shared.journal;
        let start = first_unseen(journal, position, &cut)?;
        let Some(frame) = next_with_some(journal, start, &cut)? else {
            self.brought_home(all, cut.next_frame);
            return Ok(nothing);
        };
        self.brought_home(count.unwrap_or_default(), frame.head.no);
        let mut records = Vec::new();
        frame.for_each(&mut Vec::new(), |entry| {
            if !has_seen(position, entry) {
                records.extend(rehomed(entry));
            }
            Ok(())
        })?;
        let count = frame.head.after.rehomed();
        let seen = shared.commits.position_of(frame.head.after.contact_lanes().collect());
        Ok(Rehomed { records, seen, count, is_end: false })
    }

    /// How many records away from home that the position has not seen stand before the journal's
    /// beginning: those of a store that was restored from a snapshot. `count`: how many the position
    /// has seen. None: this store has not come as far as the position, so it can't know.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub fn rehomed_lost(&self, position: &Position, count: u64) -> Result<Option<u64>, StoreError> {
        let shared = self.shared();
        let cut = shared.commits.cut.lock().clone();
        let journal = &shared.journal;
        let first = journal.first()?;
        let begins_before =
            |head: Option<Arc<FrameHead>>| head.is_some_and(|head| head.after.is_seen_by(position));
        if first == FrameNo(0) || begins_before(journal.head(first)?) {
            return Ok(Some(0));
        }
        let is_past = |cut: &Cut| {
            let at = |lane| cut.lanes.get(lane).map_or(NextOffset(0), |at| at.next);
            position.next.iter().all(|(lane, next)| at(lane) >= *next)
        };
        if !is_past(&cut) {
            return Ok(None);
        }
        // From the first state that is past the position on, what the position has not seen is counted.
        let last = journal.first_where(first, cut.next_frame, is_past)?;
        let up_to = match journal.head(last)? {
            Some(head) => head.after.rehomed(),
            None => cut.rehomed(),
        };
        let (mut held, mut at) = (0, first);
        while at <= last
            && let Some(frame) = next_with_some(journal, at, &cut)?.filter(|it| it.head.no <= last)
        {
            frame.for_each(&mut Vec::new(), |entry| {
                let is_rehomed = matches!(entry.outcome, Outcome::Rehomed(_));
                held += u64::from(is_rehomed && !has_seen(position, entry));
                Ok(())
            })?;
            at = frame.head.no.next();
        }
        Ok(Some(up_to.saturating_sub(count).saturating_sub(held)))
    }

    /// How many records ever stood away from home.
    pub fn rehomed(&self) -> u64 {
        self.shared().commits.cut.lock().rehomed()
    }

    /// Nobody brings any home here: the journal does not wait for them.
    pub fn rehoming_is_elsewhere(&self) {
        self.brought_home(u64::MAX, FrameNo(u64::MAX));
    }

    fn brought_home(&self, count: u64, before: FrameNo) {
        self.shared().brought_home.set(count, before);
    }
}

fn rehomed(entry: &Entry<'_>) -> Option<RehomedRecord> {
    let Outcome::Rehomed(rehomed) = &entry.outcome else {
        return None;
    };
    let record = &rehomed.record;
    Some(RehomedRecord {
        lane: entry.lane,
        offset: entry.offset,
        timestamp_ms: entry.record_time_ms,
        contact_id: record.contact_id.to_vec(),
        event_id: rehomed.event_id.to_vec(),
        is_timed: rehomed.event_time_us.is_some(),
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(<[u8]>::to_vec),
        headers: record.headers.to_vec(),
    })
}

fn has_seen(position: &Position, entry: &Entry<'_>) -> bool {
    position.next.get(&entry.lane).is_some_and(|next| entry.offset.0 < next.0)
}

/// The first frame with something that the position has not seen.
fn first_unseen(journal: &Journal, position: &Position, cut: &Cut) -> Result<FrameNo, StoreError> {
    journal.first_where(journal.first()?, cut.next_frame, |after| !after.is_seen_by(position))
}

/// The first frame from `start` on that holds one.
fn next_with_some(
    journal: &Journal,
    start: FrameNo,
    cut: &Cut,
) -> Result<Option<Frame>, StoreError> {
    let before = match start.0.checked_sub(1) {
        Some(last) => journal.head(FrameNo(last))?.map(|head| head.after.rehomed()),
        None => Some(0),
    };
    let Some(before) = before else {
        // Trimmed: whether the first frame holds some is not known.
        return journal.frame(start);
    };
    if cut.rehomed() == before {
        return Ok(None);
    }
    let found = journal.first_where(start, cut.next_frame, |after| after.rehomed() > before)?;
    if found >= cut.next_frame { Ok(None) } else { journal.frame(found) }
}
