//! Imports of files.

mod answers;
mod body;
mod description;
mod routes;
mod stream;

use super::exchange::endpoint::{Endpoint, READ, READERS, WRITE, WRITERS, endpoints};

pub(super) const ENDPOINTS: &[Endpoint] = endpoints![
    POST "/api/imports", WRITERS, WRITE, routes::order, description::order;
    GET "/api/imports", READERS, READ, routes::list, description::list;
    GET "/api/imports/{id}", READERS, READ, routes::show, description::show;
    GET "/api/imports/{id}/rows", READERS, READ, routes::rows, description::rows;
    POST "/api/imports/{id}/start", WRITERS, WRITE, routes::start, description::start;
    POST "/api/imports/{id}/cancel", WRITERS, WRITE, routes::cancel, description::cancel;
    POST "/api/imports/{id}/undo", WRITERS, WRITE, routes::undo, description::undo;
];
