//! What holds for every request, in one layer around what answers it.
//!
//! One rather than a tower of them: each would box a future and more a request.

pub(crate) mod allow;
pub(crate) mod authorize;
pub(crate) mod client_address;
pub(crate) mod compress;
mod context;
pub(crate) mod cors;
mod framing;
pub(crate) mod gate;
pub(crate) mod incidents;
pub(crate) mod rate_limit;
pub(crate) mod request_id;
pub(crate) mod request_metrics;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Instant;

use axum::body::{Body, HttpBody as _};
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, EXPECT, ORIGIN,
    REFERRER_POLICY, RETRY_AFTER, STRICT_TRANSPORT_SECURITY, VARY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, Route};
use serde_json::json;
use tokio::time::timeout;
use tower::layer::layer_fn;
use tower::{Service as _, service_fn};

use crate::auth::Principal;
use crate::domain::timestamp::format_rfc3339;
use crate::ingest::now_ms;
use crate::telemetry::{AccessLine, RequestFailed, RequestSlow};

use super::exchange::accept::wants_problem;
use super::exchange::endpoint::Endpoint;
use super::exchange::error::{ApiError, Code};
use super::exchange::position::{self, POSITION};
use super::services::HttpLimits;
use super::sockets::bodies;
use super::sockets::connections::{Peer, PeerKind};
use super::state::HttpState;

use compress::{compressed, takes_gzip};
pub(crate) use context::RequestContext;
use gate::{Caller, Place};
use request_id::{REQUEST_ID, request_id};
use request_metrics::RequestMetrics;

/// A request that took longer has its line whatever its status.
const SLOW_MS: u128 = 1000;

/// Headers of a request.
const HEADERS_MAX: usize = 100;

/// The route of requests to paths that there are not.
pub(crate) const UNMATCHED: &str = "unmatched";

/// One path, and what there is at it.
struct Resource {
    state: HttpState,
    path: &'static str,
    methods: Vec<AllowedMethod>,
    metrics: RequestMetrics,
}

/// A method of a path, with what its description says of its requests.
struct AllowedMethod {
    endpoint: &'static Endpoint,
    takes_body: bool,
    streams_body: bool,
    waits_for_position: bool,
}

/// Puts all that holds for every request around what answers the methods of one path.
pub(crate) fn around(
    router: MethodRouter<HttpState>,
    state: &HttpState,
    path: &'static str,
    endpoints: Vec<&'static Endpoint>,
) -> MethodRouter<HttpState> {
    let methods = endpoints.into_iter().map(|endpoint| {
        let operation = (endpoint.describe)();
        AllowedMethod {
            endpoint,
            takes_body: operation.body.is_some(),
            streams_body: operation.streams_body,
            waits_for_position: operation.has_header("Position"),
        }
    });
    let resource = Arc::new(Resource {
        state: state.clone(),
        path,
        methods: methods.collect(),
        metrics: RequestMetrics::of_route(state.metrics(), path),
    });
    router.layer(layer_fn(move |inner: Route| {
        let resource = Arc::clone(&resource);
        service_fn(move |request| {
            let (resource, inner) = (Arc::clone(&resource), inner.clone());
            async move { Ok::<_, Infallible>(resource.answer(request, inner).await) }
        })
    }))
}

impl Resource {
    async fn answer(&self, mut request: Request, inner: Route) -> Response {
        let state = &self.state;
        let _under_way = UnderWay::one_of(state.active());
        let peer = request.extensions().get::<Arc<Peer>>().cloned();
        let peer = peer.unwrap_or_else(|| Arc::new(Peer::in_process(Ipv4Addr::UNSPECIFIED.into())));
        let has_body = !request.body().is_end_stream();
        let context = self.context(&peer, &request, has_body);
        if !request.method().is_safe() {
            // What it writes names it.
            request.headers_mut().insert(REQUEST_ID, context.request_id.clone());
        }
        let admitted = admit(state, &peer, &context, &request);
        let mut who = None;
        // The handler is not to have a body that it does not want.
        let leaves_body = has_body && !context.reads_body;
        let mut left = if leaves_body { std::mem::take(request.body_mut()) } else { Body::empty() };
        let mut response = match admitted {
            Ok(()) => {
                let methods = self.methods.iter().map(|method| &method.endpoint.method);
                match state.cors().preflight(&request, methods) {
                    Some(response) => response,
                    None => self.pass(&context, &peer, &mut request, inner, &mut who).await,
                }
            }
            Err(error) => error.into_response(),
        };
        finish(state, &context, &mut response);
        if has_body {
            let body = if leaves_body { &mut left } else { request.body_mut() };
            if !Box::pin(bodies::discard(context.waits_to_send, body)).await {
                // What is still to come belongs to a request that is over.
                peer.leaves_body();
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
        }
        let response = compressed(context.takes_gzip, context.is_api(), response).await;
        let (status, took) = (response.status(), context.started.elapsed());
        self.metrics.observe(&context.method, status, took);
        log_access(state, &context, status, took.as_millis());
        if let Some(log) = &state.services().access_log {
            let at = format_rfc3339(now_ms());
            log.add(&AccessLine {
                at: &at,
                id: context.request_id.to_str().unwrap_or_default(),
                principal: who.as_ref().map(|who| &*who.name),
                method: context.method.as_str(),
                route: context.route,
                status: status.as_u16(),
                ms: (took.as_secs_f64() * 1e6).round() / 1e3,
                bytes: response.body().size_hint().exact(),
            });
        }
        response
    }

    fn context(&self, peer: &Peer, request: &Request, has_body: bool) -> RequestContext {
        let (method, headers) = (request.method(), request.headers());
        let answering = if *method == Method::HEAD { &Method::GET } else { method };
        let allowed = self.methods.iter().find(|allowed| allowed.endpoint.method == *answering);
        RequestContext {
            started: Instant::now(),
            peer: peer.address,
            endpoint: allowed.map(|allowed| allowed.endpoint),
            request_id: request_id(headers),
            route: self.path,
            method: method.clone(),
            reads_body: has_body && allowed.is_some_and(|allowed| allowed.takes_body),
            streams_body: allowed.is_some_and(|allowed| allowed.streams_body),
            waits_for_position: allowed.is_some_and(|allowed| allowed.waits_for_position),
            accept: headers.get(ACCEPT).cloned(),
            origin: headers.get(ORIGIN).cloned(),
            takes_gzip: *method != Method::HEAD && takes_gzip(headers),
            waits_to_send: has_body && headers.contains_key(EXPECT),
        }
    }

    /// Through the gate, and to its handler.
    async fn pass(
        &self,
        context: &RequestContext,
        peer: &Peer,
        request: &mut Request,
        inner: Route,
        who: &mut Option<Arc<Principal>>,
    ) -> Response {
        let state = &self.state;
        let (caller, passed) = gate::pass(state, context, request.headers()).await;
        if caller.principal.is_some() {
            peer.is_known_now();
        }
        let mut response = match passed {
            Ok(place) => self.handle(context, &caller, request, place, inner).await,
            Err(error) => error.into_response(),
        };
        if response.status().is_success() {
            caller.succeeded(state).await;
            // A signature or a password was right.
            if context.endpoint.is_some_and(|endpoint| endpoint.limit.is_some()) {
                peer.is_known_now();
            }
        }
        who.clone_from(&caller.principal);
        if let Some(decision) = &caller.decision {
            rate_limit::tell(state.policies(), decision, response.headers_mut());
        }
        response
    }

    /// What its handler answers, within its time and whatever happens there.
    async fn handle(
        &self,
        context: &RequestContext,
        caller: &Caller,
        request: &mut Request,
        mut place: Option<Place<'_>>,
        mut inner: Route,
    ) -> Response {
        let limits = self.state.limits();
        if context.streams_body {
            // It may take long, and has bounds and a time of its own: no place among the requests.
            drop(place);
            caller.tell(request);
            let answer = pin!(inner.call(std::mem::take(request)));
            return match Box::pin(without_panic(answer)).await {
                Ok(Ok(response)) => response,
                Err(panic) => ApiError::internal(format!("panicked: {panic}")).into_response(),
            };
        }
        let mut _of_bodies = None;
        if context.reads_body {
            // One on its way has no place among the requests: else who sends it slowly holds one.
            let had_place = place.take().is_some();
            // Boxed: it is rare, and would make the future of every request larger.
            match Box::pin(bodies::read_whole(&self.state, caller, request)).await {
                Ok(part) => _of_bodies = part,
                Err(error) => return error.into_response(),
            }
            match had_place.then(|| gate::place(&self.state, caller.who())).transpose() {
                Ok(again) => place = again,
                Err(error) => {
                    // Nothing of it is left to come, so the connection goes on.
                    *request.body_mut() = Body::empty();
                    return error.into_response();
                }
            }
            // What a body may have is our own bound, which it kept to.
            DefaultBodyLimit::disable().apply(request);
        }
        let answer = pin!(async {
            if let Some(position) = request.headers().get(POSITION)
                && context.waits_for_position
            {
                // Boxed for the same reason.
                let (who, headers) = (caller.who(), request.headers());
                let waiting = position::wait_for(&self.state, who, headers, position, &mut place);
                let waited = Box::pin(waiting);
                if let Err(error) = waited.await {
                    return error.into_response();
                }
            }
            caller.tell(request);
            let Ok(response) = inner.call(std::mem::take(request)).await;
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

fn admit(
    state: &HttpState,
    peer: &Peer,
    context: &RequestContext,
    request: &Request,
) -> Result<(), ApiError> {
    match peer.kind {
        PeerKind::InProcess => {}
        PeerKind::Ordinary => framing::check(request)?,
        PeerKind::Probe if context.is_api() => {
            let text = "all connections are taken, and this one is for probes; try again";
            return Err(ApiError::new(Code::Overloaded, text));
        }
        PeerKind::Probe => framing::check(request)?,
    }
    if !request.method().is_safe() {
        request_id::check_hops(request.headers())?;
    }
    check_head(state.limits(), context, request)
}

fn check_head(
    limits: &HttpLimits,
    context: &RequestContext,
    request: &Request,
) -> Result<(), ApiError> {
    let uri = request.uri();
    if uri.path().len() + uri.query().map_or(0, str::len) > limits.uri_bytes_max {
        let max = limits.uri_bytes_max;
        return Err(ApiError::new(
            Code::UriTooLong,
            format!("path and query have {max} bytes at most"),
        )
        .with_details(json!({ "maxBytes": max })));
    }
    // As many as hyper takes in HTTP/1.
    if request.headers().len() > HEADERS_MAX {
        let text = format!("there are {HEADERS_MAX} headers at most");
        return Err(ApiError::new(Code::HeadersTooLarge, text)
            .with_details(json!({ "maxHeaders": HEADERS_MAX })));
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
    let is_bounded_here = !context.streams_body;
    if is_bounded_here && request.body().size_hint().lower() > limits.body_bytes_max as u64 {
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
fn finish(state: &HttpState, context: &RequestContext, response: &mut Response) {
    if let Some(error) = response.extensions_mut().remove::<Arc<ApiError>>() {
        write_error(state, context, &error, response);
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, context.request_id.clone());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Only the page for people has its own.
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    // Personal data: never in a shared cache, and never taken from one without asking.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if state.services().speaks_tls {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    state.cors().tell(context.origin.as_ref(), headers);
}

fn write_error(
    state: &HttpState,
    context: &RequestContext,
    error: &ApiError,
    response: &mut Response,
) {
    let code = error.code();
    let request_id = context.request_id.to_str().unwrap_or_default();
    if code.status().is_server_error() {
        RequestFailed {
            request_id,
            method: context.method.as_str(),
            route: context.route,
            status: code.status().as_u16(),
            code: code.as_str(),
            error: error.internal_text(),
        }
        .emit(state.metrics());
    }
    let as_problem = wants_problem(context.accept.as_ref());
    *response.body_mut() = Body::from(error.to_json(request_id, as_problem));
    let media_type = if as_problem { "application/problem+json" } else { "application/json" };
    let headers: &mut HeaderMap = response.headers_mut();
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
fn log_access(state: &HttpState, context: &RequestContext, status: StatusCode, took_ms: u128) {
    let (method, route, status) = (context.method.as_str(), context.route, status.as_u16());
    // Read only where the line is wanted.
    let request_id = || context.request_id.to_str().unwrap_or_default();
    if took_ms >= SLOW_MS {
        let request_id = request_id();
        RequestSlow { request_id, method, route, status, took_ms }.emit(state.metrics());
    } else {
        tracing::debug!(request_id = request_id(), method, route, status, took_ms, "request");
    }
}
