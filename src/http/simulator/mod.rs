//! The simulator.

pub(crate) mod description;
pub(crate) mod routes;
