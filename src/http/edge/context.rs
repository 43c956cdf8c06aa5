//! A request, as far as it is told of until it is answered.

use std::net::IpAddr;
use std::time::Instant;

use axum::http::{HeaderValue, Method};

use crate::http::exchange::endpoint::Endpoint;

/// What is needed of a request until it is answered.
pub(crate) struct RequestContext {
    pub(crate) started: Instant,
    pub(crate) peer: IpAddr,
    /// None: its path has no such method.
    pub(crate) endpoint: Option<&'static Endpoint>,
    pub(crate) request_id: HeaderValue,
    /// The path's template, so that a label never is a path.
    pub(super) route: &'static str,
    pub(super) method: Method,
    /// Whether a body comes with it, and its endpoint wants one.
    pub(super) reads_body: bool,
    /// Whether that goes to its handler as it comes.
    pub(super) streams_body: bool,
    pub(super) waits_for_position: bool,
    pub(super) accept: Option<HeaderValue>,
    pub(super) origin: Option<HeaderValue>,
    pub(super) takes_gzip: bool,
    /// Whether the client waits to be asked for its body.
    pub(super) waits_to_send: bool,
}

impl RequestContext {
    pub(super) fn is_api(&self) -> bool {
        self.route.starts_with("/api/")
    }
}
