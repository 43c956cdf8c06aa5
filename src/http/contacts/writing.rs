//! What all writes have in common: who asks, under which key, how long it waits; and their answers.

use std::sync::Arc;

use axum::Json;
use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, ETAG, HeaderName, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::json;

use crate::auth::{Principal, Role};
use crate::domain::command::Condition;
use crate::domain::contact::{StateTag, write_json};
use crate::domain::texts::percent_encoded;
use crate::ingest::{Action, Author, CommandError, Done, EditError, InFlight, Keyed, Wait};

use super::answers::{Accepted, AcceptedStatus};
use super::errors::event_path;
use super::idempotency::{IdempotencyKey, idempotency_key};
use super::preconditions::etag;
use crate::http::edge::allow;
use crate::http::edge::request_id;
use crate::http::exchange::answer::{begin, json_response, with_position};
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::params::Params;
use crate::http::exchange::position::POSITION;
use crate::http::services::Writes;
use crate::http::state::HttpState;

pub(in crate::http) const JSON: &str = "application/json";
const PREFER: HeaderName = HeaderName::from_static("prefer");
/// Fields and attributes of a write that did not take, each as in a query string, commas between them.
const SUPERSEDED: HeaderName = HeaderName::from_static("superseded");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// One request that writes.
pub(in crate::http) struct Writing<'s> {
    state: &'s HttpState,
    pub(in crate::http) writes: &'s Writes,
    pub(in crate::http) parts: Parts,
    pub(in crate::http) body: Bytes,
    principal: Option<Arc<Principal>>,
}

impl<'s> Writing<'s> {
    /// Waits for the request's `Position`, so that it changes what its client has seen.
    pub(in crate::http) async fn begin(
        state: &'s HttpState,
        request: Request,
    ) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        if let Some(why) = state.partial() {
            return Err(ApiError::new(Code::NotReady, format!("nothing is written: {why}")));
        }
        begin(state, &parts.headers)?;
        let writes = &state.open()?.writes;
        // It is here already: the edge has read it, within its bounds.
        let body = to_bytes(body, usize::MAX).await;
        let body = body.map_err(|_| ApiError::new(Code::InvalidBody, "the body ended early"))?;
        let principal = parts.extensions.get::<Arc<Principal>>().cloned();
        Ok(Self { state, writes, parts, body, principal })
    }

    /// The same for a path that takes no parameters.
    pub(in crate::http) async fn without_params(
        state: &'s HttpState,
        request: Request,
    ) -> Result<Self, ApiError> {
        let writing = Self::begin(state, request).await?;
        Params::of(&writing.parts.uri, &[])?;
        Ok(writing)
    }

    pub(in crate::http) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    fn principal_name(&self) -> Arc<str> {
        self.principal.as_ref().map_or_else(|| "anonymous".into(), |at| Arc::clone(&at.name))
    }

    pub(in crate::http) fn author(&self) -> Author {
        let request_id = request_id::of_writing(self.headers()).unwrap_or_default().into();
        Author { principal: self.principal_name(), request_id }
    }

    /// For what only administrators may do within a route that others may ask.
    pub(in crate::http) fn require_admin(&self, what: &str) -> Result<(), ApiError> {
        let principal = self.principal.as_deref();
        if principal.is_some_and(|principal| principal.roles.has(Role::Admin)) {
            return Ok(());
        }
        Err(allow::needs_admin(principal, format!("{what} needs the role admin")))
    }

    /// For a change of what is there.
    pub(in crate::http) fn required(
        &self,
        condition: Option<Condition>,
    ) -> Result<Condition, ApiError> {
        if self.writes.require_if_match && condition.is_none() {
            return Err(ApiError::new(
                Code::PreconditionRequired,
                "send If-Match with the ETag of the contact as you have seen it",
            ));
        }
        Ok(condition.unwrap_or_default())
    }

    /// Refuses a body of another kind.
    pub(in crate::http) fn require_media(&self, accepted: &[&str]) -> Result<(), ApiError> {
        let given = self.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let media = given.unwrap_or_default().split(|byte| *byte == b';').next();
        let media = media.unwrap_or_default().trim_ascii();
        if accepted.iter().any(|accepted| media.eq_ignore_ascii_case(accepted.as_bytes())) {
            return Ok(());
        }
        let text = format!("the body must be {}", accepted.join(" or "));
        Err(ApiError::new(Code::UnsupportedMediaType, text)
            .with_details(json!({ "accepted": accepted })))
    }

    /// The request's key, if it has one.
    pub(in crate::http) fn with_key<T>(
        &self,
        then: impl FnOnce(Option<IdempotencyKey<'_>>) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let principal = self.principal_name();
        let Parts { method, uri, headers, .. } = &self.parts;
        then(idempotency_key(&self.writes.secret, &principal, method, uri, headers)?)
    }

    /// The command of the request's key. The same request may not be under way.
    pub(in crate::http) fn keyed(&self) -> Result<Option<(Keyed, InFlight)>, ApiError> {
        let keyed = self.with_key(|key| {
            Ok(key.map(|key| key.keyed(&self.parts.uri, &self.parts.headers, &self.body)))
        })?;
        let Some(keyed) = keyed else {
            return Ok(None);
        };
        match self.writes.edits.begin(&keyed) {
            Some(in_flight) => Ok(Some((keyed, in_flight))),
            None => Err(ApiError::new(
                Code::RequestInFlight,
                "a request with this Idempotency-Key is under way; its answer can be asked for in a \
                 moment",
            )),
        }
    }

    /// With the position of everything that can be read.
    pub(in crate::http) fn positioned(&self, response: Response) -> Response {
        match self.state.queries() {
            Ok(queries) => with_position(self.state, queries, response),
            Err(_) => response,
        }
    }

    /// Whether the client wants to be answered as soon as the log has the command.
    fn is_async(&self) -> bool {
        let values = self.headers().get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|preference| {
            let name = preference.split([';', '=']).next().unwrap_or_default();
            name.trim().eq_ignore_ascii_case("respond-async")
        })
    }

    pub(in crate::http) fn wait(&self) -> Wait {
        Wait::of(self.writes.wait, !self.is_async())
    }

    /// The contact as it was right after, or where to ask what became of the write.
    pub(in crate::http) fn answer(&self, id: &str, status: StatusCode, done: &Done) -> Response {
        match done {
            Done::Accepted { event_id } => self.accepted(id, event_id),
            Done::Contact { value, position, superseded, .. } => {
                let Ok(view) = value.view() else {
                    return ApiError::internal(format!("contact {id} can't be read"))
                        .into_response();
                };
                let mut response = if status == StatusCode::NO_CONTENT {
                    status.into_response()
                } else {
                    let mut json = Vec::with_capacity(512);
                    write_json(id, &view, &mut json);
                    let mut response = json_response(json);
                    *response.status_mut() = status;
                    response.headers_mut().insert(ETAG, etag(view.tag()));
                    response
                };
                if status == StatusCode::CREATED {
                    insert(response.headers_mut(), LOCATION, contact_path(id));
                }
                if !superseded.is_empty() {
                    insert(response.headers_mut(), SUPERSEDED, names(superseded));
                }
                match position {
                    Some(position) => {
                        insert(response.headers_mut(), POSITION, position.encode());
                        response
                    }
                    None => self.positioned(response),
                }
            }
        }
    }

    fn accepted(&self, id: &str, event_id: &str) -> Response {
        let accepted = Accepted {
            status: AcceptedStatus::Accepted,
            event_id: event_id.to_owned(),
            contact_id: id.to_owned(),
        };
        self.accepted_as(accepted, event_path(event_id))
    }

    /// What came of it is told at that place.
    pub(in crate::http) fn accepted_as(&self, body: impl Serialize, location: String) -> Response {
        let mut response = Json(body).into_response();
        *response.status_mut() = StatusCode::ACCEPTED;
        insert(response.headers_mut(), LOCATION, location);
        if self.is_async() {
            let applied = HeaderValue::from_static("respond-async");
            response.headers_mut().insert(PREFERENCE_APPLIED, applied);
        }
        response
    }
}

/// What a write that was done is answered with.
pub(super) fn status_of(action: &Action, done: &Done) -> StatusCode {
    match (action, done) {
        (_, Done::Accepted { .. }) => StatusCode::ACCEPTED,
        (Action::Create(_), _) | (Action::Upsert { .. }, Done::Contact { is_new: true, .. }) => {
            StatusCode::CREATED
        }
        (
            Action::Replace(_) | Action::Update(_) | Action::Upsert { .. } | Action::Restore,
            Done::Contact { .. },
        ) => StatusCode::OK,
        (Action::Delete | Action::Erase, _) => StatusCode::NO_CONTENT,
    }
}

pub(in crate::http) fn insert(headers: &mut HeaderMap, name: HeaderName, text: String) {
    if let Ok(value) = HeaderValue::from_maybe_shared(text) {
        headers.insert(name, value);
    }
}

/// Where a contact is read; whatever its id holds is one segment.
pub(super) fn contact_path(id: &str) -> String {
    format!("/api/contacts/{}", percent_encoded(id))
}

fn names(superseded: &[String]) -> String {
    let names: Vec<String> = superseded.iter().map(|name| percent_encoded(name)).collect();
    names.join(", ")
}

/// An edit's failure with the contact's state, where that is the matter, or with where to ask.
pub(super) fn failure(error: EditError) -> Response {
    let tag = state_of(&error);
    let mut event = None;
    if let EditError::Command(CommandError::NotAcknowledged { event_id, .. }) = &error {
        event.clone_from(event_id);
    }
    let mut response = ApiError::from(error).into_response();
    if let Some(tag) = tag {
        response.headers_mut().insert(ETAG, etag(tag));
    }
    if let Some(event_id) = event {
        insert(response.headers_mut(), LOCATION, event_path(&event_id));
    }
    response
}

fn state_of(error: &EditError) -> Option<StateTag> {
    match error {
        EditError::Exists(tag) | EditError::Deleted { tag, .. } => Some(*tag),
        EditError::Superseded(tag) | EditError::PreconditionFailed(tag) => *tag,
        EditError::NotFound
        | EditError::KeyReused
        | EditError::Merging { .. }
        | EditError::NoTime
        | EditError::Refused { .. }
        | EditError::Command(_)
        | EditError::Store(_)
        | EditError::Corrupt(_) => None,
    }
}
