//! The task that works on imports, and what it writes down for all instances.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::desk::Imports;
use super::error::ImportError;
use super::job::{JobState, PREFIX};
use super::live::{End, Live};
use super::run::run;
use super::undo::undo;
use crate::domain::Class;
use crate::ingest::{ControlOutcome, ControlWrite, Pause, now_ms};
use crate::shares::Who;

/// How often it is looked what may be deleted, and what has a place.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How long a job that came to nothing is kept from trying again.
const TRY_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

impl Imports {
    /// Writes it down for all instances.
    pub(super) async fn write(&self, live: &Live) -> Result<(), ImportError> {
        let keep = u64::try_from(self.0.config.keep.as_millis()).unwrap_or(u64::MAX);
        let job = live.job();
        let write = ControlWrite {
            key: format!("{PREFIX}{}", live.id),
            lives_ms: Some(keep),
            value: serde_json::to_vec(&job).ok(),
            principal: Some(job.by),
            ..ControlWrite::default()
        };
        match self.0.around.control.put(write).await? {
            ControlOutcome::Applied { .. } | ControlOutcome::Unchanged { .. } => Ok(()),
            ControlOutcome::Conflict { .. } => {
                let advice = "it changed meanwhile; try again";
                Err(ImportError::Conflict { state: job.state.as_str(), advice })
            }
            ControlOutcome::Refused { detail, .. } => {
                Err(ImportError::Disk(std::io::Error::other(detail)))
            }
        }
    }

    /// The time of its events: as of when the file is, else that of whoever began it first.
    async fn begin(&self, live: &Live) -> Result<(), ImportError> {
        if live.is_dry() {
            live.edit(|job| job.state = JobState::Running);
            return Ok(());
        }
        loop {
            let known = self.entry(&live.id);
            let begun = known.as_ref().and_then(|(job, _)| job.started_us);
            // Two files that are begun in one millisecond are told apart.
            let now = || now_ms() * 1000 + fastrand::u64(..1000);
            let now = live.job().options.events_us(&live.id).unwrap_or_else(now);
            live.edit(|job| {
                (job.state, job.started_us) = (JobState::Running, Some(begun.unwrap_or(now)));
            });
            let keep = u64::try_from(self.0.config.keep.as_millis()).unwrap_or(u64::MAX);
            let write = ControlWrite {
                key: format!("{PREFIX}{}", live.id),
                expected_revision: Some(known.map_or(0, |(_, entry)| entry.revision)),
                lives_ms: Some(keep),
                value: serde_json::to_vec(&live.job()).ok(),
                ..ControlWrite::default()
            };
            match self.0.around.control.put(write).await? {
                ControlOutcome::Applied { .. } | ControlOutcome::Unchanged { .. } => return Ok(()),
                ControlOutcome::Conflict { .. } => {}
                ControlOutcome::Refused { detail, .. } => {
                    return Err(ImportError::Disk(std::io::Error::other(detail)));
                }
            }
        }
    }

    /// Works on what there is, so many at once, until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut under_way = JoinSet::new();
        while !stop.is_cancelled() {
            self.forget_old();
            let waiting: Vec<_> = self.0.lives.lock().values().cloned().collect();
            for live in waiting.into_iter().filter(|live| live.state().is_under_way()) {
                let who = Who::principal(&live.job().by);
                let is_free = !live.is_taken.load(Ordering::Acquire);
                if let Some(Ok(place)) = is_free.then(|| self.0.places.take(who, 1)) {
                    live.is_taken.store(true, Ordering::Release);
                    let (imports, stop) = (self.clone(), stop.clone());
                    under_way.spawn(async move {
                        let _place = place;
                        imports.work(&live, &stop).await;
                        live.is_taken.store(false, Ordering::Release);
                    });
                }
            }
            let running = i64::try_from(under_way.len()).unwrap_or(i64::MAX);
            self.0.around.metrics.imports.set_running(running);
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.0.wake.notified() => {}
                Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
        while under_way.join_next().await.is_some() {}
    }

    /// One import, until it has ended or the process does.
    async fn work(&self, live: &Arc<Live>, stop: &CancellationToken) {
        let mut pause = Pause::between(TRY_AGAIN.0, TRY_AGAIN.1);
        loop {
            let done = match live.state() {
                JobState::Undoing => undo(&self.0.around, live, stop).await,
                JobState::Waiting
                | JobState::Running
                | JobState::Ready
                | JobState::Done
                | JobState::Cancelled
                | JobState::Failed
                | JobState::Undone => match self.begin(live).await {
                    Ok(()) => run(&self.0.around, live, stop).await,
                    Err(error) => Err(error),
                },
            };
            let error = match done {
                Ok(End::Interrupted) => return,
                Ok(end) => return self.ended(live, end, None, stop).await,
                Err(error) => error,
            };
            if error.class() != Class::Retry {
                return self.ended(live, End::Done, Some(error.to_string()), stop).await;
            }
            tracing::warn!(import = live.id, %error, "an import waits and goes on");
            let wait = tokio::time::sleep(pause.take());
            if stop.run_until_cancelled(live.cancel.run_until_cancelled(wait)).await.is_none() {
                return;
            }
        }
    }

    async fn ended(
        &self,
        live: &Arc<Live>,
        end: End,
        why: Option<String>,
        stop: &CancellationToken,
    ) {
        live.edit(|job| {
            job.state = match (job.state, end, &why) {
                (_, _, Some(_)) => JobState::Failed,
                (JobState::Undoing, End::Done, None) => JobState::Undone,
                (_, End::Cancelled, None) => JobState::Cancelled,
                (_, End::Done | End::Interrupted, None) => JobState::Done,
            };
            (job.why, job.ended_ms) = (why, Some(now_ms()));
        });
        let job = live.job();
        let (state, rows) = (job.state.as_str(), job.counts.rows);
        tracing::info!(import = live.id, state, rows, why = job.why, "an import has ended");
        let mut pause = Pause::default();
        while let Err(error) = self.write(live).await {
            tracing::debug!(%error, "the end of an import is not written down yet");
            let wait = tokio::time::sleep(pause.take());
            if stop.run_until_cancelled(wait).await.is_none() {
                return;
            }
        }
    }

    /// Deletes files that were kept long enough.
    fn forget_old(&self) {
        let keep = u64::try_from(self.0.config.keep.as_millis()).unwrap_or(u64::MAX);
        let now = now_ms();
        self.0.lives.lock().retain(|_, live| {
            let job = live.job.borrow();
            let since = job.ended_ms.unwrap_or(job.at_ms);
            let is_old = !job.state.is_under_way() && since.saturating_add(keep) <= now;
            if is_old && let Err(error) = live.spool.remove() {
                tracing::warn!(import = live.id, %error, "the file of an import is not deleted yet");
                return true;
            }
            !is_old
        });
    }
}
