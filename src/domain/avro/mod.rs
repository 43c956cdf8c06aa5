//! Avro's binary form, read by its writer's schema, as the JSON that sources' tables read.
//!
//! ```text
//! schema (JSON, with those that it refers to) ─► Schema ─┐
//! a record's bytes ─────────────────────────────────────┴─► JSON text
//! ```
//!
//! Both come from others, so whatever they claim is held against a bound before it costs anything: the
//! text is written as it is read, and nothing is kept of a value but that.

mod read;
mod schema;
mod text;

#[cfg(test)]
mod tests;

pub use read::{AvroError, to_json};
pub use schema::{SCHEMA_BYTES_MAX, Schema, SchemaError};
