//! Restating: every control entry is written again, as it is, before its record is gone with the control
//! topic's retention. One instance does it at a time, any can.
//!
//! ```text
//! entries stated longest ago ─► restated, with the view they were read at ─► log/restated: from where on
//! ```
//!
//! An entry is restated once a sixth of the retention has passed, so that it is done before a third has.
//! Idle it costs a record an entry and sixth, and one more that says from where on all were restated:
//! who begins to read in the middle is settled once it has read that.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::domain::control::{RESTATED_KEY, View, restated_from};
use crate::domain::position::{CONTROL_LANE, NextOffset, Offset};
use crate::event_log::{EventLog, LogError};
use crate::store::Reader;
use crate::telemetry::fault;

use super::{Control, ControlOutcome, ControlWrite, IngestError, Lease, now_ms};

/// Who has it restates.
const ROLE: &str = "log/restating";
/// Which part of the retention may pass.
const PARTS: u32 = 6;
/// Looks at what is due, in each such part.
const LOOKS_A_PART: u32 = 4;
/// Longest and shortest time between two looks.
const LOOK_EVERY_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY_MIN: Duration = Duration::from_millis(250);
/// How often the topic's retention is asked for.
const ASK_EVERY: Duration = Duration::from_secs(600);
/// Entries that are restated together: far fewer than a view may be behind.
const ENTRIES_AT_ONCE: usize = 200;

/// Restates what is due.
pub struct Restating {
    log: EventLog,
    control: Arc<Control>,
    lease: Arc<Lease>,
}

/// Why it has to wait.
#[derive(Debug, thiserror::Error)]
enum RestatingError {
    #[error(transparent)]
    Ingest(#[from] IngestError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("a thread panicked")]
    Panicked,
}

impl Restating {
    /// Of a log that drops old control records, for a store that follows it.
    pub fn new(log: EventLog, control: Arc<Control>, lease: Arc<Lease>) -> Self {
        Self { log, control, lease }
    }

    /// Until told to stop.
    pub async fn run(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let asked = stop.run_until_cancelled(self.retention()).await;
            let retention = match asked {
                None => return,
                Some(Ok(retention)) => retention,
                Some(Err(error)) => {
                    tracing::debug!(%error, "the control topic's retention is not known yet");
                    stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY_MAX / 12)).await;
                    continue;
                }
            };
            let ask_again = tokio::time::sleep(ASK_EVERY);
            let restating = async {
                match retention {
                    Some(retention) => self.restate_every(retention / PARTS).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = restating => {}
                () = ask_again => {}
            }
        }
    }

    async fn retention(&self) -> Result<Option<Duration>, RestatingError> {
        let log = self.log.clone();
        let asking = tokio::task::spawn_blocking(move || log.control_retention());
        Ok(asking.await.map_err(|_| RestatingError::Panicked)??)
    }

    async fn restate_every(&self, part: Duration) {
        let wait = (part / LOOKS_A_PART).clamp(LOOK_EVERY_MIN, LOOK_EVERY_MAX);
        let mut is_first_failure = true;
        loop {
            match self.restate_due(part, now_ms()).await {
                Ok(()) => is_first_failure = true,
                Err(error) if is_first_failure => {
                    is_first_failure = false;
                    tracing::warn!(%error, "control entries wait to be restated");
                }
                Err(error) => tracing::debug!(%error, "control entries wait to be restated"),
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Restates all that was stated longer ago than `part`, if it is this instance's turn.
    async fn restate_due(&self, part: Duration, now_ms: u64) -> Result<(), RestatingError> {
        let part_ms = u64::try_from(part.as_millis()).unwrap_or(u64::MAX);
        let before_ms = now_ms.saturating_sub(part_ms);
        let reader = self.control.reader();
        if reader.is_control_unsettled() || fault::bug("nothing_restated") {
            return Ok(());
        }
        let is_any_due = !reader.controls_stated_before(before_ms, 1).is_empty();
        if !is_any_due && !self.is_mark_due(before_ms).await? {
            return Ok(());
        }
        if !self.lease.take(ROLE).await? {
            return Ok(());
        }
        while self.restate_some(reader, before_ms).await? {}
        self.mark(reader).await
    }

    /// False: nothing was left to be restated.
    async fn restate_some(&self, reader: &Reader, before_ms: u64) -> Result<bool, RestatingError> {
        // Before the entries are read: what changes between both is noticed where it is applied.
        let Some(view) = self.view(reader) else { return Ok(false) };
        let due = reader.controls_stated_before(before_ms, ENTRIES_AT_ONCE);
        if due.is_empty() {
            return Ok(false);
        }
        let restated = due.iter().map(|(key, entry)| self.control.restate(key, entry, view));
        let mut is_any = false;
        for restated in join_all(restated).await {
            is_any |= restated?;
        }
        // Others change faster than they are restated here, or have ended: the next look has them.
        Ok(is_any)
    }

    /// None: the lease is not held any more.
    fn view(&self, reader: &Reader) -> Option<View> {
        // Older than the position, so that the view is never taken for newer than it is.
        let at_ms = self.lease.renewed_at_ms()?;
        Some(View { next: control_next(reader), at_ms })
    }

    /// Whether it is time to say from where on all is restated: the last saying of it is old, or there
    /// is none and the lane's first record is.
    async fn is_mark_due(&self, before_ms: u64) -> Result<bool, RestatingError> {
        if let Some(mark) = self.control.reader().control(RESTATED_KEY) {
            return Ok(mark.changed_at_ms < before_ms);
        }
        let log = self.log.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let low = log.watermarks(CONTROL_LANE)?.low;
            log.read_one(CONTROL_LANE, Offset(low.0))
        });
        let first = reading.await.map_err(|_| RestatingError::Panicked)??;
        let time_ms = first.map(|first| u64::try_from(first.timestamp_ms).unwrap_or(0));
        Ok(time_ms.is_some_and(|time_ms| time_ms < before_ms))
    }

    async fn mark(&self, reader: &Reader) -> Result<(), RestatingError> {
        let from = reader.controls_restated_from(control_next(reader));
        let write = ControlWrite {
            key: RESTATED_KEY.to_owned(),
            value: Some(restated_from(from)),
            ..ControlWrite::default()
        };
        if let ControlOutcome::Applied { .. } = self.control.put(write).await? {
            tracing::debug!(%from, "control entries are restated");
        }
        Ok(())
    }
}

fn control_next(reader: &Reader) -> NextOffset {
    reader.position().next.get(&CONTROL_LANE).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{World, open_log};
    use super::*;

    #[tokio::test]
    async fn an_entry_is_restated_once_a_part_of_the_retention_has_passed_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let log = open_log(&dir.path().join("log"));
        let world = World::follow(&dir.path().join("store"), log);
        let write = ControlWrite {
            key: "an/entry".to_owned(),
            value: Some(b"1".to_vec()),
            ..ControlWrite::default()
        };
        world.control.put(write).await.unwrap();
        let entry = || world.reader.control("an/entry").unwrap();
        let (first, part) = (entry(), Duration::from_secs(3_600));
        let lease = Arc::new(Lease::new(Arc::clone(&world.control), 1));
        let restating = Restating::new(world.log.clone(), Arc::clone(&world.control), lease);
        let due_ms = first.stated.time_ms + 3_600_000;
        restating.restate_due(part, due_ms).await.unwrap();
        assert_eq!(entry().stated, first.stated);
        restating.restate_due(part, due_ms + 1).await.unwrap();
        let again = entry();
        assert!(again.stated.offset > first.stated.offset);
        assert_eq!((again.revision, &again.value), (first.revision, &first.value));
        // From where on all is restated is said with it.
        assert!(world.reader.control(RESTATED_KEY).is_some());
    }
}
