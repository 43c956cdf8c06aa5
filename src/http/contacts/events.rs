//! What became of one event.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::query::EventFound;

use super::answers::EventReport;
use crate::http::exchange::answer::{PathParam, begin, blocking, with_position};
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::params::Params;
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
