//! What the tests stand on: a contactd as a child process, logs to follow, and everything that a
//! stopped store holds, to be compared.
//!
//! ```text
//! load ─► TestLog (embedded, mock cluster, real Kafka) ─► Node (a child process) ─► Image (compared)
//! Instance (a whole contactd in this process) ─► Client ─► Answer
//! ```

pub mod access;
pub mod acme;
pub mod answer;
pub mod bridge;
pub mod client;
pub mod follower;
pub mod image;
pub mod instance;
pub mod load;
pub mod logs;
pub mod node;
pub mod postgres;
#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;
pub mod redis;
pub mod registry;
pub mod services;
pub mod sse;
pub mod wait;

/// Fails with both sides' differences, not with megabytes of them.
#[track_caller]
pub fn assert_same(expected: &image::Image, found: &image::Image, what: &str) {
    let differences = expected.differences(found);
    assert!(differences.is_empty(), "{what}:\n  {}", differences.join("\n  "));
}
