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

mod contact_writes;
mod contacts;
mod dead_letter_shapes;
mod dead_letters;
mod document;
mod documents;
mod errors;
mod events;
mod feed;
mod headers;
mod operation;
mod postman;
mod probes;
mod rules;
mod samples;
mod shapes;
mod sign_in;
mod simulator;
mod webhooks;
mod write_shapes;

use operation::Operation;

/// All operations, in the order in which the collection sends them.
fn operations() -> Vec<Operation> {
    [
        sign_in::operations(),
        // What reads show is written first.
        contact_writes::operations(),
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
