//! Records of the contact log that stand away from their contact's home lane: applying judges none
//! of them, because only a home lane has an order that is the same everywhere; here they are
//! appended to it.
//!
//! ```text
//! journal (rehomed) ─► copy ─► contact log, home lane ─► how far: a control entry
//! ```
//!
//! At least once, by one instance at a time: who has the role. Where there is no control topic for
//! this instance it brings them home by itself: a copy more is a repeat. The copy is a record of our
//! own log and keeps key, headers and value, a command's too; it says where it is from, and under
//! which founding that was its home, which keeps it from being brought once more.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::domain::Class;
use crate::domain::headers::ORIGIN;
use crate::domain::position::Position;
use crate::event_log::{EventLog, LogError, NewRecord};
use crate::store::{Reader, Rehomed, StoreError};
use crate::telemetry::{Metrics, fault};

use super::bridge::reduce;
use super::{Control, ControlOutcome, ControlWrite, IngestError, Lease, Pause, now_ms};

mod home_copy;
#[cfg(test)]
pub(super) mod tests;

use home_copy::at_home;

/// The control entry that says how far it is.
const KEY: &str = "rehoming";
/// Who has it under a founding appends them: who works under one before that keeps nobody from it.
const ROLE_PREFIX: &str = "rehoming/role/";
/// How often it is looked at least, for one that has given up.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How long commits are let come together before the journal is looked at.
const LINGER: Duration = Duration::from_millis(250);
/// Records and bytes that are appended at once.
const RECORDS_AT_ONCE: usize = 500;
const BYTES_AT_ONCE: usize = 2 << 20;

/// Appends records where they belong.
pub struct Rehoming {
    log: EventLog,
    topic: String,
    reader: Reader,
    control: Arc<Control>,
    lease: Arc<Lease>,
    metrics: Arc<Metrics>,
    /// Cancelled when the store turns out not to know everything: it appends nothing, and only learns
    /// what others have brought, so that its journal does not wait for that.
    partial: CancellationToken,
}

/// How far it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Progress {
    /// Of the rules that judged them; under another founding all begins anew.
    founding: u64,
    /// All before it is appended.
    position: String,
    /// How many that are: a function of the position, so the same on every instance.
    count: u64,
}

/// What is done, as far as it is known here.
struct Looked {
    /// Of the control entry that this goes on from; none: it is yet to be read.
    revision: Option<u64>,
    /// All before it is appended.
    position: Position,
    /// Records away from home before the position.
    brought: u64,
    /// Records away from home in the frames of this store's own journal that are looked through, which
    /// is nothing that another instance's position could say; none: not known.
    seen: Option<u64>,
    /// Whether the journal is known to hold all that is owed.
    is_whole: bool,
    /// What is being appended.
    open: Option<Open>,
    /// Whether the position is still to be written down.
    is_unwritten: bool,
}

/// Copies of a frame's records, those that are acknowledged left out.
struct Open {
    records: Vec<NewRecord>,
    /// How many there were.
    count: u64,
    /// What is done when all of them are acknowledged.
    position: Position,
    seen: u64,
}

impl Looked {
    fn nothing(log: u64) -> Self {
        Self {
            revision: None,
            position: Position { log, ..Position::default() },
            brought: 0,
            seen: None,
            is_whole: false,
            open: None,
            is_unwritten: false,
        }
    }

    /// Another instance's frames end elsewhere, so what is done may hold more than these.
    fn advance(&mut self, position: Position, seen: u64) {
        self.position.advance_to(position.next);
        self.seen = Some(seen);
    }
}

/// Why it has to wait.
#[derive(Debug, thiserror::Error)]
enum RehomingError {
    #[error(transparent)]
    Ingest(#[from] IngestError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the control entry {KEY} is not taken: {0}")]
    Refused(String),
    #[error(
        "the record {origin} can't be appended to its home partition, smaller or younger neither: {source}; let the topic take it, those behind it wait"
    )]
    Untakable { origin: String, source: LogError },
    #[error(
        "{0} records that are to be brought to their home partition are not in this store's journal, which begins behind them: an instance that has them brings them home; where there is none, `contactd store rebuild` reads them from the log again, and bridge.rehome = false does without them"
    )]
    Lost(u64),
    #[error("a thread panicked")]
    Panicked,
}

impl Rehoming {
    /// For a store that follows the log.
    pub fn new(
        log: EventLog,
        topic: String,
        (control, lease): (Arc<Control>, Arc<Lease>),
        metrics: Arc<Metrics>,
        partial: CancellationToken,
    ) -> Self {
        let reader = control.reader().clone();
        Self { log, topic, reader, control, lease, metrics, partial }
    }

    /// Until told to stop.
    pub async fn run(&self, stop: &CancellationToken) {
        let mut commits = self.reader.commits();
        let mut pause = Pause::default();
        let mut looked = Looked::nothing(self.reader.position().log);
        while !stop.is_cancelled() {
            commits.borrow_and_update();
            let turn = stop.run_until_cancelled(self.turn(&mut looked));
            let wait = match turn.await {
                None => return,
                Some(Ok(())) => {
                    pause.reset();
                    self.metrics.rehoming.went_well();
                    None
                }
                Some(Err(error)) => {
                    let is_lost = matches!(error, RehomingError::Lost(_));
                    self.metrics.rehoming.failed(&error.to_string(), is_lost);
                    if pause.is_first() {
                        tracing::warn!(%error, "records wait to be brought to their home partition");
                    }
                    Some(pause.take())
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait.unwrap_or(LOOK_AGAIN)) => {}
                Ok(()) = commits.changed(), if wait.is_none() => {
                    tokio::time::sleep(LINGER).await;
                }
            }
        }
    }

    /// Appends all that there is, if it is this instance's turn.
    async fn turn(&self, looked: &mut Looked) -> Result<(), RehomingError> {
        if !self.adopt(looked) || !self.is_whole(looked).await? {
            return Ok(());
        }
        // What was appended is written down before anything else is looked for.
        while looked.is_unwritten || looked.open.is_some() || self.look(looked).await? {
            if !self.is_ours(looked).await? {
                looked.open = None;
                return Ok(());
            }
            self.append(looked).await?;
            if !self.write(looked).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Goes on from the control entry where it is not the one that is known. False: the log was
    /// founded anew, and this store is of a founding before that.
    fn adopt(&self, looked: &mut Looked) -> bool {
        let entry = self.reader.control(KEY);
        let revision = Some(entry.as_ref().map_or(0, |entry| entry.revision));
        if looked.revision == revision {
            return true;
        }
        let founding = self.reader.rules().founding();
        let said = entry.and_then(|entry| serde_json::from_slice::<Progress>(&entry.value).ok());
        if said.as_ref().is_some_and(|said| said.founding > founding) {
            return false;
        }
        let log = looked.position.log;
        *looked = Looked { revision, is_whole: looked.is_whole, ..Looked::nothing(log) };
        // Another log's says nothing, and that of another founding neither.
        if let Some(said) = said.filter(|said| said.founding == founding)
            && let Ok(position) = Position::decode(&said.position)
            && position.log == log
        {
            (looked.position, looked.brought) = (position, said.count);
        }
        true
    }

    /// Whether the journal holds all that is owed. False: that is not known yet.
    async fn is_whole(&self, looked: &mut Looked) -> Result<bool, RehomingError> {
        // Without control records nobody knows what was brought before this process began.
        if looked.is_whole || self.partial.is_cancelled() || self.log.is_control_refused() {
            return Ok(true);
        }
        // What was brought is yet to be restated.
        if !self.reader.is_control_settled(KEY) {
            return Ok(false);
        }
        let (reader, position, brought) =
            (self.reader.clone(), looked.position.clone(), looked.brought);
        let looking = tokio::task::spawn_blocking(move || reader.rehomed_lost(&position, brought));
        match looking.await.map_err(|_| RehomingError::Panicked)?? {
            None => return Ok(false),
            Some(0) => looked.is_whole = true,
            Some(lost) => {
                self.metrics.rehoming.set_owed(self.owed(looked).max(lost));
                return Err(RehomingError::Lost(lost));
            }
        }
        Ok(true)
    }

    fn owed(&self, looked: &Looked) -> u64 {
        self.reader.rehomed().saturating_sub(looked.brought)
    }

    /// Takes up the next ones. False: there are no more.
    async fn look(&self, looked: &mut Looked) -> Result<bool, RehomingError> {
        loop {
            let (reader, position, seen) =
                (self.reader.clone(), looked.position.clone(), looked.seen);
            let looking =
                tokio::task::spawn_blocking(move || reader.rehomed_after(&position, seen));
            let found = looking.await.map_err(|_| RehomingError::Panicked)??;
            let Rehomed { records, seen: position, count: seen, is_end } = found;
            let count = records.len() as u64;
            let owed = if is_end { 0 } else { self.owed(looked).max(count) };
            self.metrics.rehoming.set_owed(owed);
            if count > 0 {
                let founding = self.reader.rules().founding();
                let copies = records.iter().map(|record| at_home(&self.topic, founding, record));
                looked.open = Some(Open { records: copies.collect(), count, position, seen });
                return Ok(true);
            }
            looked.advance(position, seen);
            if is_end {
                return Ok(false);
            }
        }
    }

    async fn is_ours(&self, looked: &Looked) -> Result<bool, RehomingError> {
        if self.partial.is_cancelled() {
            return Ok(false);
        }
        if self.log.is_control_refused() {
            return Ok(true);
        }
        let role = format!("{ROLE_PREFIX}{}", self.reader.rules().founding());
        let is_ours = self.lease.take(&role).await?;
        // Another may have been further than was known here.
        let known = self.reader.control(KEY).map_or(0, |entry| entry.revision);
        Ok(is_ours && looked.revision == Some(known))
    }

    /// Appends what was taken up. What is acknowledged is not appended again after an error.
    async fn append(&self, looked: &mut Looked) -> Result<(), RehomingError> {
        if let Some(open) = &mut looked.open {
            while !open.records.is_empty() {
                self.send(&mut open.records).await?;
            }
            fault::point("rehomed_appended");
        }
        if let Some(Open { count, position, seen, .. }) = looked.open.take() {
            looked.brought += count;
            looked.advance(position, seen);
            looked.is_unwritten = true;
        }
        Ok(())
    }

    /// Appends some of them, and leaves those that were not taken behind the others. What the log will
    /// never take as it is goes in part: what is left of it is kept as a dead letter, or gets the time
    /// of now. What it does not take then holds up the rest, rather than being lost.
    async fn send(&self, records: &mut Vec<NewRecord>) -> Result<(), RehomingError> {
        let mut bytes = 0;
        let is_room = |record: &&NewRecord| {
            let is_room = bytes < BYTES_AT_ONCE;
            bytes += record.value.as_ref().map_or(0, Vec::len);
            is_room
        };
        let portion: Vec<NewRecord> =
            records.iter().take(RECORDS_AT_ONCE).take_while(is_room).cloned().collect();
        let outcomes = self.append_each(&portion).await?;
        records.drain(..portion.len());
        let mut failed = None;
        for (mut record, outcome) in portion.into_iter().zip(outcomes) {
            let Err(error) = outcome else {
                self.metrics.rehoming.brought();
                continue;
            };
            if error.class() == Class::Poison {
                let is_too_large = matches!(error, LogError::RecordTooLarge { .. });
                let now = i64::try_from(now_ms()).unwrap_or(i64::MAX);
                if reduce(&mut record, is_too_large, now) {
                    tracing::warn!(%error, "a record can't be brought home as it is");
                } else {
                    let origin = origin_of(&record);
                    failed = Some(RehomingError::Untakable { origin, source: error });
                }
            } else {
                failed = Some(error.into());
            }
            records.push(record);
        }
        failed.map_or(Ok(()), Err)
    }

    async fn append_each(
        &self,
        records: &[NewRecord],
    ) -> Result<Vec<Result<(), LogError>>, LogError> {
        let outcomes = self.log.append_each(records.to_vec()).await;
        let is_refused = |error: &LogError| matches!(error, LogError::Refused { .. });
        let refused = match &outcomes {
            Ok(outcomes) => outcomes.iter().filter_map(|one| one.as_ref().err()).any(is_refused),
            Err(error) => is_refused(error),
        };
        if refused && self.log.is_control_refused() {
            // Another brings them home, and nothing would say here when: the journal can't wait.
            self.reader.rehoming_is_elsewhere();
        }
        Ok(outcomes?.into_iter().map(|outcome| outcome.map(|_ack| ())).collect())
    }

    /// False: it is another instance's turn.
    async fn write(&self, looked: &mut Looked) -> Result<bool, RehomingError> {
        if self.log.is_control_refused() {
            looked.is_unwritten = false;
            return Ok(true);
        }
        let progress = Progress {
            founding: self.reader.rules().founding(),
            position: looked.position.encode(),
            count: looked.brought,
        };
        let write = ControlWrite {
            key: KEY.to_owned(),
            expected_revision: looked.revision,
            value: serde_json::to_vec(&progress).ok(),
            ..ControlWrite::default()
        };
        match self.control.put(write).await? {
            ControlOutcome::Applied { revision } | ControlOutcome::Unchanged { revision } => {
                (looked.revision, looked.is_unwritten) = (Some(revision), false);
                Ok(true)
            }
            ControlOutcome::Conflict { .. } => Ok(false),
            ControlOutcome::Refused { detail, .. } => Err(RehomingError::Refused(detail)),
        }
    }
}

/// Where a copy's record stands; a copy of a copy names both places, its own last.
fn origin_of(record: &NewRecord) -> String {
    let origin = record.headers.iter().rfind(|(name, _)| name == ORIGIN);
    let origin = origin.and_then(|(_, origin)| origin.as_deref()).unwrap_or_default();
    String::from_utf8_lossy(origin).into_owned()
}
