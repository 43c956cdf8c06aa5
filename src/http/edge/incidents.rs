//! What the security log is told of requests that were not let in.

use axum::http::HeaderMap;

use crate::telemetry::{Incident, IncidentKind};

use super::authorize::named_by;
use crate::http::exchange::error::{ApiError, Code};
use crate::http::state::HttpState;

/// A request that the gate sent away, if that is an incident. Credentials that are missing or have
/// simply expired are none.
pub(crate) fn refused(
    state: &HttpState,
    error: &ApiError,
    address: std::net::IpAddr,
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
