//! Works on redrives: from the archive to the contact log, as fast as was ordered. One instance works on
//! all of them, so that each knows what the others have sent and are about to.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64;

use crate::domain::Class;
use crate::effects::pace::{Pace, at_once};
use crate::event_log::{EventLog, NewRecord};
use crate::ingest::{Pause, now_ms};
use crate::store::{KeptLetter, LetterRow};
use crate::telemetry::fault;

use super::desk::{LetterDesk, REDRIVING, blocking};
use super::error::LetterError;
use super::job::{FAILED_MAX, Job, JobState, LeftOut};
use super::provenance::redriven;

/// Jobs that one instance works on at once; others wait.
const JOBS_AT_ONCE: usize = 4;
/// How often it is looked for jobs whose instance is gone.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Bytes that are appended together.
const BYTES_AT_ONCE: usize = 1 << 20;
/// Letters that are looked at together.
const ROWS: usize = 2048;
/// How often it is written down how far a job is.
const WRITE_EVERY: Duration = Duration::from_secs(2);
/// First and longest pause between two tries.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// How long letters are tried before the job is looked at anew.
const SEND_MAX: Duration = Duration::from_secs(15);

/// Until told to stop.
pub(super) async fn redrive_all(desk: &Arc<LetterDesk>, stop: &CancellationToken) {
    let mut changed = desk.reader.control_watch();
    let mut held = BTreeSet::new();
    let mut running: FuturesUnordered<BoxFuture<'_, String>> = FuturesUnordered::new();
    loop {
        let waiting = waiting(desk, &held);
        if !waiting.is_empty()
            && held.len() < JOBS_AT_ONCE
            && desk.lease.takes(REDRIVING, stop).await
        {
            for id in waiting.into_iter().take(JOBS_AT_ONCE - held.len()) {
                held.insert(id.clone());
                running.push(redrive(desk, id, stop).boxed());
            }
        }
        tokio::select! {
            () = stop.cancelled() => {
                // They write down how far they are.
                while running.next().await.is_some() {}
                return;
            }
            Some(id) = running.next(), if !running.is_empty() => {
                held.remove(&id);
            }
            () = desk.ordered.notified() => {}
            Ok(()) = changed.changed() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// Jobs that are not worked on yet; those of one letter first.
fn waiting(desk: &LetterDesk, held: &BTreeSet<String>) -> Vec<String> {
    if !desk.letters().is_loaded() {
        return Vec::new();
    }
    let mut waiting = desk.decisions(|decisions| {
        let jobs =
            decisions.jobs().filter(|listed| listed.job.is_running() && !held.contains(&listed.id));
        jobs.map(|listed| (listed.job.selection.one.is_none(), listed.id)).collect::<Vec<_>>()
    });
    waiting.sort_unstable();
    waiting.into_iter().map(|(_, id)| id).collect()
}

/// Works on one job; gives its id back.
async fn redrive(desk: &Arc<LetterDesk>, id: String, stop: &CancellationToken) -> String {
    let worked = work(desk, &id, stop).await;
    desk.under_way.lock().remove(&id);
    if let Err(error) = worked {
        desk.metrics.retried("redrive");
        tracing::warn!(job = id, %error, "a redrive waits, and is tried again");
        let pause = PAUSE_MAX.mul_f64(0.25 + fastrand::f64() / 4.0);
        stop.run_until_cancelled(tokio::time::sleep(pause)).await;
    }
    id
}

/// A job that this instance works on.
struct Work {
    job: Job,
    revision: u64,
    /// The frame of the archive to go on with.
    frame: u64,
    written: Instant,
}

async fn work(
    desk: &Arc<LetterDesk>,
    id: &str,
    stop: &CancellationToken,
) -> Result<(), LetterError> {
    let Some(listed) = desk.decisions(|decisions| decisions.job(id)) else {
        return Ok(());
    };
    let job = Job::clone(&listed.job);
    let mut work = Work { job, revision: listed.revision, frame: 0, written: Instant::now() };
    // Taking it up shows that nobody else did, and that what is known of the others is new.
    if !write(desk, id, &mut work).await? {
        return Ok(());
    }
    let some = at_once(work.job.rate);
    let pace = Pace::new(work.job.rate, some);
    // The first ones go at once.
    pace.wait(some as usize, stop).await;
    while !stop.is_cancelled() {
        if !desk.lease.is_held() {
            return Ok(());
        }
        if !desk.decisions(|decisions| decisions.job(id)).is_some_and(|at| at.job.is_running()) {
            return note_stopped(desk, id, work).await;
        }
        if !(desk.may_still_order)(&work.job.by) {
            return stop_of_itself(desk, id, work).await;
        }
        let chunk = blocking({
            let (desk, id) = (Arc::clone(desk), id.to_owned());
            let (job, frame) = (work.job.clone(), work.frame);
            move || next_chunk(&desk, &id, job, frame)
        })
        .await;
        let chunk = match chunk {
            Err(error @ LetterError::Bridge(_)) => {
                // Begun again, it goes on from here.
                write(desk, id, &mut work).await?;
                return Err(error);
            }
            chunk => chunk?,
        };
        let (sent, is_end) = (chunk.records.len(), chunk.is_end);
        let Some(job) = send(desk, chunk.job, chunk.records, stop).await? else {
            break;
        };
        (work.job, work.frame) = (job, chunk.frame);
        fault::point("redriven");
        if work.job.is_running() && (is_end || work.job.is_through()) {
            work.job.state = JobState::Done;
        }
        let is_due = work.written.elapsed() >= WRITE_EVERY;
        if (is_due || !work.job.is_running()) && !write(desk, id, &mut work).await? {
            return note_stopped(desk, id, work).await;
        }
        if !work.job.is_running() {
            tell(id, &work.job);
            return Ok(());
        }
        pace.wait(sent, stop).await;
        desk.pace.wait(sent, stop).await;
    }
    // An orderly end: whoever is next goes on from here.
    write(desk, id, &mut work).await.map(|_| ())
}

/// Somebody stopped it: how far it was stays true.
async fn note_stopped(desk: &LetterDesk, id: &str, mut work: Work) -> Result<(), LetterError> {
    let Some(stopped) = desk.decisions(|decisions| decisions.job(id)) else {
        return Ok(());
    };
    if stopped.job.state == JobState::Stopped {
        (work.job.state, work.job.why) = (JobState::Stopped, stopped.job.why.clone());
        work.revision = stopped.revision;
        write(desk, id, &mut work).await?;
    }
    Ok(())
}

/// Who ordered it may not any more, and nothing more is done in that name.
async fn stop_of_itself(desk: &LetterDesk, id: &str, mut work: Work) -> Result<(), LetterError> {
    let why = format!("{} may not redrive any more", work.job.by);
    tracing::warn!(
        job = id,
        by = work.job.by,
        "dead letters: a redrive ends, its owner may not any more"
    );
    (work.job.state, work.job.why) = (JobState::Stopped, Some(why));
    if write(desk, id, &mut work).await? { Ok(()) } else { note_stopped(desk, id, work).await }
}

fn tell(id: &str, job: &Job) {
    let counts = &job.counts;
    tracing::info!(
        job = id,
        by = job.by,
        redriven = counts.done,
        left_out = counts.selected() - counts.done,
        "dead letters: redriven"
    );
}

/// Writes down how far it is. False: it is somebody else's by now, or was stopped.
async fn write(desk: &LetterDesk, id: &str, work: &mut Work) -> Result<bool, LetterError> {
    work.job.updated_ms = now_ms();
    match desk.write(id, &work.job, Some(work.revision), None).await? {
        Some(revision) => {
            (work.revision, work.written) = (revision, Instant::now());
            Ok(true)
        }
        None => Ok(false),
    }
}

/// Some letters as records, and the job as it is after them.
struct Chunk {
    job: Job,
    records: Vec<(LetterRow, NewRecord)>,
    frame: u64,
    is_end: bool,
}

fn next_chunk(desk: &LetterDesk, id: &str, job: Job, frame: u64) -> Result<Chunk, LetterError> {
    let letters = desk.letters();
    // Until the letters of this chunk are counted as done, nobody else chooses any.
    let mut under_way = desk.under_way.lock();
    let at_once = at_once(job.rate.min(desk.options.redrives_per_second_max)) as usize;
    let rows = letters.rows_from(frame, ROWS);
    let mut chunk = Chunk { is_end: rows.is_empty(), job, records: Vec::new(), frame };
    let mut bytes = 0;
    for (frame, row) in rows {
        if chunk.job.limit.is_some_and(|limit| chunk.job.counts.done >= limit) {
            chunk.is_end = true;
            break;
        }
        if chunk.records.len() >= at_once || bytes >= BYTES_AT_ONCE {
            break;
        }
        chunk.frame = frame + 1;
        if !chunk.job.is_about(&row) || chunk.job.is_past(&row) {
            continue;
        }
        let fate = desk.decisions(|decisions| decisions.fate_with(&row, &under_way));
        let records = match chunk.job.decide(&row, &fate) {
            Ok(()) => match records_of(desk, frame, chunk.job.at_ms) {
                // What was chosen before it goes first.
                Err(LetterError::Bridge(_)) if !chunk.records.is_empty() => {
                    chunk.frame = frame;
                    break;
                }
                records => records?,
            },
            Err(why) => Err(why),
        };
        chunk.job.advance(&row);
        match records {
            Ok(records) => {
                let len = |record: &NewRecord| {
                    record.key.len() + record.value.as_ref().map_or(0, Vec::len)
                };
                bytes += records.iter().map(len).sum::<usize>();
                chunk.job.counts.done += 1;
                chunk.records.extend(records.into_iter().map(|record| (row, record)));
            }
            Err(why) => fail(&mut chunk.job, &row, why),
        }
    }
    under_way.insert(id.to_owned(), Arc::new(chunk.job.clone()));
    Ok(chunk)
}

/// Notes a letter that is left out; one that the rules do not leave out is named.
fn fail(job: &mut Job, row: &LetterRow, why: LeftOut) {
    job.counts.left_out(why);
    if !matches!(why, LeftOut::Incomplete | LeftOut::Refused) {
        return;
    }
    if job.failed.len() < FAILED_MAX {
        job.failed.push((row.lane, row.offset));
    } else {
        job.state = JobState::Failed;
        job.why = Some(format!("more than {FAILED_MAX} letters could not be sent"));
    }
}

/// One, or where the bridge could not decode a batch, all that it becomes now.
fn records_of(
    desk: &LetterDesk,
    frame: u64,
    ordered_ms: u64,
) -> Result<Result<Vec<NewRecord>, LeftOut>, LetterError> {
    let Some(mut letter) = desk.letters().letter(frame)? else {
        return Ok(Err(LeftOut::Incomplete));
    };
    if letter.is_truncated() {
        match whole_value(&desk.log, &letter)? {
            Some(value) => letter.value = Some(value),
            None => return Ok(Err(LeftOut::Incomplete)),
        }
    }
    let now_ms = i64::try_from(now_ms()).unwrap_or(i64::MAX);
    let value = letter.value.take();
    let record = redriven(letter.key.as_deref(), value, letter.headers(), now_ms);
    match &desk.bridge {
        Some(bridge) => {
            Ok(Ok(bridge.records(&desk.log, record, letter.record_time_ms, ordered_ms)?))
        }
        None => Ok(Ok(vec![record])),
    }
}

/// The value of which only the head is kept, while the log still has it.
pub(super) fn whole_value(
    log: &EventLog,
    letter: &KeptLetter,
) -> Result<Option<Vec<u8>>, LetterError> {
    let value = match log.read_one(letter.lane, letter.offset) {
        Ok(record) => record.and_then(|record| record.value),
        Err(error) if error.class() == Class::Retry => return Err(error.into()),
        Err(error) => {
            tracing::debug!(%error, "a dead letter's record can't be read on the log");
            None
        }
    };
    Ok(value.filter(|value| {
        value.len() as u64 == letter.value_len && xxh3_64(value) == letter.value_hash
    }))
}

/// Appends until the log has taken all, or will never take what is left. None: told to stop before.
async fn send(
    desk: &LetterDesk,
    mut job: Job,
    mut records: Vec<(LetterRow, NewRecord)>,
    stop: &CancellationToken,
) -> Result<Option<Job>, LetterError> {
    let until = Instant::now() + SEND_MAX;
    // One letter may have become many records.
    let mut refused = BTreeSet::new();
    let mut pause = Pause::between(PAUSE_MIN, PAUSE_MAX);
    loop {
        let appends = records
            .iter()
            .map(|(_, record)| desk.log.append_borrowed(std::slice::from_ref(record)));
        let Some(results) = stop.run_until_cancelled(join_all(appends)).await else {
            return Ok(None);
        };
        let (mut again, mut last) = (Vec::new(), None);
        for ((row, record), result) in records.into_iter().zip(results) {
            match result {
                Ok(_ack) => desk.metrics.dead_letters.redriven(row.reason),
                Err(error) if error.class() == Class::Poison => {
                    if refused.insert((row.lane, row.offset)) {
                        job.counts.done = job.counts.done.saturating_sub(1);
                        fail(&mut job, &row, LeftOut::Refused);
                    }
                }
                Err(error)
                    if error.class() == Class::Retry
                        && Instant::now() < until
                        && desk.lease.is_held()
                        && (desk.may_still_order)(&job.by) =>
                {
                    last = Some(error);
                    again.push((row, record));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let Some(error) = last else {
            return Ok(Some(job));
        };
        tracing::debug!(%error, "a redrive waits for the log");
        records = again;
        stop.run_until_cancelled(tokio::time::sleep(pause.take())).await;
    }
}
