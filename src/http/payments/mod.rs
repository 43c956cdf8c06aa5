//! Payments: made, confirmed, given back, and read.

pub(super) mod answers;
mod description;
mod errors;
mod read;
mod requests;
mod write;

use super::exchange::endpoint::{Endpoint, READ, READERS, WRITE, WRITERS, endpoints};
use super::exchange::error::{ApiError, Code};

pub(super) const ENDPOINTS: &[Endpoint] = endpoints![
    POST "/api/payments", WRITERS, WRITE, write::pay, description::pay;
    GET "/api/payments/{id}", READERS, READ, read::show, description::get;
    POST "/api/payments/{id}/confirm", WRITERS, WRITE, write::confirm, description::confirm;
    POST "/api/payments/{id}/refunds", WRITERS, WRITE, write::refund, description::refund;
    GET "/api/payments/{id}/history", READERS, READ, read::history, description::history;
    GET "/api/contacts/{id}/payments", READERS, READ, read::of_contact, description::of_contact;
];

/// Where they are off nothing of them is there.
pub(super) fn off() -> ApiError {
    ApiError::new(Code::RouteNotFound, "payments are off here; payments.enabled turns them on")
}
