//! Who sends the request, and whether it may: before anything of it is read.

use std::sync::Arc;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use crate::auth::{AuthError, Credentials, Principal, Role, Roles};

use super::endpoints::{Access, Endpoint};
use super::error::{ApiError, Code};
use super::state::HttpState;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Whoever may see `/metrics`, where a role is needed for it.
const METRICS: Roles = Roles::of(&[Role::Metrics, Role::Admin]);

/// Who sends the request, or why that may not. A public endpoint asks for nobody.
pub(super) fn authorize(
    state: &HttpState,
    endpoint: &Endpoint,
    headers: &HeaderMap,
) -> Result<Option<Arc<Principal>>, ApiError> {
    let needed = match endpoint.access {
        Access::Public if endpoint.path == "/metrics" && state.metrics_need_role() => METRICS,
        Access::Public => return Ok(None),
        Access::Roles(roles) => roles,
    };
    let principal = match authenticated(state, headers) {
        Ok(principal) => principal,
        Err(error) => {
            state.metrics().auth.rejected(error.reason());
            return Err(error.into());
        }
    };
    if !principal.roles.meets(needed) {
        state.metrics().auth.rejected("forbidden");
        return Err(forbidden(&principal, needed));
    }
    Ok(Some(principal))
}

fn authenticated(state: &HttpState, headers: &HeaderMap) -> Result<Arc<Principal>, AuthError> {
    let credentials = Credentials {
        authorization: only(headers, &AUTHORIZATION)?,
        api_key: only(headers, &API_KEY)?,
    };
    match state.auth() {
        Some(auth) => auth.authenticate(credentials),
        // Nobody can be known, so nobody is let in.
        None => Err(AuthError::Missing),
    }
}

/// Whether the same credentials would be let in again, for answers that go on and on.
pub(super) fn still_allowed(
    state: &HttpState,
    headers: &HeaderMap,
) -> Box<dyn Fn() -> bool + Send + Sync> {
    let bytes = |name| headers.get(name).map(|value| value.as_bytes().to_vec());
    let (authorization, api_key) = (bytes(&AUTHORIZATION), bytes(&API_KEY));
    let auth = state.auth().cloned();
    Box::new(move || {
        let authorization = authorization.as_deref();
        let credentials = Credentials { authorization, api_key: api_key.as_deref() };
        auth.as_ref().is_some_and(|auth| auth.authenticate(credentials).is_ok())
    })
}

/// Of two, who could say which counts.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, AuthError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(HeaderValue::as_bytes);
    if values.next().is_some() { Err(AuthError::Ambiguous) } else { Ok(first) }
}

fn forbidden(principal: &Principal, needed: Roles) -> ApiError {
    let words = needed.words();
    let text = format!(
        "this needs one of the roles {}; {} has {}",
        words.join(", "),
        principal.name,
        principal.roles.words().join(", ")
    );
    let scope = words.join(" ");
    let challenge =
        format!("Bearer realm=\"contactd\", error=\"insufficient_scope\", scope=\"{scope}\"");
    ApiError::new(Code::Forbidden, text)
        .with_details(json!({ "requiredRoles": words }))
        .with_challenge(challenge)
}

impl From<AuthError> for ApiError {
    /// The challenge's errors are RFC 6750's: none where nothing was sent.
    fn from(error: AuthError) -> Self {
        let (code, rfc_error) = match error {
            AuthError::Missing => (Code::AuthenticationRequired, None),
            AuthError::Ambiguous | AuthError::Malformed => {
                (Code::AuthenticationRequired, Some("invalid_request"))
            }
            AuthError::InvalidToken => (Code::InvalidToken, Some("invalid_token")),
            AuthError::ExpiredToken => (Code::TokenExpired, Some("invalid_token")),
            AuthError::RevokedToken | AuthError::OutdatedToken => {
                (Code::TokenRevoked, Some("invalid_token"))
            }
            AuthError::UnknownKey | AuthError::ExpiredKey => {
                (Code::InvalidApiKey, Some("invalid_token"))
            }
        };
        let text = error.to_string();
        let challenge = match rfc_error {
            None => "Bearer realm=\"contactd\"".to_owned(),
            // The description is plain ASCII without quotes, as the RFC wants it.
            Some(word) => {
                let described: String =
                    text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
                format!(
                    "Bearer realm=\"contactd\", error=\"{word}\", error_description=\"{described}\""
                )
            }
        };
        Self::new(code, text).with_challenge(challenge)
    }
}
