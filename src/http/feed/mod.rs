//! The feed.

pub(crate) mod description;
pub(crate) mod routes;
