//! How the instance is, what it is, and what it answers: probes, metrics, documents.

mod answers;
mod description;
mod docs;
mod docs_description;
mod probes;
pub(crate) mod readiness;
mod spread;

use super::exchange::endpoint::{Endpoint, PUBLIC, READ, READERS, UNLIMITED, endpoints};

pub(super) const ENDPOINTS: &[Endpoint] = endpoints![
    GET "/api/stats", READERS, READ, probes::stats, description::stats;
    GET "/livez", PUBLIC, UNLIMITED, probes::livez, description::livez;
    GET "/readyz", PUBLIC, UNLIMITED, probes::readyz, description::readyz;
    GET "/healthz", PUBLIC, UNLIMITED, probes::healthz, description::healthz;
    GET "/metrics", PUBLIC, UNLIMITED, probes::metrics, description::metrics;
    GET "/", PUBLIC, UNLIMITED, probes::index, description::index;
];

pub(super) const DOCUMENTS: &[Endpoint] = endpoints![
    GET "/openapi.json", PUBLIC, UNLIMITED, docs::document, docs_description::document;
    GET "/schemas/{name}", PUBLIC, UNLIMITED, docs::schema, docs_description::schema;
    GET "/docs", PUBLIC, UNLIMITED, docs::page, docs_description::page;
    GET "/docs/{file}", PUBLIC, UNLIMITED, docs::file, docs_description::file;
];
