//! `/api/followers…`: how followers stand, and steering them.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde_json::json;

use crate::auth::Principal;
use crate::domain::timestamp::format_rfc3339;
use crate::effects::follower::{By, FollowerError, Followers};

use super::answers::{Follower, FollowerPage, ParkedChange, ParkedPage, Replay};
use super::requests::{ReplayOrder, SkipOrder};
use crate::http::edge::request_id;
use crate::http::exchange::answer::{PathParam, json_only};
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::json_body::Fields;
use crate::http::exchange::page::{PageRequest, paged};
use crate::http::exchange::params::Params;
use crate::http::state::HttpState;

/// `GET /api/followers`
pub(super) async fn list(
    State(state): State<HttpState>,
    request: Request,
) -> Result<Response, ApiError> {
    let followers = begin(&state, request.headers())?;
    let params = Params::of(request.uri(), &["limit", "cursor"])?;
    let page = PageRequest::new(state.queries()?, "followers".to_owned(), &params)?;
    let shown = followers.list(page.after_text()?.as_deref(), page.limit + 1);
    let (shown, meta) = page.cut(shown, |last| last.name.clone().into_bytes());
    let data = shown.into_iter().map(Follower::of).collect();
    Ok(paged(request.uri(), meta.next_cursor.clone(), FollowerPage { data, meta }))
}

/// `GET /api/followers/{name}`
pub(super) async fn show(
    State(state): State<HttpState>,
    PathParam(name): PathParam,
    request: Request,
) -> Result<Json<Follower>, ApiError> {
    let followers = begin(&state, request.headers())?;
    Params::of(request.uri(), &[])?;
    Ok(Json(Follower::of(followers.show(&name)?)))
}

/// `POST /api/followers/{name}/pause`
pub(super) async fn pause(
    State(state): State<HttpState>,
    Extension(principal): Extension<Arc<Principal>>,
    PathParam(name): PathParam,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Follower>, ApiError> {
    let (followers, by) = steering(&state, &principal, &uri, &headers)?;
    followers.pause(&name, &by).await?;
    Ok(Json(Follower::of(followers.show(&name)?)))
}

/// `POST /api/followers/{name}/resume`
pub(super) async fn resume(
    State(state): State<HttpState>,
    Extension(principal): Extension<Arc<Principal>>,
    PathParam(name): PathParam,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Follower>, ApiError> {
    let (followers, by) = steering(&state, &principal, &uri, &headers)?;
    followers.resume(&name, &by).await?;
    Ok(Json(Follower::of(followers.show(&name)?)))
}

/// `POST /api/followers/{name}/skip`
pub(super) async fn skip(
    State(state): State<HttpState>,
    Extension(principal): Extension<Arc<Principal>>,
    PathParam(name): PathParam,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Follower>, ApiError> {
    let (followers, by) = steering(&state, &principal, &uri, &headers)?;
    let contact = SkipOrder::read(Fields::of(&headers, &body)?)?;
    followers.skip(&name, contact.as_deref(), &by).await?;
    Ok(Json(Follower::of(followers.show(&name)?)))
}

/// `POST /api/followers/{name}/replay`
pub(super) async fn replay(
    State(state): State<HttpState>,
    Extension(principal): Extension<Arc<Principal>>,
    PathParam(name): PathParam,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Replay>, ApiError> {
    let (followers, by) = steering(&state, &principal, &uri, &headers)?;
    let from = ReplayOrder::read(Fields::of(&headers, &body)?)?;
    let position = followers.replay(&name, from, &by).await?;
    Ok(Json(Replay { position: position.encode() }))
}

/// `GET /api/followers/{name}/parked`
pub(super) async fn parked(
    State(state): State<HttpState>,
    PathParam(name): PathParam,
    request: Request,
) -> Result<Response, ApiError> {
    let followers = begin(&state, request.headers())?;
    let params = Params::of(request.uri(), &["limit", "cursor"])?;
    let page = PageRequest::new(state.queries()?, format!("parked {name}"), &params)?;
    let parked = followers.parked(&name, page.after_text()?.as_deref(), page.limit + 1)?;
    let (parked, meta) = page.cut(parked, |last| last.id.clone().into_bytes());
    let data = parked.into_iter().map(ParkedChange::of).collect();
    Ok(paged(request.uri(), meta.next_cursor.clone(), ParkedPage { data, meta }))
}

/// `POST /api/followers/{name}/parked/{id}/redrive`
pub(super) async fn redrive(
    State(state): State<HttpState>,
    Extension(principal): Extension<Arc<Principal>>,
    PathParam((name, id)): PathParam<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (followers, by) = steering(&state, &principal, &uri, &headers)?;
    followers.redrive(&name, &id, &by).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE /api/followers/{name}/parked/{id}`
pub(super) async fn drop_parked(
    State(state): State<HttpState>,
    Extension(principal): Extension<Arc<Principal>>,
    PathParam((name, id)): PathParam<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (followers, by) = steering(&state, &principal, &uri, &headers)?;
    followers.drop_parked(&name, &id, &by).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn begin(state: &HttpState, headers: &HeaderMap) -> Result<Arc<Followers>, ApiError> {
    json_only(headers)?;
    Ok(Arc::clone(&state.open()?.followers))
}

/// The same, and who steers them by a path without parameters.
fn steering(
    state: &HttpState,
    principal: &Principal,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(Arc<Followers>, By), ApiError> {
    let followers = begin(state, headers)?;
    Params::of(uri, &[])?;
    Ok((followers, steered_by(principal, headers)))
}

/// Who steers a follower, or what hangs on one.
pub(in crate::http) fn steered_by(principal: &Principal, headers: &HeaderMap) -> By {
    let request_id = request_id::of_writing(headers).map(str::to_owned);
    By { principal: principal.name.to_string(), request_id }
}

impl From<FollowerError> for ApiError {
    fn from(error: FollowerError) -> Self {
        let text = error.to_string();
        match &error {
            FollowerError::NotFound => Self::new(Code::FollowerNotFound, text),
            FollowerError::NotParked => Self::new(Code::ParkedChangeNotFound, text),
            FollowerError::NotBegun | FollowerError::NotWaiting | FollowerError::TooMany => {
                Self::new(Code::FollowerConflict, text)
            }
            FollowerError::ForeignPosition => Self::new(Code::PositionGone, text),
            FollowerError::Gone { earliest, time_ms } => {
                let time = time_ms.and_then(|ms| u64::try_from(ms).ok()).map(format_rfc3339);
                let earliest = json!({ "position": earliest.encode(), "time": time });
                Self::new(Code::PositionGone, text).with_details(json!({ "earliest": earliest }))
            }
            FollowerError::Conflict => Self::new(Code::Contended, text),
            FollowerError::Refused(_) | FollowerError::Control(_) => {
                let told = "what is to be done could not be written to the log; try again";
                Self::new(Code::WriteUnavailable, told).with_internal(text)
            }
            FollowerError::Store(_) => Self::internal(text),
        }
    }
}
