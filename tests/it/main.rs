//! What contactd promises, held from outside: one binary, because librdkafka links slowly.
//!
//! `support` is what the tests stand on; `pipeline` runs the same scenarios over the embedded log,
//! the mock cluster and real Kafka; `store` holds the library's store against a model and against
//! files of earlier versions; `http` and `cli` are what users meet; `docs` runs what the documents say;
//! `tidy` holds the house rules.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking, and has no public API"
)]

mod acme;
mod backups;
mod circles;
mod cli;
mod cli_auth;
mod cli_check_event;
mod cli_doctor;
mod cli_export;
mod cli_reload;
mod cli_safe;
mod cli_simulate;
mod cli_status;
mod cli_support_bundle;
mod dead_letters;
mod docs;
mod followers;
mod http;
mod imports;
mod monitoring;
mod pipeline;
mod publishing;
mod schema_registry;
mod security_log;
mod shared_state;
mod store;
mod subscriptions;
#[allow(dead_code, reason = "shared with the other test binary, which uses the rest")]
mod support;
mod tidy;
