//! Which of the paths' templates a request is for, found once a request.

use std::sync::LazyLock;

use axum::http::Method;

use super::endpoint;
use super::endpoint::{ENDPOINTS, Endpoint};

/// A path's template, taken apart.
struct Route {
    template: &'static str,
    /// Up to the first segment that may be anything, and from there on; none: there is no such.
    around_segment: Option<(&'static str, &'static str)>,
    endpoints: Vec<&'static Endpoint>,
}

static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    let mut routes: Vec<Route> = Vec::new();
    for endpoint in ENDPOINTS {
        match routes.iter_mut().find(|route| route.template == endpoint.path) {
            Some(route) => route.endpoints.push(endpoint),
            None => routes.push(Route {
                template: endpoint.path,
                around_segment: around_segment(endpoint.path),
                endpoints: vec![endpoint],
            }),
        }
    }
    routes
});

/// A route's place among all; the last one is `unmatched`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RouteNo(usize);

impl RouteNo {
    /// By the path, as the router matches it.
    pub(crate) fn of_path(path: &str) -> Self {
        let place = ROUTES.iter().position(|route| match route.around_segment {
            None => route.template == path,
            Some(around) => fits(around, path),
        });
        Self(place.unwrap_or(ROUTES.len()))
    }

    /// Every one but `unmatched`.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..ROUTES.len()).map(Self)
    }

    /// How many there are, `unmatched` with them.
    pub(crate) fn count() -> usize {
        ROUTES.len() + 1
    }

    pub(crate) fn place(self) -> usize {
        self.0
    }

    /// The template, so that a label never is a path.
    pub(crate) fn as_str(self) -> &'static str {
        ROUTES.get(self.0).map_or("unmatched", |route| route.template)
    }

    /// What there is, by method.
    pub(crate) fn endpoints(self) -> &'static [&'static Endpoint] {
        ROUTES.get(self.0).map_or(&[], |route| &route.endpoints)
    }

    /// What answers this method there.
    pub(crate) fn endpoint(self, method: &Method) -> Option<&'static Endpoint> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        self.endpoints().iter().find(|endpoint| endpoint.method == *method).copied()
    }
}

/// Whether some word in place of a parameter makes the path another one, which has no such method.
pub(crate) fn is_shadowed(endpoint: &Endpoint) -> bool {
    let Some(around) = around_segment(endpoint.path) else {
        return false;
    };
    ENDPOINTS.iter().any(|other| {
        !other.path.contains('{')
            && fits(around, other.path)
            && endpoint::endpoint(other.path, &endpoint.method).is_none()
    })
}

fn around_segment(template: &'static str) -> Option<(&'static str, &'static str)> {
    let (before, rest) = template.split_once('{')?;
    Some((before, rest.split_once('}').map_or("", |(_, after)| after)))
}

/// Whether the path begins with the one, goes on with a segment that is not empty, and then is of the
/// other, which may have such segments too.
fn fits((before, after): (&str, &'static str), path: &str) -> bool {
    let Some(path) = path.strip_prefix(before) else {
        return false;
    };
    let segment = path.split('/').next().unwrap_or_default();
    let rest = path.get(segment.len()..).unwrap_or_default();
    !segment.is_empty()
        && match around_segment(after) {
            None => after == rest,
            Some(around) => fits(around, rest),
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
