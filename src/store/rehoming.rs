//! Records that stood away from their contact's home lane: as the journal keeps them, to be appended
//! at home.
//!
//! Every frame says how many there were up to it, so what a journal lacks of them can be told. It is not
//! trimmed before they are brought.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::domain::position::{Lane, Offset, Position};
use crate::segments::FrameNo;

use super::StoreError;
use super::codec::ChangeRef;
use super::cut::Cut;
use super::journal::{Entry, FrameHead, Outcome};
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

impl RehomedRecord {
    /// The one that an entry of the journal is; none: its record was at home.
    pub fn of_entry(entry: &Entry<'_>) -> Option<Self> {
        let Outcome::Rehomed(rehomed) = &entry.outcome else {
            return None;
        };
        let record = &rehomed.record;
        Some(Self {
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

    /// Bytes of memory that it takes, about.
    pub fn bytes(&self) -> usize {
        let of = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, Vec::len);
        let own = self.contact_id.len() + self.event_id.len() + self.headers.len();
        size_of::<Self>() + own + of(&self.key) + of(&self.value)
    }
}

impl Reader {
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
        let is_past = |cut: &Cut| cut.has_all_of(position);
        if !is_past(&cut) {
            return Ok(None);
        }
        // From the first state that is past the position on, what the position has not seen is counted.
        let last = journal.first_where(first, cut.next_frame, is_past)?;
        let up_to = match journal.head(last)? {
            Some(head) => head.after.rehomed(),
            None => cut.rehomed(),
        };
        let until = ChangeRef::new(last.next().min(cut.next_frame), 0);
        let mut changes = self.changes_at(ChangeRef::new(first, 0), position.clone());
        let mut held = 0;
        while changes.place() < until {
            changes.pass_over(until, |after| Some(after.rehomed()))?;
            let frame_end = ChangeRef::new(changes.place().frame().next(), 0).min(until);
            _ = changes.read_entries(frame_end, &mut |entry, _| {
                held += u64::from(matches!(entry.outcome, Outcome::Rehomed(_)));
                ControlFlow::Continue(())
            })?;
        }
        Ok(Some(up_to.saturating_sub(count).saturating_sub(held)))
    }
}
