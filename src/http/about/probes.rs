//! How the instance is: for orchestrators, monitoring and people.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};

use super::answers::{
    Health, Index, Liveness, LogName, PartReadiness, Readiness, ReadyStatus, Stats,
};
use super::spread::SpreadQuery;
use crate::http::edge::cors::add_vary;
use crate::http::exchange::answer::{begin, blocking, with_position};
use crate::http::exchange::error::ApiError;
use crate::http::exchange::params::Params;
use crate::http::exchange::position::POSITION;
use crate::http::page;
use crate::http::router::api_paths;
use crate::http::state::HttpState;
use crate::query::QueryError;

/// `GET /livez`: the process answers, whatever it waits for.
pub(super) async fn livez(uri: Uri) -> Result<Json<Liveness>, ApiError> {
    Params::of(&uri, &["verbose"])?.bare_flag("verbose")?;
    Ok(Json(Liveness { status: "live" }))
}

/// `GET /readyz`: 200 when every part is ready, else 503 with those that are not and why;
/// `?verbose` shows all.
pub(super) async fn readyz(State(state): State<HttpState>, uri: Uri) -> Result<Response, ApiError> {
    let verbose = Params::of(&uri, &["verbose"])?.bare_flag("verbose")?;
    let report = state.readiness().report();
    let is_ready = report.is_ready();
    let parts = report.parts.into_iter().filter(|(_, why_not)| verbose || why_not.is_some());
    let parts = parts.map(|(name, reason)| {
        let ready = reason.is_none();
        let note = ready.then(|| state.readiness().note_of(name)).flatten();
        (name.to_owned(), PartReadiness { ready, reason, note })
    });
    let body = Json(Readiness { status: ReadyStatus::of(is_ready), parts: parts.collect() });
    if is_ready {
        return Ok(body.into_response());
    }
    Ok((StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], body).into_response())
}

/// `GET /healthz`: which build this is and what it follows.
pub(super) async fn healthz(
    State(state): State<HttpState>,
    uri: Uri,
) -> Result<Json<Health>, ApiError> {
    Params::of(&uri, &[])?;
    let build = state.build();
    let following = state.following();
    let log = following.and_then(|following| following.identity.as_ref());
    Ok(Json(Health {
        status: ReadyStatus::of(state.readiness().report().is_ready()),
        version: build.version,
        commit: build.commit,
        fingerprint: following.map(|following| (following.fingerprint)().to_string()),
        log: log.map(LogName::of),
    }))
}

/// `GET /metrics`: Prometheus's text format.
pub(super) async fn metrics(
    State(state): State<HttpState>,
    uri: Uri,
) -> Result<Response, ApiError> {
    Params::of(&uri, &[])?;
    // What is refreshed for it may look at directories.
    let text = blocking(&state.work().scrapes, {
        let state = state.clone();
        move || state.metrics().render().map_err(|error| ApiError::internal(error.to_string()))
    })
    .await?;
    let mut response = Response::new(Body::from(text));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    Ok(response)
}

/// `GET /api/stats`: what the store holds and how far it has come.
pub(super) async fn stats(
    State(state): State<HttpState>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let params = Params::with_lists(&uri, &["by", "top"], &["by"])?;
    let asked = SpreadQuery::of(&params, headers.contains_key(POSITION))?;
    let queries = begin(&state, &headers)?.clone();
    let found = blocking(&state.work().questions, {
        let queries = queries.clone();
        move || Ok::<_, QueryError>((queries.stats()?, asked.answer(&queries)?))
    });
    let (stats, spread) = found.await?;
    let stats = Json(Stats::of(&stats, state.partial(), spread));
    Ok(with_position(&state, &queries, stats.into_response()))
}

/// `GET /`: what there is; for browsers the page.
pub(super) async fn index(
    State(state): State<HttpState>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    // Whatever a link adds to the address, a person gets the page.
    if page::is_wanted(&state, &headers) {
        return Ok(page::document(&headers));
    }
    Params::of(&uri, &[])?;
    let mut routes = api_paths(&state);
    routes.retain(|route| *route != "/");
    let index = Index { name: "contactd", version: state.build().version, routes };
    let mut response = Json(index).into_response();
    add_vary(response.headers_mut(), ACCEPT);
    Ok(response)
}
