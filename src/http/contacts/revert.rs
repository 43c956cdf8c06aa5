//! A contact set back to an earlier version: that version's content, written again.

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::ingest::{Action, EditError, RevertError};

use super::preconditions::if_match;
use super::read::{history_gone, no_version, not_found};
use super::write::edit;
use super::writing::{JSON, Writing, failure};
use crate::http::exchange::answer::{PathParam, blocking};
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::json_body::{Fields, Members};
use crate::http::state::HttpState;

/// `POST /api/contacts/{id}/revert`
pub(super) async fn revert(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    request: Request,
) -> Result<Response, ApiError> {
    let writing = Writing::without_params(&state, request).await?;
    writing.require_media(&[JSON])?;
    let version = version(Members::of(&writing.body)?.into())?;
    let condition = writing.required(if_match(writing.headers())?)?;
    let patch = blocking(&state.work().questions, {
        let (edits, id) = (writing.writes.edits.clone(), id.clone());
        move || edits.said_at(&id, version)
    })
    .await?;
    edit(&writing, id, Action::Replace(patch), condition, not_reverted).await
}

fn version(mut fields: Fields) -> Result<u64, ApiError> {
    let version = fields.number("version", 1..=u64::MAX);
    if version.is_none() && !fields.is_refused("version") {
        fields.refuse("version", "is missing");
    }
    fields.end()?;
    Ok(version.unwrap_or_default())
}

fn not_reverted(error: EditError) -> Response {
    match error {
        EditError::NotFound => {
            let text = "the contact is deleted; POST to its path with /restore takes the delete back first";
            ApiError::new(Code::ContactDeleted, text).into_response()
        }
        other => failure(other),
    }
}

impl From<RevertError> for ApiError {
    fn from(error: RevertError) -> Self {
        match error {
            RevertError::NotFound => not_found(),
            RevertError::NoVersion(_) => no_version(),
            RevertError::Gone { version, since_ms } => history_gone(version, since_ms),
            RevertError::Erased => Self::new(
                Code::HistoryGone,
                "the contact was erased: what it said before that, or is without, can't come back",
            )
            .with_details(json!({ "erased": true })),
            RevertError::Store(_) | RevertError::Corrupt(_) => Self::internal(error.to_string()),
        }
    }
}
