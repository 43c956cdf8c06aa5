//! Every endpoint, in one table: what it is, who may ask, and what its limit counts with.
//!
//! The router answers exactly these; the API description and the tests of who may do what are made
//! from this table.

use axum::http::Method;

use crate::auth::{Role, Roles};

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody.
    Public,
    /// Whoever has one of these roles.
    Roles(Roles),
}

/// What a request's rate limit counts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitClass {
    /// Nothing.
    Unlimited,
    /// Signing in and out.
    Auth,
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Webhooks.
    Webhook,
}

/// One method of one path.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) limit: LimitClass,
}

/// What is asked for by the method and the path alone.
const BODILESS: [&str; 3] =
    ["/api/contacts/{id}/restore", "/api/auth/logout", "/api/dead-letters/redrive/{id}"];

/// What shows contacts besides their own paths.
const HEEDING: [&str; 3] = ["/api/stats", "/api/events/{id}", FEED];

impl Endpoint {
    /// Whether it reads a body; of the others none is read.
    pub(crate) fn takes_body(&self) -> bool {
        let is_of_method = [Method::POST, Method::PUT, Method::PATCH].contains(&self.method);
        is_of_method && !BODILESS.contains(&self.path)
    }

    /// Whether it waits for the `Position` that its client names.
    pub(crate) fn heeds_position(&self) -> bool {
        self.path.starts_with("/api/contacts") || HEEDING.contains(&self.path)
    }
}

/// One contact, which is most of all that is asked for.
pub(crate) const CONTACT: &str = "/api/contacts/{id}";
/// The one resource whose answers have no end.
pub(crate) const FEED: &str = "/api/feed";

/// Whoever could be authenticated.
const ANYBODY: Access = Access::Roles(Roles::of(&Role::ALL));
const WRITERS: Access = Access::Roles(Roles::of(&[Role::Admin, Role::Editor]));
const ADMINS: Access = Access::Roles(Roles::of(&[Role::Admin]));
const READERS: Access = Access::Roles(Roles::of(&[Role::Admin, Role::Editor, Role::Viewer]));

/// `HEAD` goes with `GET`.
pub(crate) const ENDPOINTS: &[Endpoint] = &[
    // Before the path that would take its last word for an id.
    write(Method::POST, "/api/contacts/batch"),
    read(CONTACT, READERS),
    write(Method::PUT, CONTACT),
    write(Method::PATCH, CONTACT),
    write(Method::DELETE, CONTACT),
    write(Method::POST, "/api/contacts/{id}/restore"),
    write(Method::POST, "/api/contacts/{id}/merge"),
    read("/api/merges/{id}", READERS),
    read("/api/contacts", READERS),
    write(Method::POST, "/api/contacts"),
    read("/api/contacts/{id}/history", READERS),
    read("/api/stats", READERS),
    read("/api/rules", READERS),
    admin(Method::POST, "/api/rules/adopt"),
    sign_in("/api/auth/login", Access::Public),
    sign_in("/api/auth/refresh", Access::Public),
    sign_in("/api/auth/logout", ANYBODY),
    sign_in("/api/auth/password", ANYBODY),
    read("/api/auth/me", ANYBODY),
    read("/api/auth/tokens", ANYBODY),
    Endpoint {
        method: Method::DELETE,
        path: "/api/auth/tokens/{id}",
        access: ANYBODY,
        limit: LimitClass::Write,
    },
    webhook("/api/webhooks"),
    webhook("/api/webhooks/{source}"),
    // It sends where it is told to.
    Endpoint {
        method: Method::POST,
        path: "/api/simulator/webhooks",
        access: ADMINS,
        limit: LimitClass::Write,
    },
    read("/api/simulator/webhooks/history", ADMINS),
    read("/api/simulator/webhooks/history/{id}", ADMINS),
    read(FEED, READERS),
    read("/api/events/{id}", READERS),
    // The fixed words before the path that would take them for an id.
    admin(Method::POST, "/api/dead-letters/redrive"),
    admin(Method::POST, "/api/dead-letters/discard"),
    read("/api/dead-letters/redrives", WRITERS),
    read("/api/dead-letters/redrives/{id}", WRITERS),
    admin(Method::DELETE, "/api/dead-letters/redrives/{id}"),
    read("/api/dead-letters", WRITERS),
    read("/api/dead-letters/{id}", WRITERS),
    admin(Method::DELETE, "/api/dead-letters/{id}"),
    admin(Method::POST, "/api/dead-letters/redrive/{id}"),
    open("/livez"),
    open("/readyz"),
    open("/healthz"),
    open("/metrics"),
    open("/openapi.json"),
    open("/schemas/{name}"),
    open("/docs"),
    open("/docs/{file}"),
    open("/"),
];

const fn read(path: &'static str, access: Access) -> Endpoint {
    Endpoint { method: Method::GET, path, access, limit: LimitClass::Read }
}

const fn sign_in(path: &'static str, access: Access) -> Endpoint {
    Endpoint { method: Method::POST, path, access, limit: LimitClass::Auth }
}

/// The signature says who it is.
const fn webhook(path: &'static str) -> Endpoint {
    Endpoint { method: Method::POST, path, access: Access::Public, limit: LimitClass::Webhook }
}

const fn write(method: Method, path: &'static str) -> Endpoint {
    Endpoint { method, path, access: WRITERS, limit: LimitClass::Write }
}

const fn admin(method: Method, path: &'static str) -> Endpoint {
    Endpoint { method, path, access: ADMINS, limit: LimitClass::Write }
}

const fn open(path: &'static str) -> Endpoint {
    Endpoint { method: Method::GET, path, access: Access::Public, limit: LimitClass::Unlimited }
}

/// The endpoint of a path's template and a method, if there is one.
pub(crate) fn endpoint(path: &str, method: &Method) -> Option<&'static Endpoint> {
    ENDPOINTS.iter().find(|endpoint| endpoint.path == path && endpoint.method == *method)
}

/// Every endpoint with the roles of which one is needed; none: anybody may ask.
pub fn access_table() -> Vec<(Method, &'static str, Option<Roles>)> {
    let row = |endpoint: &Endpoint| {
        let needed = match endpoint.access {
            Access::Public => None,
            Access::Roles(roles) => Some(roles),
        };
        (endpoint.method.clone(), endpoint.path, needed)
    };
    ENDPOINTS.iter().map(row).collect()
}
