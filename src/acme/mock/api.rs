//! The mock's HTTP side: Acme's API, and what only a mock has.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::header::{CONTENT_LENGTH, ETAG, HeaderValue, IF_MATCH, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{StreamExt as _, stream};
use serde::de::DeserializeOwned;

use crate::acme::wire::{
    CONTACTS_PATH, Contact, ContactPage, ErrorAnswer, ErrorBody, Fields, LOGIN_PATH, LoginRequest,
};
use crate::telemetry::AcmeCall;

use super::faults::{Fault, Faults};
use super::refusal::Refusal;
use super::{Contacts, Mock, Stats};

/// Bytes of a body at most.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Contacts of a page.
const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 200;
/// A request without an answer is ended then.
const NO_ANSWER: Duration = Duration::from_secs(60);

type Given = Result<Bytes, BytesRejection>;
type Id = Result<Path<String>, PathRejection>;
type Shared = State<Arc<Mock>>;

pub(super) fn router(mock: Arc<Mock>) -> Router {
    Router::new()
        .route(LOGIN_PATH, post(log_in))
        .route(CONTACTS_PATH, get(list).post(create))
        .route(&format!("{CONTACTS_PATH}/{{id}}"), get(read).put(update).delete(remove))
        .route("/acme/stats", get(stats))
        .route("/acme/faults", get(faults).put(set_faults))
        .route("/acme/tokens", delete(revoke_tokens))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(mock)
}

async fn no_route() -> Refusal {
    Refusal::new(404, "no_route", "there is no such path; contacts are at /acme/contacts")
}

async fn no_method() -> Refusal {
    Refusal::new(405, "method_not_allowed", "the path takes other methods")
}

async fn log_in(State(mock): Shared, headers: HeaderMap, given: Given) -> Response {
    let work = || mock.log_in(&json::<LoginRequest>(given)?.api_key).map(ok);
    call(&mock, AcmeCall::Login, &headers, work).await
}

async fn list(State(mock): Shared, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let work = || mock.act(|contacts, _| page(contacts, query.as_deref().unwrap_or_default()));
    call(&mock, AcmeCall::List, &headers, work).await
}

async fn read(State(mock): Shared, headers: HeaderMap, id: Id) -> Response {
    let work = || {
        let id = known(id)?;
        mock.act(|contacts, _| contacts.get(&id).cloned()).map(|it| shown(StatusCode::OK, it))
    };
    call(&mock, AcmeCall::Get, &headers, work).await
}

async fn create(State(mock): Shared, headers: HeaderMap, given: Given) -> Response {
    let work = || {
        let body: Fields = json(given)?;
        let made = mock.act(|contacts, now_ms| contacts.create(&body, now_ms))?;
        Ok(shown(StatusCode::CREATED, made))
    };
    call(&mock, AcmeCall::Create, &headers, work).await
}

async fn update(State(mock): Shared, headers: HeaderMap, id: Id, given: Given) -> Response {
    let work = || {
        let (id, version, body) = (known(id)?, if_match(&headers)?, json::<Fields>(given)?);
        let now = mock.act(|contacts, now_ms| contacts.update(&id, version, &body, now_ms))?;
        Ok(shown(StatusCode::OK, now))
    };
    call(&mock, AcmeCall::Update, &headers, work).await
}

async fn remove(State(mock): Shared, headers: HeaderMap, id: Id) -> Response {
    let work = || {
        let (id, version) = (known(id)?, if_match(&headers)?);
        mock.act(|contacts, now_ms| contacts.delete(&id, version, now_ms))?;
        Ok(StatusCode::NO_CONTENT.into_response())
    };
    call(&mock, AcmeCall::Delete, &headers, work).await
}

async fn stats(State(mock): Shared) -> Json<Stats> {
    Json(mock.stats())
}

async fn faults(State(mock): Shared) -> Json<Faults> {
    Json(mock.faults())
}

async fn set_faults(State(mock): Shared, given: Given) -> Result<Json<Faults>, Refusal> {
    mock.set_faults(json(given)?)?;
    Ok(Json(mock.faults()))
}

async fn revoke_tokens(State(mock): Shared) -> Result<StatusCode, String> {
    mock.revoke_tokens().map(|()| StatusCode::NO_CONTENT).map_err(|error| error.to_string())
}

/// What every call of Acme's API goes through.
async fn call(
    mock: &Mock,
    kind: AcmeCall,
    headers: &HeaderMap,
    work: impl FnOnce() -> Result<Response, Refusal>,
) -> Response {
    let (delay, fault) = mock.draw(kind);
    mock.ending.run_until_cancelled(tokio::time::sleep(delay)).await;
    let done = async {
        mock.admit(kind, headers)?;
        if let Some(Fault::Fail(refusal)) = &fault {
            return Err(refusal.clone());
        }
        let answer = work()?;
        mock.until_saved().await?;
        Ok(answer)
    };
    let answer = done.await.unwrap_or_else(Refusal::into_response);
    match fault {
        None | Some(Fault::Fail(_)) => {
            mock.count(kind, answer.status().as_str());
            answer
        }
        Some(Fault::Cut) => {
            mock.count(kind, "lost");
            cut(answer).await
        }
        Some(Fault::NoAnswer) => {
            mock.count(kind, "lost");
            let ended = mock.ending.run_until_cancelled(tokio::time::sleep(NO_ANSWER));
            ended.await;
            cut(answer).await
        }
    }
}

fn page(contacts: &Contacts, query: &str) -> Result<Response, Refusal> {
    let (mut limit, mut after) = (PAGE_DEFAULT, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "limit" => {
                let asked = value.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
                let wrong = || Refusal::bad_request(format!("limit must be from 1 to {PAGE_MAX}"));
                limit = asked.ok_or_else(wrong)?;
            }
            "cursor" => {
                let id = URL_SAFE_NO_PAD.decode(value.as_bytes()).ok();
                let id = id.and_then(|bytes| String::from_utf8(bytes).ok());
                let wrong = || Refusal::bad_request("cursor is no nextCursor of a page");
                after = Some(id.ok_or_else(wrong)?);
            }
            _ => {}
        }
    }
    let (contacts, has_more) = contacts.page(after.as_deref(), limit);
    let last = contacts.last().filter(|_| has_more);
    let next_cursor = last.map(|contact| URL_SAFE_NO_PAD.encode(&contact.id));
    Ok(ok(ContactPage { contacts, next_cursor }))
}

fn ok(body: impl serde::Serialize) -> Response {
    Json(body).into_response()
}

fn shown(status: StatusCode, contact: Contact) -> Response {
    let etag = [(ETAG, format!("\"{}\"", contact.acme_version))];
    (status, etag, Json(contact)).into_response()
}

fn json<T: DeserializeOwned>(given: Given) -> Result<T, Refusal> {
    let bytes = given.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let message = format!("the body has more than {BODY_BYTES_MAX} bytes");
            Refusal::new(413, "too_large", message)
        }
        _ => Refusal::bad_request("the body did not come whole"),
    })?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Refusal::bad_request(format!("the body is not the JSON that is wanted: {error}"))
    })
}

fn known(id: Id) -> Result<String, Refusal> {
    let wrong = |_| Refusal::bad_request("the path's id is no UTF-8");
    id.map(|Path(id)| id).map_err(wrong)
}

fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(value) = headers.get(IF_MATCH) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let wrong = |_| Refusal::bad_request("If-Match must be the ETag of a contact, like \"3\"");
    text.trim_matches('"').parse().map(Some).map_err(wrong)
}

/// Half of an answer's body, and then nothing; one without a body comes as it is.
async fn cut(answer: Response) -> Response {
    let (mut head, body) = answer.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    if bytes.is_empty() {
        return head.into_response();
    }
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    let half = stream::iter([Ok(bytes.slice(..bytes.len() / 2))]);
    let end = stream::once(async {
        // Until the half is on its way.
        tokio::task::yield_now().await;
        Err(std::io::Error::other("cut"))
    });
    Response::from_parts(head, Body::from_stream(half.chain(end)))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = match self.is_html {
            true => Html("<html><body><h1>An error occurred</h1></body></html>").into_response(),
            false => {
                let (code, message) = (self.code.to_owned(), self.message);
                ok(ErrorAnswer { error: ErrorBody { code, message } })
            }
        };
        *answer.status_mut() = status;
        if let Some(seconds) = self.retry_after {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }
}
