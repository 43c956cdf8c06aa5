//! The mock's webhooks: signed anew each time, and sent again until they are taken.

use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use futures_util::future::join_all;
use tokio::sync::Notify;

use crate::ingest::{Message, sign, signed_headers};
use crate::outbound::{Allowed, Answer, Client, OutboundError, Target, retry_after};

use super::contacts::Event;
use super::{Mock, Receiver};

/// For one answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Nobody looks at what an answer says.
const ANSWER_BYTES_MAX: usize = 0;
/// Before the second attempt, doubled each time.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Sends to one receiver.
pub(super) struct Sender {
    client: Client,
    target: Target,
    receiver: Receiver,
}

/// What became of an attempt.
enum Outcome {
    Taken,
    /// It will never be taken; why.
    Refused(String),
    /// The receiver is in trouble, or does not know us; and how long it wants to be left alone.
    Again(String, Option<Duration>),
}

impl Sender {
    /// Whoever starts a mock says where it sends to, be it this machine or its network.
    pub(super) fn new(receiver: Receiver) -> Result<Self, OutboundError> {
        let allowed = Allowed::anywhere();
        let target = allowed.target(&receiver.url)?;
        Ok(Self { client: Client::new(allowed, TIMEOUT, ANSWER_BYTES_MAX), target, receiver })
    }

    async fn send(&self, event: &Event, now_ms: u64) -> Outcome {
        let body = match serde_json::to_vec(event) {
            Ok(body) => Bytes::from(body),
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        let timestamp = (now_ms / 1_000).to_string();
        let message = Message {
            timestamp: timestamp.as_bytes(),
            id: event.id.as_bytes(),
            url: self.target.as_str(),
            body: &body,
        };
        let signature = match sign(&self.receiver.form, self.receiver.secret.expose(), &message) {
            Ok(signature) => signature,
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        for (name, value) in signed_headers(&self.receiver.form, &message, Some(signature)) {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::try_from(value))
            {
                headers.push((name, value));
            }
        }
        judge(self.client.post(&self.target, &headers, body).await)
    }
}

fn judge(answer: Result<Answer, OutboundError>) -> Outcome {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Outcome::Again(error.to_string(), None),
    };
    // What is wrong with the receiver's settings, or with ours, and not with one webhook.
    let passing = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::NOT_FOUND,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    match answer.status {
        status if status.is_success() => Outcome::Taken,
        StatusCode::UNAUTHORIZED => {
            let why = "it answers 401: do the secret, --sign and both clocks fit?";
            Outcome::Again(why.to_owned(), None)
        }
        status if status.is_client_error() && !passing.contains(&status) => {
            Outcome::Refused(format!("it answers {status}"))
        }
        status => {
            let asked = retry_after(&answer.headers, SystemTime::now());
            Outcome::Again(format!("it answers {status}"), asked)
        }
    }
}

/// As the receiver asks, or doubled each time; the half of it by chance, so that lanes come apart.
fn pause(failures: u32, asked: Option<Duration>) -> Duration {
    let doubled = PAUSE.saturating_mul(1 << failures.min(10)).min(PAUSE_MAX);
    asked.unwrap_or_default().min(PAUSE_MAX).max(doubled.mul_f64(0.5 + fastrand::f64() / 2.0))
}

impl Mock {
    /// Sends what waits, for ever.
    pub(super) async fn deliver_all(&self) {
        let lanes = self.wake.iter().enumerate();
        join_all(lanes.map(|(lane, wake)| self.deliver(lane, wake))).await;
    }

    async fn deliver(&self, lane: usize, wake: &Notify) {
        let mut failures = 0_u32;
        loop {
            let (event, sender, now_ms) = {
                let state = self.state.lock();
                (state.contacts.next(lane).cloned(), state.sender.clone(), state.now_ms())
            };
            let (Some(event), Some(sender)) = (event, sender) else {
                wake.notified().await;
                continue;
            };
            // Nobody is told of what a kill would undo.
            if self.until_saved().await.is_err() {
                continue;
            }
            let is_taken = match sender.send(&event, now_ms).await {
                Outcome::Taken => true,
                Outcome::Refused(why) => {
                    tracing::warn!(event = event.id, %why, "webhook refused, and given up");
                    false
                }
                Outcome::Again(why, asked) => {
                    failures += 1;
                    if failures.is_power_of_two() {
                        tracing::warn!(
                            failures,
                            receiver = sender.target.host(),
                            %why,
                            "webhooks wait for their receiver"
                        );
                    }
                    tokio::time::sleep(pause(failures, asked)).await;
                    continue;
                }
            };
            failures = 0;
            self.state.lock().contacts.sent(lane, is_taken);
            self.unsaved.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use axum::http::header::RETRY_AFTER;

    use super::*;

    #[test]
    fn only_what_blames_the_webhook_is_given_up() {
        let outcome = |status: u16| {
            let status = StatusCode::from_u16(status).unwrap();
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("3"))]);
            judge(Ok(Answer { status, headers, body: Vec::new(), is_cut: false }))
        };
        assert!([200, 202, 204].iter().all(|status| matches!(outcome(*status), Outcome::Taken)));
        let refused = |status: &u16| matches!(outcome(*status), Outcome::Refused(_));
        assert!([400, 409, 413, 422].iter().all(refused));
        let again = |status: &u16| matches!(outcome(*status), Outcome::Again(..));
        assert!([301, 401, 403, 404, 408, 429, 500, 503].iter().all(again));
        let Outcome::Again(_, asked) = outcome(503) else { panic!("sent again") };
        assert_eq!(asked, Some(Duration::from_secs(3)));
        assert!(matches!(judge(Err(OutboundError::Timeout { ms: 1 })), Outcome::Again(..)));
    }

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let within = |failures, asked: Option<u64>, from: u64, to: u64| {
            let pause = pause(failures, asked.map(Duration::from_secs)).as_millis();
            assert!((u128::from(from)..=u128::from(to)).contains(&pause), "{pause}");
        };
        within(0, None, 50, 100);
        within(3, None, 400, 800);
        within(40, None, 2_500, 5_000);
        within(0, Some(2), 2_000, 2_000);
        within(0, Some(3_600), 5_000, 5_000);
    }
}
