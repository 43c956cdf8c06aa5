//! How the instance is, what it is, and what it answers: probes, metrics, documents.

pub(crate) mod description;
pub(crate) mod docs;
pub(crate) mod docs_description;
pub(crate) mod probes;
pub(crate) mod readiness;
