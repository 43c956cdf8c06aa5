//! Webhooks in: what a source signed is kept, and said to be.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

use crate::ingest::{
    Intake, IntakeError, ItemReport, Kept, Received, SignatureError, WebhookError, Webhooks, now_ms,
};
use crate::telemetry::WebhookOutcome;

use super::client_address::ClientAddress;
use super::contacts::json_response;
use super::error::{ApiError, Code};
use super::incidents;
use super::state::HttpState;

/// The sources and where their events go.
pub struct WebhookIntake {
    /// Who may send.
    pub webhooks: Webhooks,
    /// Where it is kept.
    pub intake: std::sync::Arc<Intake>,
}

/// What a request with at least one accepted event is answered.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    received: usize,
    accepted: usize,
    rejected: usize,
    /// `log` or `outbox`.
    kept: &'static str,
    results: &'a [ItemReport],
}

/// `POST /api/webhooks`
pub(super) async fn receive(
    State(state): State<HttpState>,
    address: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    take(&state, None, address, &headers, &body).await
}

/// `POST /api/webhooks/{source}`
pub(super) async fn receive_from(
    State(state): State<HttpState>,
    address: Option<Extension<ClientAddress>>,
    source: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let Path(source) = source
        .map_err(|_| ApiError::new(Code::InvalidPath, "the source in the path is not UTF-8"))?;
    take(&state, Some(&source), address, &headers, &body).await
}

async fn take(
    state: &HttpState,
    source: Option<&str>,
    address: Option<Extension<ClientAddress>>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, ApiError> {
    let Some(WebhookIntake { webhooks, intake }) = state.services().webhooks.as_ref() else {
        return Err(ApiError::new(Code::NotReady, "webhooks are not taken yet"));
    };
    let header = |name: &str| headers.get(name).map(|value| value.as_bytes());
    let received = match webhooks.receive(intake, source, header, body, now_ms()).await {
        Ok(received) => received,
        Err(error) => {
            state.metrics().webhook(outcome_of(&error), 1);
            let source = source.unwrap_or(webhooks.default_source());
            let address = address.map(|Extension(ClientAddress(address))| address);
            incidents::webhook_refused(state, &error, source, address, headers);
            return Err(error.into());
        }
    };
    let accepted = received.items.iter().filter(|item| item.reason.is_none()).count();
    let rejected = received.items.len() - accepted;
    state.metrics().webhook(WebhookOutcome::Rejected, rejected as u64);
    let (outcome, kept) = match received.kept {
        Some(Kept::OnLog(_)) => (WebhookOutcome::OnLog, "log"),
        Some(Kept::InOutbox) => (WebhookOutcome::InOutbox, "outbox"),
        None => return Err(all_rejected(&received)),
    };
    state.metrics().webhook(outcome, accepted as u64);
    let answer = Answer {
        received: received.items.len(),
        accepted,
        rejected,
        kept,
        results: &received.items,
    };
    let body =
        serde_json::to_vec(&answer).map_err(|error| ApiError::internal(error.to_string()))?;
    let mut response = json_response(body);
    *response.status_mut() = StatusCode::OK;
    Ok(response)
}

/// Nothing is kept: the sender should know that sending it again is in vain.
fn all_rejected(received: &Received) -> ApiError {
    let message = match received.items.as_slice() {
        [item] if !received.is_array => {
            item.detail.clone().unwrap_or_else(|| "the event was rejected".to_owned())
        }
        items => format!("all {} events were rejected; details say why", items.len()),
    };
    ApiError::new(Code::EventRejected, message).with_details(json!({ "results": received.items }))
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
                SignatureError::Malformed { header, .. } if header.ends_with("signature") => {
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
