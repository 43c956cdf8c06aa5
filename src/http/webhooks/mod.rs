//! Webhooks in.

pub(crate) mod description;
pub(crate) mod routes;
