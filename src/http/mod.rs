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

mod about;
mod contacts;
mod dead_letters;
mod description;
mod edge;
mod exchange;
mod feed;
mod router;
mod rules;
mod services;
mod sign_in;
mod simulator;
mod sockets;
mod state;
mod webhooks;

pub use about::readiness::{Readiness, Report};
pub use contacts::idempotency::IdempotencySecret;
pub use description::{openapi_json, postman_json};
pub use edge::Api;
pub use exchange::endpoint::access_table;
pub use exchange::error::{ApiError, Code};
pub use router::router;
pub use services::{HttpLimits, OpenStore, Services, WebhookIntake, Writes};
pub use sockets::connections::ConnectionBounds;
pub use sockets::serve::{ServeError, ServeOptions, serve};
pub use sockets::tls::{Tls, TlsError};
pub use state::HttpState;

#[cfg(test)]
mod tests;
