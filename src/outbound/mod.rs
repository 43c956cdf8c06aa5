//! Requests of ours to addresses that others name: which targets are allowed, and the one client
//! that keeps to it. Whatever sends to an address from outside (the simulator, subscriptions) sends
//! with it.
//!
//! ```text
//! text ─► Target (http(s), a host that the configuration names) ─► resolve ─► every address public,
//! or of an allowed network ─► connect to one of the checked addresses ─► TLS by the name ─► one
//! request ─► a bounded answer
//! ```
//!
//! The name is resolved once for each request and the connection goes to what was checked, so an
//! answer that changes in between changes nothing. A connection that is kept for the next request leads where
//! it was allowed to, for a minute at most. No redirect is followed, no proxy asked.

mod address;
mod client;
mod error;
mod kept;
mod target;

pub use address::is_public;
pub use client::{Answer, Client, Connect, Resolve, connect, resolve, retry_after};
pub use error::OutboundError;
pub use target::{Allowed, Target};

#[cfg(test)]
mod tests;
