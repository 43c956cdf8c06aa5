//! Contacts: one, and what happened to one.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::ETAG;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::domain::contact::Status;
use crate::domain::timestamp::format_rfc3339;
use crate::query::{FoundContact, HistoryQuery, Moment, PastContact, Queries, QueryError};

use super::answers::{Change, History};
use super::preconditions::etag;
use crate::http::exchange::answer::{
    PathParam, begin, blocking, json_response, none_match, with_position,
};
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::page::{PageRequest, paged};
use crate::http::exchange::params::{Params, invalid, time};
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
    let params = Params::of(uri, &["includeDeleted", "asOf"])?;
    let with_deleted = params.flag("includeDeleted")?;
    let moment = moment(&params)?;
    let queries = begin(&state, headers)?;
    let found = match moment {
        Some(moment) => past(&state, queries, &id, moment).await?,
        None => present(&state, queries, &id).await?,
    };
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

async fn present(state: &HttpState, queries: &Queries, id: &str) -> Result<FoundContact, ApiError> {
    let found = match queries.contact_at_once(id) {
        Some(found) => found,
        None => {
            let (queries, id) = (queries.clone(), id.to_owned());
            blocking(&state.work().questions, move || queries.contact(&id)).await?
        }
    };
    found.ok_or_else(not_found)
}

/// `asOf`, a time or a version.
fn moment(params: &Params<'_>) -> Result<Option<Moment>, ApiError> {
    let Some(text) = params.get("asOf") else {
        return Ok(None);
    };
    if text.starts_with("version:") {
        let moment = Moment::parse(text);
        return moment
            .map(Some)
            .ok_or_else(|| invalid("asOf", &format!("must be {}", Moment::FORMS)));
    }
    Ok(Some(Moment::At(time("asOf", text)? / 1000)))
}

/// The contact as it was.
async fn past(
    state: &HttpState,
    queries: &Queries,
    id: &str,
    moment: Moment,
) -> Result<FoundContact, ApiError> {
    let (asked, id) = (queries.clone(), id.to_owned());
    let found = blocking(&state.work().questions, move || asked.contact_at(&id, moment)).await?;
    match found.ok_or_else(not_found)? {
        PastContact::Found(found) => Ok(found),
        PastContact::NotYet => Err(match moment {
            Moment::At(_) => ApiError::new(Code::ContactNotFound, "there was no such contact then"),
            Moment::Version(_) => no_version(),
        }),
        PastContact::Gone { version, since_ms } => Err(history_gone(version, since_ms)),
    }
}

pub(super) fn no_version() -> ApiError {
    ApiError::new(Code::VersionNotFound, "the contact has no version with that number")
}

/// Names how far the journal reaches.
pub(super) fn history_gone(version: u64, since_ms: Option<u64>) -> ApiError {
    let since = since_ms.map(format_rfc3339);
    let text = match &since {
        Some(since) => {
            format!("of this contact the journal reaches back to version {version}, of {since}")
        }
        None => format!("of this contact the journal reaches back to version {version}"),
    };
    ApiError::new(Code::HistoryGone, text)
        .with_details(json!({ "version": version, "since": since }))
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
