//! How the instance is: for orchestrators, monitoring and people.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use serde_json::{Map, Value, json};

use crate::http::exchange::answer::{begin, blocking, json_response, with_position};
use crate::http::exchange::error::ApiError;
use crate::http::exchange::params::Params;
use crate::http::router::paths;
use crate::http::state::HttpState;

/// `GET /livez`: the process answers, whatever it waits for.
pub(super) async fn livez(uri: Uri) -> Result<Response, ApiError> {
    Params::of(&uri, &["verbose"])?.bare_flag("verbose")?;
    Ok(json_response(br#"{"status":"live"}"#.to_vec()))
}

/// `GET /readyz`: 200 when every part is ready, else 503 with those that are not and why;
/// `?verbose` shows all.
pub(super) async fn readyz(State(state): State<HttpState>, uri: Uri) -> Result<Response, ApiError> {
    let verbose = Params::of(&uri, &["verbose"])?.bare_flag("verbose")?;
    let report = state.readiness().report();
    let parts: Map<String, Value> = report
        .parts
        .iter()
        .filter(|(_, why_not)| verbose || why_not.is_some())
        .map(|(name, why_not)| {
            let part = match why_not {
                None => match state.readiness().note_of(name) {
                    None => json!({ "ready": true }),
                    Some(note) => json!({ "ready": true, "note": note }),
                },
                Some(why) => json!({ "ready": false, "reason": why }),
            };
            ((*name).to_owned(), part)
        })
        .collect();
    let status = if report.is_ready() { "ready" } else { "not_ready" };
    let body = json!({ "status": status, "parts": parts });
    let mut response = json_response(body.to_string().into_bytes());
    if !report.is_ready() {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Ok(response)
}

/// `GET /healthz`: which build this is and what it follows.
pub(super) async fn healthz(
    State(state): State<HttpState>,
    uri: Uri,
) -> Result<Response, ApiError> {
    Params::of(&uri, &[])?;
    let build = state.build();
    let following = state.following();
    let identity = following.and_then(|following| following.identity.as_ref());
    let body = json!({
        "status": if state.readiness().report().is_ready() { "ready" } else { "not_ready" },
        "version": build.version,
        "commit": build.commit,
        "fingerprint": following.map(|following| (following.fingerprint)().to_string()),
        "log": identity,
    });
    Ok(json_response(body.to_string().into_bytes()))
}

/// `GET /metrics`: Prometheus's text format.
pub(super) async fn metrics(
    State(state): State<HttpState>,
    uri: Uri,
) -> Result<Response, ApiError> {
    Params::of(&uri, &[])?;
    // What is refreshed for it may look at directories.
    let rendered = tokio::task::spawn_blocking(move || state.metrics().render()).await;
    let text = match rendered {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => return Err(ApiError::internal(error.to_string())),
        Err(error) => return Err(ApiError::internal(format!("a scrape ended early: {error}"))),
    };
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
    Params::of(&uri, &[])?;
    let queries = begin(&state, &headers)?.clone();
    let stats = blocking({
        let queries = queries.clone();
        move || queries.stats()
    })
    .await?;
    let stats = stats.with_partial(state.partial());
    let body = serde_json::to_vec(&stats).map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(with_position(&state, &queries, json_response(body)))
}

/// `GET /`: what there is.
pub(super) async fn index(State(state): State<HttpState>, uri: Uri) -> Result<Response, ApiError> {
    Params::of(&uri, &[])?;
    let mut routes = paths();
    routes.retain(|route| *route != "/");
    let body = json!({ "name": "contactd", "version": state.build().version, "routes": routes });
    Ok(json_response(body.to_string().into_bytes()))
}
