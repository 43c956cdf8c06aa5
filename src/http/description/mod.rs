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

/// An endpoint's row, and what it is described with.
type Row = (&'static Endpoint, Operation);

fn operations(has_acme: bool) -> Vec<Row> {
    endpoints(has_acme).map(|endpoint| (endpoint, (endpoint.describe)())).collect()
}

/// The description as OpenAPI 3.1 in JSON; `has_acme`: with what there is where an Acme is configured.
pub fn openapi_json(has_acme: bool) -> String {
    let document = document::document(&operations(has_acme));
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

/// The same operations as a Postman collection (v2.1) that runs green from top to bottom.
pub fn postman_json() -> String {
    let collection = postman::collection(&operations(false));
    serde_json::to_string_pretty(&collection).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests;
