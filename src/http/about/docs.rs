//! The API's description over HTTP: `/openapi.json` for programs, `/docs` for people; and the JSON
//! Schemas of events, by name.
//!
//! The page is Swagger UI out of the binary: it asks no other server for anything.

use std::sync::{Arc, LazyLock, OnceLock};

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use utoipa_swagger_ui::Config;
use xxhash_rust::xxh3::xxh3_64;

use crate::domain::schemas::{Published, published};

use crate::http::description::openapi_json;
use crate::http::exchange::answer::{PathParam, json_only, none_match};
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::params::Params;
use crate::http::services::Optional;
use crate::http::state::HttpState;

/// Everything from here; styles that the page sets itself, images in its style sheet. No script but
/// the files'.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);

type Document = (Vec<u8>, HeaderValue);

/// Without Acme and with it; without the simulator and with it.
static DOCUMENTS: [[OnceLock<Document>; 2]; 2] = [const { [const { OnceLock::new() }; 2] }; 2];

fn described(there: Optional) -> &'static Document {
    let [without, with] = &DOCUMENTS;
    let [without_acme, with_acme] = if there.simulator { with } else { without };
    let document = if there.acme { with_acme } else { without_acme };
    document.get_or_init(|| {
        let document = openapi_json(there).into_bytes();
        let etag = etag(&document);
        (document, etag)
    })
}

/// The published schemas: name, text, ETag.
static SCHEMAS: LazyLock<Vec<(String, Vec<u8>, HeaderValue)>> = LazyLock::new(|| {
    let one = |schema: Published| {
        let text = schema.text().into_bytes();
        let etag = etag(&text);
        (schema.name, text, etag)
    };
    published().into_iter().map(one).collect()
});

/// `GET /openapi.json`
pub(super) async fn document(
    State(state): State<HttpState>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    Params::of(&uri, &[])?;
    json_only(&headers)?;
    let (document, etag) = described(state.services().optional());
    let media_type = HeaderValue::from_static("application/json");
    Ok(unless_known(&headers, etag.clone(), media_type, || document.clone()))
}

/// `GET /docs`
pub(super) async fn page(uri: Uri, headers: HeaderMap) -> Result<Response, ApiError> {
    Params::of(&uri, &[])?;
    let (page, _) = ui_file("index.html")?;
    let page = String::from_utf8_lossy(&page)
        .replace("href=\"./", "href=\"docs/")
        .replace("href=\"index.css", "href=\"docs/index.css")
        .replace("src=\"./", "src=\"docs/")
        .replace("<title>Swagger UI", "<title>contactd API");
    let etag = etag(page.as_bytes());
    let media_type = HeaderValue::from_static("text/html; charset=utf-8");
    let mut response = unless_known(&headers, etag, media_type, || page.into_bytes());
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, PAGE_POLICY);
    Ok(response)
}

/// `GET /docs/{file}`
pub(super) async fn file(
    PathParam(file): PathParam,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    Params::of(&uri, &[])?;
    let (bytes, media_type) = ui_file(&file)?;
    Ok(unless_known(&headers, etag(&bytes), media_type, || bytes))
}

/// `GET /schemas/{name}`
pub(super) async fn schema(
    PathParam(name): PathParam,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    Params::of(&uri, &[])?;
    let (_, text, etag) = SCHEMAS.iter().find(|(known, _, _)| *known == name).ok_or_else(|| {
        let names: Vec<&str> = SCHEMAS.iter().map(|(known, _, _)| known.as_str()).collect();
        let text = format!("there is no such schema; there are {}", names.join(", "));
        ApiError::new(Code::RouteNotFound, text)
    })?;
    let media_type = HeaderValue::from_static("application/schema+json");
    Ok(unless_known(&headers, etag.clone(), media_type, || text.clone()))
}

/// A file of Swagger UI, with its media type.
fn ui_file(name: &str) -> Result<(Vec<u8>, HeaderValue), ApiError> {
    // Relative to `/docs`, so that it holds behind a proxy's prefix too. No badge of a validator:
    // that is another server. No colours: a long answer in them stops the page for many seconds.
    let config = Config::new(["openapi.json"])
        .validator_url("none")
        .persist_authorization(false)
        .with_syntax_highlight(false);
    let file = utoipa_swagger_ui::serve(name, Arc::new(config))
        .map_err(|error| ApiError::internal(error.to_string()))?
        .ok_or_else(|| ApiError::new(Code::RouteNotFound, "there is no such file"))?;
    let media_type = HeaderValue::from_str(&file.content_type)
        .map_err(|error| ApiError::internal(error.to_string()))?;
    Ok((file.bytes.into_owned(), media_type))
}

fn unless_known(
    headers: &HeaderMap,
    etag: HeaderValue,
    media_type: HeaderValue,
    body: impl FnOnce() -> Vec<u8>,
) -> Response {
    let mut response = if none_match(headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(Body::from(body()));
        response.headers_mut().insert(CONTENT_TYPE, media_type);
        response
    };
    response.headers_mut().insert(ETAG, etag);
    response
}

fn etag(bytes: &[u8]) -> HeaderValue {
    let text = format!("\"{:016x}\"", xxh3_64(bytes));
    HeaderValue::from_maybe_shared(text).unwrap_or(HeaderValue::from_static("\"\""))
}
