//! Contacts: one, and what happened to one.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::ETAG;
use axum::response::{IntoResponse as _, Response};

use crate::domain::contact::Status;
use crate::query::{HistoryQuery, QueryError};

use super::answers::{Change, History};
use super::preconditions::etag;
use crate::http::exchange::answer::{
    PathParam, begin, blocking, json_response, none_match, with_position,
};
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::page::{PageRequest, paged};
use crate::http::exchange::params::Params;
use crate::http::state::HttpState;

/// Most contacts fit; a larger one grows its buffer.
const CONTACT_BYTES_TYPICAL: usize = 512;

/// `GET /api/contacts/{id}`
pub(super) async fn show(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    request: Request,
) -> Result<Response, ApiError> {
    let (uri, headers) = (request.uri(), request.headers());
    let with_deleted = Params::of(uri, &["includeDeleted"])?.flag("includeDeleted")?;
    let queries = begin(&state, headers)?;
    let found = match queries.contact_at_once(&id) {
        Some(found) => found,
        None => {
            let (queries, id) = (queries.clone(), id.clone());
            blocking(&state.work().questions, move || queries.contact(&id)).await?
        }
    };
    let found = found.ok_or_else(not_found)?;
    let contact = found.read(&id)?;
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
    Ok(with_position(&state, queries, response))
}

/// `GET /api/contacts/{id}/history`
pub(super) async fn history(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    request: Request,
) -> Result<Response, ApiError> {
    let params = Params::of(request.uri(), &["limit", "cursor"])?;
    let queries = begin(&state, request.headers())?;
    let page = PageRequest::new(queries, format!("history {id}"), &params)?;
    let before = page.after(|key| Some(u64::from_be_bytes(key.try_into().ok()?)))?;
    let query = HistoryQuery { id, limit: page.limit, before };
    let found = blocking(&state.work().questions, {
        let queries = queries.clone();
        move || -> Result<_, QueryError> {
            let Some(found) = queries.history(&query)? else {
                return Ok(None);
            };
            let data = found.entries.iter().map(|entry| Change::of(&query.id, entry));
            Ok(Some((data.collect::<Result<_, _>>()?, found.next)))
        }
    });
    let (data, next) = found.await?.ok_or_else(not_found)?;
    let meta = page.meta(next.map(|change: u64| change.to_be_bytes().to_vec()));
    let response = paged(request.uri(), meta.next_cursor.clone(), History { data, meta });
    Ok(with_position(&state, queries, response))
}

pub(super) fn not_found() -> ApiError {
    ApiError::new(Code::ContactNotFound, "there is no contact with this id")
}
