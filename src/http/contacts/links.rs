//! Ids of sources that are tied to a contact by hand.

use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::json;

use crate::domain::decode::id_problem;
use crate::domain::limits::ID_BYTES_MAX;
use crate::ingest::{Action, ContactPatch, LinkError};

use super::preconditions::if_match;
use super::write::edit;
use super::writing::{JSON, Writing, failure};
use crate::http::exchange::answer::{PathParam, blocking};
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::json_body::{Fields, Members, Problems};
use crate::http::state::HttpState;

/// `POST /api/contacts/{id}/links`
pub(super) async fn create(
    State(state): State<HttpState>,
    PathParam(contact_id): PathParam,
    request: Request,
) -> Result<Response, ApiError> {
    let writing = Writing::without_params(&state, request).await?;
    writing.require_media(&[JSON])?;
    let (source, id) = link(Members::of(&writing.body)?.into())?;
    blocking(&state.work().questions, {
        let (edits, contact_id) = (writing.writes.edits.clone(), contact_id.clone());
        let (source, id) = (source.clone(), id.clone());
        move || edits.check_link(&contact_id, &source, &id)
    })
    .await?;
    change(&writing, contact_id, source, Some(id)).await
}

/// `DELETE /api/contacts/{id}/links/{source}`
pub(super) async fn delete(
    State(state): State<HttpState>,
    PathParam((contact_id, source)): PathParam<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let writing = Writing::without_params(&state, request).await?;
    if let Some(problem) = id_problem(source.as_bytes()) {
        return Err(ApiError::new(Code::InvalidPath, format!("the source {problem}")));
    }
    change(&writing, contact_id, source, None).await
}

async fn change(
    writing: &Writing<'_>,
    contact_id: String,
    source: String,
    id: Option<String>,
) -> Result<Response, ApiError> {
    let condition = if_match(writing.headers())?.unwrap_or_default();
    let patch = ContactPatch { external_ids: [(source, id)].into(), ..ContactPatch::default() };
    edit(writing, contact_id, Action::Update(patch), condition, failure).await
}

fn link(mut fields: Fields) -> Result<(String, String), ApiError> {
    let (source, id) = (fields.required_text("source"), fields.required_text("id"));
    for (name, text) in [("source", &source), ("id", &id)] {
        match id_problem(text.as_bytes()) {
            Some(_) if text.len() > ID_BYTES_MAX => {
                fields.refuse(name, format!("has at most {ID_BYTES_MAX} bytes"));
            }
            Some(problem) if !fields.is_refused(name) => fields.refuse(name, problem),
            Some(_) | None => {}
        }
    }
    fields.end()?;
    Ok((source, id))
}

impl From<LinkError> for ApiError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Taken { contact_id, is_erased } => Self::new(
                Code::ExternalIdTaken,
                match is_erased {
                    false => {
                        "the id is another contact's; merge the two, or take it from that one first"
                    }
                    true => {
                        "the id is that of a contact that was erased; restore it first, then take \
                         the id from it"
                    }
                },
            )
            .with_details(json!({ "contactId": contact_id })),
            LinkError::UnknownSource { known, .. } => {
                let mut problems = Problems::default();
                let known = known.join(", ");
                problems.add("source", format!("is none of the configured sources: {known}"));
                problems.result().err().unwrap_or_else(|| Self::internal("no problem".to_owned()))
            }
            LinkError::Store(error) => Self::internal(error.to_string()),
        }
    }
}
