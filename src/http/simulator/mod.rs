//! The simulator.

mod answers;
mod description;
mod requests;
mod routes;

use super::exchange::endpoint::{ADMINS, Endpoint, OPERATORS, READ, WRITE, endpoints};
use super::exchange::error::{ApiError, Code};

/// All of it lies below.
pub(super) const PATH: &str = "/api/simulator/";

/// Where it is off nothing of it is there.
pub(super) fn off() -> ApiError {
    let text = "the simulator is off here; simulator.enabled turns it on, and it signs with \
                acme.webhook_secret";
    ApiError::new(Code::RouteNotFound, text)
}

/// It sends where it is told to.
pub(super) const ENDPOINTS: &[Endpoint] = endpoints![
    POST "/api/simulator/webhooks", ADMINS, WRITE, routes::send, description::send;
    GET "/api/simulator/webhooks/history", OPERATORS, READ, routes::history, description::history;
    GET "/api/simulator/webhooks/history/{id}", OPERATORS, READ, routes::delivery, description::delivery;
];
