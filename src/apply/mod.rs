//! From records to committed changes: decode → plan (pure) → one journal append.
//!
//! ```text
//! event_log::Consumer ─► gather ─► decode ──► bounded channel ──► plan ─► store::Writer::commit
//!                        (decode thread)       (decoded batches)   (apply thread, the only writer)
//! ```
//!
//! Planning reads nothing but the record, the store and the rules that stand on the log:
//! no clock, no randomness, no I/O of its own. The commit is the store's one journal append, which
//! carries the effects and the next offsets together.

mod control;
mod decoded;
mod error;
mod pipeline;
mod plan;
mod strays;

pub use decoded::DecodedBatch;
pub use error::{ApplyError, Impassable};
pub use pipeline::{ApplyOptions, Pipeline, Progress};
pub use plan::{Planner, SetAside, Terms};

#[cfg(test)]
mod tests;
