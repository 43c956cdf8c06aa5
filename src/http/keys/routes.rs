//! `/api/keys` and `/api/users`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};

use super::answers::{ApiKey, KeyPage, NewApiKey, User, UserPage};
use super::requests::{NewKey, UserChange};
use crate::auth::{Auth, KeyError, Principal, UserError};
use crate::http::edge::client_address::ClientAddress;
use crate::http::exchange::answer::{PathParam, begin};
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::json_body::Fields;
use crate::http::exchange::page::{PageRequest, paged};
use crate::http::exchange::params::Params;
use crate::http::sign_in::origin;
use crate::http::state::HttpState;

fn accounts(state: &HttpState) -> Result<&Arc<Auth>, ApiError> {
    let nobody = || ApiError::new(Code::NotReady, "nobody can be known here yet");
    state.services().auth.as_ref().ok_or_else(nobody)
}

/// `GET /api/keys`
pub(super) async fn list(
    State(state): State<HttpState>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let queries = begin(&state, &headers)?;
    let params = Params::of(&uri, &["limit", "cursor"])?;
    let page = PageRequest::new(queries, "keys".to_owned(), &params)?;
    let after = page.after_text()?;
    let mut keys = accounts(&state)?.keys();
    keys.retain(|key| after.as_ref().is_none_or(|after| key.name > *after));
    let (keys, meta) = page.cut(keys, |last| last.name.clone().into_bytes());
    let data = keys.into_iter().map(ApiKey::of).collect();
    Ok(paged(&uri, meta.next_cursor.clone(), KeyPage { data, meta }))
}

/// `POST /api/keys`
pub(super) async fn create(
    State(state): State<HttpState>,
    Extension(principal): Extension<Arc<Principal>>,
    address: Option<Extension<ClientAddress>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    Params::of(&uri, &[])?;
    let (NewKey { name, .. }, roles, expires_ms) = NewKey::read(Fields::of(&headers, &body)?)?;
    let origin = origin(address, &headers);
    let made = accounts(&state)?.create_key(&principal, &name, roles, expires_ms, &origin).await;
    let (key, about) = made?;
    let made = Json(NewApiKey { key, about: ApiKey::of(about) });
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], made).into_response())
}

/// `DELETE /api/keys/{name}`
pub(super) async fn revoke(
    State(state): State<HttpState>,
    Extension(principal): Extension<Arc<Principal>>,
    address: Option<Extension<ClientAddress>>,
    PathParam(name): PathParam,
    uri: Uri,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    Params::of(&uri, &[])?;
    let origin = origin(address, &headers);
    accounts(&state)?.revoke_key(&principal, &name, &origin).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/users`
pub(super) async fn users(
    State(state): State<HttpState>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let queries = begin(&state, &headers)?;
    let params = Params::of(&uri, &["limit", "cursor"])?;
    let page = PageRequest::new(queries, "users".to_owned(), &params)?;
    let after = page.after_text()?;
    let users = accounts(&state)?.known_users(after.as_deref(), page.limit + 1)?;
    let (users, meta) = page.cut(users, |last| last.name.clone().into_bytes());
    let data = users.into_iter().map(User::of).collect();
    Ok(paged(&uri, meta.next_cursor.clone(), UserPage { data, meta }))
}

/// `PATCH /api/users/{name}`
pub(super) async fn change_user(
    State(state): State<HttpState>,
    Extension(principal): Extension<Arc<Principal>>,
    PathParam(name): PathParam,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<User>, ApiError> {
    Params::of(&uri, &[])?;
    let UserChange { disabled } = UserChange::read(Fields::of(&headers, &body)?)?;
    let accounts = Arc::clone(accounts(&state)?);
    // The file is written.
    let changed =
        tokio::task::spawn_blocking(move || accounts.set_disabled(&principal, &name, disabled));
    let changed = changed.await.map_err(|error| ApiError::internal(error.to_string()))??;
    Ok(Json(User::of(changed)))
}

impl From<KeyError> for ApiError {
    fn from(error: KeyError) -> Self {
        let text = error.to_string();
        match error {
            KeyError::Name(_) => Self::new(Code::ValidationFailed, text),
            KeyError::Exists(_) | KeyError::InFile(_) | KeyError::TooMany => {
                Self::new(Code::KeyConflict, text)
            }
            KeyError::NotFound(_) => Self::new(Code::KeyNotFound, text),
            KeyError::Unavailable(_) => {
                let public = "keys can't be kept at the moment; try again";
                Self::new(Code::WriteUnavailable, public).with_internal(text)
            }
            KeyError::NoRandomness(_) => Self::internal(text),
        }
    }
}

impl From<UserError> for ApiError {
    fn from(error: UserError) -> Self {
        let text = error.to_string();
        match error {
            UserError::NotFound(_) => Self::new(Code::UserNotFound, text),
            UserError::Oneself => Self::new(Code::ValidationFailed, text),
            UserError::File(_) => Self::internal(text),
            UserError::Family(error) => error.into(),
        }
    }
}
