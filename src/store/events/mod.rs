//! What became of an event, by its id or its place on the log.
//!
//! ```text
//! Writer ─commit─► Rolling (hashes of the open segment, in memory) ─sealed─► thread `event-ids` ─► table beside the segment
//! Reader::event ─► open and waiting segments, in memory ─► tables, newest first ─► frames ─► entries with that hash
//! ```
//!
//! A table holds an event id's hash and the frame; entries of applied and control records hold the
//! id as well, which is compared; the others are found by the 64-bit hash alone. Tables are a cache
//! of the journal: one that is missing or damaged is made again in the background, and until then a
//! lookup says that it has not seen everything.

mod lookup;
mod newest;
mod rolling;
mod tables;

pub use lookup::{EventLookup, EventRecord, Untimed};
pub(super) use lookup::{TIME_MAX, at, by_id, first_seen_us};
pub(super) use newest::newest;
pub use newest::{EventFilter, NewestEvents};
pub(crate) use rolling::Rolling;
pub(crate) use tables::TablesThread;
