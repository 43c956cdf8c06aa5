//! `/api/sources`: whose records are understood, and how.

mod answers;
mod description;
mod routes;

use super::exchange::endpoint::{Endpoint, READ, READERS, endpoints};

pub(crate) const ENDPOINTS: &[Endpoint] = endpoints![
    GET "/api/sources", READERS, READ, routes::list, description::list;
    GET "/api/sources/{name}", READERS, READ, routes::show, description::show;
];
