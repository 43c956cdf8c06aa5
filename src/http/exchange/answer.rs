//! What handlers have in common: how a read begins, and how an answer is put together.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path};
use axum::http::header::{CONTENT_TYPE, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use super::accept::accepts;
use super::error::{ApiError, Code};
use super::position::{PARTIAL, POSITION};
use crate::http::state::HttpState;
use crate::query::Queries;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Refuses who does not take JSON.
pub(crate) fn json_only(headers: &HeaderMap) -> Result<(), ApiError> {
    if accepts(headers, "application/json") {
        return Ok(());
    }
    Err(ApiError::new(Code::NotAcceptable, "this resource is application/json only"))
}

/// What every read of the API begins with.
pub(crate) fn begin<'s>(
    state: &'s HttpState,
    headers: &HeaderMap,
) -> Result<&'s Queries, ApiError> {
    json_only(headers)?;
    state.queries()
}

/// Off the threads that answer: for what waits for the disk or takes more than a moment. It goes on when
/// its request is taken back, and so has a place of its own.
pub(crate) async fn blocking<T: Send + 'static, E: Into<ApiError> + Send + 'static>(
    places: &Arc<Semaphore>,
    question: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, ApiError> {
    let ended_early = |why: String| ApiError::internal(format!("a query ended early: {why}"));
    let place = Arc::clone(places).acquire_owned().await;
    let place = place.map_err(|error| ended_early(error.to_string()))?;
    let answering = tokio::task::spawn_blocking(move || {
        let _place = place;
        question()
    });
    match answering.await {
        Ok(answer) => answer.map_err(Into::into),
        Err(error) => Err(ended_early(error.to_string())),
    }
}

/// The one parameter of a path; a tuple of texts where there are more.
pub(crate) struct PathParam<T = String>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathParam<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::from_request_parts(parts, state).await;
        let text = "what the path names is not UTF-8";
        path.map(|Path(name)| Self(name)).map_err(|_| ApiError::new(Code::InvalidPath, text))
    }
}

pub(crate) fn json_response(body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    // Room for what the edge adds, without growing.
    response.headers_mut().reserve(16);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

pub(crate) fn with_position(
    state: &HttpState,
    queries: &Queries,
    mut response: Response,
) -> Response {
    if let Some(position) = state.position_text().header(queries) {
        response.headers_mut().insert(POSITION, position);
    }
    if state.partial().is_some() {
        response.headers_mut().insert(PARTIAL, HeaderValue::from_static("true"));
    }
    response
}

/// Weak comparison, as `If-None-Match` asks for.
pub(crate) fn none_match(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().any(|value| {
        value.as_bytes().split(|byte| *byte == b',').any(|tag| {
            let tag = tag.trim_ascii();
            tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes()
        })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn what_goes_on_without_its_request_keeps_its_place() {
        let places = Arc::new(Semaphore::new(1));
        let (end, ended) = mpsc::sync_channel::<()>(0);
        let mut first = Box::pin(blocking(&places, move || {
            let _ = ended.recv();
            Ok::<_, ApiError>(())
        }));
        assert!((&mut first).now_or_never().is_none());
        drop(first);
        let mut second = Box::pin(blocking(&places, || Ok::<_, ApiError>(())));
        assert!((&mut second).now_or_never().is_none() && places.available_permits() == 0);
        drop(end);
        assert!(second.await.is_ok());
    }
}
