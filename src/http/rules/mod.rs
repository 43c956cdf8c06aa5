//! The rules by which records are judged.

mod answers;
mod description;
mod routes;

use super::exchange::endpoint::{ADMINS, Endpoint, READ, READERS, WRITE, endpoints};

pub(super) const ENDPOINTS: &[Endpoint] = endpoints![
    GET "/api/rules", READERS, READ, routes::show, description::show;
    POST "/api/rules/adopt", ADMINS, WRITE, routes::adopt, description::adopt;
];
