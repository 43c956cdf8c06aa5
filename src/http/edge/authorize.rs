//! Who sends the request, and whether it may: before anything of it is read.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use crate::auth::{AuthError, Credentials, Principal, Role, Roles};

use super::allow;
use super::client_address::ClientAddress;
use crate::http::exchange::endpoint::{Access, Endpoint};
use crate::http::exchange::error::{ApiError, Code};
use crate::http::state::HttpState;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Whoever could be authenticated.
const ANY: Roles = Roles::of(&Role::ALL);
/// Whoever may see `/metrics`, where a role is needed for it.
const METRICS: Roles = Roles::of(&[Role::Metrics, Role::Operator, Role::Admin]);

/// Why a request may not be made.
enum Refused {
    /// Nobody is known to have sent it.
    Unknown(AuthError),
    /// It is one who may not.
    Forbidden(Arc<Principal>, Roles),
}

/// Who sends the request, or why that may not. A public endpoint asks for nobody.
pub(crate) fn authorize(
    state: &HttpState,
    endpoint: &Endpoint,
    address: IpAddr,
    headers: &HeaderMap,
) -> Result<Option<Arc<Principal>>, ApiError> {
    permitted(state, endpoint, address, headers).map_err(|refused| match refused {
        Refused::Unknown(error) => {
            state.metrics().auth.rejected(error.reason());
            error.into()
        }
        Refused::Forbidden(principal, needed) => {
            state.metrics().auth.rejected("forbidden");
            forbidden(&principal, needed)
        }
    })
}

fn permitted(
    state: &HttpState,
    endpoint: &Endpoint,
    address: IpAddr,
    headers: &HeaderMap,
) -> Result<Option<Arc<Principal>>, Refused> {
    let needed = match endpoint.access {
        Access::Public if endpoint.path == "/metrics" && state.services().metrics_need_role => {
            METRICS
        }
        Access::Public => return Ok(None),
        Access::Roles(roles) => roles,
    };
    let principal = authenticated(state, headers).map_err(Refused::Unknown)?;
    let principal = allow::as_seen_from(&state.services().allow, address, principal);
    // Where any role will do it is enough to be known.
    if needed == ANY || principal.roles.meets(needed) {
        Ok(Some(principal))
    } else {
        Err(Refused::Forbidden(principal, needed))
    }
}

fn authenticated(state: &HttpState, headers: &HeaderMap) -> Result<Arc<Principal>, AuthError> {
    let credentials = Credentials {
        authorization: only(headers, &AUTHORIZATION)?,
        api_key: only(headers, &API_KEY)?,
    };
    match &state.services().auth {
        Some(auth) => auth.authenticate(credentials),
        // Nobody can be known, so nobody is let in.
        None => Err(AuthError::Missing),
    }
}

/// Whom a request's credentials name, whether they still hold or not.
pub(crate) fn named_by(state: &HttpState, headers: &HeaderMap) -> Option<String> {
    let authorization = only(headers, &AUTHORIZATION).ok()?;
    let api_key = only(headers, &API_KEY).ok()?;
    state.services().auth.as_ref()?.named_by(Credentials { authorization, api_key })
}

/// Whether the same request would be let in again, for answers that go on and on.
pub(crate) fn still_allowed(
    state: &HttpState,
    endpoint: &'static Endpoint,
    request: &Request,
) -> Box<dyn Fn() -> bool + Send + Sync> {
    let Some(ClientAddress { address, .. }) = request.extensions().get().copied() else {
        return Box::new(|| false);
    };
    let mut headers = HeaderMap::new();
    for name in [AUTHORIZATION, API_KEY] {
        if let Some(value) = request.headers().get(&name) {
            headers.insert(name, value.clone());
        }
    }
    let state = state.clone();
    Box::new(move || permitted(&state, endpoint, address, &headers).is_ok())
}

/// What a request's sender may do, to be compared after it has waited.
pub(crate) struct Standing(Option<Roles>);

impl Standing {
    pub(crate) fn of(state: &HttpState, headers: &HeaderMap) -> Self {
        Self(authenticated(state, headers).ok().map(|principal| principal.roles))
    }

    /// Refuses who may no longer what was allowed before.
    pub(crate) fn check(self, state: &HttpState, headers: &HeaderMap) -> Result<(), ApiError> {
        let Self(Some(before)) = self else {
            return Ok(());
        };
        if authenticated(state, headers)?.roles == before {
            return Ok(());
        }
        Err(ApiError::new(Code::Forbidden, "your roles have changed while this waited; ask again"))
    }
}

/// Of two, who could say which counts.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, AuthError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(HeaderValue::as_bytes);
    if values.next().is_some() { Err(AuthError::Ambiguous) } else { Ok(first) }
}

fn forbidden(principal: &Principal, needed: Roles) -> ApiError {
    if principal.withheld.meets(needed) {
        return allow::not_from_here();
    }
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
