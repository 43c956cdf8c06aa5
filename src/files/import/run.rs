//! An import under way: rows are made ready while those before them are applied.
//!
//! What is known of a batch is noted once all of its verdicts are there. A kill takes that back to the batch
//! before, and the rows are known again by what they have left on their contacts.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::error::ImportError;
use super::intake::open;
use super::job::CHANGES_MAX;
use super::live::{Around, End, Live};
use super::matching::{ByEmail, MatchReader, MatchWriter, RowKey, key_of};
use super::noted::{NotedRow, NotedVerdict};
use super::options::Match;
use super::prepare::{Batch, Prepared, PreparedRow, Preparer, event_id, given};
use super::refusal::{Reason, Refusal};
use super::spool::{Progress, Spool};
use crate::domain::verdict::Verdict;
use crate::event_log::{Ack, NewRecord};
use crate::ingest::{IntakeError, Pause};
use crate::store::{Expected, RecordOutcome};
use crate::telemetry::ImportVerdict;

/// How often it is written down how far it is.
const WRITE_EVERY: Duration = Duration::from_millis(500);
/// Rows between two looks whether to stop.
const LOOK_EVERY: u64 = 256;

/// Runs it from where it stands.
pub(super) async fn run(
    around: &Arc<Around>,
    live: &Arc<Live>,
    stop: &CancellationToken,
) -> Result<End, ImportError> {
    let job = live.job();
    let (mut preparer, progress) = match prepared(around, live, stop).await? {
        Some(prepared) => prepared,
        None => return Ok(live.end_of(stop)),
    };
    let noted = Spool::append(&live.spool.noted(), progress.noted)?;
    let written = Instant::now();
    let mut running =
        Running { around, live, progress, noted: BufWriter::new(noted), written, stop };
    let mut pending: Option<Batch> = None;
    loop {
        if stop.is_cancelled() || live.cancel.is_cancelled() {
            return Ok(live.end_of(stop));
        }
        if !(around.may_still_import)(&job.by) {
            return Err(ImportError::NotAllowed { by: job.by });
        }
        let is_last = pending.as_ref().is_some_and(|batch| batch.is_last);
        let next = (!is_last).then(|| {
            tokio::task::spawn_blocking(move || {
                let batch = preparer.batch();
                (preparer, batch)
            })
        });
        if let Some(batch) = pending.take()
            && !running.settle(batch).await?
        {
            // What is being read ends by itself.
            return Ok(live.end_of(stop));
        }
        let Some(next) = next else {
            running.write(true)?;
            return Ok(End::Done);
        };
        let (again, batch) = next.await.map_err(ImportError::ended)?;
        preparer = again;
        pending = Some(batch?);
    }
}

/// Where it goes on, once it is known whose rows are. None: told to stop meanwhile.
pub(super) async fn prepared(
    around: &Arc<Around>,
    live: &Arc<Live>,
    stop: &CancellationToken,
) -> Result<Option<(Preparer, Progress)>, ImportError> {
    let (around, live, stop) = (Arc::clone(around), Arc::clone(live), stop.clone());
    let preparing = tokio::task::spawn_blocking(move || {
        let mut progress = live.spool.progress();
        if !progress.matched {
            if !find_matches(&around, &live, &stop)? {
                return Ok(None);
            }
            progress.matched = true;
            live.spool.write_progress(&progress)?;
        }
        let preparer = preparer(&around, &live, progress.place)?;
        Ok(Some((preparer, progress)))
    });
    preparing.await.map_err(ImportError::ended)?
}

/// Reads rows from a place on, or from the first.
pub(super) fn preparer(
    around: &Around,
    live: &Live,
    place: Option<super::content::Place>,
) -> Result<Preparer, ImportError> {
    let job = live.job();
    let path = live.spool.rows();
    let (layout, reader, first) = open(&path, &job.options)?;
    let place = place.unwrap_or(first);
    let rows = layout.rows(&path, place)?;
    let matches = Some(MatchReader::open(&live.spool)?);
    let world = (around.store.clone(), around.rules.decoder());
    let terms = (live.id.clone(), job.options, job.started_us);
    Ok(Preparer::new(rows, reader, world, matches, terms))
}

/// Looks for the contacts of rows that name theirs by an e-mail address. False: told to stop.
fn find_matches(
    around: &Around,
    live: &Live,
    stop: &CancellationToken,
) -> Result<bool, ImportError> {
    let job = live.job();
    let mut writer = MatchWriter::new(&live.spool)?;
    if matches!(job.options.by, None | Some(Match::Email)) {
        let path = live.spool.rows();
        let (layout, mut reader, first) = open(&path, &job.options)?;
        let mut rows = layout.rows(&path, first)?;
        while let Some(row) = rows.next()? {
            let is_time = row.number.is_multiple_of(LOOK_EVERY);
            if is_time && (stop.is_cancelled() || live.cancel.is_cancelled()) {
                return Ok(false);
            }
            let number = row.number;
            let Ok(row) = row.content.and_then(|content| reader.read(content)) else {
                continue;
            };
            if let Ok(RowKey::Email(email)) = key_of(&row, &job.options) {
                writer.write(number, &ByEmail::find(&around.store, email)?)?;
            }
        }
    }
    writer.end()?;
    Ok(true)
}

/// What goes on with a batch that is made ready.
struct Running<'r> {
    around: &'r Arc<Around>,
    live: &'r Arc<Live>,
    progress: Progress,
    noted: BufWriter<File>,
    written: Instant,
    stop: &'r CancellationToken,
}

impl Running<'_> {
    /// Appends a batch's events and counts what became of its rows. False: told to stop before.
    async fn settle(&mut self, batch: Batch) -> Result<bool, ImportError> {
        let (mut records, mut expected) = (Vec::new(), Vec::new());
        let mut rows = batch.rows;
        for row in &mut rows {
            if let Prepared::Events(_, events) = &mut row.prepared {
                for event in events.iter_mut() {
                    expected.push(self.around.store.expect(event.hash));
                    records.push(std::mem::take(&mut event.record));
                }
            }
        }
        let Some(outcomes) = self.outcomes(records, expected).await? else {
            return Ok(false);
        };
        let mut outcomes = outcomes.into_iter();
        for row in rows {
            let events = match &row.prepared {
                Prepared::Events(_, events) => events.len(),
                Prepared::Given { .. }
                | Prepared::Would { .. }
                | Prepared::Duplicate(_)
                | Prepared::Refused(_) => 0,
            };
            let told: Vec<RecordOutcome> = outcomes.by_ref().take(events).collect();
            self.count(row, &told)?;
        }
        self.progress.place = Some(batch.place);
        self.write(batch.is_last)?;
        Ok(true)
    }

    /// What became of each, once all are decided. None: told to stop before.
    async fn outcomes(
        &self,
        records: Vec<NewRecord>,
        expected: Vec<Expected>,
    ) -> Result<Option<Vec<RecordOutcome>>, ImportError> {
        if records.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let Some(acks) = self.append(records).await? else {
            return Ok(None);
        };
        let waiting = async {
            let mut outcomes = Vec::with_capacity(acks.len());
            for (expected, Ack { lane, offset }) in expected.into_iter().zip(acks) {
                outcomes.push(expected.outcome_at(lane, offset).await?);
            }
            Ok(outcomes)
        };
        // Applying may be paused for long; who cancels need not wait for it.
        let told = self.stop.run_until_cancelled(self.live.cancel.run_until_cancelled(waiting));
        told.await.flatten().transpose()
    }

    /// Until the log has them. None: told to stop before.
    async fn append(&self, records: Vec<NewRecord>) -> Result<Option<Vec<Ack>>, ImportError> {
        let mut pause = Pause::default();
        loop {
            match self.around.intake.keep_events_on_log(&records).await {
                Ok(acks) => return Ok(Some(acks)),
                Err(IntakeError::Refused(error)) => return Err(error.into()),
                Err(error) => tracing::debug!(%error, "an import waits for the contact log"),
            }
            let wait = tokio::time::sleep(pause.take());
            let waited = self.stop.run_until_cancelled(self.live.cancel.run_until_cancelled(wait));
            if waited.await.flatten().is_none() {
                return Ok(None);
            }
        }
    }

    fn count(&mut self, row: PreparedRow, told: &[RecordOutcome]) -> Result<(), ImportError> {
        self.progress.counts.rows += 1;
        let (number, place) = ((row.number, row.line), (row.at, row.bytes));
        match row.prepared {
            Prepared::Events(contact, _) => match self.verdict((row.number, &contact), told)? {
                Ok((verdict, creates)) => self.applied(number, place, verdict, creates),
                Err(refusal) => self.refuse(number, place, refusal),
            },
            Prepared::Given { verdict, creates } => self.applied(number, place, verdict, creates),
            Prepared::Would { creates, mut changes } => {
                let verdict =
                    if changes.is_empty() { Verdict::Unchanged } else { Verdict::Applied };
                self.live.edit(|job| {
                    changes.truncate(CHANGES_MAX.saturating_sub(job.changes.len()));
                    job.changes.append(&mut changes);
                });
                self.applied(number, place, verdict, creates)
            }
            Prepared::Duplicate(of) => {
                self.progress.counts.duplicate += 1;
                if !self.live.is_dry() {
                    self.around.metrics.imports.row(ImportVerdict::Duplicate);
                }
                let of = of.map_or_else(|| "an earlier row".to_owned(), |of| format!("row {of}"));
                self.note(number, place, NotedVerdict::Duplicate, format!("{of} says the same"))
            }
            Prepared::Refused(refusal) => self.refuse(number, place, refusal),
        }
    }

    /// Of a row's events together, and whether the contact came to be by them.
    fn verdict(
        &self,
        (number, contact_id): (u64, &str),
        told: &[RecordOutcome],
    ) -> Result<Result<(Verdict, bool), Refusal>, ImportError> {
        let mut verdict = (Verdict::Unchanged, false);
        for (place, outcome) in told.iter().enumerate() {
            match outcome.verdict {
                Verdict::DeadLettered => {
                    let (reason, detail) = outcome.reason.clone().unzip();
                    let reason = reason.map_or("dead letter", |reason| reason.as_str());
                    let detail = format!("{reason}: {}", detail.unwrap_or_default());
                    return Ok(Err(Refusal::new(Reason::NotApplicable, detail)));
                }
                Verdict::Applied => {
                    let view = outcome.value.as_ref().and_then(|value| value.view().ok());
                    let creates = view.is_some_and(|view| view.version() == 1);
                    verdict = (Verdict::Applied, verdict.1 || creates);
                }
                // The log had it before: it was given, and then the process ended.
                Verdict::Duplicate if place == 0 => {
                    let view = outcome.value.as_ref().and_then(|value| value.view().ok());
                    let event_id = event_id(&self.live.id, number);
                    let row = (&*event_id, self.live.job().started_us);
                    verdict = given(&self.around.store, (contact_id, view.as_ref()), row)?;
                }
                Verdict::Stale if verdict.0 != Verdict::Applied => verdict.0 = Verdict::Stale,
                Verdict::Duplicate
                | Verdict::Stale
                | Verdict::Unchanged
                | Verdict::Conflict
                | Verdict::Superseded
                | Verdict::NotFound
                | Verdict::Rehomed => {}
            }
        }
        Ok(Ok(verdict))
    }

    fn applied(
        &mut self,
        number: (u64, u64),
        place: (u64, u64),
        verdict: Verdict,
        creates: bool,
    ) -> Result<(), ImportError> {
        let counts = &mut self.progress.counts;
        let (count, counted) = match verdict {
            Verdict::Applied if creates => (&mut counts.created, ImportVerdict::Created),
            Verdict::Applied => (&mut counts.changed, ImportVerdict::Changed),
            Verdict::Stale => (&mut counts.stale, ImportVerdict::Stale),
            Verdict::Unchanged
            | Verdict::Duplicate
            | Verdict::Conflict
            | Verdict::Superseded
            | Verdict::NotFound
            | Verdict::Rehomed
            | Verdict::DeadLettered => (&mut counts.unchanged, ImportVerdict::Unchanged),
        };
        *count += 1;
        if !self.live.is_dry() {
            self.around.metrics.imports.row(counted);
        }
        if verdict != Verdict::Stale {
            return Ok(());
        }
        let detail = "the contact has newer values for all that the row says";
        self.note(number, place, NotedVerdict::Stale, detail.to_owned())
    }

    fn refuse(
        &mut self,
        number: (u64, u64),
        place: (u64, u64),
        why: Refusal,
    ) -> Result<(), ImportError> {
        self.progress.counts.refuse(why.reason);
        if !self.live.is_dry() {
            self.around.metrics.imports.row(ImportVerdict::Refused);
        }
        self.write_noted(&NotedRow::refused(number, place, why))
    }

    fn note(
        &mut self,
        (row, line): (u64, u64),
        (at, bytes): (u64, u64),
        verdict: NotedVerdict,
        detail: String,
    ) -> Result<(), ImportError> {
        self.write_noted(&NotedRow { row, line, verdict, reason: None, detail, at, bytes })
    }

    fn write_noted(&mut self, row: &NotedRow) -> Result<(), ImportError> {
        let mut line = serde_json::to_vec(row).map_err(std::io::Error::other)?;
        line.push(b'\n');
        self.noted.write_all(&line)?;
        self.progress.noted += line.len() as u64;
        Ok(())
    }

    /// How far it is, for everybody now and for the next start.
    fn write(&mut self, is_end: bool) -> Result<(), ImportError> {
        self.noted.flush()?;
        self.live.noted_bytes(self.progress.noted);
        let counts = self.progress.counts.clone();
        self.live.edit(|job| job.counts = counts);
        if is_end || self.written.elapsed() >= WRITE_EVERY {
            self.live.spool.write_progress(&self.progress)?;
            self.written = Instant::now();
        }
        Ok(())
    }
}
