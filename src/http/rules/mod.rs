//! The rules by which records are judged.

pub(crate) mod description;
pub(crate) mod routes;
