//! Waiting for what becomes of a record, from before it is appended.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::domain::position::{Lane, Offset};
use crate::domain::verdict::Verdict;

use super::StoreError;
use super::commits::Commits;
use super::outcomes::RecordOutcome;

/// Records of one id that may come before the one who waits has looked.
const UNSEEN_MAX: usize = 16;

/// One who waits; gives up when dropped.
#[derive(Debug)]
pub struct Expected {
    commits: Arc<Commits>,
    key: (u64, u64),
    told: mpsc::Receiver<RecordOutcome>,
    was_told: bool,
}

impl Expected {
    pub(super) fn new(commits: &Arc<Commits>, event_hash: u64) -> Self {
        let (tell, told) = mpsc::channel(UNSEEN_MAX);
        let key = commits.outcomes.add(event_hash, tell);
        Self { commits: Arc::clone(commits), key, told, was_told: false }
    }

    /// What became of the first record with this event id since the call of `expect`.
    ///
    /// # Errors
    /// When the store has stopped or is being closed.
    pub async fn outcome(mut self) -> Result<RecordOutcome, StoreError> {
        self.next().await
    }

    /// What became of the record at that place, which has this event id: for ids under which more
    /// than one record may come. Where it stood away from its contact's home, that is what becomes of
    /// it there.
    ///
    /// # Errors
    /// When the store has stopped or is being closed.
    pub async fn outcome_at(
        mut self,
        lane: Lane,
        offset: Offset,
    ) -> Result<RecordOutcome, StoreError> {
        let mut is_rehomed = false;
        loop {
            let outcome = self.next().await?;
            let is_it = is_rehomed || (outcome.lane, outcome.offset) == (lane, offset);
            if is_it && outcome.verdict != Verdict::Rehomed {
                return Ok(outcome);
            }
            is_rehomed |= is_it;
        }
    }

    /// The log did not take the record, and why: nothing will come of this try. Whether nothing will come
    /// of an earlier one either.
    pub fn refused(mut self, why: &str) -> bool {
        self.was_told = true;
        self.commits.outcomes.refused_once(self.key.0, why)
    }

    pub(super) async fn next(&mut self) -> Result<RecordOutcome, StoreError> {
        match self.told.recv().await {
            Some(outcome) => {
                self.was_told = true;
                Ok(outcome)
            }
            None => {
                self.commits.check()?;
                Err(StoreError::TimedOut)
            }
        }
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.commits.outcomes.remove(self.key, self.was_told);
    }
}
