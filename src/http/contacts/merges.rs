//! Merges of two contacts: ordered, and asked about.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{HeaderName, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::domain::verdict::DeadLetterReason;
use crate::ingest::{EditError, Merge, MergeError, MergeFailure, Merged};

use super::answers::{AcceptedMerge, AcceptedStatus, ContactMerge};
use super::events::AGAIN_AFTER;
use super::preconditions::if_match;
use super::writing::{JSON, Writing, failure};
use crate::http::exchange::answer::{PathParam, begin};
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::json_body::{Fields, Members, Problems};
use crate::http::exchange::params::Params;
use crate::http::state::HttpState;

const MERGE_ID: HeaderName = HeaderName::from_static("merge-id");

/// `POST /api/contacts/{id}/merge`
pub(super) async fn merge(
    State(state): State<HttpState>,
    PathParam(into): PathParam,
    request: Request,
) -> Result<Response, ApiError> {
    let writing = Writing::without_params(&state, request).await?;
    writing.require_media(&[JSON])?;
    let from = merged_from(Members::of(&writing.body)?.into(), &into)?;
    // Held until the answer is there.
    let keyed = writing.keyed()?;
    let merge = Merge {
        condition: if_match(writing.headers())?.unwrap_or_default(),
        keyed: keyed.as_ref().map(|(keyed, _)| keyed.clone()),
        author: writing.author(),
        into,
        from,
    };
    match state.open()?.merging.merge(&merge, writing.wait()).await {
        Ok(Merged::Done { id, survivor }) => {
            let mut response = writing.answer(&merge.into, StatusCode::OK, &survivor);
            if let Some(Ok(id)) = id.map(HeaderValue::from_maybe_shared) {
                response.headers_mut().insert(MERGE_ID, id);
            }
            Ok(response)
        }
        Ok(Merged::Accepted { id }) => {
            let location = format!("/api/merges/{id}");
            let (status, contact_id) = (AcceptedStatus::Accepted, merge.into);
            Ok(writing.accepted_as(AcceptedMerge { status, merge_id: id, contact_id }, location))
        }
        Err(MergeError::Failed(MergeFailure::PreconditionFailed { tag })) => {
            Ok(failure(EditError::PreconditionFailed(Some(tag))))
        }
        Err(error) => Err(error.into()),
    }
}

/// `GET /api/merges/{id}`
pub(super) async fn show(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    request: Request,
) -> Result<Response, ApiError> {
    Params::of(request.uri(), &[])?;
    begin(&state, request.headers())?;
    let Some(job) = state.open()?.merging.job(&id)? else {
        return Err(ApiError::new(
            Code::MergeNotFound,
            "there is no such merge: it was never begun, or ended more than a day ago",
        ));
    };
    let is_running = job.end.is_none();
    let mut response = Json(ContactMerge::of(id, job)).into_response();
    if is_running {
        response.headers_mut().insert(RETRY_AFTER, AGAIN_AFTER);
    }
    Ok(response)
}

fn merged_from(mut fields: Fields, into: &str) -> Result<String, ApiError> {
    let from = fields.required_text("from");
    if from == into {
        fields.refuse("from", "is the survivor itself");
    } else if from.is_empty() && !fields.is_refused("from") {
        fields.refuse("from", "is empty");
    }
    fields.end()?;
    Ok(from)
}

impl From<MergeFailure> for ApiError {
    fn from(failure: MergeFailure) -> Self {
        match failure {
            MergeFailure::SurvivorGone => EditError::NotFound.into(),
            MergeFailure::OtherGone => {
                let mut problems = Problems::default();
                problems.add("from", "names no contact that is there");
                problems.result().err().unwrap_or_else(|| EditError::NotFound.into())
            }
            MergeFailure::PreconditionFailed { tag } => {
                EditError::PreconditionFailed(Some(tag)).into()
            }
            MergeFailure::Merging { id, into } => Self::new(
                Code::ContactMerging,
                "one of the two is being merged into another contact; try again once that has ended",
            )
            .with_details(json!({ "id": id, "into": into })),
            MergeFailure::Contended => Self::new(
                Code::Contended,
                "others change the two contacts all the time, so they were not merged; try again",
            ),
            MergeFailure::Refused { reason, detail } => {
                let found = DeadLetterReason::ALL.iter().find(|each| each.as_str() == reason);
                let reason = found.copied().unwrap_or(DeadLetterReason::InvalidCommand);
                EditError::Refused { reason, detail }.into()
            }
        }
    }
}

impl From<MergeError> for ApiError {
    fn from(error: MergeError) -> Self {
        let text = error.to_string();
        match error {
            MergeError::Failed(failure) => failure.into(),
            MergeError::KeyReused => EditError::KeyReused.into(),
            MergeError::TooMany { running, .. } => Self::new(Code::Overloaded, text)
                .with_details(json!({ "limit": "merges", "max": running })),
            MergeError::NotWritten { id, .. } => Self::new(
                Code::WriteUnavailable,
                "the log did not say that it has the merge; GET /api/merges/{mergeId} tells whether \
                 it came there after all, and the same request may be sent again",
            )
            .with_details(json!({ "mergeId": id }))
            .with_internal(text),
            MergeError::Refused { .. } => Self::new(
                Code::WriteUnavailable,
                "there is no room to note the merge; try again later",
            )
            .with_internal(text),
            MergeError::Json(_) => Self::internal(text),
            MergeError::Edit(error) => error.into(),
        }
    }
}
