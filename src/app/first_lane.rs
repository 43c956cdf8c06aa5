//! The markers of lane 0, whose order decides for every lane: how the log was founded, by which rules
//! it begins, which numbers were given out.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use crate::domain::founding::Founding;
use crate::domain::position::{Lane, NextOffset, Offset};
use crate::domain::record::Record;
use crate::domain::rules::{InForce, LaneRules, Marker, Ruling};
use crate::event_log::{EventLog, LanePart, LogError, ReadUntil};

/// Whose order decides.
pub(super) const DECIDES: Lane = Lane(0);

/// The first marker of the newest founding that is on the lane.
#[derive(Clone, Debug)]
pub(super) struct FirstMarker {
    /// The founding's number.
    pub(super) founding: u64,
    /// What contacts' homes follow from.
    pub(super) homes: Founding,
    /// Where it stands.
    pub(super) offset: Offset,
    /// The rules that the log begins with; an error: their `APPLY_VERSION`, which is not known here.
    pub(super) rules: Result<InForce, u64>,
}

/// The greatest numbers that were given out on the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenOut {
    /// The newest founding's number.
    pub founding: u64,
    /// The greatest marker's number of any founding.
    pub number: u64,
    /// What contacts' homes follow from, as that founding's first marker says.
    pub homes: Founding,
}

/// The first marker of the newest founding, up to the lane's present end, or up to a record that is
/// known to be there.
///
/// # Errors
/// Of class Retry while the log can't be read, or not that far.
pub(super) fn first_marker(
    log: &EventLog,
    until: Option<Offset>,
    stop: &CancellationToken,
) -> Result<Option<FirstMarker>, LogError> {
    let mut newest: Option<FirstMarker> = None;
    read_markers(log, until, stop, |marker, record| {
        if newest.as_ref().is_none_or(|newest| newest.founding < marker.founding)
            && let Some(first) = begins_with(marker, record)
        {
            newest = Some(first);
        }
    })?;
    Ok(newest)
}

/// What was given out so far; none: the lane has no marker.
///
/// # Errors
/// While the log can't be read.
pub fn given_out(log: &EventLog) -> Result<Option<GivenOut>, LogError> {
    let mut greatest: Option<GivenOut> = None;
    read_markers(log, None, &CancellationToken::new(), |marker, _| {
        let Marker { number, founding, homes, .. } = marker;
        greatest = Some(match greatest {
            Some(known) if known.founding >= founding => {
                GivenOut { number: number.max(known.number), ..known }
            }
            Some(known) => GivenOut { founding, number: number.max(known.number), homes },
            None => GivenOut { founding, number, homes },
        });
    })?;
    Ok(greatest)
}

/// What a log begins with whose first marker this is; none: rules that can't be used are none.
fn begins_with(marker: Marker, record: &Record) -> Option<FirstMarker> {
    let (founding, homes) = (marker.founding, marker.homes);
    let nothing = LaneRules::new(founding, None, BTreeMap::new());
    let rules = match nothing.judge(DECIDES, &marker) {
        Ok(Ruling::Applied(rules)) => Ok(InForce {
            number: marker.number,
            rules,
            offset: record.offset,
            record_time_ms: record.timestamp_ms,
            principal: marker.principal,
        }),
        Ok(Ruling::UnknownVersion(version)) => Err(version),
        Ok(Ruling::Unchanged | Ruling::Stale | Ruling::NewerFounding(_)) | Err(_) => return None,
    };
    Some(FirstMarker { founding, homes, offset: record.offset, rules })
}

/// Shows every marker that says something, from the lane's beginning to its present end, or to a record
/// that is known to be there.
fn read_markers(
    log: &EventLog,
    until: Option<Offset>,
    stop: &CancellationToken,
    mut each: impl FnMut(Marker, &Record),
) -> Result<(), LogError> {
    let held = log.watermarks(DECIDES)?;
    let is_over = until.is_none_or(|until| until < held.low);
    if held.low.0 == held.high.0 && is_over {
        return Ok(());
    }
    let part = LanePart {
        lane: DECIDES,
        from: NextOffset(held.low.0),
        to: until.map(Offset::next),
        patience: None,
    };
    let read = log.read_part(part, stop, |batch| {
        for record in batch.records.iter().filter(|record| Marker::is_one(batch, record)) {
            if let Ok(marker) = Marker::read(batch, record) {
                each(marker, record);
            }
        }
    })?;
    match read {
        ReadUntil::There => Ok(()),
        ReadUntil::CaughtUp if is_over => Ok(()),
        ReadUntil::CaughtUp => {
            Err(not_read(log, "an open transaction stands before what was written last"))
        }
        ReadUntil::GivenUp => Err(not_read(log, "it was told to end before")),
    }
}

fn not_read(log: &EventLog, why: &str) -> LogError {
    let topic = log.identity().map_or_else(|_| "the log".to_owned(), |log| log.topic);
    let detail = format!("the markers of partition {DECIDES} were not all read: {why}");
    LogError::Unreachable { topic, detail }
}
