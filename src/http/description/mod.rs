//! The API's description: OpenAPI 3.1 and a Postman collection, made from the table of endpoints
//! (`endpoints.rs`: path, method, roles, limit) and one [`Operation`] for each of its rows.
//!
//! A new endpoint needs its row there and its `Operation` here, in the file of its area (a new
//! area: a file, a `Tag`, a line in [`operations`]): id, summary, parameters, body, its answers
//! with an example each (the first is what the example request is answered), and the error codes
//! beyond those that every operation of its kind can have (`errors::codes`). Bodies are types in
//! `shapes.rs`. `{{name}}` in an example is a variable of the collection: `samples.rs` says what it
//! is shown as, [`Operation::keeps`] which answer sets it.
//!
//! Tests fail for an endpoint that is not described, for one that the router has and the table has
//! not, and for an example that does not fit its schema. A change of the description shows in its
//! snapshot: `INSTA_UPDATE=always cargo test --test it http::description` writes it anew.

mod document;
mod errors;
mod headers;
pub(crate) mod operation;
mod postman;
mod samples;
pub(crate) mod shapes;

use super::about::{description as probes, docs_description as documents};
use super::contacts::{description as contacts, event_description as events, write_description};
use super::dead_letters::description as dead_letters;
use super::feed::description as feed;
use super::rules::description as rules;
use super::sign_in::description as sign_in;
use super::simulator::description as simulator;
use super::webhooks::description as webhooks;
use operation::Operation;

/// All operations, in the order in which the collection sends them.
fn operations() -> Vec<Operation> {
    [
        sign_in::operations(),
        // What reads show is written first.
        write_description::operations(),
        contacts::operations(),
        events::operations(),
        feed::operations(),
        webhooks::operations(),
        simulator::operations(),
        dead_letters::operations(),
        probes::operations(),
        rules::operations(),
        documents::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The description as OpenAPI 3.1 in JSON.
pub fn openapi_json() -> String {
    let document = document::document(&operations());
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

/// The same operations as a Postman collection (v2.1) that runs green from top to bottom.
pub fn postman_json() -> String {
    let collection = postman::collection(&operations());
    serde_json::to_string_pretty(&collection).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests;
