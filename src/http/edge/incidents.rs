//! What the security log is told of requests that were not let in.

use std::net::IpAddr;

use axum::http::HeaderMap;

use crate::ingest::{SignatureError, WebhookError};
use crate::telemetry::{Incident, IncidentKind};

use super::authorize::named_by;
use super::request_id::REQUEST_ID;
use crate::http::exchange::error::{ApiError, Code};
use crate::http::state::HttpState;

/// A request that the gate sent away, if that is an incident. Credentials that are missing or have
/// simply expired are none.
pub(crate) fn refused(
    state: &HttpState,
    error: &ApiError,
    address: IpAddr,
    request_id: &str,
    headers: &HeaderMap,
) {
    let (kind, detail) = match error.code() {
        Code::InvalidToken => (IncidentKind::CredentialRefused, "invalid_token".to_owned()),
        Code::TokenRevoked => (IncidentKind::CredentialRefused, "token_revoked".to_owned()),
        Code::InvalidApiKey => (IncidentKind::CredentialRefused, "invalid_api_key".to_owned()),
        Code::Forbidden => (IncidentKind::Forbidden, String::new()),
        Code::AddressNotAllowed => (IncidentKind::AddressRefused, String::new()),
        Code::RateLimited => (IncidentKind::RateLimited, error.limited_class().to_owned()),
        _ => return,
    };
    state.metrics().security.tell(Incident {
        user: named_by(state, headers),
        address: address.to_string(),
        request_id: request_id.to_owned(),
        detail,
        ..Incident::new(kind)
    });
}

/// A webhook that was not taken, if that is an incident: nobody proved to have sent it. `source`: as
/// configured, or as its path says.
pub(crate) fn webhook_refused(
    state: &HttpState,
    error: &WebhookError,
    source: &str,
    address: Option<IpAddr>,
    headers: &HeaderMap,
) {
    let detail = match error {
        // What somebody made up stands in no line.
        WebhookError::UnknownSource { .. } => "unknown_source".to_owned(),
        WebhookError::Signature(SignatureError::OutOfWindow { .. }) => {
            format!("timestamp_out_of_window {source}")
        }
        WebhookError::Signature(
            SignatureError::Missing { .. }
            | SignatureError::Malformed { .. }
            | SignatureError::Mismatch { .. },
        ) => format!("invalid_signature {source}"),
        WebhookError::Body(_) | WebhookError::TooMany { .. } | WebhookError::Intake(_) => return,
    };
    let request_id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    state.metrics().security.tell(Incident {
        address: address.map(|address| address.to_string()).unwrap_or_default(),
        request_id: request_id.to_owned(),
        detail,
        ..Incident::new(IncidentKind::WebhookRefused)
    });
}
