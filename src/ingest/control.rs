//! Writing control entries: a record on the control lane, and what apply made of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use xxhash_rust::xxh3::xxh3_64;

use crate::domain::control::{ControlEntry, ControlRecord, View};
use crate::domain::position::CONTROL_LANE;
use crate::domain::verdict::{DeadLetterReason, Verdict};
use crate::event_log::{Ack, EventLog, NewRecord};
use crate::store::{Reader, RecordOutcome};

use super::IngestError;

/// How long a writing may take until it is applied.
const APPLIED_WITHIN: Duration = Duration::from_secs(5);

/// What is to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlWrite {
    /// What it is about, as `family/ada/7f3a`.
    pub key: String,
    /// The revision that the entry must have; 0: there must be none. None: any.
    pub expected_revision: Option<u64>,
    /// When it is gone, in milliseconds since 1970; none: never.
    pub expires_at_ms: Option<u64>,
    /// How long it lives from its record's time on, in milliseconds, instead of `expires_at_ms`.
    pub lives_ms: Option<u64>,
    /// Whether it revokes something, so that it is never refused for want of room.
    pub revokes: bool,
    /// The value, JSON; none: the entry is removed.
    pub value: Option<Vec<u8>>,
    /// Who writes it.
    pub principal: Option<String>,
    /// The request that it came with.
    pub request_id: Option<String>,
    /// Names this writing, so that a repeat after an error has one effect; none: a new one.
    pub id: Option<String>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlOutcome {
    /// It won; a repeat of one that won too.
    Applied {
        /// The entry's revision since.
        revision: u64,
    },
    /// The entry is what was to be written already, or nothing was there to be removed.
    Unchanged {
        /// The entry's revision; 0: there is none.
        revision: u64,
    },
    /// The entry has another revision than expected.
    Conflict {
        /// The entry, a moment after.
        current: Option<ControlEntry>,
    },
    /// It may not be kept.
    Refused {
        /// Why.
        reason: DeadLetterReason,
        /// Why, in words.
        detail: String,
    },
}

/// The way in for control entries.
pub struct Control {
    log: EventLog,
    reader: Reader,
}

impl Control {
    /// For a log and the store that follows it.
    pub fn new(log: EventLog, reader: Reader) -> Self {
        Self { log, reader }
    }

    /// Where entries are read.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Writes, and returns what became of it once that can be read here.
    ///
    /// # Errors
    /// Where it is not known; [`IngestError::class`] says whether to try again, with the same id.
    pub async fn put(&self, write: ControlWrite) -> Result<ControlOutcome, IngestError> {
        let ControlWrite {
            key,
            expected_revision,
            expires_at_ms,
            lives_ms,
            revokes,
            value,
            principal,
            request_id,
            id,
        } = write;
        if !self.reader.is_control_settled(&key) {
            return Err(IngestError::Unsettled);
        }
        let record = ControlRecord {
            id: id.unwrap_or_else(new_id),
            key,
            expected_revision,
            expires_at_ms,
            lives_ms,
            revokes,
            restated: None,
            value,
            principal,
            request_id,
        };
        let outcome = self.append(&record).await?;
        Ok(self.outcome(&record, outcome))
    }

    /// Says again what an entry is, as seen from `view`. False: it has changed since, or too much else
    /// has.
    ///
    /// # Errors
    /// Where what became of it is not known.
    pub async fn restate(
        &self,
        key: &str,
        entry: &ControlEntry,
        view: View,
    ) -> Result<bool, IngestError> {
        let outcome = self.append(&entry.restate(key, view, new_id())).await?;
        Ok(matches!(outcome.verdict, Verdict::Applied | Verdict::Unchanged))
    }

    /// What became of a record once that can be read here.
    async fn append(&self, record: &ControlRecord) -> Result<RecordOutcome, IngestError> {
        let appended = NewRecord {
            key: record.key.as_bytes().to_vec(),
            value: Some(record.encode()?),
            headers: Vec::new(),
            timestamp_ms: now_ms(),
            lane: Some(CONTROL_LANE),
        };
        let outcome = tokio::time::timeout(APPLIED_WITHIN, self.write(record, appended)).await;
        outcome.map_err(|_| IngestError::TimedOut)?
    }

    async fn write(
        &self,
        record: &ControlRecord,
        appended: NewRecord,
    ) -> Result<RecordOutcome, IngestError> {
        let expected = self.reader.expect(xxh3_64(record.id.as_bytes()));
        let acks = self.log.append(vec![appended]).await?;
        match acks.first() {
            Some(Ack { lane, offset }) => Ok(expected.outcome_at(*lane, *offset).await?),
            None => Err(IngestError::TimedOut),
        }
    }

    fn outcome(&self, record: &ControlRecord, outcome: RecordOutcome) -> ControlOutcome {
        let current = self.reader.control(&record.key);
        let revision = current.as_ref().map_or(0, |entry| entry.revision);
        match outcome.verdict {
            Verdict::Applied => {
                let entry = outcome.value.and_then(|value| ControlEntry::decode(value.body()));
                ControlOutcome::Applied { revision: entry.map_or(revision, |at| at.revision) }
            }
            Verdict::Duplicate => {
                let first = current.as_ref().and_then(|entry| entry.revision_of(&record.id));
                ControlOutcome::Applied { revision: first.unwrap_or(revision) }
            }
            Verdict::Unchanged => ControlOutcome::Unchanged { revision },
            Verdict::DeadLettered => {
                let (reason, detail) =
                    outcome.reason.unwrap_or((DeadLetterReason::InvalidControl, String::new()));
                ControlOutcome::Refused { reason, detail }
            }
            Verdict::Conflict
            | Verdict::Stale
            | Verdict::Superseded
            | Verdict::NotFound
            | Verdict::Rehomed => ControlOutcome::Conflict { current },
        }
    }
}

fn new_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
