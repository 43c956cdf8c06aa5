//! Records of the contact log that stand away from their contact's home lane: applying judges none
//! of them, because only a home lane has an order that is the same everywhere; here they are
//! appended to it.
//!
//! ```text
//! journal (rehomed) ─► copy ─► contact log, home lane ─► how far: a control entry
//! ```
//!
//! At least once, by one instance at a time: who has the role. The copy is a record of our
//! own log and keeps key, headers and value, a command's too; it says where it is from, and under
//! which founding that was its home, which keeps it from being brought once more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::domain::Class;
use crate::domain::headers::{EVENT_ID, FOUNDING, ORIGIN, ORIGIN_KEY, TIME};
use crate::domain::position::Position;
use crate::domain::record::{Headers, owned_headers};
use crate::event_log::{EventLog, LogError, NewRecord};
use crate::store::{Reader, Rehomed, RehomedRecord, StoreError};
use crate::telemetry::{Metrics, fault};

use super::bridge::reduce;
use super::{Control, ControlOutcome, ControlWrite, IngestError, Lease, Pause, now_ms};

/// The control entry that says how far it is.
const KEY: &str = "rehoming";
/// Who has it appends them.
const ROLE: &str = "rehoming/role";
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
    /// Of the founding that says where that is.
    revision: u32,
    reader: Reader,
    control: Arc<Control>,
    lease: Arc<Lease>,
    metrics: Arc<Metrics>,
}

/// How far it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Progress {
    /// All before it is appended.
    position: String,
    /// How many that are; the same on every instance.
    count: u64,
}

/// What has been looked through here.
struct Looked {
    position: Position,
    /// Records away from home up to there, where that is known.
    count: Option<u64>,
}

impl Looked {
    /// Another instance's frames end elsewhere, so what it has done may hold more than these.
    fn advance(&mut self, found: Rehomed) {
        self.position.advance_to(found.seen.next);
        self.count = self.count.max(Some(found.count));
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
    #[error("a thread panicked")]
    Panicked,
}

impl Rehoming {
    /// For a store that follows the log, under a founding of that revision.
    pub fn new(
        log: EventLog,
        topic: String,
        revision: u32,
        (control, lease): (Arc<Control>, Arc<Lease>),
        metrics: Arc<Metrics>,
    ) -> Self {
        let reader = control.reader().clone();
        Self { log, topic, revision, reader, control, lease, metrics }
    }

    /// Until told to stop.
    pub async fn run(&self, stop: &CancellationToken) {
        let mut commits = self.reader.commits();
        let mut pause = Pause::default();
        let now = self.reader.position();
        let position = Position { next: BTreeMap::new(), ..now };
        let mut looked = Looked { position, count: None };
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
                    self.metrics.rehoming.failed();
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
        let (progress, mut revision) = match self.reader.control(KEY) {
            Some(entry) => (serde_json::from_slice::<Progress>(&entry.value).ok(), entry.revision),
            None => (None, 0),
        };
        // Another log's says nothing.
        if let Some(at) = &progress
            && let Ok(done) = Position::decode(&at.position)
            && done.log == looked.position.log
            && !looked.position.covers(&done)
        {
            looked.position.advance_to(done.next);
            looked.count = Some(at.count);
        }
        loop {
            let found = self.look(looked).await?;
            let owed = self.reader.rehomed().saturating_sub(looked.count.unwrap_or_default());
            self.metrics.rehoming.set_owed(if found.is_end { 0 } else { owed });
            if !found.records.is_empty() {
                let is_ours = self.lease.take(ROLE).await?;
                // Another may have been further than was known here.
                let known = self.reader.control(KEY).map_or(0, |entry| entry.revision);
                if !is_ours || known != revision {
                    return Ok(());
                }
                self.append(&found.records).await?;
                fault::point("rehomed_appended");
                looked.advance(found);
                let Some(written) = self.write(looked, revision).await? else { return Ok(()) };
                revision = written;
                continue;
            }
            let is_end = found.is_end;
            looked.advance(found);
            if is_end {
                return Ok(());
            }
        }
    }

    async fn look(&self, looked: &Looked) -> Result<Rehomed, RehomingError> {
        let (reader, position, count) =
            (self.reader.clone(), looked.position.clone(), looked.count);
        let looking = tokio::task::spawn_blocking(move || reader.rehomed_after(&position, count));
        Ok(looking.await.map_err(|_| RehomingError::Panicked)??)
    }

    /// None: it is another instance's turn.
    async fn write(&self, looked: &Looked, revision: u64) -> Result<Option<u64>, RehomingError> {
        let progress = Progress {
            position: looked.position.encode(),
            count: looked.count.unwrap_or_default(),
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

    async fn append(&self, records: &[RehomedRecord]) -> Result<(), RehomingError> {
        let mut portion = Vec::new();
        let mut bytes = 0;
        for record in records {
            let copy = at_home(&self.topic, self.revision, record);
            bytes += copy.value.as_ref().map_or(0, Vec::len);
            portion.push(copy);
            if portion.len() >= RECORDS_AT_ONCE || bytes >= BYTES_AT_ONCE {
                self.send(std::mem::take(&mut portion)).await?;
                bytes = 0;
            }
        }
        self.send(portion).await
    }

    /// What the log will never take as it is goes in part: what is left of it is kept as a dead
    /// letter, or gets the time of now.
    async fn send(&self, mut records: Vec<NewRecord>) -> Result<(), RehomingError> {
        while !records.is_empty() {
            let sent = records.clone();
            let outcomes = self.log.append_each(records).await?;
            records = Vec::new();
            for (mut record, outcome) in sent.into_iter().zip(outcomes) {
                match outcome {
                    Ok(_ack) => self.metrics.rehoming.brought(),
                    Err(error) if error.class() == Class::Poison => {
                        let is_too_large = matches!(error, LogError::RecordTooLarge { .. });
                        let now = i64::try_from(now_ms()).unwrap_or(i64::MAX);
                        tracing::warn!(%error, "a record can't be brought home as it is");
                        if reduce(&mut record, is_too_large, now) {
                            records.push(record);
                        }
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}

/// The same record for its contact's home lane: a function of the record and the founding. An event
/// without an id keeps the one that its bytes gave it where it stood, and one without a time gets its
/// record's, so that a second copy is a repeat.
fn at_home(topic: &str, revision: u32, record: &RehomedRecord) -> NewRecord {
    let mut headers = owned_headers(Headers::new(&record.headers));
    let origin = format!("{topic}:{}:{}", record.lane, record.offset);
    headers.push((ORIGIN.to_owned(), Some(origin.into_bytes())));
    if let Some(key) = record.key.as_ref().filter(|key| **key != record.contact_id) {
        headers.push((ORIGIN_KEY.to_owned(), Some(key.clone())));
    }
    if !headers.iter().any(|(name, _)| name == EVENT_ID) {
        headers.push((EVENT_ID.to_owned(), Some(record.event_id.clone())));
    }
    if let (false, Ok(ms)) = (record.is_timed, u64::try_from(record.timestamp_ms)) {
        headers.push((TIME.to_owned(), Some((ms * 1000).to_string().into_bytes())));
    }
    headers.push((FOUNDING.to_owned(), Some(revision.to_string().into_bytes())));
    NewRecord {
        key: record.contact_id.clone(),
        value: record.value.clone(),
        headers,
        timestamp_ms: record.timestamp_ms,
        lane: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::position::{Lane, Offset};
    use crate::domain::record::RecordBatch;

    #[test]
    fn a_copy_keeps_what_only_we_write_and_says_where_it_was() {
        let mut batch = RecordBatch::new(Lane(0));
        let headers = [("contactd_command", Some(b"replace".as_slice())), ("none", None)];
        batch.push(Offset(0), 0, None, None, headers.into_iter());
        let stray = RehomedRecord {
            lane: Lane(5),
            offset: Offset(17),
            timestamp_ms: 1_700_000_000_123,
            contact_id: b"c1".to_vec(),
            event_id: b"e1".to_vec(),
            is_timed: false,
            key: Some(b"account".to_vec()),
            value: Some(b"{}".to_vec()),
            headers: batch.arena.clone(),
        };
        let copy = at_home("contacts", 3, &stray);
        assert_eq!(
            (copy.key.as_slice(), copy.value.as_deref()),
            (b"c1".as_slice(), Some(b"{}".as_slice()))
        );
        assert_eq!((copy.timestamp_ms, copy.lane), (1_700_000_000_123, None));
        let expected = [
            ("contactd_command", Some("replace")),
            ("none", None),
            ("contactd_origin", Some("contacts:5:17")),
            ("contactd_origin_key", Some("account")),
            ("contactd_event_id", Some("e1")),
            ("contactd_time", Some("1700000000123000")),
            ("contactd_founding", Some("3")),
        ];
        let expected = expected
            .map(|(name, value)| (name.to_owned(), value.map(|value| value.as_bytes().to_vec())));
        assert_eq!(copy.headers, expected);
        let own = RehomedRecord { key: Some(b"c1".to_vec()), is_timed: true, ..stray };
        assert_eq!(at_home("contacts", 3, &own).headers.len(), 5);
    }
}
