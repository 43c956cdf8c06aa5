//! Pages of other origins, as far as they are configured (Fetch standard, CORS).
//!
//! Tokens come in a header and never in a cookie, so nothing here allows credentials. The cookie of our
//! own page asks for a header besides (`sign_in/cookie.rs`), which is not among those allowed here.

use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW,
    ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};

/// Request headers that mean something to us.
const ALLOWED: HeaderValue = HeaderValue::from_static(
    "accept, authorization, content-type, idempotency-key, if-match, if-none-match, last-event-id, \
     position, prefer, x-api-key, x-request-id",
);
/// Ours that a page may read.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "etag, link, location, merge-id, position, preference-applied, ratelimit, ratelimit-policy, \
     retry-after, www-authenticate, x-request-id",
);
/// Two hours, the most that browsers remember.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");
const ANY: HeaderValue = HeaderValue::from_static("*");

/// Whose pages may read our answers.
#[derive(Clone, Debug, Default)]
pub(crate) enum Cors {
    /// Only our own: nothing is said at all.
    #[default]
    Off,
    /// Anybody's.
    Any,
    /// Those of these origins.
    Origins(Vec<HeaderValue>),
}

impl Cors {
    /// As configured: `*`, or origins.
    pub(crate) fn new(origins: &[String]) -> Self {
        if origins.is_empty() {
            return Self::Off;
        }
        if origins.iter().any(|origin| origin == "*") {
            return Self::Any;
        }
        Self::Origins(origins.iter().filter_map(|text| HeaderValue::from_str(text).ok()).collect())
    }

    /// What `Access-Control-Allow-Origin` says to an origin, if anything.
    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        match self {
            Self::Off => None,
            Self::Any => Some(ANY),
            Self::Origins(origins) => origins.iter().find(|known| *known == origin).cloned(),
        }
    }

    /// Answers a browser that asks whether it may; none: this is no such question, or it may not.
    pub(crate) fn preflight<'m>(
        &self,
        request: &Request,
        methods: impl Iterator<Item = &'m Method>,
    ) -> Option<Response> {
        let headers = request.headers();
        let asks = *request.method() == Method::OPTIONS
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !asks || self.allowed(headers.get(ORIGIN)?).is_none() {
            return None;
        }
        let methods = listed(methods)?;
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        headers.insert(ALLOW, methods.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED);
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        Some(response)
    }

    /// Says on an answer whose pages may read it.
    pub(crate) fn tell(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        if let Self::Origins(_) = self {
            // Whoever asks without an origin may share a cache with one who has one.
            add_vary(headers, ORIGIN);
        }
        if let Some(allowed) = origin.and_then(|origin| self.allowed(origin)) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}

/// The methods of a path; none: there is no such path.
fn listed<'m>(methods: impl Iterator<Item = &'m Method>) -> Option<HeaderValue> {
    let mut names: Vec<&str> = methods.map(Method::as_str).collect();
    if names.is_empty() {
        return None;
    }
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    HeaderValue::from_str(&names.join(",")).ok()
}

/// Adds a name to `Vary`.
pub(crate) fn add_vary(headers: &mut HeaderMap, name: HeaderName) {
    headers.append(VARY, HeaderValue::from_name(name));
}
