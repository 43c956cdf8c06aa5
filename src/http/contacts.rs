//! Contacts: one, a page, and what happened to one.

use std::io::Write as _;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH, LINK};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::json;

use crate::domain::contact::Status;
use crate::query::{
    ChangeShown, HistoryQuery, ListQuery, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, Queries, QueryError,
    SortBy, StateTag, StatusFilter,
};

use super::accept::accepts;
use super::error::{ApiError, Code};
use super::params::Params;
use super::position::{POSITION, wait_for_position};
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
    let id = decoded(id)?;
    let with_deleted = Params::of(request.uri(), &["includeDeleted"])?.flag("includeDeleted")?;
    let queries = begin(&state, request.headers()).await?;
    let found = queries.contact(&id)?.ok_or_else(not_found)?;
    let contact = found.read()?;
    match contact.status() {
        Status::Deleted if !with_deleted => return Err(not_found()),
        Status::Active | Status::Deleted => {}
    }
    let etag = etag(contact.tag());
    let mut response = if none_match(request.headers(), &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut json = Vec::with_capacity(CONTACT_BYTES_TYPICAL);
        contact.write_json(&mut json);
        json_response(json)
    };
    response.headers_mut().insert(ETAG, etag);
    Ok(with_position(&state, queries, response))
}

/// `GET /api/contacts`
pub(super) async fn list_contacts(
    State(state): State<HttpState>,
    request: Request,
) -> Result<Response, ApiError> {
    let query = list_query(request.uri())?;
    let queries = begin(&state, request.headers()).await?.clone();
    let asked = query.clone();
    let page = blocking({
        let queries = queries.clone();
        move || queries.page(&asked)
    })
    .await?;
    let meta = json!({
        "limit": query.limit,
        "nextCursor": page.next_cursor,
        "prevCursor": page.previous_cursor,
        "offset": null,
        "total": page.total,
    });
    let mut body = Vec::with_capacity(page.contacts_json.len() + 256);
    body.extend_from_slice(b"{\"data\":");
    body.extend_from_slice(&page.contacts_json);
    // A write into a vector does not fail.
    let _ = write!(body, ",\"meta\":{meta}}}");
    let mut response = json_response(body);
    if let Some(link) =
        link(request.uri(), &[("next", page.next_cursor), ("prev", page.previous_cursor)])
    {
        response.headers_mut().insert(LINK, link);
    }
    Ok(with_position(&state, &queries, response))
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
    let queries = begin(&state, request.headers()).await?.clone();
    let page = blocking({
        let queries = queries.clone();
        move || queries.history(&query)
    })
    .await?
    .ok_or_else(not_found)?;
    let link = link(request.uri(), &[("next", page.next_cursor.clone())]);
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

fn list_query(uri: &Uri) -> Result<ListQuery, ApiError> {
    let known = ["limit", "cursor", "status", "includeDeleted", "sort", "order"];
    let params = Params::of(uri, &known)?;
    let sorts = SortBy::ALL.map(|sort| (sort.as_str(), sort));
    let sort = params.choice("sort", &sorts)?.unwrap_or(SortBy::UpdatedAt);
    let descending = params.choice("order", &[("asc", false), ("desc", true)])?;
    let statuses = [("ACTIVE", StatusFilter::Active), ("DELETED", StatusFilter::Deleted)];
    let status = match params.choice("status", &statuses)? {
        Some(status) => status,
        None if params.flag("includeDeleted")? => StatusFilter::Any,
        None => StatusFilter::Active,
    };
    Ok(ListQuery {
        sort,
        descending: descending.unwrap_or(sort.descends_by_default()),
        status,
        limit: params.limit(PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX)?,
        cursor: params.get("cursor").map(str::to_owned),
    })
}

/// What every read of the API begins with.
pub(super) async fn begin<'s>(
    state: &'s HttpState,
    headers: &HeaderMap,
) -> Result<&'s Queries, ApiError> {
    if !accepts(headers, "application/json") {
        return Err(ApiError::new(Code::NotAcceptable, "this resource is application/json only"));
    }
    let queries = state.queries()?;
    wait_for_position(state, queries, headers).await?;
    Ok(queries)
}

/// Off the threads that answer: pages touch the disk more than a moment.
pub(super) async fn blocking<T: Send + 'static>(
    question: impl FnOnce() -> Result<T, QueryError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(question).await {
        Ok(answer) => Ok(answer?),
        Err(error) => Err(ApiError::internal(format!("a query ended early: {error}"))),
    }
}

fn decoded(id: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
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
    response
}

/// `"<version>-<hash>"`, strong.
fn etag(tag: StateTag) -> HeaderValue {
    let text = format!("\"{}-{:016x}\"", tag.version, tag.hash);
    HeaderValue::from_maybe_shared(text).unwrap_or(HeaderValue::from_static("\"\""))
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

/// The same question with other cursors (RFC 8288).
fn link(uri: &Uri, cursors: &[(&str, Option<String>)]) -> Option<HeaderValue> {
    let kept: String = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="))
        .flat_map(|pair| [pair, "&"])
        .collect();
    let links: Vec<String> = cursors
        .iter()
        .filter_map(|(relation, cursor)| {
            let cursor = cursor.as_deref()?;
            Some(format!("<{}?{kept}cursor={cursor}>; rel=\"{relation}\"", uri.path()))
        })
        .collect();
    (!links.is_empty()).then(|| HeaderValue::from_maybe_shared(links.join(", ")).ok()).flatten()
}
