//! Webhooks in.

mod answers;
mod description;
mod routes;

use super::exchange::endpoint::{Endpoint, PUBLIC, WEBHOOK, endpoints};

/// The signature says who it is.
pub(super) const ENDPOINTS: &[Endpoint] = endpoints![
    POST "/api/webhooks", PUBLIC, WEBHOOK, routes::receive, description::receive;
    POST "/api/webhooks/{source}", PUBLIC, WEBHOOK, routes::receive_from, description::receive_from;
];
