//! The API's description: OpenAPI 3.1 and a Postman collection, made from the endpoints' rows (path,
//! method, roles, limit) and the [`Operation`] that each describes itself with.
//!
//! An `Operation` says: id, summary, parameters, body, its answers with an example each (the first is
//! what the example request is answered), and the error codes beyond those that every operation of
//! its kind can have (`errors::codes`). `{{name}}` in an example is a variable of the collection:
//! `samples.rs` says what it is shown as, [`Operation::keeps`] which answer sets it.
//!
//! Tests fail for an example that does not fit its schema, and for an answer that does not. A change
//! of the description shows in its snapshot:
//! `INSTA_UPDATE=always cargo test --test it http::description` writes it anew.

mod document;
mod errors;
mod headers;
pub(crate) mod operation;
mod postman;
mod samples;

use operation::Operation;

use super::exchange::endpoint::Endpoint;
use super::router::endpoints;
use super::services::Optional;

/// An endpoint's row, and what it is described with.
type Row = (&'static Endpoint, Operation);

fn operations(there: Optional) -> Vec<Row> {
    endpoints(there).map(|endpoint| (endpoint, (endpoint.describe)())).collect()
}

/// The description as OpenAPI 3.1 in JSON, of what there is.
pub fn openapi_json(there: Optional) -> String {
    let document = document::document(&operations(there));
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

/// The same operations as a Postman collection (v2.1) that runs green from top to bottom.
pub fn postman_json() -> String {
    let there = Optional { acme: false, ..Optional::ALL };
    let collection = postman::collection(&operations(there));
    serde_json::to_string_pretty(&collection).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests;
