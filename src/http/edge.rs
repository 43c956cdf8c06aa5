//! What holds for every request, in one place around the router.
//!
//! One function rather than a tower of layers: each layer would box a future and more a request.

use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    EXPECT, ORIGIN, REFERRER_POLICY, RETRY_AFTER, STRICT_TRANSPORT_SECURITY, VARY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use tokio::time::timeout;
use tower::Service as _;

use crate::telemetry::{PoolMetrics, RequestFailed, RequestSlow};

use super::accept::wants_problem;
use super::compress::{compressed, takes_gzip};
use super::connections::{Peer, PeerKind};
use super::endpoints::{CONTACT, Endpoint, LimitClass};
use super::error::{ApiError, Code};
use super::gate::{self, Passing, Place};
use super::position::{self, POSITION};
use super::request_id::{REQUEST_ID, request_id};
use super::route_no::RouteNo;
use super::state::{HttpLimits, HttpState};
use super::{bodies, contacts, framing, rate_limit};

/// A request that took longer has its line whatever its status.
const SLOW_MS: u128 = 1000;

/// What is needed of a request until it is answered.
pub(super) struct Asked {
    pub(super) started: Instant,
    pub(super) peer: IpAddr,
    /// Whether a body comes with it, and its route wants one.
    reads_body: bool,
    method: Method,
    route: RouteNo,
    pub(super) endpoint: Option<&'static Endpoint>,
    pub(super) request_id: HeaderValue,
    accept: Option<HeaderValue>,
    origin: Option<HeaderValue>,
    takes_gzip: bool,
    /// Whether the client waits to be asked for its body.
    waits_to_send: bool,
}

/// Everything that is answered: the routes, with what holds for every request around them.
#[derive(Clone)]
pub struct Api {
    routes: Router,
    state: HttpState,
}

impl Api {
    pub(super) fn new(routes: Router, state: HttpState) -> Self {
        Self { routes, state }
    }

    /// The figures of all connections.
    pub(super) fn pool_of_connections(&self) -> PoolMetrics {
        self.state.metrics().pool("connections")
    }

    /// The answer to a request that came from an address, though by no connection of ours.
    pub async fn answer(&self, address: IpAddr, request: Request) -> Response {
        self.answer_to(&Peer::in_process(address), request).await
    }

    /// The answer to a request.
    pub(super) async fn answer_to(&self, peer: &Peer, mut request: Request) -> Response {
        let state = &self.state;
        let _under_way = UnderWay::one_of(state.active());
        let route = RouteNo::of_path(request.uri().path());
        let endpoint = route.endpoint(request.method());
        let has_body = !request.body().is_end_stream();
        let asked = Asked {
            started: Instant::now(),
            peer: peer.address,
            reads_body: has_body && endpoint.is_some_and(Endpoint::takes_body),
            method: request.method().clone(),
            route,
            endpoint,
            request_id: request_id(request.headers()),
            accept: request.headers().get(ACCEPT).cloned(),
            origin: request.headers().get(ORIGIN).cloned(),
            takes_gzip: request.method() != Method::HEAD && takes_gzip(request.headers()),
            waits_to_send: has_body && request.headers().contains_key(EXPECT),
        };
        if !request.method().is_safe() {
            // What it writes names it.
            request.headers_mut().insert(REQUEST_ID, asked.request_id.clone());
        }
        let admitted = admit(state, peer, &asked, &request);
        // The router is not to have a body that it does not want.
        let leaves_body = has_body && !asked.reads_body;
        let mut left = if leaves_body { std::mem::take(request.body_mut()) } else { Body::empty() };
        let mut response = match admitted {
            Ok(()) => match state.cors().preflight(&request, route) {
                Some(response) => response,
                None => self.passed_and_answered(&asked, peer, &mut request).await,
            },
            Err(error) => error.into_response(),
        };
        finish(state, &asked, &mut response);
        if has_body {
            let body = if leaves_body { &mut left } else { request.body_mut() };
            if !Box::pin(bodies::discard(asked.waits_to_send, body)).await {
                // What is still to come belongs to a request that is over.
                peer.leaves_body();
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
        }
        let is_api = route.as_str().starts_with("/api/");
        let response = compressed(asked.takes_gzip, is_api, response).await;
        let (status, took) = (response.status(), asked.started.elapsed());
        state.request_metrics().observe(&asked.method, route, status, took);
        log_access(state, &asked, status, took.as_millis());
        response
    }

    /// Through the gate, and to its route.
    async fn passed_and_answered(
        &self,
        asked: &Asked,
        peer: &Peer,
        request: &mut Request,
    ) -> Response {
        let state = &self.state;
        let (passing, passed) = gate::pass(state, asked, request.headers()).await;
        if passing.principal.is_some() {
            peer.is_known_now();
        }
        let mut response = match passed {
            Ok(place) => self.routed(asked, &passing, request, place).await,
            Err(error) => error.into_response(),
        };
        if response.status().is_success() {
            passing.succeeded(state).await;
            // A signature or a password was right.
            if asked.endpoint.is_some_and(|endpoint| endpoint.limit != LimitClass::Unlimited) {
                peer.is_known_now();
            }
        }
        if let Some(decision) = &passing.decision {
            rate_limit::tell(state.policies(), decision, response.headers_mut());
        }
        response
    }

    /// What its route answers, within its time and whatever happens there.
    async fn routed(
        &self,
        asked: &Asked,
        passing: &Passing,
        request: &mut Request,
        mut place: Option<Place<'_>>,
    ) -> Response {
        let limits = self.state.limits();
        let mut _of_bodies = None;
        if asked.reads_body {
            // One on its way has no place among the requests: else who sends it slowly holds one.
            let had_place = place.take().is_some();
            // Boxed: it is rare, and would make the future of every request larger.
            match Box::pin(bodies::read_whole(&self.state, passing, request)).await {
                Ok(part) => _of_bodies = part,
                Err(error) => return error.into_response(),
            }
            match had_place.then(|| gate::place(&self.state, passing.who())).transpose() {
                Ok(again) => place = again,
                Err(error) => return error.into_response(),
            }
        }
        let answer = pin!(async {
            if let Some(position) = request.headers().get(POSITION)
                && asked.endpoint.is_some_and(Endpoint::heeds_position)
            {
                // Boxed for the same reason.
                let (who, headers) = (passing.who(), request.headers());
                let waiting = position::wait_for(&self.state, who, headers, position, &mut place);
                let waited = Box::pin(waiting);
                if let Err(error) = waited.await {
                    return error.into_response();
                }
            }
            // What is asked for most of all goes past the router, which copies and boxes.
            if let Some(id) = plain_contact(asked, request.uri()) {
                let answer = contacts::contact(&self.state, id, request.uri(), request.headers());
                return answer.await.into_response();
            }
            passing.tell(request);
            let routed = self.routes.clone().call(std::mem::take(request));
            let Ok(response) = routed.await;
            response
        });
        let mut answer = pin!(without_panic(answer));
        // Most answers are ready at once and need no timer.
        let at_once = poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await;
        let answered = match at_once {
            Poll::Ready(answered) => Ok(answered),
            Poll::Pending => Box::pin(timeout(limits.request_timeout, answer)).await,
        };
        match answered {
            Ok(Ok(response)) => response,
            Ok(Err(panic)) => ApiError::internal(format!("panicked: {panic}")).into_response(),
            Err(_elapsed) => {
                let text = "the answer took too long; try again";
                ApiError::new(Code::TookTooLong, text).into_response()
            }
        }
    }
}

/// The id in `GET /api/contacts/{id}`, where the router would give it to the handler as it is written.
fn plain_contact<'u>(asked: &Asked, uri: &'u Uri) -> Option<&'u str> {
    if asked.method != Method::GET || asked.route.as_str() != CONTACT {
        return None;
    }
    uri.path().rsplit('/').next().filter(|id| !id.contains('%'))
}

/// One request under way; counted down however it ends.
struct UnderWay<'s>(&'s AtomicUsize);

impl<'s> UnderWay<'s> {
    fn one_of(active: &'s AtomicUsize) -> Self {
        active.fetch_add(1, Ordering::Relaxed);
        Self(active)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn admit(state: &HttpState, peer: &Peer, asked: &Asked, request: &Request) -> Result<(), ApiError> {
    let route = asked.route;
    match peer.kind {
        PeerKind::InProcess => {}
        PeerKind::Ordinary => framing::check(request)?,
        PeerKind::Probe if route.as_str().starts_with("/api/") => {
            let text = "all connections are taken, and this one is for probes; try again";
            return Err(ApiError::new(Code::Overloaded, text));
        }
        PeerKind::Probe => framing::check(request)?,
    }
    check_head(state.limits(), request)
}

fn check_head(limits: &HttpLimits, request: &Request) -> Result<(), ApiError> {
    let uri = request.uri();
    if uri.path().len() + uri.query().map_or(0, str::len) > limits.uri_bytes_max {
        let max = limits.uri_bytes_max;
        return Err(ApiError::new(
            Code::UriTooLong,
            format!("path and query have {max} bytes at most"),
        )
        .with_details(json!({ "maxBytes": max })));
    }
    let bytes: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > limits.header_bytes_max {
        let max = limits.header_bytes_max;
        return Err(ApiError::new(
            Code::HeadersTooLarge,
            format!("headers have {max} bytes at most"),
        )
        .with_details(json!({ "maxBytes": max })));
    }
    if request.body().size_hint().lower() > limits.body_bytes_max as u64 {
        return Err(bodies::too_large(limits));
    }
    Ok(())
}

/// The future's output, or the text of its panic.
fn without_panic<F: Future>(
    mut future: Pin<&mut F>,
) -> impl Future<Output = Result<F::Output, String>> {
    poll_fn(move |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => {
            let text = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned());
            Poll::Ready(Err(text.unwrap_or_else(|| "without a text".to_owned())))
        }
    })
}

/// The error's body, and the headers that every answer has.
fn finish(state: &HttpState, asked: &Asked, response: &mut Response) {
    if let Some(error) = response.extensions_mut().remove::<Arc<ApiError>>() {
        write_error(state, asked, &error, response);
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, asked.request_id.clone());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Only the page for people has its own.
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    // Personal data: never in a shared cache, and never taken from one without asking.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if state.speaks_tls() {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    state.cors().tell(asked.origin.as_ref(), headers);
}

fn write_error(state: &HttpState, asked: &Asked, error: &ApiError, response: &mut Response) {
    let code = error.code();
    let request_id = asked.request_id.to_str().unwrap_or_default();
    if code.status().is_server_error() {
        RequestFailed {
            request_id,
            method: asked.method.as_str(),
            route: asked.route.as_str(),
            status: code.status().as_u16(),
            code: code.as_str(),
            error: error.internal_text(),
        }
        .emit(state.metrics());
    }
    let as_problem = wants_problem(asked.accept.as_ref());
    *response.body_mut() = Body::from(error.to_json(request_id, as_problem));
    let media_type = if as_problem { "application/problem+json" } else { "application/json" };
    let headers: &mut HeaderMap = response.headers_mut();
    // That of the body that was replaced.
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_name(HeaderName::from_static("accept")));
    if let Some(challenge) = error.challenge() {
        headers.insert(WWW_AUTHENTICATE, challenge.clone());
    }
    if let Some(seconds) = error.retry_after_seconds() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// No path, query, address or name: nothing personal. Ordinary requests only with
/// `contactd::http=debug`.
fn log_access(state: &HttpState, asked: &Asked, status: StatusCode, took_ms: u128) {
    let (method, route, status) = (asked.method.as_str(), asked.route.as_str(), status.as_u16());
    // Read only where the line is wanted.
    let request_id = || asked.request_id.to_str().unwrap_or_default();
    if took_ms >= SLOW_MS {
        let request_id = request_id();
        RequestSlow { request_id, method, route, status, took_ms }.emit(state.metrics());
    } else {
        tracing::debug!(request_id = request_id(), method, route, status, took_ms, "request");
    }
}
