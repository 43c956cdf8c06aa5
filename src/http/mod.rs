//! The HTTP API: the only room that knows axum.
//!
//! ```text
//! serve (sockets, slow clients, drain)
//!   └─► edge (every request: id, bounds, time, panic, error body, headers, metrics, access log)
//!         ├─► gate (address, limit by address, who it is and may do, limit by principal)
//!         └─► router ─► sign-in ─► auth::Auth
//!                    ├─► contacts, stats ─► query::Queries ─► the store's reader
//!                    ├► feed ─► effects::feed
//!                    ├► simulator ─► effects::simulator
//!                    ├► probes: /livez /readyz /healthz /metrics
//!                    └► docs: /openapi.json /docs, made by openapi; /schemas
//! ```
//!
//! The server is up before the store is open: until then `/livez` is 200, `/readyz` and the API
//! answer 503 and say how far opening has come.

mod accept;
mod allow;
mod authorize;
mod bare;
mod bodies;
mod client_address;
mod compress;
mod connections;
mod contact_batch;
mod contact_body;
mod contact_list;
mod contact_writes;
mod contacts;
mod cors;
mod dead_letter_shown;
mod dead_letters;
mod docs;
mod edge;
mod email;
mod endpoints;
mod error;
mod events;
mod feed;
mod framing;
mod gate;
mod head_timer;
mod idempotency;
mod incidents;
mod json_body;
mod links;
mod merges;
mod openapi;
mod paced;
mod params;
mod position;
mod preconditions;
mod probes;
mod rate_limit;
mod readiness;
mod request_id;
mod request_metrics;
mod route_no;
mod routes;
mod rules;
mod serve;
mod sign_in;
mod simulator;
mod state;
mod timestamp;
mod tls;
mod webhooks;
mod writing;

pub use bare::{Append, serve_bare, serve_bare_webhooks};
pub use connections::ConnectionBounds;
pub use edge::Api;
pub use endpoints::access_table;
pub use error::{ApiError, Code};
pub use idempotency::IdempotencySecret;
pub use openapi::{openapi_json, postman_json};
pub use readiness::{Readiness, Report};
pub use routes::router;
pub use serve::{ServeError, ServeOptions, serve, serve_stream};
pub use state::{HttpLimits, HttpState, OpenStore, Services};
pub use webhooks::WebhookIntake;
pub use writing::Writes;

pub use tls::{Tls, TlsError};

#[cfg(test)]
mod tests;
