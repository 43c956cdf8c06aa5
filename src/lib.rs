//! contactd keeps contacts current from a log of events, and answers queries about them.
//!
//! ```text
//! producers ─► event_log ─► apply ─► store ─► query ─► http
//!              (Kafka or    (decode,  (journal, (pages,
//!               embedded)    plan)     memory,   cursors)
//!                                      sled)
//! ```
//!
//! The modules stand in the order data flows; `ARCHITECTURE.md` says which may import which.

// They panic where nobody can be told any more.
#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::print_stdout))]

pub mod domain;

pub mod segments;

pub mod ingest;

pub mod event_log;

pub mod apply;

pub mod store;

pub mod query;

pub mod effects;

pub mod files;

pub mod outbound;

pub mod payments;

pub mod acme;

pub mod auth;

pub mod backup;

pub mod schema_registry;

pub mod shared_state;

pub mod shares;

pub mod simulate;

pub mod http;

pub mod telemetry;

pub mod config;

pub mod app;

pub mod cli;
