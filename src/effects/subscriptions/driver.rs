//! Sends what the channels say comes next, for all subscribers: one task.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt as _, OptionFuture};
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use crate::domain::timestamp::format_rfc3339;
use crate::effects::Attempt;
use crate::ingest::{ControlOutcome, ControlWrite, now_ms};
use crate::store::StoreError;

use super::attempts::{DeliveryState, Which};
use super::channel::{Outcome, Settled};
use super::fan_out::{FanOut, Shared};
use super::message::{DISABLER, Message, Place};
use super::reading::{Reading, read_on, read_places};
use super::running::{Job, Running};
use super::subscription::{Since, State, Subscription, key};

/// How often it is written down how subscribers stand.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked at least.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long what is under way is waited for at the end.
const END_WAIT: Duration = Duration::from_secs(5);

type Answered = (Job, Outcome, Attempt);

/// What was read for those that are behind.
enum Found {
    Portion(Vec<Reading>),
    Again(String, Vec<(Place, u32)>, Vec<(Arc<Message>, u32)>),
    Failed(StoreError),
}

impl FanOut {
    /// Sends until the follower ends.
    pub async fn run(self) {
        let shared = &*self.0;
        let mut controls = shared.reader.control_watch();
        let mut under_way: FuturesUnordered<BoxFuture<'_, Answered>> = FuturesUnordered::new();
        let mut reading: Option<BoxFuture<'static, (u64, Found)>> = None;
        let mut writing: Option<BoxFuture<'_, ()>> = None;
        let (mut written, mut last_read) = (Instant::now(), String::new());
        shared.tell_needs();
        let mut ends_at = None;
        loop {
            let now = Instant::now();
            if shared.ends.is_cancelled() {
                let until = *ends_at.get_or_insert(now + END_WAIT);
                if under_way.is_empty() || now >= until {
                    break;
                }
            }
            let (jobs, due) = shared.next_jobs(now);
            under_way.extend(jobs.into_iter().map(|job| shared.send(job).boxed()));
            if reading.is_none() && !shared.ends.is_cancelled() {
                reading = shared.next_reading(&mut last_read);
            }
            if writing.is_none() && now.saturating_duration_since(written) >= WRITE_EVERY {
                written = now;
                writing = shared.is_dirty().then(|| shared.write_down().boxed());
            }
            let rest = due.map_or(LOOK_EVERY, |at| at.saturating_duration_since(now));
            tokio::select! {
                Some(answered) = under_way.next() => {
                    shared.answered(answered);
                    // All that are there, before anything is begun.
                    while let Some(Some(answered)) = under_way.next().now_or_never() {
                        shared.answered(answered);
                    }
                }
                () = shared.woken.notified() => {}
                Ok(()) = controls.changed() => shared.tell_needs_elsewhere(),
                Some((number, found)) = OptionFuture::from(reading.as_mut()) => {
                    reading = None;
                    shared.found(number, found);
                }
                Some(()) = OptionFuture::from(writing.as_mut()) => writing = None,
                () = tokio::time::sleep(rest.min(LOOK_EVERY)) => {}
                () = shared.ends.cancelled(), if !shared.ends.is_cancelled() => {}
            }
        }
        shared.ended.cancel();
    }
}

impl Shared {
    /// What is to be sent now, and when there is more.
    fn next_jobs(&self, now: Instant) -> (Vec<Job>, Option<Instant>) {
        let mut running = self.running.lock();
        let Some(running) = running.as_mut() else {
            return (Vec::new(), None);
        };
        if self.ends.is_cancelled() || !running.hold.may_deliver() {
            return (Vec::new(), None);
        }
        self.refresh(running);
        let jobs = running.start(now, self.config.under_way_max);
        self.metrics.set_under_way(running.under_way);
        (jobs, running.next_due())
    }

    async fn send(&self, job: Job) -> Answered {
        let message = &job.next.message;
        if self.is_erased(message).await {
            // What was said before an erasure goes nowhere any more: the erasure is told.
            let error = Some("it is not sent: its contact was erased".to_owned());
            let attempt = Attempt::unanswered(now_ms(), error);
            return (job, Outcome::Done, attempt);
        }
        let id = message.id(self.reader.position().log);
        let (outcome, attempt) = self.courier.send(&job.subscription, message, &id).await;
        (job, outcome, attempt)
    }

    async fn is_erased(&self, message: &Arc<Message>) -> bool {
        let may_be = |id: &str| self.reader.may_be_erased(id.as_bytes());
        if !message.said_of.as_ref().is_some_and(|said_of| may_be(&said_of.contact_id)) {
            return false;
        }
        let (reader, message) = (self.reader.clone(), Arc::clone(message));
        let looked = tokio::task::spawn_blocking(move || message.is_erased(&reader)).await;
        // What can't be looked up is not said.
        !matches!(looked, Ok(Ok(false)))
    }

    fn answered(&self, (job, outcome, mut attempt): Answered) {
        let settled = {
            let mut running = self.running.lock();
            let Some(running) = running.as_mut().filter(|it| it.number == job.number) else {
                return;
            };
            let at = (Instant::now(), now_ms());
            running.settle(&job, outcome.clone(), at, fastrand::f64())
        };
        let (id, why) = (&job.subscription.id, attempt.error.as_deref());
        let state = match settled {
            None | Some(Settled::Done) if outcome == Outcome::Done => DeliveryState::Delivered,
            Some(Settled::Later(pause)) => {
                attempt.retry_in_ms = u64::try_from(pause.as_millis()).ok();
                tracing::debug!(subscription = id, why, "a message was not taken");
                DeliveryState::Pending
            }
            Some(Settled::GivenUp) => {
                let attempts = job.next.attempt;
                tracing::warn!(subscription = id, why, attempts, "a message was given up");
                DeliveryState::Failed
            }
            Some(Settled::Disable(_) | Settled::Done) | None => DeliveryState::Failed,
        };
        let is_sent = attempt.status.is_some() || attempt.latency_ms > 0.0;
        if is_sent {
            self.metrics.attempt(state.as_str(), attempt.latency_ms / 1e3);
        }
        let which = Which {
            id: job.next.message.id(self.reader.position().log),
            event_type: job.next.message.kind.clone(),
            contact: job.next.message.key.clone(),
        };
        self.attempts.note(id, which, attempt, state);
    }

    /// Reads for one that is behind, and for all that have seen as much.
    fn next_reading(&self, last: &mut String) -> Option<BoxFuture<'static, (u64, Found)>> {
        let mut running = self.running.lock();
        let running = running.as_mut().filter(|it| it.reads && it.hold.may_deliver())?;
        let (number, reader) = (running.number, self.reader.clone());
        if let Some((id, places)) = running.again() {
            let compares = self.rosters.now().compares;
            let read = move || match read_places(&reader, &places, compares) {
                Ok(found) => Found::Again(id, places, found),
                Err(error) => Found::Failed(error),
            };
            return Some(off_threads(number, read));
        }
        let behind = running.behind(last);
        let Some((first, ..)) = behind.first() else {
            running.reads = false;
            return None;
        };
        last.clone_from(first);
        let readings: Vec<_> = behind.into_iter().map(Reading::new).collect();
        let read = move || match read_on(&reader, readings) {
            Ok(readings) => Found::Portion(readings),
            Err(error) => Found::Failed(error),
        };
        Some(off_threads(number, read))
    }

    fn found(&self, number: u64, found: Found) {
        let mut running = self.running.lock();
        let Some(running) = running.as_mut().filter(|it| it.number == number) else {
            return;
        };
        match found {
            Found::Again(id, places, messages) => running.give_again(&id, &places, messages),
            Found::Portion(readings) => readings.into_iter().for_each(|it| take_up(running, it)),
            // The journal begins later by now: the next reading sees that.
            Found::Failed(error) if error.is_trimmed() => {}
            Found::Failed(error) => {
                // Tried again when something happens.
                running.reads = false;
                tracing::error!(%error, "the journal can't be read for subscribers");
            }
        }
    }

    fn is_dirty(&self) -> bool {
        self.running.lock().as_ref().is_some_and(Running::is_touched)
    }

    async fn write_down(&self) {
        if let Err(error) = self.write(None).await {
            tracing::warn!(error, "how subscribers stand is not written down");
        }
        let ending: Vec<(String, String)> = {
            let running = self.running.lock();
            let lines = running.iter().flat_map(|it| &it.lines);
            lines.filter_map(|(id, line)| Some((id.clone(), line.ends.clone()?))).collect()
        };
        for (id, why) in ending {
            if let Err(error) = self.disable(&id, &why).await {
                tracing::warn!(subscription = id, error, "a subscription is yet to be disabled");
            }
        }
        let roster = self.rosters.now();
        self.attempts.retain(|id| roster.all.contains_key(id));
    }

    async fn disable(&self, id: &str, why: &str) -> Result<(), String> {
        let Some(entry) = self.reader.control(&key(id)) else {
            return Ok(());
        };
        let known = Subscription::of(&key(id), &entry).filter(|it| it.state == State::Active);
        let Some(known) = known else {
            return Ok(());
        };
        let since = Since { at_ms: now_ms(), by: DISABLER.to_owned(), why: Some(why.to_owned()) };
        let at = format_rfc3339(since.at_ms);
        let changed = Subscription { state: State::Disabled, since, ..known };
        let write = ControlWrite {
            key: key(id),
            expected_revision: Some(entry.revision),
            value: Some(serde_json::to_vec(&changed).map_err(|error| error.to_string())?),
            principal: Some(DISABLER.to_owned()),
            ..ControlWrite::default()
        };
        match self.control.put(write).await.map_err(|error| error.to_string())? {
            ControlOutcome::Applied { .. } | ControlOutcome::Unchanged { .. } => {
                tracing::warn!(subscription = id, why, at, "a subscription is disabled");
                Ok(())
            }
            // Somebody has changed it: then it is looked at again.
            ControlOutcome::Conflict { .. } => Ok(()),
            ControlOutcome::Refused { detail, .. } => Err(detail),
        }
    }

    fn tell_needs_elsewhere(&self) {
        if self.running.lock().as_ref().is_none_or(|it| !it.hold.is_ours()) {
            self.tell_needs();
        }
    }
}

/// What was read for one, if it is where it was when that began.
fn take_up(running: &mut Running, reading: Reading) {
    let Reading { id, from, seen, taken, is_overrun, .. } = reading;
    let Some(line) = running.lines.get_mut(&id) else {
        return;
    };
    if line.behind.as_ref() != Some(&from) || !line.is_active() {
        running.reads = true;
        return;
    }
    if is_overrun {
        line.overruns += 1;
        tracing::error!(
            subscription = id,
            "the journal no longer reaches back to what it was owed"
        );
    }
    running.give(&id, taken.into_iter().map(|message| (message, 0)).collect());
    running.caught_up_to(&id, seen);
}

fn off_threads(
    number: u64,
    read: impl FnOnce() -> Found + Send + 'static,
) -> BoxFuture<'static, (u64, Found)> {
    let read = tokio::task::spawn_blocking(read);
    async move {
        let failed = |error: tokio::task::JoinError| {
            Found::Failed(StoreError::damaged("what subscribers read", error.to_string()))
        };
        (number, read.await.unwrap_or_else(failed))
    }
    .boxed()
}
