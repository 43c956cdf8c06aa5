//! What the program is about, without any I/O: records become events, events become contacts.
//!
//! ```text
//! record::RecordBatch ─► decode (sources, schemas, limits) ─► event::Event ─┬► merge ─► contact body ─► ContactView
//!                                                                          └► payment ─► its body ─► Payment
//! ```
//!
//! Everything here is pure: no clock, no randomness, no hash order. Imports nothing of ours.

pub mod attempts;
pub mod avro;
pub mod base;
pub mod clock;
pub mod command;
pub mod contact;
pub mod control;
pub mod decode;
pub(crate) mod digits;
pub mod event;
pub mod external_ids;
pub mod fingerprint;
pub mod founding;
pub mod headers;
pub mod hops;
pub(crate) mod json;
pub mod limits;
pub mod merge;
pub mod merge_notes;
pub mod partitioner;
pub mod payment;
pub mod position;
pub mod record;
pub mod rules;
pub mod schemas;
pub mod sources;
pub mod span;
pub(crate) mod texts;
pub mod timestamp;
pub mod verdict;

/// What to do about an error; every module's error says which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Transient: the same call may succeed later.
    Retry,
    /// This input can never succeed; keep it aside and go on.
    Poison,
    /// Going on would be wrong; stop and recover.
    Fatal,
}

#[cfg(test)]
mod tests;
