//! The loop of a follower: what the queue decides, with the journal, the sink and the control entry.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::domain::position::Position;
use crate::effects::pace::Pace;
use crate::event_log::{EventLog, LogError};
use crate::ingest::{Control, IngestError, Lease, now_ms};
use crate::store::{Changes, Reader, StoreError};

use super::ledger::{self, Ledger};
use super::parked::{self, PARKED_MAX, Parked};
use super::queue::{Next, Queue, Settled};
use super::reading::blocking;
use super::standing::Standing;
use super::writing::WRITE_EVERY;
use super::{Answer, Delivery, Hold, Place, Progress, Row, Sink};

/// How often it is looked at least: whether another instance has given up, what was ordered.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Pause after an error of our own.
const ERROR_PAUSE: Duration = Duration::from_secs(1);
/// After so long without a delivery somebody should look.
pub(super) const STALLED_AFTER: Duration = Duration::from_secs(60);
/// Until it is looked again whether it may run: for that the journal may have to be read.
const MAY_NOT_PAUSE: Duration = Duration::from_secs(10);

/// What a follower works with.
#[derive(Clone)]
pub struct Surroundings {
    /// The contact log.
    pub log: EventLog,
    /// Writes control entries.
    pub control: Arc<Control>,
    /// What only one instance does at a time rests on it.
    pub lease: Arc<Lease>,
    /// When any follower last wrote down that nothing is owed.
    pub(super) idle_written: Arc<Mutex<Option<Instant>>>,
}

impl Surroundings {
    /// Of one instance.
    pub fn new(log: EventLog, control: Arc<Control>, lease: Arc<Lease>) -> Self {
        Self { log, control, lease, idle_written: Arc::default() }
    }
}

/// How long there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// At most.
    pub at_most: Duration,
    /// Less where something is committed.
    pub until_commit: bool,
}

/// Why a follower can't go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    #[error("{0}")]
    Ingest(#[from] IngestError),
    #[error("{0}")]
    Log(#[from] LogError),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("how far it is can't be written: {0}")]
    Refused(String),
    /// It may not run on this instance.
    #[error("{0}")]
    MayNotRun(String),
    #[error("{0}")]
    EndUnknown(String),
    #[error("{PARKED_MAX} changes are parked, which is as many as may be; redrive or drop them")]
    TooManyParked,
    #[error("a change that is refused can't be parked, for control entries may not grow: {0}")]
    NotParked(String),
}

/// Runs one follower on this instance.
pub struct Engine<S: Sink> {
    pub(super) row: Arc<Row>,
    pub(super) sink: Arc<S>,
    pub(super) around: Surroundings,
    pub(super) reader: Reader,
    pub(super) standing: Arc<Standing>,
    pace: Option<Pace>,
    /// Of the control entry that is known; none: it is yet to be read.
    pub(super) revision: Option<u64>,
    pub(super) ledger: Option<Ledger>,
    /// Whether the log was founded anew, and this store is of a founding before.
    pub(super) is_over: bool,
    /// Whether the sink has said that it may run.
    may_run: bool,
    /// Of the role, while this instance has it.
    pub(super) tenure: Option<u64>,
    pub(super) queue: Queue<S::Item>,
    /// Whether the sink knows that it is this instance's turn, and from where on.
    pub(super) is_sink_told: bool,
    is_sink_paused: Arc<AtomicBool>,
    /// Where the journal is read on; none: it is yet to be opened.
    pub(super) changes: Option<Changes>,
    /// All before it was read.
    pub(super) read: Position,
    /// How many of what the sink counts that were; none: not known.
    pub(super) count: Option<u64>,
    pub(super) is_caught_up: bool,
    /// The record time of what was read last, in ms, while there is more.
    pub(super) read_time_ms: Option<i64>,
    /// Whether something is to be written down.
    pub(super) is_dirty: bool,
    pub(super) written: Instant,
}

impl<S: Sink> Engine<S> {
    pub(super) fn new(
        row: Arc<Row>,
        sink: S,
        around: Surroundings,
        standing: Arc<Standing>,
    ) -> Self {
        let reader = around.control.reader().clone();
        let pace =
            row.rate.map(|rate| Pace::every(rate.per / rate.deliveries.get(), at_once(&row)));
        Self {
            sink: Arc::new(sink),
            pace,
            revision: None,
            ledger: None,
            is_over: false,
            may_run: false,
            tenure: None,
            queue: Queue::default(),
            is_sink_told: false,
            is_sink_paused: Arc::default(),
            changes: None,
            read: Position::default(),
            count: None,
            is_caught_up: false,
            read_time_ms: None,
            is_dirty: false,
            written: around.lease.now(),
            row,
            around,
            reader,
            standing,
        }
    }

    /// Until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut commits = self.reader.commits();
        loop {
            commits.borrow_and_update();
            let Some(rest) = stop.run_until_cancelled(self.turn()).await else {
                break;
            };
            let woken = async {
                tokio::select! {
                    () = tokio::time::sleep(rest.at_most) => {}
                    Ok(()) = commits.changed(), if rest.until_commit => {
                        tokio::time::sleep(self.row.linger).await;
                    }
                }
            };
            if stop.run_until_cancelled(woken).await.is_none() {
                break;
            }
        }
        self.end().await;
    }

    /// Delivers all that can be, if it is this instance's turn.
    pub async fn turn(&mut self) -> Rest {
        let turned = self.try_turn().await;
        let now = self.now();
        self.standing.set_ours(self.tenure.is_some());
        self.tell_progress();
        let kept_from = matches!(turned, Err(EngineError::MayNotRun(_)));
        self.standing.set_kept_from(kept_from);
        if let Err(error) = turned {
            self.trouble(Some(&error.to_string()));
            let at_most = if kept_from { MAY_NOT_PAUSE } else { ERROR_PAUSE };
            return Rest { at_most, until_commit: false };
        }
        // What kept it from its turn is over.
        self.tell_trouble();
        let ready = self.queue.ready_at(now).map(|at| at.saturating_duration_since(now));
        let due =
            self.is_dirty.then(|| (self.written + WRITE_EVERY).saturating_duration_since(now));
        let at_most = [ready, due].into_iter().flatten().min().unwrap_or(LOOK_AGAIN);
        let at_most = at_most.clamp(Duration::from_millis(10), LOOK_AGAIN);
        Rest { at_most, until_commit: self.is_caught_up || self.tenure.is_none() }
    }

    /// An orderly end: whoever is next goes on from here.
    pub async fn end(&mut self) {
        self.sink.end().await;
        if self.tenure.is_some()
            && self.is_dirty
            && let Err(error) = self.write().await
        {
            tracing::debug!(follower = self.row.name, %error, "its end is not written down");
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.around.lease.now()
    }

    pub(super) fn log(&self) -> u64 {
        self.reader.position().log
    }

    async fn try_turn(&mut self) -> Result<(), EngineError> {
        self.learn();
        if !self.is_ours().await? {
            self.let_go();
            return Ok(());
        }
        if self.ledger.is_none() {
            self.begin().await?;
        }
        self.work().await?;
        self.write_if_due().await
    }

    /// Whether this instance is to deliver.
    async fn is_ours(&mut self) -> Result<bool, EngineError> {
        if self.is_over {
            return Ok(false);
        }
        if self.around.log.is_control_refused() {
            self.tenure = self.row.runs_without_control.then_some(0);
            return Ok(self.tenure.is_some());
        }
        // What stood there may be another's, and is yet to be restated.
        if !self.reader.is_control_settled(&ledger::key(&self.row.name)) {
            return Ok(false);
        }
        if !self.may_run().await? {
            return Ok(false);
        }
        let role = self.role();
        if !self.around.lease.take(&role).await? {
            return Ok(false);
        }
        let tenure = self.reader.control(&role).map_or(0, |entry| entry.revision);
        if self.tenure != Some(tenure) {
            tracing::info!(follower = self.row.name, tenure, "taken");
            // Whoever had it may have come further than was known.
            (self.tenure, self.revision, self.ledger) = (None, None, None);
            self.learn();
            self.tenure = Some(tenure);
        }
        Ok(true)
    }

    async fn may_run(&mut self) -> Result<bool, EngineError> {
        if !self.may_run {
            let waiting = self.queue.owed().map(|(_, Place { lane, offset })| (lane, offset));
            let done = Progress {
                position: Position { log: self.log(), ..self.read.clone() },
                count: self.count.or(self.ledger.is_none().then_some(0)),
                waiting: waiting.collect(),
            };
            let (sink, reader) = (Arc::clone(&self.sink), self.reader.clone());
            let said = blocking(move || Ok(sink.may_run(&reader, &done))).await?;
            self.may_run = said.map_err(EngineError::MayNotRun)?;
        }
        Ok(self.may_run)
    }

    pub(super) fn founding(&self) -> Option<u64> {
        self.row.is_of_founding.then(|| self.reader.rules().founding())
    }

    fn role(&self) -> String {
        ledger::role(&self.row.name, self.founding())
    }

    pub(super) fn let_go(&mut self) {
        if self.tenure.take().is_some() {
            tracing::info!(follower = self.row.name, "given up");
            self.adopt(None);
            self.revision = None;
            // Nothing goes on here, so nothing is said of it.
            self.standing.set_trouble(None, now_ms());
        }
    }

    fn hold(&self) -> Option<Hold> {
        Some(Hold {
            reader: self.reader.clone(),
            lease: Arc::clone(&self.around.lease),
            role: self.role(),
            tenure: self.tenure?,
            is_free: self.around.log.is_control_refused(),
            is_paused: Arc::clone(&self.is_sink_paused),
        })
    }

    /// Whether it is this instance's still.
    pub(super) fn is_held(&self) -> bool {
        self.hold().is_some_and(|hold| hold.is_ours())
    }

    fn tell_sink(&mut self) {
        self.is_sink_paused.store(self.is_paused(), Ordering::Release);
        if !self.is_sink_told
            && let Some(hold) = self.hold()
        {
            self.sink.begin(&self.read, hold);
            self.is_sink_told = true;
        }
    }

    fn tell_progress(&self) {
        let oldest_ms = self.queue.oldest_ms().or(self.read_time_ms);
        self.standing.set_progress(&self.read, self.queue.len(), oldest_ms);
        self.standing.set_note(self.sink.note());
        self.standing.set_refused(self.queue.refused_for(STALLED_AFTER, self.now()));
        let counted = self.reader.counted(|cut| self.sink.counted(cut));
        let behind = counted.zip(self.count).map_or(0, |(all, read)| all.saturating_sub(read));
        self.standing.set_owed(behind + self.queue.len() as u64);
    }

    fn is_paused(&self) -> bool {
        self.ledger.as_ref().is_none_or(|ledger| ledger.paused.is_some())
    }

    async fn work(&mut self) -> Result<(), EngineError> {
        loop {
            if !self.is_held() {
                self.let_go();
                return Ok(());
            }
            self.learn();
            self.tell_sink();
            if self.is_paused() {
                self.is_caught_up = true;
                return Ok(());
            }
            if parked::count(&self.reader, &self.row.name) >= PARKED_MAX {
                self.write_if_due().await?;
                return Err(EngineError::TooManyParked);
            }
            self.read_again().await?;
            let mut batch = self.queue.take(self.now(), at_once(&self.row) as usize);
            if batch.is_empty() {
                if self.read_on().await? {
                    continue;
                }
                batch = self.queue.take(self.now(), at_once(&self.row) as usize);
            }
            if batch.is_empty() {
                return Ok(());
            }
            if let Some(pace) = &self.pace {
                pace.wait(batch.len(), &CancellationToken::new()).await;
            }
            // A pause between this look and the delivery can't be seen: see what is promised.
            if !self.is_held() {
                self.let_go();
                return Ok(());
            }
            self.deliver(batch).await?;
            self.write_if_due().await?;
        }
    }

    async fn deliver(&mut self, batch: Vec<Next<S::Item>>) -> Result<(), EngineError> {
        let deliveries: Vec<_> = batch.iter().map(|next| self.delivery(next)).collect();
        // It may take long to answer.
        self.standing.set_ours(true);
        self.tell_progress();
        let answers = self.sink.deliver(&deliveries).await;
        let missing = || Answer::Down { why: "the sink gave no answer".to_owned(), after: None };
        let answers = answers.into_iter().chain(std::iter::repeat_with(missing));
        let is_down = |(_, answer): &(_, Answer)| matches!(answer, Answer::Down { .. });
        let (down, taken): (Vec<_>, Vec<_>) = batch.into_iter().zip(answers).partition(is_down);
        // All of them, whatever becomes of one: what is not settled is never taken again.
        let mut settled = Ok(());
        for (next, answer) in taken.into_iter().chain(down) {
            let one = self.settle(&next, answer).await;
            settled = settled.and(one);
        }
        self.tell_trouble();
        settled
    }

    fn delivery(&self, next: &Next<S::Item>) -> Delivery<S::Item> {
        let (name, log) = (&self.row.name, self.log());
        let Place { lane, offset } = next.place;
        let is_coalesced = next.place == Place::NOWHERE;
        let id = if is_coalesced {
            format!("{name}-{log:016x}-{}-v{}", next.key, next.version)
        } else {
            format!("{name}-{log:016x}-{lane}-{offset}")
        };
        Delivery {
            id,
            key: next.key.clone(),
            version: next.version,
            tenure: self.tenure.unwrap_or(0),
            is_coalesced,
            attempt: next.attempt,
            item: Arc::clone(&next.item),
        }
    }

    async fn settle(&mut self, next: &Next<S::Item>, answer: Answer) -> Result<(), EngineError> {
        let now = self.now();
        match &answer {
            Answer::Delivered => {
                self.standing.delivered();
                if let Some(ledger) = &mut self.ledger {
                    ledger.delivered += 1;
                }
                self.is_dirty = true;
            }
            Answer::Refused(why) => {
                self.standing.failed();
                // It may be owed for long.
                self.is_dirty = true;
                tracing::debug!(follower = self.row.name, why, "a change is not taken");
            }
            Answer::Down { .. } => self.standing.failed(),
        }
        let settled = self.queue.settle(&next.key, answer, self.row.attempts_max, now);
        let Settled::Park { version, attempts, why } = settled else {
            return Ok(());
        };
        if !self.is_held() {
            self.let_go();
            return Ok(());
        }
        if parked::count(&self.reader, &self.row.name) >= PARKED_MAX {
            return Err(EngineError::TooManyParked);
        }
        let change = Parked::new(&next.key, next.place, version, attempts, &why);
        let parked = change.park(&self.around.control, &self.row.name).await?;
        parked.map_err(EngineError::NotParked)?;
        tracing::warn!(follower = self.row.name, attempts, "a change is parked");
        self.queue.pass(&next.key);
        self.is_dirty = true;
        Ok(())
    }
}

fn at_once(row: &Row) -> u32 {
    let at_once = u32::try_from(row.at_once.max(1)).unwrap_or(u32::MAX);
    row.rate.map_or(at_once, |rate| at_once.min(rate.deliveries.get()))
}
