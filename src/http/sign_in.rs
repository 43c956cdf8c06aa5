//! `/api/auth/…`: signing in, and who one is.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::Response;
use serde_json::json;

use crate::auth::{Auth, LoginError, Principal, SignedIn};
use crate::domain::timestamp::format_rfc3339;

use super::contacts::json_response;
use super::error::{ApiError, Code};
use super::json_body::Fields;
use super::params::Params;
use super::state::HttpState;

/// `POST /api/auth/login`
pub(super) async fn login(
    State(state): State<HttpState>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    Params::of(&uri, &[])?;
    let mut fields = Fields::of(&headers, &body)?;
    let (name, email) = (fields.text("username"), fields.text("email"));
    let password = fields.text("password");
    if password.is_none() && !fields.is_refused("password") {
        fields.refuse("password", "is missing");
    }
    if name.is_some() && email.is_some() {
        fields.refuse("email", "can't stand beside username; send one of them");
    }
    let login = name.or(email);
    if login.is_none() && !fields.is_refused("username") && !fields.is_refused("email") {
        fields.refuse("username", "is missing, and so is email");
    }
    fields.end()?;
    let (login, password) = (login.unwrap_or_default(), password.unwrap_or_default());
    let signed_in = auth(&state)?.login(&login, password).await?;
    Ok(tokens(&signed_in))
}

/// `GET /api/auth/me`
pub(super) async fn me(
    State(state): State<HttpState>,
    Extension(principal): Extension<Arc<Principal>>,
    uri: Uri,
) -> Result<Response, ApiError> {
    Params::of(&uri, &[])?;
    let (kind, name) = principal.name.split_once(':').unwrap_or(("user", &principal.name));
    let email = auth(&state)?.email_of(&principal);
    let expires =
        principal.expires_at_s.map(|seconds| format_rfc3339(seconds.saturating_mul(1000)));
    let body = json!({
        "principal": &*principal.name,
        "kind": kind,
        "username": name,
        "email": email,
        "roles": principal.roles.words(),
        "session": principal.session.as_deref(),
        "expiresAt": expires,
    });
    Ok(json_response(body.to_string().into_bytes()))
}

pub(super) fn auth(state: &HttpState) -> Result<&Arc<Auth>, ApiError> {
    state.auth().ok_or_else(|| ApiError::internal("there is no authentication"))
}

fn tokens(signed_in: &SignedIn) -> Response {
    let body = json!({
        "accessToken": signed_in.access_token,
        "tokenType": "Bearer",
        "expiresIn": signed_in.expires_in_s,
    });
    let mut response = json_response(body.to_string().into_bytes());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl From<LoginError> for ApiError {
    fn from(error: LoginError) -> Self {
        match &error {
            LoginError::InvalidCredentials => {
                Self::new(Code::InvalidCredentials, error.to_string())
                    .with_challenge("Bearer realm=\"contactd\"")
            }
            LoginError::Overloaded => Self::new(Code::Overloaded, error.to_string()),
            LoginError::Failed(_) => Self::internal(error.to_string()),
        }
    }
}
