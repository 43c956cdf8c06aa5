//! The page for people at `/`: static files out of the binary, which ask the same API as everybody else.
//!
//! The document is answered at `/` to who prefers `text/html`; style sheets and modules lie under a
//! path that holds a hash of all of them, so they are cached for ever and never mixed with those of
//! another build.

mod assets;
mod description;
mod routes;

use super::exchange::endpoint::{Endpoint, PUBLIC, UNLIMITED, endpoints};

pub(super) use routes::{document, is_wanted};

pub(super) const ENDPOINTS: &[Endpoint] = endpoints![
    GET "/page/{version}/{file}", PUBLIC, UNLIMITED, routes::file, description::file;
];
