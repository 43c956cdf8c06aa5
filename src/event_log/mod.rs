//! The contact log behind one seam: Kafka in production, a durable log on this disk otherwise.
//!
//! ```text
//! NewRecord ─► append ─► lanes (durable, ordered, numbered) ─► consume ─► Delivery ─► apply
//! ```
//!
//! Both logs keep the same promises, and one suite (`contract`) holds them to these: an acknowledged
//! record is durable; a lane keeps its order; a consumer gets every acknowledged record from the
//! offsets that it names, once, in order; nothing is skipped in silence.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::domain::Class;
use crate::domain::founding::Founding;
use crate::domain::position::{Lane, LogIdentity, NextOffset, Offset};
use crate::domain::record::NamedValues;

mod consumer;
#[cfg(test)]
mod contract;
pub mod embedded;
mod error;
pub mod kafka;
mod reading;

pub use consumer::{
    ConsumeBounds, Consumer, ConsumerStatus, Delivery, DeliverySender, LaneStatus, deliveries,
};
pub use error::LogError;
pub use reading::{LanePart, ReadUntil};

/// A record to be appended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRecord {
    /// What the lane is chosen by: the contact's id.
    pub key: Vec<u8>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// In this order.
    pub headers: NamedValues,
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
    /// `None`: the key's home.
    pub lane: Option<Lane>,
}

/// Where an acknowledged record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ack {
    /// Its lane.
    pub lane: Lane,
    /// Its place in the lane.
    pub offset: Offset,
}

/// What a lane holds: `low..high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// The oldest record still kept; equals `high` in an empty lane.
    pub low: Offset,
    /// The next record to be appended.
    pub high: NextOffset,
}

/// What a log's retention goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// For how long a record is kept at least; none: for ever.
    pub age: Option<Duration>,
    /// Whether the oldest records go when there are too many bytes, however young they are.
    pub is_by_bytes: bool,
}

/// Whether there is a lane for control records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlAccess {
    /// It can be appended to and consumed.
    Ready,
    /// The brokers refuse, and waiting won't change it; why.
    Refused(String),
}

/// A record read on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
    /// The key, if it has one.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
}

/// The contact log. A clone is another handle to the same log.
#[derive(Clone)]
pub enum EventLog {
    /// On this disk.
    Embedded(Arc<embedded::EmbeddedLog>),
    /// At the brokers.
    Kafka(Arc<kafka::KafkaLog>),
}

impl EventLog {
    /// Which log this is; with Kafka the brokers are asked, so it is of class Retry while they are
    /// away.
    pub fn identity(&self) -> Result<LogIdentity, LogError> {
        match self {
            Self::Embedded(log) => log.identity(),
            Self::Kafka(log) => log.identity(),
        }
    }

    /// How many lanes it has now, the control lane aside.
    pub fn lanes(&self) -> Result<u16, LogError> {
        match self {
            Self::Embedded(log) => Ok(log.founding().lanes),
            Self::Kafka(log) => log.lanes(),
        }
    }

    /// What a key's home lane follows from. With Kafka it is what [`EventLog::found`] said, and until
    /// then what any producer would go by.
    pub fn founding(&self) -> Result<Founding, LogError> {
        match self {
            Self::Embedded(log) => Ok(log.founding()),
            Self::Kafka(log) => log.founding(),
        }
    }

    /// From now on keys are appended to their home under this founding.
    pub fn found(&self, founding: &Founding) {
        match self {
            // Stands in the log itself.
            Self::Embedded(_) => {}
            Self::Kafka(log) => log.found(founding),
        }
    }

    /// Why the log on this disk takes nothing now. What is wrong with brokers, consumers tell.
    pub fn trouble(&self) -> Option<String> {
        match self {
            Self::Embedded(log) => log.trouble(),
            Self::Kafka(_) => None,
        }
    }

    /// Makes ready to append and consume control records.
    pub fn prepare_control(&self) -> Result<ControlAccess, LogError> {
        match self {
            Self::Embedded(_) => Ok(ControlAccess::Ready),
            Self::Kafka(log) => log.prepare_control(),
        }
    }

    /// How long control records are kept, at least; none: for ever, or as long as the store is.
    pub fn control_retention(&self) -> Result<Option<Duration>, LogError> {
        match self {
            Self::Embedded(_) => Ok(None),
            Self::Kafka(log) => log.control_retention(),
        }
    }

    /// Whether nothing may be appended to the control lane.
    pub fn is_control_refused(&self) -> bool {
        match self {
            Self::Embedded(_) => false,
            Self::Kafka(log) => log.is_control_refused(),
        }
    }

    /// Lets appends to the control lane fail at once, for a reason that lies outside the log.
    pub fn refuse_control(&self, why: &str) {
        match self {
            // Its lanes are one log.
            Self::Embedded(_) => {}
            Self::Kafka(log) => log.refuse_control(why),
        }
    }

    /// What `lane` holds at this moment.
    pub fn watermarks(&self, lane: Lane) -> Result<Watermarks, LogError> {
        match self {
            Self::Embedded(log) => log.watermarks(lane),
            Self::Kafka(log) => log.watermarks(lane),
        }
    }

    /// Says what the caller of [`EventLog::consume`] read last of a lane before: its offset and
    /// [`crate::domain::record::record_hash`]. A log that others run is compared with it whenever they
    /// come back.
    pub fn expect_last(&self, lane: Lane, offset: Offset, hash: u64) {
        match self {
            // Nobody else touches it.
            Self::Embedded(_) => {}
            Self::Kafka(log) => log.expect_last(lane, offset, hash),
        }
    }

    /// Reads the lanes of `from`, each from the offset that stands there, without end.
    ///
    /// # Errors
    /// An offset that the lane doesn't hold any more, or not yet, is `OffsetOutOfRange`; a log that
    /// looks at its brokers later says so by [`Consumer::next`].
    pub fn consume(
        &self,
        from: &BTreeMap<Lane, NextOffset>,
        bounds: ConsumeBounds,
    ) -> Result<Consumer, LogError> {
        match self {
            Self::Embedded(log) => log.consume(from, bounds),
            Self::Kafka(log) => log.consume(from, bounds),
        }
    }

    /// One record, or `None` when the lane doesn't hold it.
    pub fn read_one(&self, lane: Lane, offset: Offset) -> Result<Option<StoredRecord>, LogError> {
        match self {
            Self::Embedded(log) => log.read_one(lane, offset),
            Self::Kafka(log) => log.read_one(lane, offset),
        }
    }

    /// Appends, and resolves when every record is durable, with their places in the same order.
    ///
    /// Not to be taken back: when the future is dropped, or fails with class Retry, some of the
    /// records may stand in the log all the same.
    pub async fn append(&self, records: Vec<NewRecord>) -> Result<Vec<Ack>, LogError> {
        self.append_borrowed(&records).await
    }

    /// The same for who may have to keep them elsewhere.
    pub async fn append_borrowed(&self, records: &[NewRecord]) -> Result<Vec<Ack>, LogError> {
        match self {
            Self::Embedded(log) => log.append(records).await,
            Self::Kafka(log) => log.append(records).await,
        }
    }

    /// The same, with what became of each record in the same order: one that is refused keeps none from
    /// being appended.
    ///
    /// # Errors
    /// When nothing was tried.
    pub async fn append_each(
        &self,
        records: Vec<NewRecord>,
    ) -> Result<Vec<Result<Ack, LogError>>, LogError> {
        let log = match self {
            Self::Kafka(log) => return log.append_each(records).await,
            Self::Embedded(log) => log,
        };
        // It refuses one before it appends any.
        match log.append(&records).await {
            Err(error) if error.class() == Class::Poison => {}
            appended => return Ok(appended?.into_iter().map(Ok).collect()),
        }
        let mut outcomes = Vec::with_capacity(records.len());
        for record in records {
            outcomes.push(log.append([record]).await.map(|acks| acks.first().copied()));
        }
        let topic = &log.identity()?.topic;
        let missing = || LogError::Closed { topic: topic.clone() };
        Ok(outcomes.into_iter().map(|outcome| outcome?.ok_or_else(missing)).collect())
    }

    /// The way for bulk: returns as soon as the records are taken over, blocking while too many
    /// bytes are on their way. Only [`EventLog::flush`] says that they are durable.
    pub fn append_blocking(&self, records: Vec<NewRecord>) -> Result<(), LogError> {
        match self {
            Self::Embedded(log) => log.append_blocking(records),
            Self::Kafka(log) => log.append_blocking(records),
        }
    }

    /// Waits until everything taken over before is durable. Returns the first error of a record
    /// that [`EventLog::append_blocking`] took since the last flush.
    pub fn flush(&self) -> Result<(), LogError> {
        match self {
            Self::Embedded(log) => log.flush(),
            Self::Kafka(log) => log.flush(),
        }
    }

    /// Tells the log how far the store has come, for tools that show lag. A hint only: the store's
    /// own offsets are the truth.
    pub fn commit(&self, next: &BTreeMap<Lane, NextOffset>) -> Result<(), LogError> {
        match self {
            Self::Embedded(_) => Ok(()),
            Self::Kafka(log) => log.commit(next),
        }
    }

    /// Lets the log give up what a verified snapshot holds and its retention doesn't keep. At the
    /// brokers the topic's own settings decide.
    pub fn retain(&self, held: &BTreeMap<Lane, NextOffset>) -> Result<(), LogError> {
        match self {
            Self::Embedded(log) => log.retain(held, SystemTime::now()).map(|_bytes| ()),
            Self::Kafka(_) => Ok(()),
        }
    }

    /// What its retention goes by.
    pub fn retention(&self) -> Result<Retention, LogError> {
        match self {
            Self::Embedded(log) => Ok(log.retention()),
            Self::Kafka(log) => log.retention(),
        }
    }

    /// Flushes, then ends the log's threads; appending afterwards is `Closed`.
    pub fn shutdown(&self) -> Result<(), LogError> {
        match self {
            Self::Embedded(log) => log.shutdown(),
            Self::Kafka(log) => log.shutdown(),
        }
    }
}

#[cfg(test)]
mod tests;
