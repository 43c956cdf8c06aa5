//! What the scenarios are written with.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use crate::domain::position::{Lane, NextOffset};
use crate::domain::record::{RecordBatch, owned_headers};
use crate::event_log::{Ack, Consumer, Delivery, EventLog, NewRecord};

use super::{Broken, Outcome, PATIENCE};

pub(super) fn promise(what: String) -> Broken {
    Broken::Promise { what }
}

pub(super) fn ensure(holds: bool, what: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(promise(what())) }
}

pub(super) fn record(number: usize) -> NewRecord {
    NewRecord {
        key: format!("contact-{}", number % 37).into_bytes(),
        value: Some(format!("{{\"number\":{number}}}").into_bytes()),
        headers: vec![("number".into(), Some(number.to_string().into_bytes()))],
        timestamp_ms: 1_700_000_000_000 + number as i64,
        lane: None,
    }
}

pub(super) fn records(count: usize) -> Vec<NewRecord> {
    (0..count).map(record).collect()
}

/// Runs appends to their end on this thread.
pub(super) fn wait_for<T>(future: impl Future<Output = T>) -> Result<T, io::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(future))
}

pub(super) fn append(log: &EventLog, records: Vec<NewRecord>) -> Result<Vec<Ack>, Broken> {
    Ok(wait_for(log.append(records))??)
}

/// The ends of all lanes.
pub(super) fn ends(log: &EventLog) -> Result<BTreeMap<Lane, NextOffset>, Broken> {
    let lanes = log.lanes()?;
    let end = |lane| Ok((Lane(lane), log.watermarks(Lane(lane))?.high));
    (0..lanes).map(end).collect()
}

/// A record as delivered, copied out of its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delivered {
    pub(super) place: Ack,
    pub(super) record: NewRecord,
}

pub(super) fn copy_out(batch: &RecordBatch) -> impl Iterator<Item = Delivered> + '_ {
    batch.records.iter().map(|record| Delivered {
        place: Ack { lane: batch.lane, offset: record.offset },
        record: NewRecord {
            key: batch.key(record).unwrap_or_default().to_vec(),
            value: batch.value(record).map(<[u8]>::to_vec),
            headers: owned_headers(batch.headers(record)),
            timestamp_ms: record.timestamp_ms,
            lane: None,
        },
    })
}

/// The next `count` records, and no gap, repeat or disorder among them.
pub(super) fn take(consumer: &mut Consumer, count: usize) -> Result<Vec<Delivered>, Broken> {
    let deadline = Instant::now() + PATIENCE;
    let mut taken: Vec<Delivered> = Vec::new();
    let mut last = BTreeMap::new();
    while taken.len() < count {
        ensure(Instant::now() < deadline, || format!("{} of {count} records came", taken.len()))?;
        let Some(Delivery::Batch(batch)) = consumer.next(Duration::from_millis(100))? else {
            continue;
        };
        for delivered in copy_out(&batch) {
            let Ack { lane, offset } = delivered.place;
            let is_later = last.insert(lane, offset).is_none_or(|last| last < offset);
            ensure(is_later, || format!("offset {offset} of lane {lane} came out of order"))?;
            taken.push(delivered);
        }
        let next = last.get(&batch.lane).map_or(batch.next, |last| last.next());
        ensure(batch.next >= next, || {
            format!("a batch's next offset {} is behind it", batch.next)
        })?;
    }
    Ok(taken)
}

/// What was appended, with its places, in the order of places.
pub(super) fn sorted(appended: Vec<NewRecord>, acks: &[Ack]) -> Vec<Delivered> {
    let places = acks.iter().copied().zip(appended);
    let mut placed: Vec<_> = places
        .map(|(place, record)| Delivered { place, record: NewRecord { lane: None, ..record } })
        .collect();
    placed.sort_by_key(|delivered| delivered.place);
    placed
}

pub(super) fn ensure_same(
    mut delivered: Vec<Delivered>,
    appended: Vec<NewRecord>,
    acks: &[Ack],
) -> Outcome {
    delivered.sort_by_key(|delivered| delivered.place);
    let expected = sorted(appended, acks);
    ensure(delivered.len() == expected.len(), || {
        format!("{} records came, {} were appended", delivered.len(), expected.len())
    })?;
    for (delivered, expected) in delivered.iter().zip(&expected) {
        ensure(delivered == expected, || format!("{delivered:?} came instead of {expected:?}"))?;
    }
    Ok(())
}

/// Waits until the end of every lane was told.
pub(super) fn take_ends(consumer: &mut Consumer, lanes: usize) -> Result<usize, Broken> {
    let deadline = Instant::now() + PATIENCE;
    let (mut told, mut records) = (Vec::new(), 0);
    while told.len() < lanes {
        ensure(Instant::now() < deadline, || format!("only the ends of {told:?} were told"))?;
        match consumer.next(Duration::from_millis(100))? {
            Some(Delivery::CaughtUp(lane)) if !told.contains(&lane) => told.push(lane),
            Some(Delivery::CaughtUp(_)) | None => {}
            Some(Delivery::Batch(batch)) => records += batch.records.len(),
        }
    }
    Ok(records)
}
