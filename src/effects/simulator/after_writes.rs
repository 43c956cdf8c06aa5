//! Webhooks after writes: a follower that tells the target what the API's commands did, under each
//! write's own id, time and version.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use hyper::StatusCode;
use hyper::body::Bytes;
use parking_lot::Mutex;

use crate::domain::event::API_SOURCE;
use crate::effects::Attempt;
use crate::effects::follower::{Answer, Change, Delivery, Picked, Row, Sink};
use crate::ingest::now_ms;
use crate::simulate::{Manner, Seal};
use crate::store::Reader;
use crate::store::journal::{Entry, Outcome};
use crate::telemetry::SimulatorOutcome;

use super::deliver::{Judged, judge, shown};
use super::history::{self, Status, Trigger};
use super::order::{Event, Write};
use super::{Job, Simulator, UNDER_WAY_MAX};

/// Who writes through the API, as commands name them: others are our own housekeeping.
const WRITERS: [&[u8]; 2] = [b"user:", b"key:"];
/// Webhooks that were tried and are not delivered yet; more than wait are of an earlier turn.
const OPEN_MAX: usize = 2_000;

/// Tells the simulator's target of writes.
pub struct AfterWrites {
    simulator: Arc<Simulator>,
    reader: Reader,
    /// By a delivery's id, its place in the history.
    open: Mutex<BTreeMap<String, u64>>,
}

impl AfterWrites {
    /// By the simulator's client, secret and target.
    pub fn new(simulator: Arc<Simulator>, reader: Reader) -> Self {
        Self { simulator, reader, open: Mutex::default() }
    }

    /// The follower's row.
    pub fn row(simulator: &Simulator) -> Row {
        Row {
            at_once: UNDER_WAY_MAX,
            attempts_max: u32::try_from(simulator.policy.attempts_max).ok(),
            ..Row::new(
                "simulator_writes",
                "simulator_writes",
                "Tells the simulator's target of every write of the API.",
            )
        }
    }

    async fn tell(&self, delivery: &Delivery<Event>) -> Answer {
        let simulator = &*self.simulator;
        match self.is_erased(delivery).await {
            Ok(false) => {}
            // What was said before an erasure goes nowhere any more: the erasure is told.
            Ok(true) => {
                self.end_unsent(delivery);
                return Answer::Delivered;
            }
            Err(why) => return Answer::Down { why, after: None },
        }
        let job = self.job(delivery);
        let (at_ms, started) = (now_ms(), Instant::now());
        let answer = simulator.attempt(&job).await;
        let attempt = shown(at_ms, &answer, started.elapsed(), None);
        let is_last = usize::try_from(delivery.attempt).unwrap_or(usize::MAX)
            >= simulator.policy.attempts_max;
        let text = || match &answer {
            Ok(answer) => format!("the target answered {}", answer.status),
            Err(error) => error.to_string(),
        };
        // Who is not let in, or asks at the wrong address, is refused whatever it says.
        let is_for_all = |status: StatusCode| {
            [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND]
                .contains(&status)
        };
        let (status, outcome, told) = match (judge(&answer), &answer) {
            (Judged::Done(Status::Delivered, outcome), _) => {
                (Status::Delivered, Some(outcome), Answer::Delivered)
            }
            (Judged::Done(..), Ok(answer)) if !is_for_all(answer.status) => {
                let status = if is_last { Status::Rejected } else { Status::Pending };
                let outcome = is_last.then_some(SimulatorOutcome::Rejected);
                (status, outcome, Answer::Refused(text()))
            }
            // Where others are taken it is this one that is not, and the last attempt ends it.
            (judged, _) => {
                let after = if let Judged::Again(after) = judged { after } else { None };
                let status = if is_last { Status::Failed } else { Status::Pending };
                (status, None, Answer::Down { why: text(), after })
            }
        };
        simulator.history.lock().note(job.number, status, attempt);
        simulator.metrics.attempt();
        if let Some(outcome) = outcome {
            simulator.metrics.delivery(outcome);
            self.open.lock().remove(&delivery.id);
        }
        told
    }

    /// Whether what it says was erased since.
    async fn is_erased(&self, delivery: &Delivery<Event>) -> Result<bool, String> {
        let (reader, event) = (self.reader.clone(), Arc::clone(&delivery.item));
        let looked = tokio::task::spawn_blocking(move || match &event.said_of {
            Some(of) => of.is_erased(&reader).map_err(|error| error.to_string()),
            None => Ok(false),
        });
        looked.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// One that was tried, and is not any more.
    fn end_unsent(&self, delivery: &Delivery<Event>) {
        let Some(number) = self.open.lock().remove(&delivery.id) else {
            return;
        };
        let error = Some("it is not sent any more: its contact was erased".to_owned());
        let attempt = Attempt::unanswered(now_ms(), error);
        self.simulator.history.lock().note(number, Status::Failed, attempt);
    }

    /// The delivery as the history has it: one, however often it is tried.
    fn job(&self, delivery: &Delivery<Event>) -> Job {
        let (event, target) = (&delivery.item, self.simulator.default_target.clone());
        let mut open = self.open.lock();
        let number = open.get(&delivery.id).copied().unwrap_or_else(|| {
            let remembered = history::Delivery::new(
                &event.id,
                event.kind.as_str(),
                &target,
                Manner::AsIs,
                Trigger::Write,
                (&event.body, event.said_of.clone()),
            );
            let number = self.simulator.history.lock().add(remembered).number;
            if open.len() >= OPEN_MAX {
                open.clear();
            }
            open.insert(delivery.id.clone(), number);
            number
        });
        Job { number, target, body: Bytes::from(event.body.clone()), seal: Seal::Right }
    }
}

impl Sink for AfterWrites {
    type Item = Event;

    fn pick(&self, entry: &Entry<'_>) -> Option<Picked<Event>> {
        // Most are of others: the contact is looked at last.
        let Outcome::Applied(applied) = &entry.outcome else {
            return None;
        };
        let writer = applied.principal.filter(|_| applied.source == API_SOURCE.as_bytes())?;
        if !WRITERS.iter().any(|prefix| writer.starts_with(prefix)) {
            return None;
        }
        let Change { id, applied, view } = Change::of(entry)?;
        let write = Write {
            contact_id: id,
            event_id: &String::from_utf8_lossy(applied.event_id),
            kind: applied.kind,
            timestamp_us: applied.event_time_us?,
            view: &view,
        };
        let event = write.event();
        let (version, bytes) = (view.version(), event.body.len());
        Some(Picked { key: id.to_owned(), version, bytes, item: event })
    }

    async fn deliver(&self, deliveries: &[Delivery<Event>]) -> Vec<Answer> {
        join_all(deliveries.iter().map(|delivery| self.tell(delivery))).await
    }
}
