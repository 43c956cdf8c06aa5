//! `/api/reload`: the configuration read again.

mod answers;
mod description;
mod routes;

use super::exchange::endpoint::{Endpoint, OPERATORS, WRITE, endpoints};

pub(crate) const ENDPOINTS: &[Endpoint] = endpoints![
    POST "/api/reload", OPERATORS, WRITE, routes::reload, description::reload;
];
