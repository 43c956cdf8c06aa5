//! `/api/auth/…`: signing in, staying signed in, signing out, and who one is.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};

use crate::auth::{self, ChangePasswordError, FamilyError, LoginError, Principal, SignedIn};

use super::answers::{Me, Session, Sessions, Tokens};
use super::cookie;
use super::requests::{ChangePassword, Refresh};
use super::signing::{origin, signed_in, users};
use crate::http::edge::allow;
use crate::http::edge::client_address::ClientAddress;
use crate::http::edge::rate_limit::Refused;
use crate::http::exchange::answer::PathParam;
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::json_body::Fields;
use crate::http::exchange::page::{PageRequest, paged};
use crate::http::exchange::params::Params;
use crate::http::state::HttpState;

/// `POST /api/auth/login`
pub(super) async fn login(
    State(state): State<HttpState>,
    address: Option<Extension<ClientAddress>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Secret<Tokens>, ApiError> {
    Params::of(&uri, &[])?;
    Ok(tokens(signed_in(&state, address, &headers, &body).await?))
}

/// `POST /api/auth/refresh`
pub(super) async fn refresh(
    State(state): State<HttpState>,
    address: Option<Extension<ClientAddress>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Secret<Tokens>, ApiError> {
    Params::of(&uri, &[])?;
    let Refresh { refresh_token } = Refresh::read(Fields::of(&headers, &body)?)?;
    let origin = origin(address, &headers);
    let signed_in = users(&state)?.refresh(&refresh_token, &origin).await?;
    Ok(tokens(signed_in))
}

/// `POST /api/auth/logout`
pub(super) async fn logout(
    State(state): State<HttpState>,
    Extension(principal): Extension<Arc<Principal>>,
    address: Option<Extension<ClientAddress>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    Params::of(&uri, &[])?;
    users(&state)?.logout(&principal, &origin(address, &headers)).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    cookie::forget(&headers, &mut response);
    Ok(response)
}

/// `GET /api/auth/me`
pub(super) async fn me(
    State(state): State<HttpState>,
    Extension(principal): Extension<Arc<Principal>>,
    uri: Uri,
) -> Result<Json<Me>, ApiError> {
    Params::of(&uri, &[])?;
    let email = users(&state)?.email_of(&principal);
    Ok(Json(Me::of(&principal, email)))
}

/// `GET /api/auth/tokens`
pub(super) async fn sessions(
    State(state): State<HttpState>,
    Extension(principal): Extension<Arc<Principal>>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let params = Params::of(&uri, &["user", "limit", "cursor"])?;
    let sessions = users(&state)?.sessions(&principal, params.get("user"))?;
    let mut sessions = sessions.ok_or_else(|| others_sessions(&principal))?;
    let list = format!("sign-ins {} {:?}", principal.name, params.get("user"));
    let page = PageRequest::new(state.queries()?, list, &params)?;
    let after = page.after(|key| {
        let (used_ms, id) = key.split_first_chunk()?;
        Some((Reverse(u64::from_be_bytes(*used_ms)), String::from_utf8(id.to_vec()).ok()?))
    })?;
    let place = |session: &auth::Session| (Reverse(session.used_ms), session.id.clone());
    sessions.sort_by_key(place);
    sessions.retain(|session| after.as_ref().is_none_or(|after| place(session) > *after));
    let (sessions, meta) = page
        .cut(sessions, |last| [last.used_ms.to_be_bytes().as_slice(), last.id.as_bytes()].concat());
    let data = sessions.into_iter().map(|session| Session::of(session, &principal)).collect();
    Ok(paged(&uri, meta.next_cursor.clone(), Sessions { data, meta }))
}

/// `DELETE /api/auth/tokens/{id}`
pub(super) async fn end_session(
    State(state): State<HttpState>,
    Extension(principal): Extension<Arc<Principal>>,
    address: Option<Extension<ClientAddress>>,
    PathParam(id): PathParam,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let params = Params::of(&uri, &["user"])?;
    let origin = origin(address, &headers);
    let ended = users(&state)?.end_session(&principal, params.get("user"), &id, &origin).await?;
    ended.ok_or_else(|| others_sessions(&principal))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /api/auth/password`
pub(super) async fn change_password(
    State(state): State<HttpState>,
    Extension(principal): Extension<Arc<Principal>>,
    address: Option<Extension<ClientAddress>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Secret<Tokens>, ApiError> {
    Params::of(&uri, &[])?;
    let fields = Fields::of(&headers, &body)?;
    let ChangePassword { current_password, new_password } =
        ChangePassword::read(fields, &principal)?;
    let origin = origin(address, &headers);
    let changed =
        users(&state)?.change_password(&principal, current_password, new_password, &origin).await;
    Ok(tokens(changed?))
}

fn others_sessions(principal: &Principal) -> ApiError {
    let why = "the sign-ins of others are seen by admins and operators, and ended by admins";
    allow::needs_admin(Some(principal), why.to_owned())
}

/// An answer that no cache keeps.
type Secret<T> = ([(HeaderName, &'static str); 1], Json<T>);

fn tokens(signed_in: SignedIn) -> Secret<Tokens> {
    ([(CACHE_CONTROL, "no-store")], Json(Tokens::of(signed_in)))
}

/// Marks of ended sign-ins go after a quarter of an hour, and some at any time.
const FULL_RETRY_S: u64 = 60;
const CHALLENGE: &str = "Bearer realm=\"contactd\"";

impl From<LoginError> for ApiError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::InvalidCredentials => {
                Self::new(Code::InvalidCredentials, error.to_string()).with_challenge(CHALLENGE)
            }
            LoginError::Limited(decision) => Refused(decision).into(),
            LoginError::Overloaded => Self::new(Code::Overloaded, error.to_string()),
            LoginError::Family(error) => error.into(),
            LoginError::Failed(_) => Self::internal(error.to_string()),
        }
    }
}

impl From<ChangePasswordError> for ApiError {
    fn from(error: ChangePasswordError) -> Self {
        match error {
            ChangePasswordError::Login(error) => error.into(),
            ChangePasswordError::NoUser => Self::new(Code::Forbidden, error.to_string()),
            ChangePasswordError::Unfit(_) | ChangePasswordError::Users(_) => {
                Self::internal(error.to_string())
            }
        }
    }
}

impl From<FamilyError> for ApiError {
    fn from(error: FamilyError) -> Self {
        let text = error.to_string();
        match error {
            FamilyError::Invalid | FamilyError::Reused { .. } | FamilyError::Lost => {
                Self::new(Code::InvalidRefreshToken, text).with_challenge(CHALLENGE)
            }
            FamilyError::NotFound => Self::new(Code::SessionNotFound, text),
            FamilyError::Full => {
                Self::new(Code::SessionsUnavailable, text).with_retry_after(FULL_RETRY_S)
            }
            FamilyError::Unavailable(_) => {
                let public = "sign-ins can't be kept at the moment; try again";
                Self::new(Code::SessionsUnavailable, public).with_internal(text)
            }
            FamilyError::Failed(_) => Self::internal(text),
        }
    }
}
