//! What became of one event.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::domain::position::Position;
use crate::domain::verdict::Verdict;
use crate::query::{EventFilter, EventFound, NewestEvents};

use super::answers::{EventPage, EventReport, EventReportRecord};
use crate::http::exchange::answer::{PathParam, begin, blocking, with_position};
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::page::{PageRequest, paged};
use crate::http::exchange::params::{Params, time};
use crate::http::state::HttpState;

/// After which an event that is not there yet is worth asking for again, in seconds.
pub(super) const AGAIN_AFTER: HeaderValue = HeaderValue::from_static("1");

/// `GET /api/events/{id}`
pub(super) async fn show(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    request: Request,
) -> Result<Response, ApiError> {
    Params::of(request.uri(), &[])?;
    let queries = begin(&state, request.headers())?.clone();
    let log = state.following().and_then(|following| following.identity.clone());
    let topic = log.as_ref().map_or_else(|| "contacts".to_owned(), |log| log.topic.clone());
    let found = blocking(&state.work().questions, {
        let (queries, id) = (queries.clone(), id.clone());
        move || queries.event(log.as_ref(), &id)
    })
    .await?;
    let response = match found {
        EventFound::Decided(decision) => {
            Json(EventReport::of(id, &topic, decision)).into_response()
        }
        EventFound::Taken => pending(id),
        EventFound::Refused { why } => Json(EventReport::refused(id, why)).into_response(),
        EventFound::Ahead { lane, offset, .. } if state.is_on_log(lane, offset) => pending(id),
        EventFound::Ahead { lane, next, .. } => {
            let details = json!({ "partition": lane.0, "appliedUpTo": next.0 });
            return Ok(not_found("the log has no record at this offset yet", details));
        }
        EventFound::Unknown { is_complete, kept_since, is_repeated } => {
            let details = json!({ "complete": is_complete, "keptSince": kept_since });
            let why = if is_repeated {
                "the event was decided before what is kept, and has come again since: what became \
                 of it is not known here any more"
            } else {
                "no such event is known: it was never on the log, is not applied yet, is older than \
                 what is kept, or its id could not be read (then it is among /api/dead-letters)"
            };
            return Ok(not_found(why, details));
        }
    };
    Ok(with_position(&state, &queries, response))
}

/// `GET /api/events`
pub(super) async fn list(
    State(state): State<HttpState>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let params = Params::of(&uri, &["source", "verdict", "since", "limit", "cursor"])?;
    let queries = begin(&state, &headers)?.clone();
    let choices = Verdict::ALL.map(|verdict| (verdict.as_str(), verdict));
    let since_ms = params.get("since").map(|text| time("since", text)).transpose()?;
    let filter = EventFilter {
        source: params.get("source").map(str::to_owned),
        verdict: params.choice("verdict", &choices)?,
        since_ms: since_ms.map(|us| i64::try_from(us / 1000).unwrap_or(i64::MAX)),
    };
    let page = PageRequest::new(&queries, format!("events {filter:?}"), &params)?;
    let before = page.after(|key| Position::decode(std::str::from_utf8(key).ok()?).ok())?;
    let limit = page.limit;
    let found = blocking(&state.work().questions, {
        let queries = queries.clone();
        move || queries.newest_events(before, &filter, limit)
    });
    let NewestEvents { records, rest } = found.await?;
    let topic = state.following().and_then(|following| following.identity.clone());
    let topic = topic.map_or_else(|| "contacts".to_owned(), |log| log.topic);
    let log = queries.position().log;
    let data = records.into_iter().map(|record| EventReportRecord::of(log, &topic, record));
    let meta = page.meta(rest.map(|rest| rest.encode().into_bytes()));
    let page = EventPage { data: data.collect(), meta };
    let response = paged(&uri, page.meta.next_cursor.clone(), page);
    Ok(with_position(&state, &queries, response))
}

fn pending(id: String) -> Response {
    ([(RETRY_AFTER, AGAIN_AFTER)], Json(EventReport::pending(id))).into_response()
}

fn not_found(why: &str, details: serde_json::Value) -> Response {
    let error = ApiError::new(Code::EventNotFound, why).with_details(details);
    let mut response = error.into_response();
    // It may be on its way: another instance has taken it, say.
    response.headers_mut().insert(RETRY_AFTER, AGAIN_AFTER);
    response
}
