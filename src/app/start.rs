//! Where reading the log goes on from, and whether it is still the log that the store follows.

use std::collections::BTreeMap;

use crate::domain::control::ADOPTED_KEY;
use crate::domain::position::{CONTROL_LANE, Lane, NextOffset, Offset};
use crate::domain::record::record_hash;
use crate::event_log::{EventLog, Watermarks};
use crate::store::{LaneProgress, LaneRange, StoreError, check_lane};
use crate::telemetry::fault;

use super::WorkerError;

/// Where the contacts' lanes are read from.
pub(super) enum Start {
    /// Each from here; and where each ended when it was asked.
    From { from: BTreeMap<Lane, NextOffset>, ends: BTreeMap<Lane, NextOffset> },
    /// They are not: the log has dropped records that were never read.
    Partial(StoreError),
}

/// The offsets to read from: the store's own, checked against what the log holds now.
///
/// With `accepts_gap` a lane whose next records are gone goes on at the first one that is left.
pub(super) fn start_offsets(
    log: &EventLog,
    read: &BTreeMap<Lane, LaneProgress>,
    accepts_gap: bool,
) -> Result<Start, WorkerError> {
    let (mut from, mut ends) = (BTreeMap::new(), BTreeMap::new());
    for lane in (0..log.lanes()?).map(Lane) {
        let Watermarks { low, high } = log.watermarks(lane)?;
        ends.insert(lane, high);
        let progress = read.get(&lane);
        let next = progress.map_or(NextOffset(0), |progress| progress.next);
        let first = NextOffset(low.0);
        if (accepts_gap || fault::bug("gaps_passed_over")) && next < first {
            tracing::warn!(partition = lane.0, %next, %low, "records that the log has dropped are done without");
            from.insert(lane, first);
            continue;
        }
        let last_hash = last_record_hash(log, lane, progress)?;
        match check_lane(lane, progress, LaneRange { low, high }, last_hash) {
            Ok(()) => {}
            Err(gap) if next < first => return Ok(Start::Partial(gap)),
            Err(error) => return Err(error.into()),
        }
        from.insert(lane, next);
    }
    Ok(Start::From { from, ends })
}

/// Where reading the control lane goes on, and what is missing before that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ControlStart {
    /// Nothing.
    At(NextOffset),
    /// Records that the log no longer holds.
    BehindGap(NextOffset),
    /// All: it is another topic, filled anew from some store.
    Anew(NextOffset),
}

/// Where reading the control lane goes on. A store that has not read it begins with what is left, and so
/// does one that was away for longer than its records are kept.
pub(super) fn control_offset(
    log: &EventLog,
    read: &BTreeMap<Lane, LaneProgress>,
) -> Result<ControlStart, WorkerError> {
    let Watermarks { low, high } = log.watermarks(CONTROL_LANE)?;
    let first = NextOffset(low.0);
    let Some(progress) = read.get(&CONTROL_LANE).filter(|progress| progress.next >= first) else {
        let has_gap = first > NextOffset(0);
        return Ok(if has_gap { ControlStart::BehindGap(first) } else { ControlStart::At(first) });
    };
    let last_hash = last_record_hash(log, CONTROL_LANE, Some(progress))?;
    match check_lane(CONTROL_LANE, Some(progress), LaneRange { low, high }, last_hash) {
        Ok(()) => Ok(ControlStart::At(progress.next)),
        Err(error) if error.is_about_data() && is_adopted(log, Offset(low.0))? => {
            tracing::warn!(%error, "the control topic was made anew and filled from a store");
            Ok(ControlStart::Anew(first))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether a control topic begins with the record that says that it was filled from a store.
fn is_adopted(log: &EventLog, first: Offset) -> Result<bool, WorkerError> {
    let record = log.read_one(CONTROL_LANE, first)?;
    Ok(record.and_then(|record| record.key).is_some_and(|key| key == ADOPTED_KEY.as_bytes()))
}

/// A log made anew can be as long as the old one: its records tell.
fn last_record_hash(
    log: &EventLog,
    lane: Lane,
    progress: Option<&LaneProgress>,
) -> Result<Option<u64>, WorkerError> {
    let Some(last) = progress.and_then(|progress| progress.last) else {
        return Ok(None);
    };
    let record = log.read_one(lane, last.offset)?;
    Ok(record.map(|record| {
        record_hash(record.timestamp_ms, record.key.as_deref(), record.value.as_deref())
    }))
}
