//! What became of an event.

use std::collections::VecDeque;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use parking_lot::Mutex;
use serde_json::json;

use super::contacts::{begin, blocking, json_response, with_position};
use super::error::{ApiError, Code};
use super::params::Params;
use super::state::HttpState;

/// Events of 202 answers that are remembered as being on their way.
const PENDING_MAX: usize = 4096;

/// Events that this instance has answered 202 for a short while ago.
#[derive(Default)]
pub(super) struct Pending(Mutex<VecDeque<String>>);

impl Pending {
    pub(super) fn add(&self, event_id: &str) {
        let mut pending = self.0.lock();
        if pending.len() == PENDING_MAX {
            pending.pop_front();
        }
        pending.push_back(event_id.to_owned());
    }

    fn has(&self, event_id: &str) -> bool {
        self.0.lock().iter().any(|known| known == event_id)
    }
}

/// `GET /api/events/{id}`
pub(super) async fn get_event(
    State(state): State<HttpState>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let Path(id) =
        id.map_err(|_| ApiError::new(Code::InvalidPath, "the id in the path is not UTF-8"))?;
    Params::of(request.uri(), &[])?;
    let queries = begin(&state, request.headers()).await?.clone();
    let report = blocking({
        let (queries, id) = (queries.clone(), id.clone());
        move || queries.event(&id)
    })
    .await?;
    let status = if !report.occurrences.is_empty() {
        "done"
    } else if state.pending().has(&id) {
        "pending"
    } else {
        let message = if report.is_complete {
            "the journal holds no event with this id or place"
        } else {
            "no such event was found yet: part of the journal is still being indexed"
        };
        return Err(ApiError::new(Code::EventNotFound, message)
            .with_details(json!({ "isComplete": report.is_complete })));
    };
    let body = json!({
        "id": id, "status": status, "occurrences": report.occurrences,
        "isComplete": report.is_complete,
    });
    Ok(with_position(&state, &queries, json_response(body.to_string().into_bytes())))
}
