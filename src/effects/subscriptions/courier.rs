//! One message to one subscriber: signed, sent to an allowed address, and judged by the answer.

use std::time::{Instant, SystemTime};

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use crate::config::SignatureForm;
use crate::domain::{Class, hops};
use crate::effects::Attempt;
use crate::ingest::{Message as Signed, now_ms, sign, signed_headers};
use crate::outbound::{Answer, Client, OutboundError, Target, retry_after};

use super::channel::Outcome;
use super::message::Message;
use super::secret::Signer;
use super::subscription::Subscription;

/// How the standard calls the way of signing.
const FORM: &str = "standard";
/// Says which subscription a message is of.
const SUBSCRIPTION: HeaderName = HeaderName::from_static("contactd-subscription");
const HOPS: HeaderName = HeaderName::from_static(hops::HEADER);
const NO_SECRET: &str = "its secret can't be made any more, because jwt.secret has changed; give it another \
                         with `contactd subscription rotate`";

/// Sends messages.
pub(super) struct Courier {
    client: Client,
    pub(super) signer: Signer,
    form: Option<SignatureForm>,
    /// Whether nothing is sent in clear text.
    requires_https: bool,
}

impl Courier {
    pub(super) fn new(client: Client, signer: Signer, requires_https: bool) -> Self {
        Self { client, signer, form: SignatureForm::named(FORM), requires_https }
    }

    /// Where an address leads, as far as that is known without asking for it.
    pub(super) fn target(&self, url: &str) -> Result<Target, OutboundError> {
        if self.requires_https && !url.to_ascii_lowercase().starts_with("https://") {
            return Err(OutboundError::Url {
                problem: "must begin with https:// (subscriptions.require_https)",
            });
        }
        self.client.target(url)
    }

    /// The same, and whether it leads there now.
    pub(super) async fn check(&self, url: &str) -> Result<(), OutboundError> {
        let target = self.target(url)?;
        match self.client.check(&target).await {
            // It may be up in a moment; each delivery looks again.
            Err(error) if error.class() == Class::Retry => Ok(()),
            checked => checked,
        }
    }

    /// Signed anew each time, as the time of a signature must be near.
    pub(super) async fn send(
        &self,
        subscription: &Subscription,
        message: &Message,
        id: &str,
    ) -> (Outcome, Attempt) {
        let (at_ms, started) = (now_ms(), Instant::now());
        let answer = self.post(subscription, message, id, at_ms).await;
        let latency = started.elapsed();
        let outcome = judge(&answer);
        let error = match &outcome {
            Outcome::Done | Outcome::Gone => None,
            Outcome::Refused(why) | Outcome::Down { why, .. } => Some(why.clone()),
        };
        let mut attempt = Attempt::unanswered(at_ms, error).after(latency);
        if let Ok(Ok(answer)) = &answer {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            attempt.status = Some(answer.status.as_u16());
            attempt.response = Some(text).filter(|text| !text.is_empty());
            attempt.response_is_cut = answer.is_cut;
        }
        (outcome, attempt)
    }

    async fn post(
        &self,
        subscription: &Subscription,
        message: &Message,
        id: &str,
        at_ms: u64,
    ) -> Result<Result<Answer, OutboundError>, &'static str> {
        let secrets = self.signer.secrets(subscription, at_ms);
        let Some(form) = self.form.as_ref().filter(|_| !secrets.is_empty()) else {
            return Err(NO_SECRET);
        };
        let body = message.body(subscription.send);
        let timestamp = (at_ms / 1_000).to_string();
        let signed = Signed {
            timestamp: timestamp.as_bytes(),
            id: id.as_bytes(),
            url: &subscription.url,
            body: &body,
        };
        let signatures = secrets.iter().filter_map(|it| sign(form, it.expose(), &signed).ok());
        let signatures = signatures.collect::<Vec<_>>().join(" ");
        let headers = signed_headers(form, &signed, Some(signatures));
        let headers = headers.into_iter().filter_map(|(name, value)| {
            Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
        });
        let id = HeaderValue::try_from(&subscription.id).unwrap_or(HeaderValue::from_static(""));
        let own = [
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (SUBSCRIPTION, id),
            (HOPS, HeaderValue::from(u16::from(message.hops) + 1)),
        ];
        let headers: Vec<_> = headers.chain(own).collect();
        Ok(match self.target(&subscription.url) {
            Ok(target) => self.client.post(&target, &headers, Bytes::from(body)).await,
            Err(error) => Err(error),
        })
    }
}

fn judge(answer: &Result<Result<Answer, OutboundError>, &'static str>) -> Outcome {
    // Who is not let in, or asks at the wrong address, is refused whatever it says.
    let for_all = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    let answer = match answer {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Outcome::Down { why: error.to_string(), after: None },
        Err(why) => return Outcome::Down { why: (*why).to_owned(), after: None },
    };
    let status = answer.status;
    if status.is_success() {
        return Outcome::Done;
    }
    if status == StatusCode::GONE {
        return Outcome::Gone;
    }
    if status.is_redirection() {
        let why = format!("it answered {status}, and no redirect is followed");
        return Outcome::Down { why, after: None };
    }
    let why = format!("it answered {status}");
    if status.is_client_error() && !for_all.contains(&status) {
        return Outcome::Refused(why);
    }
    Outcome::Down { why, after: retry_after(&answer.headers, SystemTime::now()) }
}
