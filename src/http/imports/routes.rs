//! `/api/imports…`: files in.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, LOCATION};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde_json::json;

use crate::auth::Principal;
use crate::domain::Class;
use crate::files::import::{
    EmptyCells, Format, ImportError, ImportOptions, Imports as Desk, Match, Mode, NotedVerdict,
    columns_of,
};
use crate::ingest::now_ms;
use crate::shares::Who;

use super::answers::{Import, ImportRow, ImportRows, Imports};
use super::body::receive;
use super::stream::{EVENT_STREAM, events, file, media_type};
use crate::http::edge::authorize;
use crate::http::exchange::accept::accepts;
use crate::http::exchange::answer::{PathParam, blocking, json_only};
use crate::http::exchange::endpoint::Endpoint;
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::page::{PageRequest, paged};
use crate::http::exchange::params::{Params, invalid, time};
use crate::http::state::HttpState;

/// Characters of a file's name that are kept.
const NAME_CHARS_MAX: usize = 200;
/// What of the query makes the job.
const PARAMS: [&str; 11] = [
    "format", "columns", "mode", "match", "source", "empty", "asOf", "dryRun", "start", "again",
    "name",
];

/// `POST /api/imports`
pub(super) async fn order(
    State(state): State<HttpState>,
    Extension(principal): Extension<Arc<Principal>>,
    request: Request,
) -> Result<Response, ApiError> {
    let encodings = request.headers().get_all(CONTENT_ENCODING).iter();
    if encodings.into_iter().any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        let text = "send the file as it is, without a Content-Encoding";
        return Err(ApiError::new(Code::UnsupportedMediaType, text));
    }
    let imports = begin(&state, request.headers())?;
    let params = Params::of(request.uri(), &PARAMS)?;
    let options = options(&params)?;
    let (starts, again) = (params.flag_or("start", true)?, params.flag("again")?);
    let name = params.get("name").map(|name| name.chars().take(NAME_CHARS_MAX).collect());
    let upload = receive(&state, &imports, &principal.name, request.into_body()).await?;
    let how = (&*principal.name, starts, again);
    let (id, job) = imports.order(upload, (options, name), how).await?;
    let location = [(LOCATION, format!("/api/imports/{id}"))];
    Ok((StatusCode::ACCEPTED, location, Json(Import::of(id, job))).into_response())
}

fn options(params: &Params<'_>) -> Result<ImportOptions, ApiError> {
    let columns = columns_of(params.get("columns").unwrap_or_default());
    let options = ImportOptions {
        format: params.choice("format", Format::WORDS)?,
        columns: columns.map_err(|problem| invalid("columns", &format!("has {problem}")))?,
        mode: params.choice("mode", Mode::WORDS)?.unwrap_or(Mode::Upsert),
        by: params.choice("match", Match::WORDS)?,
        empty: params.choice("empty", EmptyCells::WORDS)?.unwrap_or(EmptyCells::Keep),
        as_of_us: params.get("asOf").map(|text| time("asOf", text)).transpose()?,
        dry_run: params.flag("dryRun")?,
        ..ImportOptions::default()
    };
    let options = match params.get("source") {
        Some(source) => ImportOptions { source: source.to_owned(), ..options },
        None => options,
    };
    if options.as_of_us.is_some_and(|us| us / 1000 > now_ms()) {
        return Err(invalid("asOf", "lies ahead; it is when the file was written"));
    }
    match options.source_problem() {
        Some(problem) => Err(invalid("source", problem)),
        None => Ok(options),
    }
}

/// `GET /api/imports`
pub(super) async fn list(
    State(state): State<HttpState>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let imports = begin(&state, &headers)?;
    let params = Params::of(&uri, &["limit", "cursor"])?;
    let page = PageRequest::new(state.queries()?, "imports".to_owned(), &params)?;
    let after = page.after_text()?;
    let found = imports.list(after.as_deref(), page.limit + 1);
    let (found, meta) = page.cut(found, |(id, _)| id.clone().into_bytes());
    let data = found.into_iter().map(|(id, job)| Import::of(id, job)).collect();
    Ok(paged(&uri, meta.next_cursor.clone(), Imports { data, meta }))
}

/// `GET /api/imports/{id}`
pub(super) async fn show(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    request: Request,
) -> Result<Response, ApiError> {
    let imports = desk(&state)?;
    Params::of(request.uri(), &[])?;
    let job = imports.show(&id)?;
    if accepts(request.headers(), "application/json") {
        return Ok(Json(Import::of(id, job)).into_response());
    }
    if !accepts(request.headers(), EVENT_STREAM) {
        let text = "this resource is application/json or text/event-stream";
        return Err(ApiError::new(Code::NotAcceptable, text));
    }
    let Some(job) = imports.follow(&id) else {
        let text = "another instance works on this import; ask it, or ask again for JSON";
        return Err(ApiError::new(Code::ImportGone, text));
    };
    let who = request.extensions().get::<Arc<Principal>>().map(|known| &*known.name);
    let place = imports.follower_place(Who::principal(who.unwrap_or_default()));
    let place = place.map_err(|_full| {
        ApiError::new(Code::Overloaded, "too many clients follow imports; ask for JSON")
    })?;
    let still_allowed = authorize::still_allowed(&state, following()?, &request);
    Ok(events(id, job, still_allowed, place))
}

fn following() -> Result<&'static Endpoint, ApiError> {
    let path = "/api/imports/{id}";
    let found = super::ENDPOINTS.iter().find(|endpoint| endpoint.path == path);
    found.ok_or_else(|| ApiError::internal("imports are gone"))
}

/// `GET /api/imports/{id}/rows`
pub(super) async fn rows(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let imports = desk(&state)?;
    let params = Params::of(&uri, &["verdict", "limit", "cursor"])?;
    let verdict = params.choice("verdict", &NotedVerdict::WORDS)?;
    let verdict = verdict.unwrap_or(NotedVerdict::Refused);
    let format = imports.show(&id)?.format;
    if !accepts(&headers, "application/json") {
        if !accepts(&headers, media_type(format)) {
            let own = media_type(format);
            let text = format!("the rows of this import are application/json or {own}");
            return Err(ApiError::new(Code::NotAcceptable, text));
        }
        let opened = move || imports.rows_as_file(&id, verdict);
        return Ok(file(blocking(&state.work().questions, opened).await?));
    }
    let list = format!("import rows {id} {verdict:?}");
    let page = PageRequest::new(state.queries()?, list, &params)?;
    let from = page.after(|key| Some(u64::from_le_bytes(key.try_into().ok()?)))?.unwrap_or(0);
    let limit = page.limit;
    let reading = move || imports.rows(&id, verdict, from, limit);
    let (found, next) = blocking(&state.work().questions, reading).await?;
    let meta = page.meta(next.map(|at| at.to_le_bytes().to_vec()));
    let data = found.into_iter().map(ImportRow::from).collect();
    Ok(paged(&uri, meta.next_cursor.clone(), ImportRows { data, meta }))
}

/// `POST /api/imports/{id}/start`
pub(super) async fn start(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let imports = begin(&state, &headers)?;
    Params::of(&uri, &[])?;
    let job = imports.start(&id).await?;
    Ok((StatusCode::ACCEPTED, Json(Import::of(id, job))).into_response())
}

/// `POST /api/imports/{id}/cancel`
pub(super) async fn cancel(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let imports = begin(&state, &headers)?;
    Params::of(&uri, &[])?;
    let job = imports.cancel(&id).await?;
    Ok((StatusCode::ACCEPTED, Json(Import::of(id, job))).into_response())
}

/// `POST /api/imports/{id}/undo`
pub(super) async fn undo(
    State(state): State<HttpState>,
    Extension(principal): Extension<Arc<Principal>>,
    PathParam(id): PathParam,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let imports = begin(&state, &headers)?;
    Params::of(&uri, &[])?;
    let job = imports.undo(&id, &principal.name).await?;
    Ok((StatusCode::ACCEPTED, Json(Import::of(id, job))).into_response())
}

fn begin(state: &HttpState, headers: &HeaderMap) -> Result<Desk, ApiError> {
    json_only(headers)?;
    desk(state)
}

fn desk(state: &HttpState) -> Result<Desk, ApiError> {
    state.open()?.imports.clone().ok_or_else(|| {
        let text = "the directory of imports can't be used; the log says why";
        ApiError::new(Code::WriteUnavailable, text)
    })
}

impl From<ImportError> for ApiError {
    fn from(error: ImportError) -> Self {
        let text = error.to_string();
        match &error {
            ImportError::Unreadable(_) | ImportError::Mapping(_) => {
                Self::new(Code::ImportUnreadable, text)
            }
            ImportError::TooLarge { bytes_max } => {
                Self::new(Code::BodyTooLarge, text).with_details(json!({ "maxBytes": bytes_max }))
            }
            ImportError::Full { .. } => Self::new(Code::Overloaded, text).with_retry_after(60),
            ImportError::Broken(_) => Self::new(Code::InvalidBody, text),
            ImportError::NotFound => Self::new(Code::ImportNotFound, text),
            ImportError::Gone(_) => Self::new(Code::ImportGone, text),
            ImportError::Conflict { state, .. } => {
                Self::new(Code::ImportConflict, text).with_details(json!({ "state": state }))
            }
            ImportError::NotAllowed { .. } => Self::new(Code::Forbidden, text),
            ImportError::Control(_) | ImportError::Disk(_) | ImportError::Log(_)
                if error.class() == Class::Retry =>
            {
                let public = "imports can't be written down now; try again";
                Self::new(Code::WriteUnavailable, public).with_internal(text)
            }
            ImportError::Control(_)
            | ImportError::Disk(_)
            | ImportError::Log(_)
            | ImportError::Ended(_)
            | ImportError::Store(_) => Self::internal(text),
        }
    }
}
