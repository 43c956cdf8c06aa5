//! How an embedded log is opened.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::EmbeddedLogConfig;

/// How an embedded log is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedOptions {
    /// Its directory; made if need be.
    pub path: PathBuf,
    /// Its name in identities, errors and metrics; fixed when the log is made.
    pub topic: String,
    /// Lanes; fixed when the log is made.
    pub partitions: u16,
    /// A segment that would grow past this is sealed first.
    pub segment_bytes_max: u64,
    /// Bytes that a partition may keep on average; `None`: everything.
    pub retention_bytes: Option<u64>,
    /// How long a sealed segment is kept; `None`: for ever.
    pub retention_age: Option<Duration>,
}

impl EmbeddedOptions {
    /// As configured.
    pub fn new(config: &EmbeddedLogConfig, topic: &str) -> Self {
        Self {
            path: config.path.clone(),
            topic: topic.to_owned(),
            partitions: config.partitions,
            segment_bytes_max: config.segment_bytes,
            retention_bytes: config.retention_bytes,
            retention_age: config.retention_age,
        }
    }
}
