//! The duration of every request by method, route and status, children resolved once.

use std::sync::OnceLock;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus::{Histogram, HistogramVec};

use crate::http::exchange::route_no::RouteNo;

const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

/// The statuses that have a child at hand; others are resolved each time.
const STATUSES: [u16; 22] = [
    200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 406, 408, 409, 410, 412, 413, 415, 422, 428,
    429, 500, 503,
];

pub(crate) struct RequestMetrics {
    family: HistogramVec,
    children: Vec<OnceLock<Histogram>>,
}

impl RequestMetrics {
    pub(crate) fn new(family: HistogramVec) -> Self {
        let count = RouteNo::count() * METHODS.len() * STATUSES.len();
        let metrics =
            Self { family, children: std::iter::repeat_with(OnceLock::new).take(count).collect() };
        // The first error of a route must show as a rise from 0.
        for route in RouteNo::all() {
            for status in [StatusCode::OK, StatusCode::INTERNAL_SERVER_ERROR] {
                metrics.child(&Method::GET, route, status);
            }
        }
        metrics
    }

    pub(crate) fn observe(
        &self,
        method: &Method,
        route: RouteNo,
        status: StatusCode,
        took: Duration,
    ) {
        match self.child(method, route, status) {
            Some(child) => child.observe(took.as_secs_f64()),
            None => self.resolve(method, route, status).observe(took.as_secs_f64()),
        }
    }

    fn child(&self, method: &Method, route: RouteNo, status: StatusCode) -> Option<&Histogram> {
        let method_no = METHODS.iter().position(|known| *known == method.as_str())?;
        let status_no = STATUSES.iter().position(|known| *known == status.as_u16())?;
        let place = (route.place() * METHODS.len() + method_no) * STATUSES.len() + status_no;
        let child = self.children.get(place)?;
        Some(child.get_or_init(|| self.resolve(method, route, status)))
    }

    fn resolve(&self, method: &Method, route: RouteNo, status: StatusCode) -> Histogram {
        // OpenTelemetry's word for methods that are not known: series stay bounded.
        let method =
            METHODS.iter().find(|known| **known == method.as_str()).copied().unwrap_or("_OTHER");
        self.family.with_label_values(&[method, route.as_str(), status.as_str()])
    }
}
