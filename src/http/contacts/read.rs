//! Contacts: one, and what happened to one.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{ETAG, LINK};
use axum::response::{IntoResponse as _, Response};

use crate::domain::contact::Status;
use crate::query::{HistoryQuery, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, QueryError};

use super::answers::{Change, History, HistoryMeta};
use super::preconditions::etag;
use crate::http::exchange::answer::{
    begin, blocking, decoded, json_response, none_match, with_position,
};
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::links::links;
use crate::http::exchange::params::Params;
use crate::http::state::HttpState;

/// Most contacts fit; a larger one grows its buffer.
const CONTACT_BYTES_TYPICAL: usize = 512;

/// `GET /api/contacts/{id}`
pub(super) async fn show(
    State(state): State<HttpState>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let id = decoded(id)?;
    let (uri, headers) = (request.uri(), request.headers());
    let with_deleted = Params::of(uri, &["includeDeleted"])?.flag("includeDeleted")?;
    let queries = begin(&state, headers)?;
    let found = match queries.contact_at_once(&id) {
        Some(found) => found,
        None => {
            let (queries, id) = (queries.clone(), id.clone());
            blocking(move || queries.contact(&id)).await?
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
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let id = decoded(id)?;
    let params = Params::of(request.uri(), &["limit", "cursor"])?;
    let limit = params.limit(PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX)?;
    let query = HistoryQuery { id, limit, cursor: params.get("cursor").map(str::to_owned) };
    let queries = begin(&state, request.headers())?.clone();
    let history = blocking({
        let queries = queries.clone();
        move || -> Result<_, QueryError> {
            let Some(page) = queries.history(&query)? else {
                return Ok(None);
            };
            let data = page.entries.iter().map(|entry| Change::of(&query.id, entry));
            let data = data.collect::<Result<_, _>>()?;
            let meta = HistoryMeta { limit: limit as u64, next_cursor: page.next_cursor };
            Ok(Some(History { data, meta }))
        }
    })
    .await?
    .ok_or_else(not_found)?;
    let next = history.meta.next_cursor.clone().map(|cursor| Some(("cursor", cursor)));
    let link = links(request.uri(), &[("next", next)]);
    let mut response = Json(history).into_response();
    if let Some(link) = link {
        response.headers_mut().insert(LINK, link);
    }
    Ok(with_position(&state, &queries, response))
}

fn not_found() -> ApiError {
    ApiError::new(Code::ContactNotFound, "there is no contact with this id")
}
