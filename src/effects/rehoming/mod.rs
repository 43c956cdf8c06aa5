//! Records of the contact log that stand away from their contact's home lane: applying judges none
//! of them, because only a home lane has an order that is the same everywhere; here they are
//! appended to it. A follower.
//!
//! ```text
//! journal (rehomed) ─► copy ─► contact log, home lane
//! ```
//!
//! Where there is no control topic for this instance it brings them home by itself: a copy more is a
//! repeat. The copy is a record of our own log and keeps key, headers and value, a command's too; it
//! says where it is from, and under which founding that was its home, which keeps it from being brought
//! once more.

use futures_util::future::join_all;

use crate::domain::Class;
use crate::domain::position::{Lane, Offset};
use crate::effects::follower::{Answer, Delivery, Picked, Progress, Row, Sink, Start};
use crate::event_log::{EventLog, LogError, NewRecord};
use crate::ingest::{now_ms, reduce};
use crate::store::journal::Entry;
use crate::store::{Cut, REHOMING, Reader, RehomedRecord, StoreError};
use crate::telemetry::fault;

mod home_copy;
#[cfg(test)]
mod tests;

use home_copy::at_home;

/// Records that are appended together.
const RECORDS_AT_ONCE: usize = 500;

/// Appends records where they belong.
pub struct Rehoming {
    log: EventLog,
    topic: String,
    reader: Reader,
}

impl Rehoming {
    /// For a store that follows the log.
    pub fn new(log: EventLog, topic: String, reader: Reader) -> Self {
        Self { log, topic, reader }
    }

    /// The follower's row. What the log never takes is tried for ever, rather than being lost.
    pub fn row() -> Row {
        Row {
            start: Start::Beginning,
            at_once: RECORDS_AT_ONCE,
            attempts_max: None,
            holds_journal: true,
            is_of_founding: true,
            runs_without_control: true,
            ..Row::new(
                REHOMING,
                REHOMING,
                "Appends records that stand away from their contact's partition to it.",
            )
        }
    }

    fn copy(&self, record: &RehomedRecord) -> NewRecord {
        at_home(&self.topic, self.reader.rules().founding(), record)
    }

    /// What the log will never take as it is goes in part: what is left of it is kept as a dead letter, or
    /// gets the time of now.
    async fn in_part(&self, record: &RehomedRecord, mut error: LogError) -> Answer {
        let mut copy = self.copy(record);
        while error.class() == Class::Poison {
            let is_too_large = matches!(error, LogError::RecordTooLarge { .. });
            if !reduce(&mut copy, is_too_large, i64::try_from(now_ms()).unwrap_or(i64::MAX)) {
                return Answer::Refused(untakable(&self.topic, record, &error));
            }
            tracing::warn!(%error, "a record can't be brought home as it is");
            match self.log.append_borrowed(std::slice::from_ref(&copy)).await {
                Ok(_) => return Answer::Delivered,
                Err(again) => error = again,
            }
        }
        self.down(&error)
    }

    fn down(&self, error: &LogError) -> Answer {
        if matches!(error, LogError::Refused { .. }) && self.log.is_control_refused() {
            // Another brings them home, and nothing would say here when: the journal can't wait.
            self.reader.follower_is_elsewhere(REHOMING);
        }
        Answer::Down { why: error.to_string(), after: None }
    }

    /// How many of those that are owed the journal does not hold; none: that is not known yet.
    fn lost(&self, reader: &Reader, done: &Progress) -> Result<Option<u64>, StoreError> {
        let lost = reader.rehomed_lost(&done.position, done.count.unwrap_or(0))?;
        let begins = reader.earliest_position()?.0;
        let is_gone = |(lane, offset): &&(Lane, Offset)| offset.0 < begins.next_of(*lane).0;
        let waiting = done.waiting.iter().filter(is_gone).count();
        Ok(lost.map(|lost| lost + waiting as u64))
    }
}

impl Sink for Rehoming {
    type Item = RehomedRecord;

    fn pick(&self, entry: &Entry<'_>) -> Option<Picked<RehomedRecord>> {
        let record = RehomedRecord::of_entry(entry)?;
        let bytes = record.bytes();
        // Those of one contact have no order among each other but their clocks.
        let key = format!("{}:{}", record.lane, record.offset);
        Some(Picked { key, version: 0, bytes, item: record })
    }

    fn counted(&self, up_to: &Cut) -> Option<u64> {
        Some(up_to.rehomed())
    }

    async fn deliver(&self, deliveries: &[Delivery<RehomedRecord>]) -> Vec<Answer> {
        let copies = deliveries.iter().map(|delivery| self.copy(&delivery.item)).collect();
        let answers = match self.log.append_each(copies).await {
            Err(error) => vec![self.down(&error); deliveries.len()],
            Ok(outcomes) => {
                let answers =
                    deliveries.iter().zip(outcomes).map(
                        async |(delivery, outcome)| match outcome {
                            Ok(_) => Answer::Delivered,
                            Err(error) => self.in_part(&delivery.item, error).await,
                        },
                    );
                join_all(answers).await
            }
        };
        fault::point("rehomed_appended");
        answers
    }

    fn may_run(&self, reader: &Reader, done: &Progress) -> Result<bool, String> {
        match self.lost(reader, done).map_err(|error| error.to_string())? {
            None => Ok(false),
            Some(0) => Ok(true),
            Some(lost) => Err(format!(
                "{lost} records that are to be brought to their home partition are not in this store's \
                 journal, which begins behind them: an instance that has them brings them home; where \
                 there is none, `contactd store rebuild` reads them from the log again, and \
                 bridge.rehome = false does without them"
            )),
        }
    }
}

fn untakable(topic: &str, record: &RehomedRecord, error: &LogError) -> String {
    let (lane, offset) = (record.lane, record.offset);
    format!(
        "the record {topic}:{lane}:{offset} can't be appended to its home partition, smaller or younger \
         neither: {error}; let the topic take it, or do without it: `contactd follower skip {REHOMING} \
         --contact {lane}:{offset}`"
    )
}
