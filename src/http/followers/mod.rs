//! Followers: how each stands, and steering them.

mod answers;
mod description;
mod requests;
mod routes;

use super::exchange::endpoint::{ADMINS, Endpoint, READ, WRITE, endpoints};

pub(super) const ENDPOINTS: &[Endpoint] = endpoints![
    GET "/api/followers", ADMINS, READ, routes::list, description::list;
    GET "/api/followers/{name}", ADMINS, READ, routes::show, description::show;
    POST "/api/followers/{name}/pause", ADMINS, WRITE, routes::pause, description::pause;
    POST "/api/followers/{name}/resume", ADMINS, WRITE, routes::resume, description::resume;
    POST "/api/followers/{name}/skip", ADMINS, WRITE, routes::skip, description::skip;
    POST "/api/followers/{name}/replay", ADMINS, WRITE, routes::replay, description::replay;
    GET "/api/followers/{name}/parked", ADMINS, READ, routes::parked, description::parked;
    POST "/api/followers/{name}/parked/{id}/redrive", ADMINS, WRITE, routes::redrive, description::redrive;
    DELETE "/api/followers/{name}/parked/{id}", ADMINS, WRITE, routes::drop_parked, description::drop_parked;
];
