//! The simulator.

mod answers;
mod description;
mod requests;
mod routes;

use super::exchange::endpoint::{ADMINS, Endpoint, READ, WRITE, endpoints};

/// It sends where it is told to.
pub(super) const ENDPOINTS: &[Endpoint] = endpoints![
    POST "/api/simulator/webhooks", ADMINS, WRITE, routes::send, description::send;
    GET "/api/simulator/webhooks/history", ADMINS, READ, routes::history, description::history;
    GET "/api/simulator/webhooks/history/{id}", ADMINS, READ, routes::delivery, description::delivery;
];
