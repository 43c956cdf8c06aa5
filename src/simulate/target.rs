//! The target as anybody meets it: signed webhooks in, contacts out, over HTTP and nothing else.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde_json::Value;

use crate::domain::texts::innermost;

use super::chaos::{Shot, ToSign};
use super::run::SimulateError;

/// Makes the headers of a request that is signed.
pub type Sign = Arc<dyn Fn(&ToSign<'_>) -> Vec<(String, String)> + Send + Sync>;

/// How often one request is sent at most.
const TRIES_MAX: u32 = 8;
/// Before the second try, doubled each time.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

pub(super) struct Target {
    http: reqwest::Client,
    /// Without a slash at its end.
    base: String,
    sign: Sign,
    /// What lets us read contacts.
    credentials: Vec<(&'static str, String)>,
}

/// What became of a request at last.
pub(super) enum Outcome {
    Accepted(StatusCode),
    Refused(StatusCode),
    /// Why nobody knows.
    Unanswered(String),
}

impl Target {
    pub(super) fn new(
        http: reqwest::Client,
        base: &str,
        sign: Sign,
        credentials: Vec<(&'static str, String)>,
    ) -> Self {
        Self { http, base: base.trim_end_matches('/').to_owned(), sign, credentials }
    }

    /// Sends one request until it is answered for good; how often it was sent again.
    pub(super) async fn deliver(&self, shot: &Shot) -> (Outcome, u32) {
        let mut tries = 0;
        loop {
            tries += 1;
            let (why, retry_after) = match self.post(shot).await {
                Ok(answer) => {
                    let status = answer.status();
                    if status.is_success() {
                        return (Outcome::Accepted(status), tries - 1);
                    }
                    if !may_pass(status) {
                        let outcome = if status.is_client_error() {
                            Outcome::Refused(status)
                        } else {
                            Outcome::Unanswered(status.to_string())
                        };
                        return (outcome, tries - 1);
                    }
                    (status.to_string(), retry_after(answer.headers()))
                }
                Err(error) => (innermost(&error), None),
            };
            if tries == TRIES_MAX {
                return (Outcome::Unanswered(why), tries - 1);
            }
            tokio::time::sleep(pause(tries, retry_after)).await;
        }
    }

    async fn post(&self, shot: &Shot) -> Result<Response, reqwest::Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        // Anew each time: a signature is good for some minutes.
        let headers = (self.sign)(&shot.seal.to_sign(&shot.body, now_ms));
        let url = format!("{}/api/webhooks", self.base);
        let mut request = self.http.post(url).header("Content-Type", "application/json");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.body(shot.body.clone()).send().await
    }

    /// A contact, deleted ones too; none: it is not there.
    pub(super) async fn contact(&self, id: &str) -> Result<Option<Value>, SimulateError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let (why, retry_after) = match self.ask(id).await {
                Ok((StatusCode::OK, _, body)) => {
                    let contact = serde_json::from_slice(&body).map_err(|error| {
                        SimulateError::Unreadable(format!("contact {id} is no JSON: {error}"))
                    })?;
                    return Ok(Some(contact));
                }
                Ok((StatusCode::NOT_FOUND, ..)) => return Ok(None),
                Ok((StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, ..)) => {
                    return Err(SimulateError::Forbidden);
                }
                Ok((status, headers, _)) if may_pass(status) => {
                    (format!("{status} for contact {id}"), retry_after(&headers))
                }
                Ok((status, ..)) => {
                    return Err(SimulateError::Unreadable(format!("{status} for contact {id}")));
                }
                Err(error) if error.is_connect() && tries > 1 => {
                    return Err(SimulateError::Unreachable(innermost(&error)));
                }
                Err(error) => (innermost(&error), None),
            };
            if tries == TRIES_MAX {
                return Err(SimulateError::Unreachable(why));
            }
            tokio::time::sleep(pause(tries, retry_after)).await;
        }
    }

    async fn ask(&self, id: &str) -> Result<(StatusCode, HeaderMap, Vec<u8>), reqwest::Error> {
        // The ids are ours: nothing in them needs escaping.
        let url = format!("{}/api/contacts/{id}?includeDeleted=true", self.base);
        let mut request = self.http.get(url);
        for (name, value) in &self.credentials {
            request = request.header(*name, value);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok((status, headers, response.bytes().await?.to_vec()))
    }
}

/// Whether the same request may be answered otherwise later.
fn may_pass(status: StatusCode) -> bool {
    let passing =
        [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    status.is_server_error() || passing.contains(&status)
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// As the target asks, or doubled each time; the half of it by chance, so that tries spread.
fn pause(tries: u32, asked: Option<Duration>) -> Duration {
    let doubled = PAUSE.saturating_mul(1 << tries.min(16).saturating_sub(1)).min(PAUSE_MAX);
    let jittered = doubled.mul_f64(0.5 + fastrand::f64() / 2.0);
    asked.map_or(jittered, |asked| asked.min(PAUSE_MAX).max(jittered))
}
