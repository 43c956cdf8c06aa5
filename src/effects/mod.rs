//! What follows from what was applied: the followers.

pub mod feed;
pub mod simulator;
