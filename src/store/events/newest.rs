//! What came in and what became of it, newest first: the journal read backwards, frame by frame.
//!
//! Where a list goes on is said by offsets, which are the same on every instance: what stands before them in
//! their lanes was not shown yet.

use std::time::Instant;

use crate::domain::position::{NextOffset, Position};
use crate::domain::record::RecordKind;
use crate::domain::verdict::Verdict;
use crate::segments::FrameNo;

use super::super::StoreError;
use super::super::journal::Entry;
use super::super::shared::Shared;
use super::lookup::{EventRecord, source_of};

/// Which events are wanted.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Of this source alone, as far as it is known.
    pub source: Option<String>,
    /// With this verdict alone.
    pub verdict: Option<Verdict>,
    /// Whose records are of this time or later, in ms.
    pub since_ms: Option<i64>,
}

impl EventFilter {
    fn takes(&self, entry: &Entry<'_>) -> bool {
        self.verdict.is_none_or(|verdict| entry.verdict == verdict)
            && self.since_ms.is_none_or(|since| entry.record_time_ms >= since)
            && self.source.as_ref().is_none_or(|source| source_of(entry) == Some(source.as_bytes()))
    }
}

/// Some events, newest first.
#[derive(Clone, Debug, Default)]
pub struct NewestEvents {
    /// As they were applied, the last one first.
    pub records: Vec<EventRecord>,
    /// Where the rest begins; none: there is none, or it is not kept any more.
    pub rest: Option<Position>,
}

/// At most `limit` of those before a position, or fewer where the time is over.
pub(crate) fn newest(
    shared: &Shared,
    before: Option<Position>,
    filter: &EventFilter,
    limit: usize,
    deadline: Instant,
) -> Result<NewestEvents, StoreError> {
    let cut = shared.commits.cut.lock().clone();
    let journal = &shared.journal;
    let (first, end) = (journal.first()?, cut.next_frame);
    let (mut rest, mut no) = match before {
        None => (shared.commits.position_of(cut.next_offsets()), end),
        Some(before) => {
            let last = journal.first_where(first, end, |after| after.has_all_of(&before))?;
            (before, last.next().min(end))
        }
    };
    let mut records = Vec::new();
    let mut looked_at = 0;
    while let Some(previous) = no.0.checked_sub(1).map(FrameNo).filter(|no| *no >= first) {
        // One is always looked at, so that a list gets on.
        if looked_at > 0 && Instant::now() >= deadline {
            return Ok(NewestEvents { records, rest: Some(rest) });
        }
        (no, looked_at) = (previous, looked_at + 1);
        let Some(frame) = journal.frame(no)? else {
            // Trimmed away meanwhile.
            break;
        };
        if filter.since_ms.is_some_and(|since| frame.head.after.record_time_ms < since) {
            break;
        }
        let mut of_frame = Vec::new();
        frame.for_each(&mut Vec::new(), |entry| {
            let is_before = entry.offset.0 < rest.next_of(entry.lane).0;
            let is_event = matches!(entry.record_kind, RecordKind::Contact | RecordKind::Payment);
            if is_event && is_before {
                let record = filter.takes(entry).then(|| EventRecord::of(entry));
                of_frame.push((entry.lane, entry.offset, record));
            }
            Ok(())
        })?;
        for (lane, offset, record) in of_frame.into_iter().rev() {
            if records.len() == limit && record.is_some() {
                return Ok(NewestEvents { records, rest: Some(rest) });
            }
            rest.next.insert(lane, NextOffset(offset.0));
            records.extend(record);
        }
    }
    Ok(NewestEvents { records, rest: None })
}
