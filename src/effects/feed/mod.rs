//! The feed: every applied change, in order, to any number of clients, resumable by position.
//!
//! ```text
//! commit ─► Feed::run (one task) ─► Chunk: frames decoded once, as SSE text ─► Ring (bounded in bytes)
//!                                                                              │ shared, not copied
//!  Subscription (one a client) ◄── live: the ring ◄────────────────────────────┘
//!                              ◄── behind: the journal, from its own position
//!                              ◄── at first, where asked for: every contact as of one position
//! ```
//!
//! What holds:
//! - A client's position is the next offset of every lane, so it means the same on every instance.
//!   Each event carries the position after it as its id.
//! - A client holds no events of its own: who falls out of the ring reads the journal, at its own
//!   pace, and joins the ring again where a chunk begins at exactly its place. So nothing is missed
//!   and nothing is sent twice.
//! - Nobody listens: nothing is decoded.
//! - Nobody has more than a part of the places. Who is sent all contacts and takes nothing for a quarter
//!   of `stall_timeout` gives way to who wants them too.
//! - A client that takes nothing for `stall_timeout` is told `reset` and closed; its connection is cut
//!   when it does not take even that.

mod chunk;
mod client;
mod error;
mod filter;
mod hub;
mod ring;
mod sse;
mod states;

pub use crate::config::FeedConfig;
pub use client::{Client, StillAllowed, Subscription};
pub use error::FeedError;
pub use filter::Filter;
pub use hub::Feed;
pub(in crate::effects) use sse::write_change;

use crate::domain::event::EventKind;
use crate::domain::position::Position;

/// The types of the events that are told.
pub fn event_types() -> impl Iterator<Item = &'static str> {
    EventKind::ALL.into_iter().map(EventKind::as_str)
}

/// Where a client begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// What it has seen; none: everything so far, unless the contacts are asked for.
    pub after: Option<Position>,
    /// Whether it wants every contact first; with `after`, only where that is gone.
    pub snapshot: bool,
    /// Whether it ends once all is told that is applied by now.
    pub ends: bool,
    /// Whether the contacts are to have the DELETED ones among them.
    pub include_deleted: bool,
}

#[cfg(test)]
mod tests;
