//! Subscriptions: who wants to be told of changes, and what became of telling them.

mod answers;
mod description;
mod requests;
mod routes;

use super::exchange::endpoint::{ADMINS, Endpoint, READ, WRITE, endpoints};

pub(super) const ENDPOINTS: &[Endpoint] = endpoints![
    POST "/api/subscriptions", ADMINS, WRITE, routes::add, description::add;
    GET "/api/subscriptions", ADMINS, READ, routes::list, description::list;
    GET "/api/subscriptions/{id}", ADMINS, READ, routes::show, description::show;
    PATCH "/api/subscriptions/{id}", ADMINS, WRITE, routes::change, description::change;
    POST "/api/subscriptions/{id}/test", ADMINS, WRITE, routes::test, description::test;
    GET "/api/subscriptions/{id}/deliveries", ADMINS, READ, routes::deliveries, description::deliveries;
    POST "/api/subscriptions/{id}/deliveries/{delivery}/resend", ADMINS, WRITE, routes::resend, description::resend;
    POST "/api/subscriptions/{id}/recover", ADMINS, WRITE, routes::recover, description::recover;
    POST "/api/subscriptions/{id}/pause", ADMINS, WRITE, routes::pause, description::pause;
    POST "/api/subscriptions/{id}/resume", ADMINS, WRITE, routes::resume, description::resume;
    POST "/api/subscriptions/{id}/rotate", ADMINS, WRITE, routes::rotate, description::rotate;
    DELETE "/api/subscriptions/{id}", ADMINS, WRITE, routes::remove, description::remove;
];
