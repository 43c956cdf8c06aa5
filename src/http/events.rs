//! What became of one event.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::query::EventFound;

use super::contacts::{begin, blocking, json_response, with_position};
use super::error::{ApiError, Code};
use super::params::Params;
use super::state::HttpState;

/// After which an event that is not there yet is worth asking for again, in seconds.
pub(super) const AGAIN_AFTER: HeaderValue = HeaderValue::from_static("1");

/// `GET /api/events/{id}`
pub(super) async fn get_event(
    State(state): State<HttpState>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let Ok(Path(id)) = id else {
        return Err(ApiError::new(Code::InvalidPath, "the id in the path is not UTF-8"));
    };
    Params::of(request.uri(), &[])?;
    let queries = begin(&state, request.headers())?.clone();
    let log = state.following().and_then(|following| following.identity.clone());
    let found = blocking({
        let (queries, id) = (queries.clone(), id.clone());
        move || queries.event(log.as_ref(), &id)
    })
    .await?;
    let response = match found {
        EventFound::Decided(report) => {
            let body = serde_json::to_vec(&report);
            json_response(body.map_err(|error| ApiError::internal(error.to_string()))?)
        }
        EventFound::Taken => pending(&id),
        EventFound::Refused { why } => {
            let body = json!({
                "id": id, "status": "refused", "detail": why, "records": [], "complete": true,
            });
            json_response(body.to_string().into_bytes())
        }
        EventFound::Ahead { lane, offset, .. } if state.is_on_log(lane, offset) => pending(&id),
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
                "no such event is known: it was never on the log, is not applied yet, or is older \
                 than what is kept"
            };
            return Ok(not_found(why, details));
        }
    };
    Ok(with_position(&state, &queries, response))
}

/// Taken, or on the log, and not applied yet.
fn pending(id: &str) -> Response {
    let body = json!({ "id": id, "status": "pending", "records": [], "complete": true });
    let mut response = json_response(body.to_string().into_bytes());
    response.headers_mut().insert(RETRY_AFTER, AGAIN_AFTER);
    *response.status_mut() = StatusCode::OK;
    response
}

fn not_found(why: &str, details: serde_json::Value) -> Response {
    let error = ApiError::new(Code::EventNotFound, why).with_details(details);
    let mut response = error.into_response();
    // It may be on its way: another instance has taken it, say.
    response.headers_mut().insert(RETRY_AFTER, AGAIN_AFTER);
    response
}
