//! A control topic filled from a store: one that was made anew, or whose records are gone everywhere.
//!
//! ```text
//! log/adopted ─► every entry, restated ─► log/restated: all of it
//! ```
//!
//! The first record says nothing: who reads it behind a gap notes only that there is one. At the very
//! beginning of a topic it tells a store of another one that this one was filled for it.

use crate::domain::control::{
    ADOPTED_KEY, ControlEntry, ControlRecord, InvalidControl, RESTATED_KEY, UNSETTLED_KEY, View,
    restated_from,
};
use crate::domain::position::{CONTROL_LANE, NextOffset};
use crate::event_log::{EventLog, LogError, NewRecord};
use crate::store::Reader;

use super::now_ms;

/// Entries that are appended together.
const ENTRIES_AT_ONCE: usize = 500;

/// Why a control topic was not filled.
#[derive(Debug, thiserror::Error)]
pub enum AdoptControlError {
    /// The log did not take it.
    #[error(transparent)]
    Log(#[from] LogError),
    /// An entry can't be written.
    #[error(transparent)]
    Invalid(#[from] InvalidControl),
    /// Others write at the same time.
    #[error(
        "somebody else writes to the control topic (offset {found} came where {expected} was \
         expected): stop all instances and do it again"
    )]
    NotAlone {
        /// The next offset that was expected.
        expected: NextOffset,
        /// What it was.
        found: NextOffset,
    },
}

/// Writes every control entry of a store to its log; how many there were. Nobody else may write.
///
/// # Errors
/// When not all of them were written; then it has to be done again.
pub async fn adopt_control(log: &EventLog, reader: &Reader) -> Result<usize, AdoptControlError> {
    let mut next = log.watermarks(CONTROL_LANE)?.high;
    append(log, &[ControlRecord { key: ADOPTED_KEY.to_owned(), ..named() }], &mut next).await?;
    let from = next;
    let is_told = |key: &str, entry: &ControlEntry| {
        let is_over = entry.expires_at_ms.is_some_and(|end| end <= now_ms());
        // From where on all was restated is another place there.
        !is_over && entry.revision > 0 && key != RESTATED_KEY && key != UNSETTLED_KEY
    };
    let mut entries = reader.controls_stated_before(u64::MAX, usize::MAX);
    entries.retain(|(key, entry)| is_told(key, entry));
    for entries in entries.chunks(ENTRIES_AT_ONCE) {
        let view = View { next, at_ms: now_ms() };
        let restated: Vec<_> =
            entries.iter().map(|(key, entry)| entry.restate(key, view, named().id)).collect();
        append(log, &restated, &mut next).await?;
    }
    let value = Some(restated_from(from));
    let mark = ControlRecord { key: RESTATED_KEY.to_owned(), value, ..named() };
    append(log, &[mark], &mut next).await?;
    Ok(entries.len())
}

fn named() -> ControlRecord {
    ControlRecord { id: format!("{:032x}", fastrand::u128(..)), ..ControlRecord::default() }
}

async fn append(
    log: &EventLog,
    records: &[ControlRecord],
    next: &mut NextOffset,
) -> Result<(), AdoptControlError> {
    let mut appended = Vec::with_capacity(records.len());
    for record in records {
        appended.push(NewRecord {
            key: record.key.as_bytes().to_vec(),
            value: Some(record.encode()?),
            headers: Vec::new(),
            timestamp_ms: i64::try_from(now_ms()).unwrap_or(i64::MAX),
            lane: Some(CONTROL_LANE),
        });
    }
    let acks = log.append(appended).await?;
    let expected = NextOffset(next.0 + records.len() as u64);
    let found = acks.iter().map(|ack| ack.offset.next()).max().unwrap_or(expected);
    if found != expected {
        return Err(AdoptControlError::NotAlone { expected, found });
    }
    *next = found;
    Ok(())
}
