//! Where everything that comes in is kept: on the contact log, or in the outbox while that is away.
//!
//! What is kept is durable: acknowledged by all in-sync replicas, or fsynced here. While the outbox
//! holds anything everything goes behind it, so that what one sender sends keeps its order.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::domain::Class;
use crate::domain::position::NextOffset;
use crate::event_log::{Ack, EventLog, LogError, NewRecord};
use crate::store::Reader;

use super::hand_over::note_ends;
use super::outbox::{Outbox, OutboxError};
use super::turns::Turns;

/// How often the forwarder looks whether the log is settled.
const SETTLED_LOOK: Duration = Duration::from_millis(100);

/// Where records are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// On the contact log, at these places.
    OnLog(Vec<Ack>),
    /// In the outbox, to be forwarded.
    InOutbox,
}

/// Why nothing was kept.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The contact log refuses this record, and always will.
    #[error(transparent)]
    Refused(LogError),
    /// Neither the log nor the outbox takes it now, and it was given to neither.
    #[error("{0}")]
    Unavailable(String),
    /// It was given to the log or the outbox, which did not say that it has it: nobody knows.
    #[error("{0}")]
    Unacknowledged(String),
}

impl IntakeError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Refused(_) => Class::Poison,
            Self::Unavailable(_) | Self::Unacknowledged(_) => Class::Retry,
        }
    }

    /// Whether the log has none of so many records for certain.
    pub fn is_certain(&self, records: usize) -> bool {
        match self {
            // Those that are given with one that is refused may be taken.
            Self::Refused(_) => records == 1,
            Self::Unavailable(_) => true,
            Self::Unacknowledged(_) => false,
        }
    }
}

/// How intake behaves.
#[derive(Clone, Debug)]
pub struct IntakeOptions {
    /// How long the contact log may take before the outbox is asked.
    pub ack_timeout: Duration,
    /// The disk that must have room.
    pub path: PathBuf,
    /// Free bytes below which nothing is taken.
    pub min_free_bytes: u64,
}

/// Where a key's home lane ends, as far as this instance has heard.
type LaneEnd = Box<dyn Fn(&[u8]) -> Option<NextOffset> + Send + Sync>;

/// The way in for events.
pub struct Intake {
    log: EventLog,
    outbox: Option<Arc<Outbox>>,
    options: IntakeOptions,
    /// Set once it is known which lane a key belongs to.
    settled: OnceLock<LaneEnd>,
    turns: Turns,
    /// Why nothing is taken until somebody has mended it.
    blocked: OnceLock<String>,
    /// The store that is told what the log will never take.
    decides: OnceLock<Reader>,
}

impl Intake {
    /// To a log, with an outbox where that log may be away.
    pub fn new(log: EventLog, outbox: Option<Arc<Outbox>>, options: IntakeOptions) -> Self {
        Self {
            log,
            outbox,
            options,
            settled: OnceLock::new(),
            turns: Turns::default(),
            blocked: OnceLock::new(),
            decides: OnceLock::new(),
        }
    }

    /// From now on the log puts keys into the lanes that the store knows them in; before, only the
    /// outbox takes anything. `lane_end` tells where a key's home lane ends, as far as this instance has
    /// heard: a command that comes while it is far behind must not pass for one of long ago.
    pub fn log_settled(
        &self,
        lane_end: impl Fn(&[u8]) -> Option<NextOffset> + Send + Sync + 'static,
    ) {
        // The first one stays: there is one log.
        let _ = self.settled.set(Box::new(lane_end));
    }

    /// Whether the log may be appended to.
    pub fn is_settled(&self) -> bool {
        self.settled.get().is_some()
    }

    /// What the log will never take of the outbox is told to this store. Only the first one counts.
    pub(super) fn tells(&self, reader: Reader) {
        let _ = self.decides.set(reader);
    }

    /// Nothing is taken any more, and why. Only the first reason counts.
    pub fn block(&self, why: &str) {
        let _ = self.blocked.set(why.to_owned());
    }

    /// Whether events would be kept even while the log is away.
    pub fn outbox_takes_more(&self) -> bool {
        self.outbox.as_ref().is_some_and(|outbox| outbox.takes_more())
    }

    /// Forwards what waits in the outbox until told to stop. Blocks the calling thread.
    ///
    /// # Errors
    /// What can't heal by waiting.
    pub fn forward(&self, runtime: &Handle, stop: &CancellationToken) -> Result<(), OutboxError> {
        let Some(outbox) = &self.outbox else {
            return Ok(());
        };
        while !self.is_settled() {
            let look = tokio::time::sleep(SETTLED_LOOK);
            if runtime.block_on(stop.run_until_cancelled(look)).is_none() {
                return Ok(());
            }
        }
        outbox.forward(&self.log, runtime, stop, &|event_hash, why| {
            if let Some(reader) = self.decides.get() {
                reader.refused(event_hash, why);
            }
        })
    }

    /// The outbox, if there is one.
    pub fn outbox(&self) -> Option<&Arc<Outbox>> {
        self.outbox.as_ref()
    }

    /// Keeps records, all or (as far as the caller knows) none.
    ///
    /// # Errors
    /// When they are kept nowhere, or the log would never take them.
    pub async fn keep(&self, mut records: Vec<NewRecord>) -> Result<Kept, IntakeError> {
        self.check_open()?;
        let Some(outbox) = &self.outbox else {
            return self.keep_on_log(records).await.map(Kept::OnLog);
        };
        let turn = self.turns.take(&records);
        let inside = outbox.enter().await;
        let goes_to_log = outbox.records() == 0 && self.is_settled();
        drop(inside);
        let mut tried = None;
        if goes_to_log {
            self.note_ends(&mut records);
            match self.append(&records).await {
                Ok(acks) => return Ok(Kept::OnLog(acks)),
                Err(error @ IntakeError::Refused(_)) => return Err(error),
                Err(error) => tried = Some(error),
            }
        }
        turn.first().await;
        let _inside = outbox.enter().await;
        self.set_aside(outbox, records).await.map_err(|error| tried.unwrap_or(error))
    }

    /// Keeps records on the log, whatever waits in the outbox.
    ///
    /// # Errors
    /// When the log does not say that it has them.
    pub async fn keep_on_log(&self, mut records: Vec<NewRecord>) -> Result<Vec<Ack>, IntakeError> {
        self.check_may_append()?;
        self.note_ends(&mut records);
        self.append(&records).await
    }

    /// The same with events, which are given back for another try.
    ///
    /// # Errors
    /// When the log does not say that it has them.
    pub async fn keep_events_on_log(&self, records: &[NewRecord]) -> Result<Vec<Ack>, IntakeError> {
        self.check_may_append()?;
        self.append(records).await
    }

    fn check_may_append(&self) -> Result<(), IntakeError> {
        self.check_open()?;
        self.check_disk()?;
        match self.is_settled() {
            true => Ok(()),
            false => Err(IntakeError::Unavailable("the contact log is not open yet".to_owned())),
        }
    }

    fn check_open(&self) -> Result<(), IntakeError> {
        match self.blocked.get() {
            Some(why) => Err(IntakeError::Unavailable(why.clone())),
            None => Ok(()),
        }
    }

    /// Notes in commands where their lane ended before the log was given them.
    fn note_ends(&self, records: &mut [NewRecord]) {
        if let Some(lane_end) = self.settled.get() {
            note_ends(records, lane_end);
        }
    }

    async fn append(&self, records: &[NewRecord]) -> Result<Vec<Ack>, IntakeError> {
        match tokio::time::timeout(self.options.ack_timeout, self.log.append_borrowed(records))
            .await
        {
            Ok(Ok(acks)) => Ok(acks),
            Ok(Err(error)) if error.class() == Class::Poison => Err(IntakeError::Refused(error)),
            Ok(Err(error)) => Err(IntakeError::Unacknowledged(error.to_string())),
            Err(_elapsed) => Err(IntakeError::Unacknowledged(format!(
                "the contact log did not acknowledge within {} ms",
                self.options.ack_timeout.as_millis()
            ))),
        }
    }

    async fn set_aside(
        &self,
        outbox: &Outbox,
        records: Vec<NewRecord>,
    ) -> Result<Kept, IntakeError> {
        self.check_disk()?;
        match outbox.keep(records).await {
            Ok(()) => Ok(Kept::InOutbox),
            Err(OutboxError::Log(error)) if error.class() == Class::Poison => {
                Err(IntakeError::Refused(error))
            }
            Err(error) if error.class() == Class::Retry => {
                Err(IntakeError::Unavailable(error.to_string()))
            }
            // A frame that was written and not synced may be found whole by the next start.
            Err(error) => Err(IntakeError::Unacknowledged(error.to_string())),
        }
    }

    fn check_disk(&self) -> Result<(), IntakeError> {
        let IntakeOptions { path, min_free_bytes, .. } = &self.options;
        let free = rustix::fs::statvfs(path)
            .map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize))
            .map_err(|error| IntakeError::Unavailable(format!("{}: {error}", path.display())))?;
        if free < *min_free_bytes {
            return Err(IntakeError::Unavailable(format!(
                "the disk has {free} bytes left, {min_free_bytes} are kept free"
            )));
        }
        Ok(())
    }
}
