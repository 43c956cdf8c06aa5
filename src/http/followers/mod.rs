//! Followers: how each stands, and steering them.

mod answers;
mod description;
mod requests;
mod routes;

pub(super) use routes::steered_by;

use super::exchange::endpoint::{ADMINS, Endpoint, OPERATORS, READ, WRITE, endpoints};

pub(super) const ENDPOINTS: &[Endpoint] = endpoints![
    GET "/api/followers", OPERATORS, READ, routes::list, description::list;
    GET "/api/followers/{name}", OPERATORS, READ, routes::show, description::show;
    POST "/api/followers/{name}/pause", OPERATORS, WRITE, routes::pause, description::pause;
    POST "/api/followers/{name}/resume", OPERATORS, WRITE, routes::resume, description::resume;
    POST "/api/followers/{name}/skip", ADMINS, WRITE, routes::skip, description::skip;
    POST "/api/followers/{name}/replay", OPERATORS, WRITE, routes::replay, description::replay;
    GET "/api/followers/{name}/parked", OPERATORS, READ, routes::parked, description::parked;
    POST "/api/followers/{name}/parked/{id}/redrive", OPERATORS, WRITE, routes::redrive, description::redrive;
    DELETE "/api/followers/{name}/parked/{id}", ADMINS, WRITE, routes::drop_parked, description::drop_parked;
];
