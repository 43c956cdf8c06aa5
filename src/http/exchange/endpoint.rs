//! An endpoint is one row of its area: method, path, who may ask, what its limit counts with, what
//! answers it, and how it is described.
//!
//! The router, the gate, the metrics, the API's description and the tests of who may do what are all
//! made from these rows.

use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter};

use crate::auth::{Role, Roles};
use crate::http::description::operation::Operation;
use crate::http::state::HttpState;
use crate::shared_state::LimitClass;

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody.
    Public,
    /// Whoever has one of these roles.
    Roles(Roles),
}

pub(crate) const PUBLIC: Access = Access::Public;
/// Whoever could be authenticated.
pub(crate) const ANYBODY: Access = Access::Roles(Roles::of(&Role::ALL));
pub(crate) const READERS: Access =
    Access::Roles(Roles::of(&[Role::Admin, Role::Operator, Role::Editor, Role::Viewer]));
/// Whoever may look at records that were not applied, with their bytes.
pub(crate) const EXAMINERS: Access =
    Access::Roles(Roles::of(&[Role::Admin, Role::Operator, Role::Editor]));
pub(crate) const WRITERS: Access = Access::Roles(Roles::of(&[Role::Admin, Role::Editor]));
/// Whoever keeps it running: what they may do changes no contact that an event did not change.
pub(crate) const OPERATORS: Access = Access::Roles(Roles::of(&[Role::Admin, Role::Operator]));
pub(crate) const ADMINS: Access = Access::Roles(Roles::of(&[Role::Admin]));

/// What a request's rate limit counts with; none: it is not limited.
type Limit = Option<LimitClass>;

pub(crate) const UNLIMITED: Limit = None;
pub(crate) const READ: Limit = Some(LimitClass::Read);
pub(crate) const WRITE: Limit = Some(LimitClass::Write);
pub(crate) const AUTH: Limit = Some(LimitClass::Auth);
pub(crate) const WEBHOOK: Limit = Some(LimitClass::Webhook);

/// One method of one path; `HEAD` goes with `GET`.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) limit: Limit,
    /// The handler, as axum has it for the method that it is told.
    pub(crate) handler: fn(MethodFilter) -> MethodRouter<HttpState>,
    /// Also says whether it reads a body, and whether it waits for the `Position` of its client.
    pub(crate) describe: fn() -> Operation,
}

impl Endpoint {
    /// What answers it.
    pub(crate) fn route(&self) -> MethodRouter<HttpState> {
        let method = MethodFilter::try_from(self.method.clone());
        method.map_or_else(|_| MethodRouter::new(), self.handler)
    }
}

/// Rows of endpoints: method, path, who may ask, limit, handler, description.
macro_rules! endpoints {
    ($($method:ident $path:literal, $access:ident, $limit:ident, $handler:path, $describe:path;)+) => {
        &[$($crate::http::exchange::endpoint::Endpoint {
            method: axum::http::Method::$method,
            path: $path,
            access: $access,
            limit: $limit,
            handler: |method| axum::routing::on(method, $handler),
            describe: $describe,
        }),+]
    };
}
pub(crate) use endpoints;
