//! The feed.

mod description;
mod routes;

use super::exchange::endpoint::{Endpoint, READ, READERS, endpoints};

pub(super) const ENDPOINTS: &[Endpoint] = endpoints![
    GET "/api/feed", READERS, READ, routes::feed, description::feed;
];
