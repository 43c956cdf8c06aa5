//! The Acme CRM: one contact brought into agreement now, and all of them, a page at a time.
//!
//! Neither routed nor described where no Acme is configured.

mod answers;
mod description;
mod requests;
mod routes;

use super::exchange::endpoint::{ADMINS, Endpoint, WRITE, WRITERS, endpoints};

pub(super) const ENDPOINTS: &[Endpoint] = endpoints![
    POST "/api/contacts/{id}/sync", WRITERS, WRITE, routes::sync, description::sync;
    POST "/api/acme/pull", ADMINS, WRITE, routes::pull, description::pull;
    POST "/api/acme/reconcile", ADMINS, WRITE, routes::reconcile, description::reconcile;
];
