//! The page's document and its files, as they are sent.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};

use super::assets::{CURRENT, Served, asset, page};
use crate::http::edge::compress::takes_gzip;
use crate::http::edge::cors::add_vary;
use crate::http::exchange::accept::prefers;
use crate::http::exchange::answer::{PathParam, none_match};
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::params::Params;
use crate::http::state::HttpState;

/// Everything from here, and no script or style but the files'; no text becomes markup or script.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'",
);
/// What the page never needs.
const PERMISSIONS: HeaderValue = HeaderValue::from_static(
    "camera=(), geolocation=(), microphone=(), payment=(), usb=(), clipboard-write=(self)",
);
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");
/// The path has a hash of what is in it.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// Whether `/` is answered with the page.
pub(in crate::http) fn is_wanted(state: &HttpState, headers: &HeaderMap) -> bool {
    state.services().has_page && prefers(headers, "text/html", "application/json")
}

/// `GET /` of a browser.
pub(in crate::http) fn document(headers: &HeaderMap) -> Response {
    let mut response = served(headers, &page().document);
    let own = response.headers_mut();
    own.insert(CACHE_CONTROL, NO_CACHE);
    own.insert(CONTENT_SECURITY_POLICY, POLICY);
    own.insert(PERMISSIONS_POLICY, PERMISSIONS);
    own.insert(OPENER_POLICY, SAME_ORIGIN);
    add_vary(own, ACCEPT);
    response
}

/// `GET /page/{version}/{file}`
pub(super) async fn file(
    State(state): State<HttpState>,
    PathParam((version, name)): PathParam<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    Params::of(&uri, &[])?;
    let found = state.services().has_page.then(|| asset(&version, &name)).flatten();
    let found = found.ok_or_else(|| {
        let text = "the page has no such file in this build; load the page anew";
        ApiError::new(Code::RouteNotFound, text)
    })?;
    let mut response = served(&headers, found);
    let lasts = if version == CURRENT { NO_CACHE } else { FOR_EVER };
    response.headers_mut().insert(CACHE_CONTROL, lasts);
    Ok(response)
}

fn served(headers: &HeaderMap, served: &Served) -> Response {
    let is_smaller = takes_gzip(headers) && served.gzip.len() < served.plain.len();
    let mut response = if none_match(headers, &served.etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let bytes = if is_smaller { &served.gzip } else { &served.plain };
        let mut response = Response::new(Body::from(bytes.clone()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(served.media_type));
        response
    };
    let own = response.headers_mut();
    if is_smaller {
        if own.contains_key(CONTENT_TYPE) {
            own.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        // Of what is sent plain the edge says so.
        add_vary(own, ACCEPT_ENCODING);
    }
    own.insert(ETAG, served.weak_etag.clone());
    own.insert(RESOURCE_POLICY, SAME_ORIGIN);
    response
}
