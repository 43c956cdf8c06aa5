//! Signing in, staying signed in, signing out, and who one is.

pub(crate) mod description;
pub(crate) mod routes;
