//! Contacts: reads, lists, writes, merges, and what became of events.

pub(crate) mod batch;
pub(crate) mod body;
pub(crate) mod description;
pub(crate) mod email;
pub(crate) mod event_description;
pub(crate) mod events;
pub(crate) mod idempotency;
pub(crate) mod list;
pub(crate) mod merges;
pub(crate) mod preconditions;
pub(crate) mod read;
pub(crate) mod write;
pub(crate) mod write_description;
pub(crate) mod write_shapes;
pub(crate) mod writing;
