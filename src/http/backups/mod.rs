//! Backups: one made now, those that are kept, and one handed out.

mod answers;
mod description;
mod routes;

use super::exchange::endpoint::{ADMINS, Endpoint, OPERATORS, READ, WRITE, endpoints};

pub(super) const ENDPOINTS: &[Endpoint] = endpoints![
    GET "/api/backups", OPERATORS, READ, routes::list, description::list;
    POST "/api/backups", OPERATORS, WRITE, routes::make, description::make;
    GET "/api/backups/stream", ADMINS, READ, routes::stream, description::stream;
];
