//! Contacts: one, and what happened to one.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{ETAG, LINK};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use crate::domain::contact::Status;
use crate::query::{ChangeShown, HistoryQuery, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX};

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

fn not_found() -> ApiError {
    ApiError::new(Code::ContactNotFound, "there is no contact with this id")
}
