//! Webhooks in: what a source signed is kept, and said to be.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::HOST;
use axum::http::{HeaderMap, Uri};
use axum::{Extension, Json};
use serde_json::json;

use crate::ingest::{IntakeError, Kept, Received, SignatureError, WebhookError, now_ms};
use crate::telemetry::WebhookOutcome;

use super::answers::{KeptIn, WebhookReceipt, WebhookResult};
use crate::http::edge::client_address::{ClientAddress, forwarded_origin};
use crate::http::edge::incidents;
use crate::http::exchange::answer::PathParam;
use crate::http::exchange::error::{ApiError, Code};
use crate::http::services::WebhookIntake;
use crate::http::state::HttpState;

/// `POST /api/webhooks`
pub(super) async fn receive(
    State(state): State<HttpState>,
    address: Option<Extension<ClientAddress>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<WebhookReceipt>, ApiError> {
    take(&state, None, address, &uri, &headers, &body).await
}

/// `POST /api/webhooks/{source}`
pub(super) async fn receive_from(
    State(state): State<HttpState>,
    PathParam(source): PathParam,
    address: Option<Extension<ClientAddress>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<WebhookReceipt>, ApiError> {
    take(&state, Some(&source), address, &uri, &headers, &body).await
}

async fn take(
    state: &HttpState,
    source: Option<&str>,
    address: Option<Extension<ClientAddress>>,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Json<WebhookReceipt>, ApiError> {
    let Some(WebhookIntake { webhooks, intake }) = state.services().webhooks.as_ref() else {
        return Err(ApiError::new(Code::NotReady, "webhooks are not taken yet"));
    };
    let webhooks = webhooks.load();
    let is_via_proxy = address.as_ref().is_some_and(|Extension(client)| client.is_via_proxy);
    let url = whole_url(state, is_via_proxy, uri, headers);
    let header = |name: &str| headers.get(name).map(|value| value.as_bytes());
    let received = match webhooks.receive(intake, source, header, &url, body, now_ms()).await {
        Ok(received) => received,
        Err(error) => {
            state.metrics().webhook(outcome_of(&error), 1);
            let source = source.unwrap_or(webhooks.default_source());
            let address = address.map(|Extension(client)| client.address);
            incidents::webhook_refused(state, &error, source, address, headers);
            return Err(error.into());
        }
    };
    let accepted = received.items.iter().filter(|item| item.reason.is_none()).count();
    let rejected = received.items.len() - accepted;
    state.metrics().webhook(WebhookOutcome::Rejected, rejected as u64);
    let (outcome, kept) = match received.kept {
        Some(Kept::OnLog(_)) => (WebhookOutcome::OnLog, KeptIn::Log),
        Some(Kept::InOutbox) => (WebhookOutcome::InOutbox, KeptIn::Outbox),
        None => return Err(all_rejected(received)),
    };
    state.metrics().webhook(outcome, accepted as u64);
    Ok(Json(WebhookReceipt {
        received: received.items.len(),
        accepted,
        rejected,
        kept,
        results: results(received),
    }))
}

/// As the sender wrote it: what a trusted proxy says of it counts, and nobody else's word.
fn whole_url(state: &HttpState, is_via_proxy: bool, uri: &Uri, headers: &HeaderMap) -> String {
    let services = state.services();
    let (scheme, host) = match is_via_proxy {
        true => forwarded_origin(&services.proxies, headers),
        false => (None, None),
    };
    let own = || headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(own).or(uri.host()).unwrap_or_default();
    let scheme = scheme.unwrap_or(if services.speaks_tls { "https" } else { "http" });
    let path = uri.path_and_query().map_or(uri.path(), |path| path.as_str());
    format!("{scheme}://{host}{path}")
}

fn results(received: Received) -> Vec<WebhookResult> {
    received.items.into_iter().map(WebhookResult::from).collect()
}

/// Nothing is kept: the sender should know that sending it again is in vain.
fn all_rejected(received: Received) -> ApiError {
    let message = match received.items.as_slice() {
        [item] if !received.is_array => {
            item.detail.clone().unwrap_or_else(|| "the event was rejected".to_owned())
        }
        items => format!("all {} events were rejected; details say why", items.len()),
    };
    ApiError::new(Code::EventRejected, message)
        .with_details(json!({ "results": results(received) }))
}

fn outcome_of(error: &WebhookError) -> WebhookOutcome {
    match error {
        WebhookError::UnknownSource { .. } | WebhookError::Signature(_) => {
            WebhookOutcome::Unauthenticated
        }
        WebhookError::Body(_)
        | WebhookError::TooMany { .. }
        | WebhookError::Intake(IntakeError::Refused(_)) => WebhookOutcome::Rejected,
        WebhookError::Intake(IntakeError::Unavailable(_) | IntakeError::Unacknowledged(_)) => {
            WebhookOutcome::Unavailable
        }
    }
}

impl From<WebhookError> for ApiError {
    fn from(error: WebhookError) -> Self {
        let text = error.to_string();
        match error {
            WebhookError::UnknownSource { .. } => Self::new(Code::UnknownSource, text),
            WebhookError::Signature(error) => match error {
                SignatureError::Missing { .. } | SignatureError::Mismatch { .. } => {
                    Self::new(Code::InvalidSignature, text)
                }
                SignatureError::Malformed { is_signature: true, .. } => {
                    Self::new(Code::InvalidSignature, text)
                }
                SignatureError::Malformed { .. } => Self::new(Code::InvalidHeader, text),
                SignatureError::OutOfWindow { .. } => Self::new(Code::TimestampOutOfWindow, text),
            },
            WebhookError::Body(_) => Self::new(Code::InvalidBody, text),
            WebhookError::TooMany { events_max, .. } => Self::new(Code::TooManyEvents, text)
                .with_details(json!({ "maxEvents": events_max })),
            WebhookError::Intake(IntakeError::Refused(_)) => Self::new(Code::EventRejected, text),
            WebhookError::Intake(
                IntakeError::Unavailable(why) | IntakeError::Unacknowledged(why),
            ) => {
                // Its line is the request's own, of which there are not too many.
                Self::new(Code::IntakeUnavailable, "the event can't be kept now; send it again")
                    .with_internal(format!("a webhook was not kept: {why}"))
            }
        }
    }
}
