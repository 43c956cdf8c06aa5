//! What signing in begins with, whichever way its tokens go: who asks from where, and who it is.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::http::header::USER_AGENT;
use axum::http::{HeaderMap, HeaderName};

use crate::auth::{Auth, Origin, SignedIn};

use super::requests::Login;
use crate::http::edge::client_address::ClientAddress;
use crate::http::edge::request_id::REQUEST_ID;
use crate::http::exchange::error::ApiError;
use crate::http::exchange::json_body::Fields;
use crate::http::state::HttpState;

/// As the body says.
pub(super) async fn signed_in(
    state: &HttpState,
    address: Option<Extension<ClientAddress>>,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<SignedIn, ApiError> {
    let Login { username, email, password } = Login::read(Fields::of(headers, body)?)?;
    let login = username.or(email).unwrap_or_default();
    let origin = origin(address, headers);
    Ok(users(state)?.login(&login, password, &origin).await?)
}

pub(super) fn users(state: &HttpState) -> Result<&Arc<Auth>, ApiError> {
    state.services().auth.as_ref().ok_or_else(|| ApiError::internal("there is no authentication"))
}

pub(in crate::http) fn origin(
    address: Option<Extension<ClientAddress>>,
    headers: &HeaderMap,
) -> Origin {
    let text = |name: &HeaderName| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    Origin {
        address: address.map_or_else(String::new, |Extension(client)| client.address.to_string()),
        agent: text(&USER_AGENT),
        request_id: text(&REQUEST_ID),
    }
}
