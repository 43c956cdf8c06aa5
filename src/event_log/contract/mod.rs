//! What every log must keep, as scenarios: the same ones run over the embedded log, librdkafka's mock
//! cluster and a real Kafka.
//!
//! A scenario takes a log of two lanes or more that nobody else writes, empty or not.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::domain::Class;
use crate::domain::position::{Lane, NextOffset, Offset};

use super::{ConsumeBounds, ControlAccess, Delivery, EventLog, LogError, NewRecord, StoredRecord};

mod control;
mod harness;

use harness::{
    append, ends, ensure, ensure_same, promise, record, records, take, take_ends, wait_for,
};

/// How long a scenario waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);
const BOUNDS: ConsumeBounds = ConsumeBounds { records_max: 1000, bytes_max: 4 << 20 };
/// A little below what a broker takes with its defaults.
const LARGE_BYTES: usize = 900_000;
/// More than any log takes.
const HUGE_BYTES: usize = 32 << 20;

/// Why a log doesn't keep the contract.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// It failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// No runtime to append in.
    #[error(transparent)]
    Runtime(#[from] io::Error),
    /// It did otherwise.
    #[error("{what}")]
    Promise {
        /// What it did.
        what: String,
    },
}

/// What a scenario finds.
pub(super) type Outcome = Result<(), Broken>;

/// A promise, checked on a log.
type Scenario = fn(&EventLog) -> Outcome;

/// Every scenario with its name.
const SCENARIOS: [(&str, Scenario); 12] = [
    ("acknowledged records are delivered once and in order", delivered_once_in_order),
    ("every byte of a record comes back", every_byte_comes_back),
    ("a key goes to its home lane", keys_go_home),
    ("reading starts where it is told", reading_starts_where_told),
    ("the end of a lane is told, and told again", ends_are_told),
    ("a slow reader within narrow bounds gets everything", narrow_bounds_lose_nothing),
    ("appends that run together keep their own order", concurrent_appends_keep_order),
    ("a record that is refused keeps no other one out", each_has_its_outcome),
    ("what is flushed stands in the log", bulk_is_kept),
    ("a single record is found by its place", single_records_are_found),
    ("an offset out of range is an error, not a guess", out_of_range_is_refused),
    ("control records have a lane of their own", control::has_a_lane_of_its_own),
];

/// Runs all scenarios; the first broken promise, with its name.
pub(super) fn check_all(log: &EventLog) -> Outcome {
    for (name, scenario) in SCENARIOS {
        scenario(log).map_err(|broken| promise(format!("{name}: {broken}")))?;
    }
    Ok(())
}

fn delivered_once_in_order(log: &EventLog) -> Outcome {
    let from = ends(log)?;
    let mut consumer = log.consume(&from, BOUNDS)?;
    let (before, after) = (records(300), records(200));
    let mut acks = append(log, before.clone())?;
    acks.extend(append(log, after.clone())?);
    let appended = [before, after].concat();
    ensure(acks.len() == appended.len(), || format!("{} acknowledgements", acks.len()))?;
    for (index, ack) in acks.iter().enumerate() {
        let in_lane = acks.iter().take(index).filter(|other| other.lane == ack.lane);
        let is_later = in_lane.max().is_none_or(|last| last.offset < ack.offset);
        ensure(is_later, || format!("{ack:?} was acknowledged out of order"))?;
    }
    ensure_same(take(&mut consumer, appended.len())?, appended, &acks)?;
    let end = ends(log)?;
    let grown = from.iter().zip(&end).map(|((_, from), (_, end))| end.0 - from.0);
    // Kafka's transactions and compaction may use more offsets than records, never fewer.
    let grown = grown.sum::<u64>();
    ensure(grown >= 500, || format!("the watermarks grew by {grown}"))
}

fn each_has_its_outcome(log: &EventLog) -> Outcome {
    let mut consumer = log.consume(&ends(log)?, BOUNDS)?;
    let mut appended = records(40);
    let huge = NewRecord { value: Some(vec![b'x'; HUGE_BYTES]), ..record(7) };
    appended.insert(20, huge);
    let outcomes = wait_for(log.append_each(appended.clone()))??;
    ensure(outcomes.len() == 41, || format!("{} outcomes", outcomes.len()))?;
    let mut acks = Vec::new();
    for (at, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(ack) => acks.push(ack),
            Err(error) => ensure(at == 20 && error.class() == Class::Poison, || error.to_string())?,
        }
    }
    appended.remove(20);
    ensure(acks.len() == 40, || format!("{} acknowledgements", acks.len()))?;
    ensure_same(take(&mut consumer, appended.len())?, appended, &acks)
}

fn every_byte_comes_back(log: &EventLog) -> Outcome {
    let mut consumer = log.consume(&ends(log)?, BOUNDS)?;
    let plain = record(1);
    let appended = vec![
        NewRecord { value: None, ..plain.clone() },
        NewRecord { value: Some(Vec::new()), ..plain.clone() },
        NewRecord { headers: Vec::new(), ..plain.clone() },
        NewRecord {
            headers: vec![
                ("a".into(), Some(vec![0, 255])),
                ("a".into(), Some(Vec::new())),
                ("a".into(), None),
                ("ü".into(), Some(vec![1])),
            ],
            ..plain.clone()
        },
        NewRecord { value: Some((0..LARGE_BYTES).map(|at| at as u8).collect()), ..plain.clone() },
        NewRecord { key: vec![0, 159, 146, 150], ..plain },
    ];
    let acks = append(log, appended.clone())?;
    ensure_same(take(&mut consumer, appended.len())?, appended, &acks)
}

fn keys_go_home(log: &EventLog) -> Outcome {
    let founding = log.founding()?;
    let lanes = founding.lanes;
    ensure(lanes > 1, || "the scenarios need two lanes or more".into())?;
    let appended = records(100);
    let acks = append(log, appended.clone())?;
    for (record, ack) in appended.iter().zip(&acks) {
        let home = founding.home(&record.key);
        ensure(ack.lane == home, || format!("{record:?} went to {}, not {home}", ack.lane))?;
    }
    let elsewhere = NewRecord { lane: Some(Lane(lanes - 1)), ..record(0) };
    let acks = append(log, vec![elsewhere; 3])?;
    ensure(acks.iter().all(|ack| ack.lane == Lane(lanes - 1)), || format!("{acks:?}"))
}

fn reading_starts_where_told(log: &EventLog) -> Outcome {
    let all = records(400);
    let acks = append(log, all.clone())?;
    let middle = acks.len() / 2;
    let mut from = ends(log)?;
    for ack in acks.iter().skip(middle).rev() {
        from.insert(ack.lane, NextOffset(ack.offset.0));
    }
    let (late, late_acks) =
        (all.into_iter().skip(middle).collect(), acks.get(middle..).unwrap_or_default());
    let mut consumer = log.consume(&from, BOUNDS)?;
    ensure_same(take(&mut consumer, late_acks.len())?, late, late_acks)?;
    // A part of the lanes only.
    let Some(one) = late_acks.first() else {
        return Ok(());
    };
    let only: BTreeMap<_, _> = from.into_iter().filter(|(lane, _)| *lane == one.lane).collect();
    let expected = late_acks.iter().filter(|ack| ack.lane == one.lane).count();
    let taken = take(&mut log.consume(&only, BOUNDS)?, expected)?;
    ensure(taken.iter().all(|delivered| delivered.place.lane == one.lane), || {
        "another lane came".into()
    })
}

fn ends_are_told(log: &EventLog) -> Outcome {
    let from = ends(log)?;
    append(log, records(100))?;
    let mut consumer = log.consume(&from, BOUNDS)?;
    let before = take_ends(&mut consumer, from.len())?;
    ensure(before == 100, || format!("{before} of 100 records came before the ends"))?;
    let status = consumer.status();
    ensure(status.is_caught_up(), || format!("{status:?}"))?;
    let acks = append(log, vec![record(5)])?;
    take(&mut consumer, 1)?;
    let again = take_ends(&mut consumer, 1)?;
    ensure(again == 0, || format!("{again} records more"))?;
    let next = acks.first().and_then(|ack| Some((status.lane(ack.lane)?, ack.offset.next())));
    let Some((lane, next)) = next else {
        return Err(promise("the status has no such lane".into()));
    };
    let (at, high) = (lane.next.load(Ordering::Acquire), lane.high.load(Ordering::Acquire));
    ensure(at >= next.0 && high >= next.0, || format!("the status says {at} of {high}, not {next}"))
}

fn narrow_bounds_lose_nothing(log: &EventLog) -> Outcome {
    let from = ends(log)?;
    let large = |number| NewRecord { value: Some(vec![b'x'; 10_000]), ..record(number) };
    let appended: Vec<_> = (0..300)
        .map(|number| if number % 10 == 0 { large(number) } else { record(number) })
        .collect();
    let acks = append(log, appended.clone())?;
    for bounds in [
        ConsumeBounds { records_max: 1, bytes_max: 1 },
        ConsumeBounds { records_max: 7, bytes_max: 5_000 },
    ] {
        let mut consumer = log.consume(&from, bounds)?;
        ensure_same(take(&mut consumer, appended.len())?, appended.clone(), &acks)?;
        consumer.stop();
    }
    Ok(())
}

fn concurrent_appends_keep_order(log: &EventLog) -> Outcome {
    const TASKS: usize = 20;
    const EACH: usize = 20;
    let mut consumer = log.consume(&ends(log)?, BOUNDS)?;
    let task = |task: usize| async move {
        let mut acks = Vec::new();
        for number in 0..EACH {
            let name = ("task".to_owned(), Some(task.to_string().into_bytes()));
            acks.extend(
                log.append(vec![NewRecord { headers: vec![name], ..record(number) }]).await?,
            );
        }
        Ok::<_, LogError>(acks)
    };
    let acks = wait_for(async {
        let mut running: Vec<_> = (0..TASKS).map(|number| Box::pin(task(number))).collect();
        let mut acks = Vec::new();
        // All are polled together, as a server's requests are.
        std::future::poll_fn(|context| {
            let mut failed = None;
            running.retain_mut(|task| match task.as_mut().poll(context) {
                std::task::Poll::Pending => true,
                std::task::Poll::Ready(Ok(more)) => {
                    acks.extend(more);
                    false
                }
                std::task::Poll::Ready(Err(error)) => {
                    failed = Some(error);
                    false
                }
            });
            match failed {
                Some(error) => std::task::Poll::Ready(Err(error)),
                None if running.is_empty() => std::task::Poll::Ready(Ok(())),
                None => std::task::Poll::Pending,
            }
        })
        .await
        .map(|()| acks)
    })??;
    let delivered = take(&mut consumer, TASKS * EACH)?;
    let mut places: Vec<_> = delivered.iter().map(|delivered| delivered.place).collect();
    let mut acks = acks;
    places.sort_unstable();
    acks.sort_unstable();
    ensure(places == acks, || "other places came than were acknowledged".into())?;
    let mut seen = BTreeMap::new();
    for delivered in delivered {
        let NewRecord { headers, timestamp_ms, .. } = delivered.record;
        let before = seen.insert((headers, delivered.place.lane), timestamp_ms);
        ensure(before.is_none_or(|before| before < timestamp_ms), || {
            "a task's records changed order".into()
        })?;
    }
    Ok(())
}

fn bulk_is_kept(log: &EventLog) -> Outcome {
    let from = ends(log)?;
    let appended = records(5_000);
    for portion in appended.chunks(700) {
        log.append_blocking(portion.to_vec())?;
    }
    log.flush()?;
    let end = ends(log)?;
    let grown: u64 = from.iter().zip(&end).map(|((_, from), (_, end))| end.0 - from.0).sum();
    ensure(grown >= 5_000, || format!("{grown} of 5,000 stand after the flush"))?;
    let taken = take(&mut log.consume(&from, BOUNDS)?, appended.len())?;
    let founding = log.founding()?;
    for lane in (0..founding.lanes).map(Lane) {
        let is_home = |record: &&NewRecord| founding.home(&record.key) == lane;
        let expected: Vec<_> = appended.iter().filter(is_home).collect();
        let came: Vec<_> = taken
            .iter()
            .filter(|delivered| delivered.place.lane == lane)
            .map(|delivered| &delivered.record)
            .collect();
        ensure(came == expected, || format!("lane {lane} is not what was appended"))?;
    }
    Ok(())
}

fn single_records_are_found(log: &EventLog) -> Outcome {
    let appended = records(60);
    let acks = append(log, appended.clone())?;
    for (record, ack) in appended.into_iter().zip(&acks).step_by(13) {
        let NewRecord { key, value, timestamp_ms, .. } = record;
        let expected = StoredRecord { timestamp_ms, key: Some(key), value };
        let found = log.read_one(ack.lane, ack.offset)?;
        ensure(found.as_ref() == Some(&expected), || format!("{found:?} stands at {ack:?}"))?;
    }
    for (lane, end) in ends(log)? {
        let beyond = log.read_one(lane, Offset(end.0))?;
        ensure(beyond.is_none(), || format!("{beyond:?} stands beyond the end of {lane}"))?;
    }
    Ok(())
}

fn out_of_range_is_refused(log: &EventLog) -> Outcome {
    let mut from = ends(log)?;
    let Some(mut lane) = from.first_entry() else {
        return Ok(());
    };
    let beyond = NextOffset(lane.get().0 + 1000);
    lane.insert(beyond);
    let deadline = Instant::now() + PATIENCE;
    let mut consumer = match log.consume(&from, BOUNDS) {
        Err(LogError::OffsetOutOfRange { .. }) => return Ok(()),
        other => other?,
    };
    while Instant::now() < deadline {
        match consumer.next(Duration::from_millis(100)) {
            Err(LogError::OffsetOutOfRange { next, .. }) if next == beyond => return Ok(()),
            Err(other) => return Err(other.into()),
            Ok(None | Some(Delivery::CaughtUp(_))) => {}
            Ok(Some(Delivery::Batch(batch))) => {
                return Err(promise(format!("{} records came instead", batch.records.len())));
            }
        }
    }
    Err(promise("nothing was said".into()))
}
