//! The duration of every request by method, route and status, children resolved once.

use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus::{Histogram, HistogramVec};

use super::endpoints::ENDPOINTS;

/// The templates, so that a label never is a path; what is none of them is `unmatched`.
pub(super) static ROUTES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut routes = Vec::new();
    for endpoint in ENDPOINTS {
        if !routes.contains(&endpoint.path) {
            routes.push(endpoint.path);
        }
    }
    routes
});

const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

/// The statuses that have a child at hand; others are resolved each time.
const STATUSES: [u16; 22] = [
    200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 406, 408, 409, 410, 412, 413, 415, 422, 428,
    429, 500, 503,
];

/// One route's place in the table; the last one is `unmatched`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RouteNo(usize);

impl RouteNo {
    /// By the path, as the router matches it.
    pub(super) fn of_path(path: &str) -> Self {
        let place = ROUTES.iter().position(|template| fits(template, path));
        Self(place.unwrap_or(ROUTES.len()))
    }

    pub(super) fn as_str(self) -> &'static str {
        ROUTES.get(self.0).copied().unwrap_or("unmatched")
    }
}

/// Whether the path is one of the template's: `{…}` stands for one segment that is not empty.
fn fits(template: &str, path: &str) -> bool {
    let Some((before, rest)) = template.split_once('{') else {
        return template == path;
    };
    let Some(path) = path.strip_prefix(before) else {
        return false;
    };
    let after = rest.split_once('}').map_or("", |(_, after)| after);
    let segment = path.split('/').next().unwrap_or_default();
    !segment.is_empty() && path.strip_prefix(segment).is_some_and(|path| fits(after, path))
}

pub(super) struct RequestMetrics {
    family: HistogramVec,
    children: Vec<OnceLock<Histogram>>,
}

impl RequestMetrics {
    pub(super) fn new(family: HistogramVec) -> Self {
        let count = (ROUTES.len() + 1) * METHODS.len() * STATUSES.len();
        let metrics =
            Self { family, children: std::iter::repeat_with(OnceLock::new).take(count).collect() };
        // The first error of a route must show as a rise from 0.
        for route in (0..ROUTES.len()).map(RouteNo) {
            for status in [StatusCode::OK, StatusCode::INTERNAL_SERVER_ERROR] {
                metrics.child(&Method::GET, route, status);
            }
        }
        metrics
    }

    pub(super) fn observe(
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
        let place = (route.0 * METHODS.len() + method_no) * STATUSES.len() + status_no;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_of_the_route_that_answers_it() {
        for (path, route) in [
            ("/", "/"),
            ("/api/contacts", "/api/contacts"),
            ("/api/contacts/1", "/api/contacts/{id}"),
            ("/api/contacts/1/history", "/api/contacts/{id}/history"),
            ("/api/contacts/", "unmatched"),
            ("/api/contacts//history", "unmatched"),
            ("/api/contacts/1/", "unmatched"),
            ("/api/contacts/1/history/2", "unmatched"),
            ("/livez/", "unmatched"),
            ("", "unmatched"),
        ] {
            assert_eq!(RouteNo::of_path(path).as_str(), route, "{path}");
        }
    }
}
