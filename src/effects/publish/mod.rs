//! Contacts and their changes on Kafka topics for others to follow: two followers.
//!
//! ```text
//! journal ─► StatePublisher  ─► publish.state (compacted): the contact as it is, null when deleted
//!        └─► ChangePublisher ─► publish.changes: every change, as the feed tells it
//! ```
//!
//! Records are CloudEvents in binary mode: the value is the data itself, the attributes are headers (`ce_…`).
//! Each is in the partition that the contact log's partitioner gives its contact's id.

mod changes;
mod states;
mod topic;

pub use changes::ChangePublisher;
pub use states::StatePublisher;
pub use topic::Topic;
