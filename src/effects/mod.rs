//! What follows from what was applied: the followers.

pub mod dead_letters;
pub mod feed;
pub mod follower;
mod joining;
mod pace;
pub mod rehoming;
pub mod simulator;
pub mod subscriptions;

pub use joining::Joining;
