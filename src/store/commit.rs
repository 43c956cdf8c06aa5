//! What a commit was, for who made it.

use std::time::Duration;

use crate::domain::position::Position;
use crate::segments::FrameNo;

/// A commit that stands in the journal and is visible to readers.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The journal frame.
    pub frame: FrameNo,
    /// Where the log was read to.
    pub position: Position,
    /// Where the time went.
    pub times: CommitTimes,
}

/// The stages of a commit.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommitTimes {
    /// Waiting for the dirty set to have room.
    pub waited: Duration,
    /// Net effects, digest, encoding, compression.
    pub encode: Duration,
    /// The journal append.
    pub append: Duration,
    /// The dirty set.
    pub memory: Duration,
}
