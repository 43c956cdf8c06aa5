//! Records of the contact log itself that have no key, or stand in another lane than their contact's:
//! applying keeps them as dead letters, because only a contact's home lane has an order that is the
//! same everywhere, and here they are appended to it.
//!
//! ```text
//! journal (dead letters) ─► convert ─► contact log, home lane ─► how far: a control entry
//! ```
//!
//! At least once, by one instance at a time: who holds the entry's lease. The copy has the event's id,
//! clock and time; its origin keeps it from being taken for misplaced once more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::config::InputConfig;
use crate::domain::Class;
use crate::domain::decode::Decoder;
use crate::domain::position::Position;
use crate::domain::record::{Headers, RecordBatch};
use crate::event_log::{EventLog, LogError, NewRecord};
use crate::ingest::{Control, ControlOutcome, ControlWrite, IngestError, Pause, now_ms};
use crate::store::{Misplaced, MisplacedRecord, Reader, StoreError};
use crate::telemetry::{BridgeOutcome, BridgeStep, Metrics, fault};

use super::convert::Converter;

/// The control entry that says how far it is.
const KEY: &str = "bridge/misplaced";
/// How long an instance that is not heard of keeps the others from going on.
const LEASE_MS: u64 = 15_000;
/// How often it is looked at least, for one that has given up.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How long commits are let come together before the journal is looked at.
const LINGER: Duration = Duration::from_millis(250);
/// Records and bytes that are appended at once.
const RECORDS_AT_ONCE: usize = 500;
const BYTES_AT_ONCE: usize = 2 << 20;

/// Appends misplaced records where they belong.
pub struct Rehoming {
    /// The contact log.
    pub log: EventLog,
    /// The contact log's topic.
    pub topic: String,
    /// How records are made.
    converter: Converter,
    reader: Reader,
    control: Control,
    metrics: Arc<Metrics>,
    /// Tells this process from the others.
    owner: String,
}

/// How far it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Progress {
    owner: String,
    lease_until_ms: u64,
    /// All before it is appended.
    position: String,
}

/// What has been looked through here.
struct Looked {
    position: Position,
    /// Dead letters up to there, where that is known.
    letters: Option<u64>,
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
    #[error("a thread panicked")]
    Panicked,
}

impl Rehoming {
    /// For a store that follows the log.
    pub fn new(
        log: EventLog,
        topic: String,
        lanes: u16,
        decoder: Arc<Decoder>,
        reader: Reader,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            converter: Converter { decoder, lanes, own_topic: Some(topic.clone()) },
            control: Control::new(log.clone(), reader.clone()),
            owner: format!("{:032x}", fastrand::u128(..)),
            log,
            topic,
            reader,
            metrics,
        }
    }

    /// Until told to stop.
    pub async fn run(&self, stop: &CancellationToken) {
        let mut commits = self.reader.commits();
        let mut pause = Pause::default();
        self.metrics.bridge.begin(&self.topic);
        let mut looked = self.start();
        while !stop.is_cancelled() {
            commits.borrow_and_update();
            let turn = stop.run_until_cancelled(self.turn(&mut looked));
            let wait = match turn.await {
                None => return,
                Some(Ok(())) => {
                    pause.reset();
                    None
                }
                Some(Err(error)) => {
                    self.metrics.bridge.failed(BridgeStep::Append);
                    if pause.is_first() {
                        tracing::warn!(%error, "misplaced records wait to be appended at home");
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

    fn start(&self) -> Looked {
        let now = self.reader.position();
        Looked { position: Position { next: BTreeMap::new(), ..now }, letters: None }
    }

    /// Appends all that there is, if it is this instance's turn.
    async fn turn(&self, looked: &mut Looked) -> Result<(), RehomingError> {
        let (progress, mut revision) = match self.reader.control(KEY) {
            Some(entry) => (serde_json::from_slice::<Progress>(&entry.value).ok(), entry.revision),
            None => (None, 0),
        };
        let done = progress.as_ref().and_then(|at| Position::decode(&at.position).ok());
        // Another log's says nothing.
        if let Some(done) = done.filter(|done| done.log == looked.position.log)
            && !looked.position.covers(&done)
        {
            looked.position.advance_to(done.next);
            looked.letters = None;
        }
        let is_others =
            progress.is_some_and(|at| at.owner != self.owner && at.lease_until_ms > now_ms());
        loop {
            let found = self.look(looked).await?;
            if !found.records.is_empty() {
                if is_others {
                    return Ok(());
                }
                // The lease first, so that only one appends.
                let Some(leased) = self.write(&looked.position, revision).await? else {
                    return Ok(());
                };
                self.append(found.records).await?;
                fault::point("misplaced_appended");
                let mut done = looked.position.clone();
                done.advance_to(found.seen.next.clone());
                let Some(written) = self.write(&done, leased).await? else { return Ok(()) };
                revision = written;
            }
            looked.position.advance_to(found.seen.next);
            looked.letters = Some(found.letters);
            if found.is_end {
                return Ok(());
            }
        }
    }

    async fn look(&self, looked: &Looked) -> Result<Misplaced, RehomingError> {
        let (reader, position, letters) =
            (self.reader.clone(), looked.position.clone(), looked.letters);
        let looking =
            tokio::task::spawn_blocking(move || reader.misplaced_after(&position, letters));
        Ok(looking.await.map_err(|_| RehomingError::Panicked)??)
    }

    /// None: it is another instance's turn.
    async fn write(
        &self,
        position: &Position,
        revision: u64,
    ) -> Result<Option<u64>, RehomingError> {
        let progress = Progress {
            owner: self.owner.clone(),
            lease_until_ms: now_ms() + LEASE_MS,
            position: position.encode(),
        };
        let write = ControlWrite {
            key: KEY.to_owned(),
            expected_revision: Some(revision),
            value: serde_json::to_vec(&progress).ok(),
            ..ControlWrite::default()
        };
        match self.control.put(write).await? {
            ControlOutcome::Applied { revision } | ControlOutcome::Unchanged { revision } => {
                Ok(Some(revision))
            }
            ControlOutcome::Conflict { .. } => Ok(None),
            ControlOutcome::Refused { detail, .. } => Err(RehomingError::Refused(detail)),
        }
    }

    async fn append(&self, records: Vec<MisplacedRecord>) -> Result<(), RehomingError> {
        let mut portion = Vec::new();
        let mut bytes = 0;
        for record in records {
            let Some(record) = self.whole(record).await? else { continue };
            let mut batch = RecordBatch::new(record.lane);
            let (key, value) = (record.key.as_deref(), Some(record.value.as_slice()));
            let headers = Headers::new(&record.headers);
            batch.push(record.offset, record.timestamp_ms, key, value, headers);
            let bridged = batch.records.iter().map(|record| {
                self.converter.convert(&InputConfig::default(), &self.topic, &batch, record)
            });
            for bridged in bridged {
                match (bridged.record, bridged.outcome) {
                    (Some(appended), BridgeOutcome::Event) => {
                        bytes += appended.value.as_ref().map_or(0, Vec::len);
                        portion.push(appended);
                    }
                    // It has been here already, or a newer mapping finds no contact in it: it
                    // stays the dead letter that it is.
                    (_, outcome) => self.metrics.bridge.count(&self.topic, outcome, 1),
                }
            }
            if portion.len() >= RECORDS_AT_ONCE || bytes >= BYTES_AT_ONCE {
                self.send(std::mem::take(&mut portion)).await?;
                bytes = 0;
            }
        }
        self.send(portion).await
    }

    /// With all of its value; none: the log holds it no more.
    async fn whole(
        &self,
        mut record: MisplacedRecord,
    ) -> Result<Option<MisplacedRecord>, RehomingError> {
        if record.is_whole {
            return Ok(Some(record));
        }
        let (log, lane, offset) = (self.log.clone(), record.lane, record.offset);
        let reading = tokio::task::spawn_blocking(move || log.read_one(lane, offset));
        let stored = reading.await.map_err(|_| RehomingError::Panicked)??;
        let Some(value) = stored.and_then(|stored| stored.value) else {
            tracing::warn!(
                partition = lane.0,
                offset = offset.0,
                "a misplaced record is gone from the log, and stays a dead letter"
            );
            return Ok(None);
        };
        record.value = value;
        Ok(Some(record))
    }

    async fn send(&self, records: Vec<NewRecord>) -> Result<(), RehomingError> {
        if records.is_empty() {
            return Ok(());
        }
        for outcome in self.log.append_each(records).await? {
            match outcome {
                Ok(_ack) => self.metrics.bridge.count(&self.topic, BridgeOutcome::Event, 1),
                // With its origin it is too large: it stays the dead letter that it is.
                Err(error) if error.class() == Class::Poison => {
                    tracing::warn!(%error, "a misplaced record can't be appended at home");
                    self.metrics.bridge.count(&self.topic, BridgeOutcome::Unreadable, 1);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
