//! The control lane beside the contacts' lanes.

use std::time::{Duration, Instant};

use crate::domain::Class;
use crate::domain::position::{CONTROL_LANE, NextOffset, Offset};

use super::harness::{
    Delivered, append, ends, ensure, ensure_same, promise, record, take, take_ends,
};
use super::{BOUNDS, Broken, ControlAccess, EventLog, NewRecord, Outcome, PATIENCE, StoredRecord};
use crate::event_log::Watermarks;

/// Its watermarks, once it is there.
fn watermarks(log: &EventLog) -> Result<Watermarks, Broken> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let access = log.prepare_control()?;
        ensure(access == ControlAccess::Ready, || format!("{access:?}"))?;
        match log.watermarks(CONTROL_LANE) {
            Ok(marks) => return Ok(marks),
            Err(error) if error.class() == Class::Retry && Instant::now() < deadline => {
                std::thread::park_timeout(Duration::from_millis(20));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn control(number: usize) -> NewRecord {
    let key = format!("session/{}", number % 7).into_bytes();
    NewRecord { key, lane: Some(CONTROL_LANE), ..record(number) }
}

/// A broker may date control records by its own clock.
fn undated(mut delivered: Delivered) -> Delivered {
    if delivered.place.lane == CONTROL_LANE {
        delivered.record.timestamp_ms = 0;
    }
    delivered
}

/// What is expected of a record then.
fn date(record: &NewRecord) -> NewRecord {
    let timestamp_ms = if record.lane.is_some() { 0 } else { record.timestamp_ms };
    NewRecord { timestamp_ms, ..record.clone() }
}

pub(super) fn has_a_lane_of_its_own(log: &EventLog) -> Outcome {
    let lanes = log.lanes()?;
    let from = watermarks(log)?.high;
    let mut at = ends(log)?;
    at.insert(CONTROL_LANE, from);
    let mut consumer = log.consume(&at, BOUNDS)?;
    let mixed: Vec<_> = (0..200)
        .map(|number| if number % 3 == 0 { control(number) } else { record(number) })
        .collect();
    let acks = append(log, mixed.clone())?;
    let controls = acks.iter().filter(|ack| ack.lane == CONTROL_LANE);
    let offsets: Vec<_> = controls.map(|ack| ack.offset).collect();
    let expected: Vec<_> = (from.0..).take(67).map(Offset).collect();
    ensure(offsets == expected, || format!("control offsets {offsets:?}"))?;
    let taken = take(&mut consumer, mixed.len())?;
    ensure_same(taken.into_iter().map(undated).collect(), mixed.iter().map(date).collect(), &acks)?;
    let marks = watermarks(log)?;
    ensure(marks.high == NextOffset(from.0 + 67), || format!("{marks:?}"))?;
    let Some(first) = expected.first() else {
        return Err(promise("no offset".into()));
    };
    let found = log.read_one(CONTROL_LANE, *first)?;
    let is_it = |found: &StoredRecord| found.key.as_deref() == Some(&control(0).key[..]);
    ensure(found.as_ref().is_some_and(is_it), || format!("{found:?}"))?;
    let mut at = ends(log)?;
    at.insert(CONTROL_LANE, marks.high);
    let mut consumer = log.consume(&at, BOUNDS)?;
    let more = take_ends(&mut consumer, usize::from(lanes) + 1)?;
    ensure(more == 0, || format!("{more} records more"))?;
    ensure(consumer.status().is_caught_up(), || "it is not caught up".into())?;
    // On its own, and from the middle.
    let middle = [(CONTROL_LANE, NextOffset(from.0 + 60))].into();
    let taken = take(&mut log.consume(&middle, BOUNDS)?, 7)?;
    ensure(taken.iter().all(|delivered| delivered.place.lane == CONTROL_LANE), || {
        "another lane came".into()
    })
}
