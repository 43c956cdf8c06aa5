//! Many writes in one request: each stands for itself, the answers in their order.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::domain::contact::write_json;
use crate::ingest::{Action, Done, Edit, EditError, Keyed};

use super::answers::{BatchAnswer, BatchItem, BatchMeta};
use super::body::{ContactBody, Meant, id_problem};
use super::preconditions::{etag, if_match_text};
use super::writing::{JSON, Writing, status_of};
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::json_body::{Fields, Members, Problems};
use crate::http::state::HttpState;

/// Operations of one request.
const OPERATIONS_MAX: usize = 200;

/// `POST /api/contacts/batch`
pub(super) async fn write(
    State(state): State<HttpState>,
    request: Request,
) -> Result<Response, ApiError> {
    let writing = Writing::without_params(&state, request).await?;
    writing.require_media(&[JSON])?;
    let asked: Vec<Box<RawValue>> = serde_json::from_slice(&writing.body).map_err(|error| {
        ApiError::new(Code::InvalidBody, format!("the body is no JSON array: {error}"))
    })?;
    if asked.is_empty() || asked.len() > OPERATIONS_MAX {
        let mut problems = Problems::default();
        problems.add("the array", format!("has 1 to {OPERATIONS_MAX} operations"));
        problems.result()?;
    }
    let keyed = writing.keyed()?;
    let keyed = keyed.as_ref().map(|(keyed, _)| keyed);
    let read: Vec<Result<Edit, ApiError>> = asked
        .iter()
        .enumerate()
        .map(|(index, operation)| read(&writing, index, operation, keyed))
        .collect();
    let edits: Vec<Edit> = read.iter().flatten().cloned().collect();
    let mut done = writing.writes.edits.run(&edits, writing.wait()).await.into_iter();
    let items: Vec<BatchItem> = read
        .into_iter()
        .enumerate()
        .map(|(index, edit)| match edit {
            Ok(edit) => item(index, &edit, done.next().unwrap_or(Err(EditError::NoTime))),
            Err(error) => failed(index, None, error),
        })
        .collect();
    let failed = items.iter().filter(|item| item.error.is_some()).count();
    let meta = BatchMeta { succeeded: (items.len() - failed) as u64, failed: failed as u64 };
    Ok(writing.positioned(Json(BatchAnswer { data: items, meta }).into_response()))
}

fn read(
    writing: &Writing<'_>,
    index: usize,
    operation: &RawValue,
    keyed: Option<&Keyed>,
) -> Result<Edit, ApiError> {
    let mut problems = Problems::default();
    let members = Members::strictly(operation, "the operation", &mut problems);
    problems.result()?;
    let mut fields = Fields::from(members.unwrap_or_default());
    let op = fields.text("op").unwrap_or_default();
    let id = fields.text("id");
    let condition = fields.text("ifMatch").map(|text| if_match_text(&text));
    let contact = fields.raw("contact");
    let wish = Wish { op: &op, id, contact };
    let (id, action) = wish.action(writing, index, condition.is_some(), fields.problems())?;
    fields.end()?;
    let condition = match action {
        Action::Create(_) | Action::Restore => condition.unwrap_or_default(),
        _ => writing.required(condition)?,
    };
    let keyed = keyed.map(|keyed| Keyed {
        event_id: format!("{}-{index}", keyed.event_id),
        request_hash: keyed.request_hash,
    });
    Ok(Edit { id, action, condition, keyed, author: writing.author() })
}

/// What an operation asks for, before it is understood.
struct Wish<'a> {
    op: &'a str,
    id: Option<String>,
    contact: Option<Box<RawValue>>,
}

impl Wish<'_> {
    fn action(
        self,
        writing: &Writing<'_>,
        index: usize,
        must_exist: bool,
        problems: &mut Problems,
    ) -> Result<(String, Action), ApiError> {
        let is_patch = matches!(self.op, "update" | "upsert");
        let meant = if is_patch { Meant::Patch } else { Meant::Whole };
        let takes_contact = is_patch || matches!(self.op, "create" | "replace");
        let mut body = match &self.contact {
            Some(contact) if takes_contact => Members::of_value(contact, "contact", problems)
                .map(|members| ContactBody::read(&members, meant, problems)),
            Some(_) => {
                problems.add("contact", "has no place in this operation");
                None
            }
            None if takes_contact => {
                problems.add("contact", "is missing");
                None
            }
            None => None,
        };
        let patch = body.as_mut().map(|body| std::mem::take(&mut body.patch)).unwrap_or_default();
        let of_body = body.and_then(|body| body.id);
        let id = match (self.id, of_body) {
            (Some(id), Some(other)) if id != other => {
                problems.add("contact.id", "is not the operation's id");
                id
            }
            (Some(id), _) | (None, Some(id)) => id,
            (None, None) if self.op == "create" => made_id(writing, index)?,
            (None, None) => {
                problems.add("id", "is missing");
                String::new()
            }
        };
        let action = match self.op {
            "create" => Action::Create(patch),
            "replace" => Action::Replace(patch),
            "update" => Action::Update(patch),
            "upsert" => Action::Upsert { patch, must_exist },
            "restore" => Action::Restore,
            "delete" => Action::Delete,
            _ => {
                problems.add("op", "must be create, replace, update, upsert, delete or restore");
                Action::Delete
            }
        };
        if let (Action::Create(_) | Action::Upsert { .. }, Some(problem)) =
            (&action, id_problem(&id))
        {
            problems.add("id", problem);
        }
        Ok((id, action))
    }
}

fn made_id(writing: &Writing<'_>, index: usize) -> Result<String, ApiError> {
    let made = writing.with_key(|key| Ok(key.map(|key| key.contact_id_of(index))))?;
    Ok(made.unwrap_or_else(|| Uuid::now_v7().to_string()))
}

fn item(index: usize, edit: &Edit, done: Result<Done, EditError>) -> BatchItem {
    let id = edit.id.clone();
    let done = match done {
        Ok(done) => done,
        Err(error) => return failed(index, Some(id), error.into()),
    };
    let status = status_of(&edit.action, &done);
    let mut item = BatchItem {
        index: index as u64,
        status: status.as_u16(),
        id: Some(id.clone()),
        ..BatchItem::default()
    };
    match done {
        Done::Accepted { event_id } => item.event_id = Some(event_id),
        Done::Contact { value, superseded, .. } => {
            item.superseded = superseded;
            let Ok(view) = value.view() else {
                return failed(index, Some(id), ApiError::internal("a contact can't be read"));
            };
            if status != StatusCode::NO_CONTENT {
                let mut json = Vec::new();
                write_json(&id, &view, &mut json);
                item.contact =
                    String::from_utf8(json).ok().and_then(|json| RawValue::from_string(json).ok());
                item.etag = etag(view.tag()).to_str().ok().map(str::to_owned);
            }
        }
    }
    item
}

fn failed(index: usize, id: Option<String>, error: ApiError) -> BatchItem {
    let status = error.code().status().as_u16();
    BatchItem {
        index: index as u64,
        status,
        id,
        error: Some(error.in_a_list()),
        ..BatchItem::default()
    }
}
