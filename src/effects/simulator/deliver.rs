//! One webhook to its target: signed, sent, tried again while that may help.

use std::time::{Duration, Instant, SystemTime};

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use crate::domain::Class;
use crate::effects::Attempt;
use crate::ingest::{Message, now_ms, sign, signed_headers};
use crate::outbound::{Answer, OutboundError, retry_after};
use crate::telemetry::SimulatorOutcome;

use super::history::{Status, beginning};
use super::{Job, Simulator};

/// How often a delivery is tried, and what lies between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) attempts_max: usize,
    /// Before the second attempt, doubled each time.
    pub(super) pause: Duration,
    /// At most, whatever the target asks for.
    pub(super) pause_max: Duration,
}

impl Policy {
    /// Before the next attempt, of `attempt` so far; none: that was the last. `chance`: from 0 to 1.
    pub(super) fn pause(
        &self,
        attempt: usize,
        asked: Option<Duration>,
        chance: f64,
    ) -> Option<Duration> {
        if attempt >= self.attempts_max {
            return None;
        }
        let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(20);
        let doubled = self.pause.saturating_mul(1 << doublings).min(self.pause_max);
        // Half of it by chance, so that many deliveries that failed at once come apart.
        let jittered = doubled.mul_f64(0.5 + chance / 2.0);
        Some(asked.map_or(jittered, |asked| asked.max(jittered).min(self.pause_max)))
    }
}

/// What an attempt came to.
pub(super) enum Judged {
    Done(Status, SimulatorOutcome),
    /// Again, after what the target asks for.
    Again(Option<Duration>),
}

impl Simulator {
    pub(super) async fn deliver(&self, job: Job) {
        for number in 1.. {
            let at_ms = now_ms();
            let started = Instant::now();
            let answer = self.attempt(&job).await;
            let latency = started.elapsed();
            let (status, pause, outcome) = match judge(&answer) {
                Judged::Done(status, outcome) => (status, None, Some(outcome)),
                Judged::Again(asked) => match self.policy.pause(number, asked, fastrand::f64()) {
                    Some(pause) => (Status::Pending, Some(pause), None),
                    None => (Status::Failed, None, Some(SimulatorOutcome::Failed)),
                },
            };
            let attempt = shown(at_ms, &answer, latency, pause);
            self.history.lock().note(job.number, status, attempt);
            self.metrics.attempt();
            match (outcome, pause) {
                (Some(outcome), _) => return self.metrics.delivery(outcome),
                (None, Some(pause)) => tokio::time::sleep(pause).await,
                (None, None) => return,
            }
        }
    }

    /// Signed anew each time, as the time of a signature must be near.
    pub(super) async fn attempt(&self, job: &Job) -> Result<Answer, OutboundError> {
        let to_sign = job.seal.to_sign(&job.body, now_ms());
        let id = format!("sim_{}", job.number);
        let (timestamp, id) = (to_sign.timestamp.as_bytes(), id.as_bytes());
        let message = |body| Message { timestamp, id, url: job.target.as_str(), body };
        let signature = |body| sign(&self.form, self.secret.expose(), &message(body)).ok();
        let signature = to_sign.body.as_ref().and_then(|body| signature(body));
        let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        for (name, value) in signed_headers(&self.form, &message(&[]), signature) {
            // Names and values that can't be in a header are none that a receiver could ask for.
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::try_from(value))
            {
                headers.push((name, value));
            }
        }
        self.client.post(&job.target, &headers, job.body.clone()).await
    }
}

pub(super) fn judge(answer: &Result<Answer, OutboundError>) -> Judged {
    let passing =
        [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    match answer {
        Ok(answer) if answer.status.is_success() => {
            Judged::Done(Status::Delivered, SimulatorOutcome::Delivered)
        }
        Ok(answer) if answer.status.is_server_error() || passing.contains(&answer.status) => {
            Judged::Again(retry_after(&answer.headers, SystemTime::now()))
        }
        // A redirect too: it would lead where nobody has looked.
        Ok(_) => Judged::Done(Status::Rejected, SimulatorOutcome::Rejected),
        Err(error) if error.class() == Class::Retry => Judged::Again(None),
        Err(_) => Judged::Done(Status::Failed, SimulatorOutcome::Failed),
    }
}

pub(super) fn shown(
    at_ms: u64,
    answer: &Result<Answer, OutboundError>,
    latency: Duration,
    pause: Option<Duration>,
) -> Attempt {
    let mut attempt = Attempt::unanswered(at_ms, None).after(latency);
    match answer {
        Ok(answer) => {
            let (text, is_cut) = beginning(&answer.body);
            attempt.status = Some(answer.status.as_u16());
            attempt.response = Some(text);
            attempt.response_is_cut = answer.is_cut || is_cut;
        }
        Err(error) => attempt.error = Some(error.to_string()),
    }
    let pause = pause.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
    Attempt { retry_in_ms: pause, ..attempt }
}
