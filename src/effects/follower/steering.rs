//! What is ordered of followers: pausing, resuming, skipping, replaying, and delivering once more what
//! was parked. Any instance takes an order; it is written into the follower's control entry.

use crate::domain::position::{CONTROL_LANE, Position};
use crate::ingest::{ControlOutcome, ControlWrite, IngestError, now_ms};
use crate::store::{Reader, StoreError};

use super::ledger::{self, Ledger, Owed, Paused};
use super::parked::{self, Parked};
use super::reading::{blocking, to_read};
use super::registry::Followers;

/// Somebody else may write at the same moment, its owner once a second.
const TRIES: usize = 8;
/// Changes that wait to be delivered once more.
const AGAIN_MAX: usize = 100;

/// Who orders something, and by which request.
#[derive(Clone, Debug)]
pub struct By {
    /// Who.
    pub principal: String,
    /// The request's id.
    pub request_id: Option<String>,
}

/// Where a replay begins.
#[derive(Clone, Debug)]
pub enum ReplayFrom {
    /// There.
    Position(Position),
    /// With what came then or later, in ms since 1970.
    Time(i64),
}

/// Why something is not done.
#[derive(Debug, thiserror::Error)]
pub enum FollowerError {
    /// There is none of that name.
    #[error("there is no follower of that name here")]
    NotFound,
    /// No instance has begun with it.
    #[error("the follower has not begun yet: no instance has it")]
    NotBegun,
    /// The position is another log's, lies past its end, or names one record only.
    #[error("the position is not one of this log that one can go on from")]
    ForeignPosition,
    /// The journal does not reach back so far.
    #[error("the journal of this instance does not reach back so far")]
    Gone {
        /// The earliest one that it reaches back to.
        earliest: Position,
        /// The record time of about then, in ms.
        time_ms: Option<i64>,
    },
    /// The contact does not wait.
    #[error("no change of that contact waits here")]
    NotWaiting,
    /// No such change is parked.
    #[error("no change of that id is parked")]
    NotParked,
    /// Too many were ordered at once.
    #[error("{AGAIN_MAX} parked changes wait to be delivered once more; try again when they are")]
    TooMany,
    /// Others wrote at the same moment, again and again.
    #[error("somebody else changed it at the same moment")]
    Conflict,
    /// The control entry may not be kept.
    #[error("the order can't be kept: {0}")]
    Refused(String),
    /// It could not be written down.
    #[error("the order could not be written: {0}")]
    Control(#[from] IngestError),
    /// The store can't be read.
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl Followers {
    /// Nothing more is delivered until somebody resumes it.
    ///
    /// # Errors
    /// Where it is not done.
    pub async fn pause(&self, name: &str, by: &By) -> Result<(), FollowerError> {
        let paused = Paused { by: by.principal.clone(), at_ms: now_ms() };
        self.edit(name, "paused", by, |ledger| {
            ledger.paused.get_or_insert_with(|| paused.clone());
            Ok(())
        })
        .await
    }

    /// It goes on where it was.
    ///
    /// # Errors
    /// Where it is not done.
    pub async fn resume(&self, name: &str, by: &By) -> Result<(), FollowerError> {
        self.edit(name, "resumed", by, |ledger| {
            ledger.paused = None;
            Ok(())
        })
        .await
    }

    /// What is owed of one contact is done without, or all that came until now.
    ///
    /// # Errors
    /// Where it is not done.
    pub async fn skip(&self, name: &str, key: Option<&str>, by: &By) -> Result<(), FollowerError> {
        let end = self.reader().position();
        self.edit(name, "skipped", by, |ledger| match key {
            Some(key) if !ledger.skip(key) => Err(FollowerError::NotWaiting),
            Some(_) => Ok(()),
            None => {
                ledger.skip_to(&end);
                Ok(())
            }
        })
        .await
    }

    /// All that came since is delivered once more. Returns from where on.
    ///
    /// # Errors
    /// Where it is not done; [`FollowerError::Gone`] names the earliest position.
    pub async fn replay(
        &self,
        name: &str,
        from: ReplayFrom,
        by: &By,
    ) -> Result<Position, FollowerError> {
        self.row(name)?;
        let position = replay_position(self.reader(), from).await?;
        self.edit(name, "replayed", by, |ledger| {
            ledger.replay_from(&position);
            Ok(())
        })
        .await?;
        Ok(position)
    }

    /// Delivers a change once more that was parked, and what came after it of its contact.
    ///
    /// # Errors
    /// Where it is not done.
    pub async fn redrive(&self, name: &str, id: &str, by: &By) -> Result<(), FollowerError> {
        let change = self.parked_change(name, id)?;
        let owed = Owed::new(&change.key, change.place());
        self.edit(name, "redriven", by, |ledger| {
            if ledger.again.len() >= AGAIN_MAX {
                return Err(FollowerError::TooMany);
            }
            if !ledger.again.contains(&owed) {
                ledger.again.push(owed.clone());
            }
            Ok(())
        })
        .await?;
        self.remove(name, id, by).await
    }

    /// A change that was parked is done without.
    ///
    /// # Errors
    /// Where it is not done.
    pub async fn drop_parked(&self, name: &str, id: &str, by: &By) -> Result<(), FollowerError> {
        self.parked_change(name, id)?;
        self.remove(name, id, by).await?;
        // Its id may be a contact's.
        tracing::info!(follower = name, by = by.principal, "a parked change is dropped");
        Ok(())
    }

    fn parked_change(&self, name: &str, id: &str) -> Result<Parked, FollowerError> {
        self.row(name)?;
        parked::one(self.reader(), name, id).ok_or(FollowerError::NotParked)
    }

    async fn remove(&self, name: &str, id: &str, by: &By) -> Result<(), FollowerError> {
        let write = by.signed(parked::removal(name, id));
        self.control().put(write).await?;
        Ok(())
    }

    async fn edit(
        &self,
        name: &str,
        what: &str,
        by: &By,
        change: impl Fn(&mut Ledger) -> Result<(), FollowerError>,
    ) -> Result<(), FollowerError> {
        self.row(name)?;
        let key = ledger::key(name);
        for _ in 0..TRIES {
            let entry = self.reader().control(&key).ok_or(FollowerError::NotBegun)?;
            let ledger = serde_json::from_slice::<Ledger>(&entry.value);
            let mut ledger = ledger.map_err(|error| FollowerError::Refused(error.to_string()))?;
            change(&mut ledger)?;
            let value = serde_json::to_vec(&ledger);
            let write = by.signed(ControlWrite {
                key: key.clone(),
                expected_revision: Some(entry.revision),
                value: Some(value.map_err(|error| FollowerError::Refused(error.to_string()))?),
                ..ControlWrite::default()
            });
            match self.control().put(write).await? {
                ControlOutcome::Applied { .. } | ControlOutcome::Unchanged { .. } => {
                    tracing::info!(follower = name, by = by.principal, "{what}");
                    return Ok(());
                }
                ControlOutcome::Conflict { .. } => {}
                ControlOutcome::Refused { detail, .. } => {
                    return Err(FollowerError::Refused(detail));
                }
            }
        }
        Err(FollowerError::Conflict)
    }
}

/// From where on is told once more.
///
/// # Errors
/// Where the journal does not reach back so far, and where the position is another log's.
pub(in crate::effects) async fn replay_position(
    reader: &Reader,
    from: ReplayFrom,
) -> Result<Position, FollowerError> {
    let reader = reader.clone();
    let found = blocking(move || {
        let (earliest, time_ms) = reader.earliest_position()?;
        let position = match from {
            ReplayFrom::Position(position) => Some(position),
            ReplayFrom::Time(ms) => reader.position_at(ms)?,
        };
        let end = reader.position();
        let is_past = |position: &Position| {
            let mut lanes = position.next.iter().filter(|(lane, _)| **lane != CONTROL_LANE);
            lanes.any(|(lane, next)| *next > end.next_of(*lane))
        };
        let is_ours = position.as_ref().is_none_or(|position| {
            position.log == end.log && !position.is_place && !is_past(position)
        });
        let reaches = match &position {
            Some(position) if is_ours => reader.entries_after(&to_read(position.clone(), false))?.1,
            Some(_) | None => false,
        };
        Ok((position, is_ours, reaches, earliest, time_ms))
    });
    let (position, is_ours, reaches, mut earliest, time_ms) = found.await?;
    earliest.next.remove(&CONTROL_LANE);
    match position {
        Some(_) if !is_ours => Err(FollowerError::ForeignPosition),
        Some(position) if reaches => Ok(position),
        Some(_) | None => Err(FollowerError::Gone { earliest, time_ms }),
    }
}

impl By {
    pub(in crate::effects) fn signed(&self, write: ControlWrite) -> ControlWrite {
        let (principal, request_id) = (Some(self.principal.clone()), self.request_id.clone());
        ControlWrite { principal, request_id, ..write }
    }
}
