//! 429, and the fields that tell a client how far it may go (draft-ietf-httpapi-ratelimit-headers).

use std::time::Instant;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use crate::domain::digits::write_decimal;
use crate::shared_state::{AtOnce, Decision, LimitClass as Counted, Subject};

use crate::http::exchange::error::{ApiError, Code};
use crate::http::services::Policies;
use crate::http::state::HttpState;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Whether it is counted before anybody is authenticated, and so by address.
pub(crate) fn is_by_address(class: Counted) -> bool {
    match class {
        Counted::Auth | Counted::Account | Counted::SignIn | Counted::Webhook => true,
        Counted::Read | Counted::Write => false,
    }
}

/// Counts one request; 429 where it comes too soon.
pub(crate) async fn check(
    state: &HttpState,
    class: Counted,
    subject: Subject<'_>,
    now: Instant,
) -> Result<Option<Decision>, Refused> {
    let limiter = &state.services().limiter;
    let decision = match limiter.at_once(class, &subject, now) {
        AtOnce::Unlimited => return Ok(None),
        AtOnce::Decided(decision) => decision,
        // Boxed: it is rare, and would make the future of every request larger.
        AtOnce::Ask(question) => Box::pin(limiter.ask(question, &subject)).await,
    };
    if decision.is_allowed {
        return Ok(Some(decision));
    }
    state.metrics().limits.limited(class.as_str());
    Err(Refused(decision))
}

/// A request that came too soon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused(pub(crate) Decision);

impl From<Refused> for ApiError {
    fn from(Refused(decision): Refused) -> Self {
        let what = match decision.class {
            Counted::Auth => "too many attempts from this address",
            Counted::Account => "too many attempts to sign in to this account",
            Counted::SignIn => "too many sign-ins of this user",
            Counted::Read => "too many reads",
            Counted::Write => "too many writes",
            Counted::Webhook => "too many webhooks from this address",
        };
        let seconds = seconds_up(decision.retry_after).max(1);
        Self::new(Code::RateLimited, format!("{what}; try again in {seconds} s"))
            .with_details(json!({ "limit": decision.class.as_str(), "retryAfter": seconds }))
            .with_retry_after(seconds)
    }
}

/// The two fields, on good answers and on others.
pub(crate) fn tell(policies: &Policies, decision: &Decision, headers: &mut HeaderMap) {
    let Some(policy) = policies.of_class(decision.class) else {
        return;
    };
    let wait = if decision.is_allowed { decision.reset } else { decision.retry_after };
    let mut state = Vec::with_capacity(40);
    state.push(b'"');
    state.extend_from_slice(decision.class.as_str().as_bytes());
    state.extend_from_slice(b"\";r=");
    write_decimal(decision.remaining, &mut state);
    state.extend_from_slice(b";t=");
    write_decimal(seconds_up(wait), &mut state);
    if let Ok(state) = HeaderValue::from_bytes(&state) {
        headers.insert(RATE_LIMIT_POLICY, policy);
        headers.insert(RATE_LIMIT, state);
    }
}

fn seconds_up(duration: std::time::Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
