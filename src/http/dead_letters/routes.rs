//! `/api/dead-letters…`: what could not be applied, and sending it through again.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde_json::json;

use crate::auth::Principal;
use crate::domain::position::{Lane, Offset};
use crate::domain::verdict::DeadLetterReason;
use crate::effects::dead_letters::{
    Job, JobKind, LetterDesk, LetterError, LetterQuery, Order, Preview, Selection,
};

use super::answers::{DeadLetter, DeadLetterPage, LetterPreview, ListedLetter, Redrive, Redrives};
use crate::http::edge::request_id;
use crate::http::exchange::answer::{PathParam, blocking, json_only};
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::json_body::Fields;
use crate::http::exchange::page::{PageRequest, paged};
use crate::http::exchange::params::{Params, invalid, time};
use crate::http::state::HttpState;

/// Letters a second where nothing is said.
const RATE_DEFAULT: u64 = 1_000;
const RATE_MAX: u64 = 100_000;
const FATES: [&str; 3] = ["kept", "redriven", "discarded"];

/// `GET /api/dead-letters`
pub(super) async fn list(
    State(state): State<HttpState>,
    request: Request,
) -> Result<Response, ApiError> {
    let desk = begin(&state, request.headers())?;
    let known = ["reason", "topic", "since", "until", "status", "limit", "cursor"];
    let params = Params::of(request.uri(), &known)?;
    let reasons: Vec<_> =
        DeadLetterReason::ALL.iter().map(|reason| (reason.as_str(), *reason)).collect();
    let selection = Selection {
        reason: params.choice("reason", &reasons)?,
        is_control: params.get("topic").map(|topic| is_control(&desk, topic)).transpose()?,
        since_ms: params.get("since").map(|text| signed_ms(time("since", text))).transpose()?,
        until_ms: params.get("until").map(|text| signed_ms(time("until", text))).transpose()?,
        one: None,
    };
    let fate = params.choice("status", &FATES.map(|fate| (fate, fate)))?.map(str::to_owned);
    let list = format!("dead letters {selection:?} {fate:?}");
    let page = PageRequest::new(state.queries()?, list, &params)?;
    let query = LetterQuery { selection, fate, limit: page.limit, after: page.after(place_in)? };
    let found = blocking(&state.work().questions, {
        let desk = Arc::clone(&desk);
        move || desk.list(&query)
    })
    .await?;
    let meta = page.meta(found.next.map(key_of));
    let topics = desk.topics();
    let data = found.letters.iter().map(|letter| ListedLetter::of(letter, topics)).collect();
    Ok(paged(request.uri(), meta.next_cursor.clone(), DeadLetterPage { data, meta }))
}

/// A letter's place: the archives of two instances are in different orders, and both know it.
fn key_of((lane, offset): (Lane, Offset)) -> Vec<u8> {
    [lane.0.to_le_bytes().as_slice(), &offset.0.to_le_bytes()].concat()
}

fn place_in(key: &[u8]) -> Option<(Lane, Offset)> {
    let (lane, offset) = key.split_first_chunk::<2>()?;
    let (offset, _) = offset.split_first_chunk::<8>()?;
    Some((Lane(u16::from_le_bytes(*lane)), Offset(u64::from_le_bytes(*offset))))
}

/// `GET /api/dead-letters/{id}`
pub(super) async fn show(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    request: Request,
) -> Result<Json<DeadLetter>, ApiError> {
    let (desk, lane, offset) = letter(&state, request.headers(), request.uri(), &id)?;
    let letter = blocking(&state.work().questions, {
        let desk = Arc::clone(&desk);
        move || desk.one(lane, offset)
    })
    .await?;
    Ok(Json(DeadLetter::of(&letter, desk.topics())))
}

/// `POST /api/dead-letters/redrive/{id}`
pub(super) async fn redrive_one(
    State(state): State<HttpState>,
    Extension(principal): Extension<Arc<Principal>>,
    PathParam(id): PathParam,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (desk, lane, offset) = letter(&state, &headers, &uri, &id)?;
    let order = Order {
        again: true,
        ..order(JobKind::Redrive, Selection::one(lane, offset), &principal, &headers)
    };
    let preview = preview(&state, &desk, &order).await?;
    if preview.counts.selected() > 0 && preview.counts.done == 0 {
        return Err(ApiError::new(
            Code::NotRedrivable,
            "this dead letter is a control record, was discarded, or was redriven too often",
        )
        .with_details(json!(LetterPreview::of(&preview, desk.topics()))));
    }
    let job = desk.order(order).await?;
    let at_most = state.limits().position_wait;
    let (done, is_interrupted) = desk.wait_for(&job, at_most).await.ok_or(LetterError::NoJob)?;
    Ok(job_response(&desk, &job, &done, is_interrupted))
}

/// `DELETE /api/dead-letters/{id}`
pub(super) async fn discard_one(
    State(state): State<HttpState>,
    Extension(principal): Extension<Arc<Principal>>,
    PathParam(id): PathParam,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (desk, lane, offset) = letter(&state, &headers, &uri, &id)?;
    let selection = Selection::one(lane, offset);
    desk.order(order(JobKind::Discard, selection, &principal, &headers)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /api/dead-letters/redrive`
pub(super) async fn redrive(
    State(state): State<HttpState>,
    Extension(principal): Extension<Arc<Principal>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    many(JobKind::Redrive, &state, &principal, &uri, &headers, &body).await
}

/// `POST /api/dead-letters/discard`
pub(super) async fn discard(
    State(state): State<HttpState>,
    Extension(principal): Extension<Arc<Principal>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    many(JobKind::Discard, &state, &principal, &uri, &headers, &body).await
}

async fn many(
    kind: JobKind,
    state: &HttpState,
    principal: &Principal,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response, ApiError> {
    let desk = begin(state, headers)?;
    Params::of(uri, &[])?;
    let mut fields = Fields::of(headers, body)?;
    let selection = selection(&desk, &mut fields);
    let is_dry = fields.flag("dryRun").unwrap_or(false);
    let mut order = order(kind, selection, principal, headers);
    order.limit = fields.number("limit", 1..=u64::MAX);
    if kind == JobKind::Redrive {
        order.again = fields.flag("again").unwrap_or(false);
        let rate = fields.number("rate", 1..=RATE_MAX).unwrap_or(RATE_DEFAULT);
        order.rate = u32::try_from(rate).unwrap_or(u32::MAX);
    }
    fields.end()?;
    if is_dry {
        let preview = preview(state, &desk, &order).await?;
        return Ok(Json(LetterPreview::of(&preview, desk.topics())).into_response());
    }
    let id = desk.order(order).await?;
    let (job, is_interrupted) = desk.job(&id).ok_or(LetterError::NoJob)?;
    Ok(job_response(&desk, &id, &job, is_interrupted))
}

async fn preview(
    state: &HttpState,
    desk: &Arc<LetterDesk>,
    order: &Order,
) -> Result<Preview, ApiError> {
    let (desk, order) = (Arc::clone(desk), order.clone());
    blocking(&state.work().questions, move || desk.preview(&order)).await
}

/// Which letters the body means. All of them only where it says so.
fn selection(desk: &LetterDesk, fields: &mut Fields) -> Selection {
    let mut selection = Selection::default();
    if let Some(text) = fields.text("reason") {
        selection.reason = DeadLetterReason::ALL.iter().copied().find(|one| one.as_str() == text);
        if selection.reason.is_none() {
            fields.refuse("reason", "is no reason for which records are set aside");
        }
    }
    if let Some(topic) = fields.text("topic") {
        match is_control(desk, &topic) {
            Ok(is_control) => selection.is_control = Some(is_control),
            Err(_) => fields.refuse("topic", "is no topic that is followed here"),
        }
    }
    let mut at = |name: &str| {
        let text = fields.text(name)?;
        let read = signed_ms(time(name, &text));
        if read.is_err() {
            fields.refuse(name, "must be an RFC 3339 time, such as 2026-11-21T10:00:00Z");
        }
        read.ok()
    };
    selection.since_ms = at("since");
    selection.until_ms = at("until");
    let all = fields.flag("all");
    let refused = ["reason", "topic", "since", "until", "all"];
    let is_wrong = refused.iter().any(|name| fields.is_refused(name));
    match (all, selection.is_all()) {
        _ if is_wrong => {}
        (Some(true), false) => fields.refuse("all", "can't stand beside a filter"),
        (Some(true), true) | (Some(false) | None, false) => {}
        (Some(false) | None, true) => {
            fields.refuse("all", "must be true where there is no filter");
        }
    }
    selection
}

/// `GET /api/dead-letters/redrives`
pub(super) async fn jobs(
    State(state): State<HttpState>,
    request: Request,
) -> Result<Response, ApiError> {
    let desk = begin(&state, request.headers())?;
    let params = Params::of(request.uri(), &["limit", "cursor"])?;
    let page = PageRequest::new(state.queries()?, "redrives".to_owned(), &params)?;
    let jobs = desk.jobs(page.limit + 1, page.after_text()?.as_deref());
    let (jobs, meta) = page.cut(jobs, |(id, ..)| id.clone().into_bytes());
    let data = jobs
        .iter()
        .map(|(id, job, is_interrupted)| Redrive::of(id, job, *is_interrupted, desk.topics()));
    let data = data.collect();
    Ok(paged(request.uri(), meta.next_cursor.clone(), Redrives { data, meta }))
}

/// `GET /api/dead-letters/redrives/{id}`
pub(super) async fn job(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    request: Request,
) -> Result<Json<Redrive>, ApiError> {
    let desk = begin(&state, request.headers())?;
    Params::of(request.uri(), &[])?;
    let (job, is_interrupted) = desk.job(&id).ok_or(LetterError::NoJob)?;
    Ok(Json(Redrive::of(&id, &job, is_interrupted, desk.topics())))
}

/// `DELETE /api/dead-letters/redrives/{id}`
pub(super) async fn stop_job(
    State(state): State<HttpState>,
    Extension(principal): Extension<Arc<Principal>>,
    PathParam(id): PathParam,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let desk = begin(&state, &headers)?;
    Params::of(&uri, &[])?;
    desk.stop_job(&id, &principal.name, request_id::of_writing(&headers).map(str::to_owned))
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn begin(state: &HttpState, headers: &HeaderMap) -> Result<Arc<LetterDesk>, ApiError> {
    json_only(headers)?;
    Ok(Arc::clone(&state.open()?.letters))
}

fn order(kind: JobKind, selection: Selection, principal: &Principal, headers: &HeaderMap) -> Order {
    Order {
        kind,
        selection,
        again: false,
        rate: u32::try_from(RATE_DEFAULT).unwrap_or(u32::MAX),
        limit: None,
        by: principal.name.to_string(),
        request_id: request_id::of_writing(headers).map(str::to_owned),
    }
}

/// 201 and where to look again.
fn job_response(desk: &LetterDesk, id: &str, job: &Job, is_interrupted: bool) -> Response {
    let redrive = Redrive::of(id, job, is_interrupted, desk.topics());
    let location = [(LOCATION, format!("/api/dead-letters/redrives/{id}"))];
    (StatusCode::CREATED, location, Json(redrive)).into_response()
}

/// The desk, and where the letter stands that the path names.
fn letter(
    state: &HttpState,
    headers: &HeaderMap,
    uri: &Uri,
    id: &str,
) -> Result<(Arc<LetterDesk>, Lane, Offset), ApiError> {
    let desk = begin(state, headers)?;
    Params::of(uri, &[])?;
    let (lane, offset) = desk.topics().place(id).ok_or(LetterError::NotFound)?;
    Ok((desk, lane, offset))
}

fn is_control(desk: &LetterDesk, topic: &str) -> Result<bool, ApiError> {
    let topics = desk.topics();
    if topic == topics.contacts {
        return Ok(false);
    }
    if topic == topics.control {
        return Ok(true);
    }
    let problem = format!("must be {} or {}", topics.contacts, topics.control);
    Err(invalid("topic", &problem))
}

fn signed_ms(us: Result<u64, ApiError>) -> Result<i64, ApiError> {
    us.map(|us| i64::try_from(us / 1000).unwrap_or(i64::MAX))
}

impl From<LetterError> for ApiError {
    fn from(error: LetterError) -> Self {
        let text = error.to_string();
        match &error {
            LetterError::NotLoaded => Self::new(Code::NotReady, text),
            LetterError::NotFound => Self::new(Code::DeadLetterNotFound, text),
            LetterError::NoJob => Self::new(Code::RedriveNotFound, text),
            LetterError::Conflict => Self::new(Code::Contended, text),
            LetterError::TooMany { .. } => Self::new(Code::TooManyRedrives, text),
            LetterError::Control(_) | LetterError::Refused { .. } | LetterError::Log(_) => {
                let told = "what is to be done could not be written to the log; try again";
                Self::new(Code::WriteUnavailable, told).with_internal(text)
            }
            LetterError::Json(_)
            | LetterError::Bridge(_)
            | LetterError::Store(_)
            | LetterError::Panicked(_) => Self::internal(text),
        }
    }
}
