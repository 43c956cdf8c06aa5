//! What follows from what was applied: the followers.

mod attempt;
mod cloud_event;
pub mod dead_letters;
pub mod feed;
pub mod follower;
mod joining;
mod pace;
pub mod publish;
#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;
pub mod rehoming;
mod said_of;
pub mod simulator;
pub mod subscriptions;
mod told;

pub use attempt::Attempt;
pub use joining::Joining;
