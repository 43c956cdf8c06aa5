//! The duration of every request by method, route and status, children resolved at their first use.

use std::sync::OnceLock;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus::{Histogram, HistogramVec};

use crate::telemetry::Metrics;

const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

/// The statuses that have a child at hand; others are resolved each time.
const STATUSES: [u16; 22] = [
    200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 406, 408, 409, 410, 412, 413, 415, 422, 428,
    429, 500, 503,
];

/// Those of one route.
pub(crate) struct RequestMetrics {
    family: HistogramVec,
    route: &'static str,
    children: Vec<OnceLock<Histogram>>,
}

impl RequestMetrics {
    pub(crate) fn of_route(metrics: &Metrics, route: &'static str) -> Self {
        let count = METHODS.len() * STATUSES.len();
        let children = std::iter::repeat_with(OnceLock::new).take(count).collect();
        Self { family: metrics.http_requests.clone(), route, children }
    }

    pub(crate) fn observe(&self, method: &Method, status: StatusCode, took: Duration) {
        match self.child(method, status) {
            Some(child) => child.observe(took.as_secs_f64()),
            None => self.resolve(method, status).observe(took.as_secs_f64()),
        }
    }

    fn child(&self, method: &Method, status: StatusCode) -> Option<&Histogram> {
        let method_no = METHODS.iter().position(|known| *known == method.as_str())?;
        let status_no = STATUSES.iter().position(|known| *known == status.as_u16())?;
        let child = self.children.get(method_no * STATUSES.len() + status_no)?;
        Some(child.get_or_init(|| self.resolve(method, status)))
    }

    fn resolve(&self, method: &Method, status: StatusCode) -> Histogram {
        // OpenTelemetry's word for methods that are not known: series stay bounded.
        let method =
            METHODS.iter().find(|known| **known == method.as_str()).copied().unwrap_or("_OTHER");
        self.family.with_label_values(&[method, self.route, status.as_str()])
    }
}
