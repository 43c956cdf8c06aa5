//! Contacts: one, and what happened to one.

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH, LINK};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use crate::domain::contact::Status;
use crate::query::{ChangeShown, HistoryQuery, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, Queries};

use super::accept::accepts;
use super::error::{ApiError, Code};
use super::links::links;
use super::params::Params;
use super::position::{PARTIAL, POSITION};
use super::preconditions::etag;
use super::state::HttpState;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Most contacts fit; a larger one grows its buffer.
const CONTACT_BYTES_TYPICAL: usize = 512;

/// `GET /api/contacts/{id}`
pub(super) async fn get_contact(
    State(state): State<HttpState>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    contact(&state, &decoded(id)?, request.uri(), request.headers()).await
}

/// The same, of an id that is known.
pub(super) async fn contact(
    state: &HttpState,
    id: &str,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let with_deleted = Params::of(uri, &["includeDeleted"])?.flag("includeDeleted")?;
    let queries = begin(state, headers)?;
    let found = match queries.contact_at_once(id) {
        Some(found) => found,
        None => {
            let (queries, id) = (queries.clone(), id.to_owned());
            blocking(move || queries.contact(&id)).await?
        }
    };
    let found = found.ok_or_else(not_found)?;
    let contact = found.read(id)?;
    match contact.status() {
        Status::Deleted if !with_deleted => return Err(not_found()),
        Status::Active | Status::Deleted => {}
    }
    let etag = etag(contact.tag());
    let mut response = if none_match(headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut json = Vec::with_capacity(CONTACT_BYTES_TYPICAL);
        contact.write_json(&mut json);
        json_response(json)
    };
    response.headers_mut().insert(ETAG, etag);
    Ok(with_position(state, queries, response))
}

/// `GET /api/contacts/{id}/history`
pub(super) async fn contact_history(
    State(state): State<HttpState>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let id = decoded(id)?;
    let params = Params::of(request.uri(), &["limit", "cursor"])?;
    let query = HistoryQuery {
        id,
        limit: params.limit(PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX)?,
        cursor: params.get("cursor").map(str::to_owned),
    };
    let limit = query.limit;
    let queries = begin(&state, request.headers())?.clone();
    let page = blocking({
        let queries = queries.clone();
        move || queries.history(&query)
    })
    .await?
    .ok_or_else(not_found)?;
    let next = page.next_cursor.clone().map(|cursor| Some(("cursor", cursor)));
    let link = links(request.uri(), &[("next", next)]);
    let body = HistoryBody {
        data: &page.changes,
        meta: HistoryMeta { limit, next_cursor: page.next_cursor.as_deref() },
    };
    let body = serde_json::to_vec(&body).map_err(|error| ApiError::internal(error.to_string()))?;
    let mut response = json_response(body);
    if let Some(link) = link {
        response.headers_mut().insert(LINK, link);
    }
    Ok(with_position(&state, &queries, response))
}

#[derive(Serialize)]
struct HistoryBody<'a> {
    data: &'a [ChangeShown],
    meta: HistoryMeta<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HistoryMeta<'a> {
    limit: usize,
    next_cursor: Option<&'a str>,
}

/// What every read of the API begins with.
pub(super) fn begin<'s>(
    state: &'s HttpState,
    headers: &HeaderMap,
) -> Result<&'s Queries, ApiError> {
    if !accepts(headers, "application/json") {
        return Err(ApiError::new(Code::NotAcceptable, "this resource is application/json only"));
    }
    state.queries()
}

/// Off the threads that answer: for what waits for the disk or takes more than a moment.
pub(super) async fn blocking<T: Send + 'static, E: Into<ApiError> + Send + 'static>(
    question: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(question).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(error) => Err(ApiError::internal(format!("a query ended early: {error}"))),
    }
}

pub(super) fn decoded(id: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
    match id {
        Ok(Path(id)) => Ok(id),
        Err(_) => Err(ApiError::new(Code::InvalidPath, "the id in the path is not UTF-8")),
    }
}

fn not_found() -> ApiError {
    ApiError::new(Code::ContactNotFound, "there is no contact with this id")
}

pub(super) fn json_response(body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    // Room for what the edge adds, without growing.
    response.headers_mut().reserve(12);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

pub(super) fn with_position(
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
pub(super) fn none_match(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().any(|value| {
        value.as_bytes().split(|byte| *byte == b',').any(|tag| {
            let tag = tag.trim_ascii();
            tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes()
        })
    })
}
