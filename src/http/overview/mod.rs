//! How it goes, at one look: figures of now and of the last day.

mod answers;
mod description;
mod routes;
pub(crate) mod samples;

use super::exchange::endpoint::{Endpoint, READ, READERS, endpoints};

pub(super) const ENDPOINTS: &[Endpoint] = endpoints![
    GET "/api/overview", READERS, READ, routes::overview, description::overview;
];
