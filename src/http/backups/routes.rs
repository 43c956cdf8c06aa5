//! `/api/backups…`

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};

use crate::auth::Principal;
use crate::backup::{Backups, Stream};

use super::answers::{BackupList, BackupStatus};
use crate::http::edge::authorize;
use crate::http::exchange::accept::accepts;
use crate::http::exchange::answer::json_only;
use crate::http::exchange::endpoint::Endpoint;
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::params::Params;
use crate::http::state::HttpState;

const TAR: &str = "application/x-tar";

fn backups(state: &HttpState) -> Result<&Arc<Backups>, ApiError> {
    let backups = state.services().backups.as_ref();
    backups.ok_or_else(|| ApiError::internal("there is nothing that makes backups"))
}

/// `GET /api/backups`
pub(super) async fn list(
    State(state): State<HttpState>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    json_only(&headers)?;
    Params::of(&uri, &[])?;
    let backups = backups(&state)?;
    let reading = Arc::clone(backups);
    let kept = tokio::task::spawn_blocking(move || reading.kept()).await;
    let kept = kept.map_err(|_| ApiError::internal("reading the backups panicked"))??;
    let data = kept.into_iter().map(Into::into).collect();
    Ok(Json(BackupList { data, status: BackupStatus::of(backups) }).into_response())
}

/// `POST /api/backups`
pub(super) async fn make(
    State(state): State<HttpState>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    json_only(&headers)?;
    Params::of(&uri, &[])?;
    let backups = backups(&state)?;
    backups.order()?;
    Ok((StatusCode::ACCEPTED, Json(BackupStatus::ordered(backups))).into_response())
}

fn endpoint() -> Result<&'static Endpoint, ApiError> {
    super::ENDPOINTS.last().ok_or_else(|| ApiError::internal("the stream of backups is gone"))
}

/// Its sender is asked again who it is: what was let in may not be any more.
fn parts(stream: Stream, still_allowed: Box<dyn Fn() -> bool + Send + Sync>) -> Body {
    let begun = (stream, still_allowed);
    Body::from_stream(futures_util::stream::unfold(begun, |(mut stream, still_allowed)| async {
        let part = stream.next().await.filter(|_| still_allowed())?;
        Some((Ok::<_, Infallible>(part), (stream, still_allowed)))
    }))
}

/// `GET /api/backups/stream`
///
/// Only the head is bound by the request's time.
pub(super) async fn stream(
    State(state): State<HttpState>,
    request: Request,
) -> Result<Response, ApiError> {
    if !accepts(request.headers(), TAR) {
        return Err(ApiError::new(Code::NotAcceptable, "this resource is application/x-tar only"));
    }
    Params::of(request.uri(), &[])?;
    let backups = backups(&state)?;
    let body = if request.method() == Method::HEAD {
        Body::empty()
    } else {
        let who = request.extensions().get::<Arc<Principal>>().map(|known| &*known.name);
        let still_allowed = authorize::still_allowed(&state, endpoint()?, &request);
        parts(backups.stream(who.unwrap_or_default())?, still_allowed)
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(TAR));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let name = HeaderValue::from_static("attachment; filename=\"contactd-backup.tar\"");
    headers.insert(CONTENT_DISPOSITION, name);
    Ok(response)
}
