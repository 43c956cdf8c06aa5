//! Writes of one contact: each a command on the log, answered with what became of it.

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use uuid::Uuid;

use crate::domain::command::Condition;
use crate::ingest::{Action, Edit, EditError};

use super::body::{ContactBody, Meant, id_problem};
use super::preconditions::{if_match, must_be_absent, must_be_new, unless_match};
use super::writing::{JSON, Writing, failure, status_of};
use crate::http::exchange::answer::PathParam;
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::json_body::{Members, Problems};
use crate::http::exchange::params::Params;
use crate::http::state::HttpState;

const MERGE_PATCH: &str = "application/merge-patch+json";

/// `POST /api/contacts`
pub(super) async fn create(
    State(state): State<HttpState>,
    request: Request,
) -> Result<Response, ApiError> {
    let writing = Writing::without_params(&state, request).await?;
    writing.require_media(&[JSON])?;
    let ContactBody { id, patch } = contact_body(&writing, Meant::Whole, None)?;
    let made = || writing.with_key(|key| Ok(key.map(|key| key.contact_id())));
    let id = match id {
        Some(id) => id,
        None => made()?.unwrap_or_else(|| Uuid::now_v7().to_string()),
    };
    edit(&writing, id, Action::Create(patch), Condition::default(), failure).await
}

/// `PUT /api/contacts/{id}`
pub(super) async fn put(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    request: Request,
) -> Result<Response, ApiError> {
    let writing = Writing::without_params(&state, request).await?;
    writing.require_media(&[JSON])?;
    let condition = if_match(writing.headers())?;
    let is_new = must_be_new(writing.headers())?;
    if is_new && condition.is_some() {
        let text = "If-Match and If-None-Match: * can't both hold";
        return Err(ApiError::new(Code::InvalidHeader, text));
    }
    if is_new {
        let ContactBody { patch, .. } = new_contact_body(&writing, Meant::Whole, &id)?;
        return edit(&writing, id, Action::Create(patch), Condition::default(), not_replaced).await;
    }
    let ContactBody { patch, .. } = contact_body(&writing, Meant::Whole, Some(&id))?;
    let condition = writing.required(condition)?;
    edit(&writing, id, Action::Replace(patch), condition, not_replaced).await
}

/// `PATCH /api/contacts/{id}`
pub(super) async fn patch(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    request: Request,
) -> Result<Response, ApiError> {
    let writing = Writing::begin(&state, request).await?;
    let is_upsert = Params::of(&writing.parts.uri, &["upsert"])?.flag("upsert")?;
    writing.require_media(&[MERGE_PATCH, JSON])?;
    let given = if_match(writing.headers())?;
    if is_upsert && given.is_none() && must_be_absent(writing.headers())? {
        let ContactBody { patch, .. } = new_contact_body(&writing, Meant::Patch, &id)?;
        return edit(&writing, id, Action::Create(patch), Condition::default(), not_replaced).await;
    }
    // What must match something has to be there.
    let must_exist = given.is_some();
    let condition = unless_match(writing.headers(), writing.required(given)?)?;
    if is_upsert {
        let ContactBody { patch, .. } = new_contact_body(&writing, Meant::Patch, &id)?;
        let action = Action::Upsert { patch, must_exist };
        return edit(&writing, id, action, condition, failure).await;
    }
    let ContactBody { patch, .. } = contact_body(&writing, Meant::Patch, Some(&id))?;
    edit(&writing, id, Action::Update(patch), condition, not_updated).await
}

/// `DELETE /api/contacts/{id}`
pub(super) async fn delete(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    request: Request,
) -> Result<Response, ApiError> {
    let writing = Writing::begin(&state, request).await?;
    let erase = Params::of(&writing.parts.uri, &["erase"])?.flag("erase")?;
    if erase {
        writing.require_admin("erasing a contact")?;
    }
    let condition = writing.required(if_match(writing.headers())?)?;
    let condition = unless_match(writing.headers(), condition)?;
    let action = if erase { Action::Erase } else { Action::Delete };
    edit(&writing, id, action, condition, failure).await
}

/// `POST /api/contacts/{id}/restore`
pub(super) async fn restore(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    request: Request,
) -> Result<Response, ApiError> {
    let writing = Writing::without_params(&state, request).await?;
    let condition = if_match(writing.headers())?;
    edit(&writing, id, Action::Restore, condition.unwrap_or_default(), failure).await
}

/// The body, strictly; an id in it must be the path's.
fn contact_body(
    writing: &Writing<'_>,
    meant: Meant,
    id: Option<&str>,
) -> Result<ContactBody, ApiError> {
    let members = Members::of(&writing.body)?;
    let mut problems = Problems::default();
    let body = ContactBody::read(&members, meant, &mut problems);
    if let (Some(of_path), Some(of_body)) = (id, &body.id)
        && of_path != of_body
    {
        problems.add("id", "is not that of the path");
    }
    problems.result()?;
    Ok(body)
}

/// The same where the path's id may come to be a contact's.
fn new_contact_body(
    writing: &Writing<'_>,
    meant: Meant,
    id: &str,
) -> Result<ContactBody, ApiError> {
    let body = contact_body(writing, meant, Some(id))?;
    let mut problems = Problems::default();
    if let Some(problem) = id_problem(id) {
        problems.add("id", problem);
    }
    problems.result()?;
    Ok(body)
}

/// `refused` answers what was not done.
pub(super) async fn edit(
    writing: &Writing<'_>,
    id: String,
    action: Action,
    condition: Condition,
    refused: fn(EditError) -> Response,
) -> Result<Response, ApiError> {
    // Held until the answer is there.
    let keyed = writing.keyed()?;
    let edit = Edit {
        id,
        condition,
        action,
        keyed: keyed.as_ref().map(|(keyed, _)| keyed.clone()),
        author: writing.author(),
    };
    Ok(match writing.writes.edits.run_one(&edit, writing.wait()).await {
        Ok(done) => writing.answer(&edit.id, status_of(&edit.action, &done), &done),
        Err(error) => refused(error),
    })
}

fn not_replaced(error: EditError) -> Response {
    match error {
        // To what must create one, a contact that is there is a condition that does not hold.
        EditError::Exists(tag) => failure(EditError::PreconditionFailed(Some(tag))),
        EditError::NotFound => missing("PUT with If-None-Match: * makes one"),
        other => failure(other),
    }
}

fn not_updated(error: EditError) -> Response {
    match error {
        EditError::NotFound => missing("PATCH with ?upsert=true makes one"),
        other => failure(other),
    }
}

fn missing(advice: &str) -> Response {
    let text = format!("{}; {advice}", EditError::NotFound);
    ApiError::new(Code::ContactNotFound, text).into_response()
}
