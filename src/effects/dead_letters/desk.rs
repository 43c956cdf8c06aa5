//! Where dead letters are asked about, and jobs are ordered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::external_ids::contact_id_of;
use crate::domain::headers::{CONTACT_ID, SOURCE};
use crate::domain::position::{Lane, Offset};
use crate::effects::pace::Pace;
use crate::event_log::EventLog;
use crate::ingest::{BridgeAgain, Control, ControlOutcome, ControlWrite, Lease, now_ms};
use crate::store::{DeadLetters, KeptLetter, LetterFigures, LetterRow, Reader};
use crate::telemetry::Metrics;

use super::decisions::{Decisions, JOBS_MAX, Listed};
use super::error::LetterError;
use super::job::{Counts, Fate, Job, JobKind, JobState, PREFIX};
use super::preview::{Preview, preview};
use super::redrive::redrive_all;
use super::selection::{Selection, Topics};

/// Letters that are looked at for one page.
const LOOKED_AT_MAX: usize = 100_000;
const ROWS: usize = 1024;
/// Jobs under way at once.
const RUNNING_MAX: usize = 16;
/// How long what was decided is kept where letters are kept for ever.
const DECISIONS_AGE: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Who has it works on all jobs.
pub(super) const REDRIVING: &str = "dead_letter/redriving";
/// A job of which nothing was heard for so long, and that nobody has, waits for somebody.
const INTERRUPTED_AFTER_MS: u64 = 30_000;

/// What the desk goes by.
#[derive(Clone, Debug)]
pub struct LetterOptions {
    /// Where letters come from.
    pub topics: Topics,
    /// How often one record may be redriven.
    pub hops_max: u8,
    /// How long letters are kept, and with them what was decided of them; none: for ever.
    pub age_max: Option<Duration>,
    /// Letters that all redrives together send a second.
    pub redrives_per_second_max: u32,
}

/// Whether a principal, by its name, may still order what it has ordered.
pub type MayStillOrder = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// Where dead letters are asked about, and jobs are ordered.
pub struct LetterDesk {
    pub(super) reader: Reader,
    pub(super) log: EventLog,
    pub(super) control: Arc<Control>,
    pub(super) lease: Arc<Lease>,
    pub(super) options: LetterOptions,
    pub(super) metrics: Arc<Metrics>,
    pub(super) may_still_order: MayStillOrder,
    /// Where a schema registry is configured.
    pub(super) bridge: Option<BridgeAgain>,
    /// Of all redrives together.
    pub(super) pace: Pace,
    decisions: Mutex<Decisions>,
    /// The jobs that are worked on here, with what each has under way, so that no two send one letter.
    pub(super) under_way: Mutex<BTreeMap<String, Arc<Job>>>,
    /// A job was ordered here.
    pub(super) ordered: Notify,
}

/// What a list is asked for.
#[derive(Clone, Debug, Default)]
pub struct LetterQuery {
    /// Which letters.
    pub selection: Selection,
    /// What became of them: `kept`, `redriven` or `discarded`; none: all but discarded ones.
    pub fate: Option<String>,
    /// At most.
    pub limit: usize,
    /// Those that came before this one; none: from the newest on.
    pub after: Option<(Lane, Offset)>,
}

/// A letter with all that is known.
#[derive(Clone, Debug)]
pub struct LetterShown {
    /// What is known of it at once.
    pub row: LetterRow,
    /// What became of it.
    pub fate: Fate,
    /// Its bytes.
    pub letter: KeptLetter,
}

/// Some letters, newest first.
#[derive(Clone, Debug, Default)]
pub struct LetterPage {
    /// In the order in which this instance met them.
    pub letters: Vec<LetterShown>,
    /// Where the list goes on; none: it has ended.
    pub next: Option<(Lane, Offset)>,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Order {
    /// Redrive or discard.
    pub kind: JobKind,
    /// Which letters.
    pub selection: Selection,
    /// Letters that were redriven before too.
    pub again: bool,
    /// Letters a second at most.
    pub rate: u32,
    /// Letters in all at most.
    pub limit: Option<u64>,
    /// Who wants it.
    pub by: String,
    /// By which request.
    pub request_id: Option<String>,
}

impl LetterDesk {
    /// Over an open store.
    pub fn new(
        log: EventLog,
        control: Arc<Control>,
        lease: Arc<Lease>,
        options: LetterOptions,
        may_still_order: MayStillOrder,
        metrics: Arc<Metrics>,
    ) -> Self {
        let per_second = options.redrives_per_second_max;
        Self {
            pace: Pace::new(per_second, per_second),
            reader: control.reader().clone(),
            log,
            control,
            lease,
            options,
            metrics,
            may_still_order,
            bridge: None,
            decisions: Mutex::default(),
            under_way: Mutex::default(),
            ordered: Notify::new(),
        }
    }

    /// Has redriven records looked at as intake does.
    #[must_use]
    pub fn with_bridge(self, bridge: BridgeAgain) -> Self {
        Self { bridge: Some(bridge), ..self }
    }

    /// Works on jobs until told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        redrive_all(&self, &stop).await;
    }

    /// What letters are called.
    pub fn topics(&self) -> &Topics {
        &self.options.topics
    }

    pub(super) fn letters(&self) -> &DeadLetters {
        self.reader.dead_letters()
    }

    /// What the archive says of itself.
    pub fn figures(&self) -> LetterFigures {
        self.letters().figures()
    }

    fn loaded(&self) -> Result<&DeadLetters, LetterError> {
        let letters = self.letters();
        letters.is_loaded().then_some(letters).ok_or(LetterError::NotLoaded)
    }

    /// With what the control entries say now.
    pub(super) fn decisions<T>(&self, look: impl FnOnce(&Decisions) -> T) -> T {
        let mut decisions = self.decisions.lock();
        decisions.refresh(&self.reader);
        look(&decisions)
    }

    /// A page of letters. Blocks on the disk.
    ///
    /// # Errors
    /// When the archive can't be read.
    pub fn list(&self, query: &LetterQuery) -> Result<LetterPage, LetterError> {
        let letters = self.loaded()?;
        let (first, end) = letters.range();
        let mut before = match query.after {
            None => end,
            // One that is gone was among the oldest.
            Some((lane, offset)) => letters.frame_of(lane, offset).unwrap_or(first),
        };
        let decisions = self.decisions(Decisions::clone);
        let mut page = LetterPage::default();
        let mut looked_at = 0;
        while before > first {
            let rows = letters.rows_before(before, ROWS);
            let Some((oldest, _)) = rows.last() else {
                break;
            };
            before = *oldest;
            for (frame, row) in &rows {
                looked_at += 1;
                let fate = query.selection.has(row).then(|| decisions.fate(row));
                if let Some(fate) = fate.filter(|fate| is_wanted(query, fate))
                    && let Some(letter) = letters.letter(*frame)?
                {
                    let letter = self.shown(letter)?;
                    page.letters.push(LetterShown { row: *row, fate, letter });
                }
                let is_full = page.letters.len() >= query.limit || looked_at >= LOOKED_AT_MAX;
                if is_full && *frame > first {
                    page.next = Some((row.lane, row.offset));
                    return Ok(page);
                }
            }
        }
        Ok(page)
    }

    /// One letter. Blocks on the disk.
    ///
    /// # Errors
    /// When it is not kept, or can't be read.
    pub fn one(&self, lane: Lane, offset: Offset) -> Result<LetterShown, LetterError> {
        let letters = self.loaded()?;
        let frame = letters.frame_of(lane, offset).ok_or(LetterError::NotFound)?;
        let letter = self.shown(letters.letter(frame)?.ok_or(LetterError::NotFound)?)?;
        let rows = letters.rows_from(frame, 1);
        let (_, row) = rows.first().ok_or(LetterError::NotFound)?;
        let fate = self.decisions(|decisions| decisions.fate(row));
        Ok(LetterShown { row: *row, fate, letter })
    }

    /// Without what it says, if its contact was erased since.
    fn shown(&self, letter: KeptLetter) -> Result<KeptLetter, LetterError> {
        let header = |wanted: &str| {
            let mut found = letter.headers().filter(|(name, _)| *name == wanted);
            found.next().and_then(|(_, value)| value)
        };
        let key = letter.key.as_deref().unwrap_or_default();
        // It may be what its source calls the contact.
        let made = header(SOURCE).map(|source| contact_id_of(source, key).into_bytes());
        let is_erased = |id: Option<&[u8]>| match id {
            Some(id) => self.reader.was_erased_since(id, letter.record_time_ms),
            None => Ok(false),
        };
        let is_key_theirs = is_erased(made.as_deref())?;
        let hides = is_key_theirs || is_erased(Some(key))? || is_erased(header(CONTACT_ID))?;
        Ok(if hides { letter.without_values(is_key_theirs) } else { letter })
    }

    /// What an order would do. Goes through all letters.
    ///
    /// # Errors
    /// When the archive was not read yet.
    pub fn preview(&self, order: &Order) -> Result<Preview, LetterError> {
        let letters = self.loaded()?;
        let decisions = self.decisions(Decisions::clone);
        let under_way = self.under_way.lock().clone();
        Ok(preview(letters, &decisions, &under_way, &self.job_of(order)))
    }

    fn job_of(&self, order: &Order) -> Job {
        let now_ms = now_ms();
        Job {
            kind: order.kind,
            selection: order.selection.clone(),
            again: order.again,
            rate: order.rate,
            limit: order.limit,
            hops_max: self.options.hops_max,
            by: order.by.clone(),
            at_ms: now_ms,
            state: JobState::Running,
            why: None,
            up_to: Default::default(),
            done: Default::default(),
            failed: Vec::new(),
            counts: Counts::default(),
            updated_ms: now_ms,
        }
    }

    /// Takes an order down, and begins with it; a discarding is done on return. Returns the job's id.
    ///
    /// # Errors
    /// When nothing is meant, too much is under way, or it can't be written down.
    pub async fn order(self: &Arc<Self>, order: Order) -> Result<String, LetterError> {
        let found = blocking({
            let (desk, order) = (Arc::clone(self), order.clone());
            move || desk.preview(&order)
        })
        .await?;
        if order.selection.one.is_some() && found.up_to.is_empty() {
            return Err(LetterError::NotFound);
        }
        let mut job = self.job_of(&order);
        job.up_to = found.up_to;
        if job.kind == JobKind::Discard {
            (job.state, job.counts) = (JobState::Done, found.counts);
            job.done.clone_from(&job.up_to);
        } else {
            self.make_room().await?;
        }
        let id = Uuid::now_v7().to_string();
        let written = self.write(&id, &job, Some(0), order.request_id).await?;
        written.ok_or(LetterError::Conflict)?;
        let (kind, by) = (job.kind.as_str(), &job.by);
        tracing::info!(job = id, kind, by, letters = found.counts.done, "dead letters: ordered");
        self.ordered.notify_one();
        Ok(id)
    }

    /// The oldest job that has ended goes when there are too many.
    async fn make_room(&self) -> Result<(), LetterError> {
        let (running, oldest) = self.decisions(|decisions| {
            let running = decisions.jobs().filter(|listed| listed.job.is_running()).count();
            let mut ended = decisions.jobs().filter(|listed| !listed.job.is_running());
            (running, (decisions.len() >= JOBS_MAX).then(|| ended.next()).flatten())
        });
        if running >= RUNNING_MAX {
            return Err(LetterError::TooMany { running });
        }
        if let Some(oldest) = oldest {
            let key = format!("{PREFIX}{}", oldest.id);
            self.control.put(ControlWrite { key, ..ControlWrite::default() }).await?;
        }
        Ok(())
    }

    /// Writes a job down. None: it is another one by now.
    pub(super) async fn write(
        &self,
        id: &str,
        job: &Job,
        expected_revision: Option<u64>,
        request_id: Option<String>,
    ) -> Result<Option<u64>, LetterError> {
        let age = self.options.age_max.unwrap_or(DECISIONS_AGE).as_millis();
        let write = ControlWrite {
            key: format!("{PREFIX}{id}"),
            expected_revision,
            expires_at_ms: Some(now_ms().saturating_add(u64::try_from(age).unwrap_or(u64::MAX))),
            value: Some(serde_json::to_vec(job)?),
            principal: Some(job.by.clone()),
            request_id,
            ..ControlWrite::default()
        };
        match self.control.put(write).await? {
            ControlOutcome::Applied { revision } | ControlOutcome::Unchanged { revision } => {
                Ok(Some(revision))
            }
            ControlOutcome::Conflict { .. } => Ok(None),
            ControlOutcome::Refused { reason, detail } => {
                Err(LetterError::Refused { reason, detail })
            }
        }
    }

    /// A job and whether nobody works on it though somebody should.
    pub fn job(&self, id: &str) -> Option<(Arc<Job>, bool)> {
        let listed = self.decisions(|decisions| decisions.job(id))?;
        let is_interrupted = self.is_interrupted(&listed.job);
        Some((listed.job, is_interrupted))
    }

    fn is_interrupted(&self, job: &Job) -> bool {
        let is_silent = job.updated_ms.saturating_add(INTERRUPTED_AFTER_MS) < now_ms();
        job.is_running() && is_silent && !self.lease.is_taken(REDRIVING)
    }

    /// Jobs, the newest first; with an id, those older than that one.
    pub fn jobs(&self, limit: usize, before: Option<&str>) -> Vec<(String, Arc<Job>, bool)> {
        let is_older = |listed: &Listed| before.is_none_or(|before| listed.id.as_str() < before);
        let jobs: Vec<Listed> = self
            .decisions(|decisions| decisions.jobs().rev().filter(is_older).take(limit).collect());
        let shown = jobs.into_iter().map(|listed| {
            let is_interrupted = self.is_interrupted(&listed.job);
            (listed.id, listed.job, is_interrupted)
        });
        shown.collect()
    }

    /// Waits until a job has ended, for so long at most.
    pub async fn wait_for(&self, id: &str, at_most: Duration) -> Option<(Arc<Job>, bool)> {
        let mut changed = self.reader.control_watch();
        let ended = async {
            loop {
                changed.borrow_and_update();
                if self.job(id).is_none_or(|(job, _)| !job.is_running()) {
                    return;
                }
                if changed.changed().await.is_err() {
                    return;
                }
            }
        };
        // Where it goes on it is shown as it is.
        let _ = tokio::time::timeout(at_most, ended).await;
        self.job(id)
    }

    /// Ends a job before its time; one that has ended stays as it is.
    ///
    /// # Errors
    /// When there is none, or it can't be written down.
    pub async fn stop_job(
        &self,
        id: &str,
        by: &str,
        request_id: Option<String>,
    ) -> Result<(), LetterError> {
        // Its owner writes too, a few times a second at most.
        for _ in 0..8 {
            let listed = self.decisions(|decisions| decisions.job(id)).ok_or(LetterError::NoJob)?;
            if !listed.job.is_running() {
                return Ok(());
            }
            let mut job = Job::clone(&listed.job);
            job.state = JobState::Stopped;
            job.why = Some(format!("stopped by {by}"));
            job.updated_ms = now_ms();
            let revision = Some(listed.revision);
            if self.write(id, &job, revision, request_id.clone()).await?.is_some() {
                tracing::info!(job = id, by, "dead letters: stopped");
                return Ok(());
            }
        }
        Err(LetterError::Conflict)
    }
}

fn is_wanted(query: &LetterQuery, fate: &Fate) -> bool {
    match &query.fate {
        Some(wanted) => wanted == fate.as_str(),
        None => fate.discarded.is_none() || query.selection.one.is_some(),
    }
}

/// Off the threads that answer.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LetterError> + Send + 'static,
) -> Result<T, LetterError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(LetterError::Panicked(error.to_string())),
    }
}
