//! Subscriptions: whoever gives an address is sent what was applied, signed as Standard Webhooks 1.0 says.
//!
//! ```text
//! journal ─► FanOut (a sink: one reading for all) ─► a Channel each (pure: what is owed, what comes next)
//!                 ▲          │                             │ ▲
//!   read again ───┘          └─► Standing, few control     ▼ │
//!   for those that           entries for all of them     Courier ─► outbound
//!   are behind                                             └─► Attempts (a ring each, in memory)
//! Desk ─► `subscription/<id>`, a control entry each: what is wanted, and what was ordered
//! ```
//!
//! A channel that takes everything at once stands where the follower `subscriptions` stands, and has nothing
//! of its own written down. One that fails, is slow or was paused is *behind*: its own position is written
//! down, and it is read for again from there, together with others that are.

mod attempts;
mod channel;
mod courier;
mod desk;
mod driver;
mod error;
mod fan_out;
mod message;
mod reading;
mod roster;
mod running;
mod schedule;
mod secret;
mod standing;
mod subscription;
mod wish;

#[cfg(test)]
mod tests;

pub use attempts::{Delivery, DeliveryState};
pub use desk::{Desk, NewSecret, Shown};
pub use error::SubscriptionError;
pub use fan_out::{FanOut, SubscriptionOptions};
pub use message::Message;
pub use secret::Signer;
pub use subscription::{Content, Filter, State, Subscription};
pub use wish::Wish;
