//! The HTTP API: the only room that knows axum.
//!
//! ```text
//! sockets (connections, slow clients, drain)
//!   └─► router (made from the rows of all areas)
//!         └─► edge (every request: id, bounds, time, panic, error body, headers, metrics, access log)
//!               ├─► gate (address, limit by address, who it is and may do, limit by principal)
//!               └─► the area's handler ─► auth, query, ingest, effects
//! ```
//!
//! An area is a folder: its endpoints, a row each in its `mod.rs`, with handlers, bodies, answers and
//! description beside them. A new endpoint touches its area and the snapshot of the description; a new
//! area a line in `router.rs` as well. What all areas share is `exchange` (what a request and an answer
//! are made of), `edge`, `sockets`, and `description`, which makes OpenAPI and a collection of the rows.
//!
//! The server is up before the store is open: until then `/livez` is 200, `/readyz` and the API
//! answer 503 and say how far opening has come.

mod about;
mod acme;
mod backups;
mod contacts;
mod dead_letters;
mod description;
mod edge;
mod exchange;
mod feed;
mod followers;
mod imports;
mod keys;
mod overview;
mod page;
mod payments;
mod reload;
mod router;
mod rules;
mod services;
mod sign_in;
mod simulator;
mod sockets;
mod sources;
mod state;
mod subscriptions;
mod webhooks;

pub use about::readiness::{Readiness, Report};
pub use contacts::idempotency::IdempotencySecret;
pub use description::{openapi_json, postman_json};
pub use exchange::error::{ApiError, Code};
pub use router::{Api, access_table, router, telemetry_router};
pub use services::{HttpLimits, OpenStore, Optional, Services, WebhookIntake, Writes};
pub use sockets::connections::ConnectionBounds;
pub use sockets::serve::{ServeError, ServeOptions, serve, serve_stream};
pub use sockets::tls::{Tls, TlsError};
pub use state::HttpState;

#[cfg(test)]
mod tests;
