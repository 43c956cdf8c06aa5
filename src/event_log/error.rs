//! What goes wrong with a log, and whether waiting heals it.

use std::io;
use std::path::PathBuf;

use crate::domain::Class;
use crate::domain::position::{Lane, NextOffset, Offset};
use crate::segments::SegmentError;

/// Why a log can't do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The brokers don't answer, or answer too late.
    #[error("topic {topic}: the brokers can't be reached: {detail}")]
    Unreachable {
        /// The topic asked for.
        topic: String,
        /// What the client says.
        detail: String,
    },
    /// The topic doesn't exist; it may yet be made.
    #[error("topic {topic} does not exist; `contactd topics ensure` makes it")]
    MissingTopic {
        /// The topic asked for.
        topic: String,
    },
    /// A compacted topic forgets events, so it can't be the contact log.
    #[error(
        "topic {topic} has cleanup.policy={policy}; contactd needs delete (`contactd topics ensure --yes` sets it; what compaction took away stays away)"
    )]
    CompactedTopic {
        /// The topic asked for.
        topic: String,
        /// What the broker says.
        policy: String,
    },
    /// A topic that is not compacted forgets contacts that don't change.
    #[error(
        "topic {topic} has cleanup.policy={policy}, and a topic of contacts as they are needs compact, or it would forget those that don't change (`contactd topics ensure --yes` sets it)"
    )]
    NotCompacted {
        /// The topic asked for.
        topic: String,
        /// What the broker says.
        policy: String,
    },
    /// The topic was made anew or has another number of partitions than when it was opened.
    #[error("topic {topic} is not the one that was opened: {detail}")]
    TopicChanged {
        /// The topic.
        topic: String,
        /// What differs.
        detail: String,
    },
    /// What was read last is not what the log holds there: its end was lost, or it is another log.
    #[error(
        "topic {topic} partition {lane}: the record at offset {offset} is not the one that was read; the log's end was lost or replaced: restore the topic, use another data directory, or run `contactd store rebuild`"
    )]
    AnotherRecord {
        /// The topic.
        topic: String,
        /// The lane.
        lane: Lane,
        /// Of the last record that was read.
        offset: Offset,
    },
    /// The brokers know us and say no: authentication, authorization.
    #[error("topic {topic}: the brokers refuse: {detail}")]
    Refused {
        /// The topic.
        topic: String,
        /// What the client says.
        detail: String,
    },
    /// A setting that the log can't work with.
    #[error("the log can't be opened with this configuration: {detail}")]
    Configuration {
        /// What is wrong.
        detail: String,
    },
    /// The log on disk was made with another configuration.
    #[error(
        "the log in {path} was made with {setting} = {stands}, the configuration says {configured}"
    )]
    Mismatch {
        /// Its directory.
        path: PathBuf,
        /// The setting's name.
        setting: &'static str,
        /// What the log was made with.
        stands: String,
        /// What is configured.
        configured: String,
    },
    /// The log's own file can't be understood.
    #[error("{path} can't be read as a log's meta file: {detail}")]
    Meta {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// Another process writes this log.
    #[error(
        "the log in {path} is in use by another process, which holds its writer.lock: stop that one, or give this one a directory (--path) and a port (PORT) of its own"
    )]
    Locked {
        /// Its directory.
        path: PathBuf,
    },
    /// The log was opened for reading only.
    #[error("the log in {path} is open for reading only")]
    ReadOnly {
        /// Its directory.
        path: PathBuf,
    },
    /// There is no such lane.
    #[error("topic {topic} has no partition {lane}, only {lanes}")]
    UnknownLane {
        /// The topic.
        topic: String,
        /// The lane asked for.
        lane: Lane,
        /// How many there are.
        lanes: u16,
    },
    /// The lane doesn't hold the offset any more, or not yet.
    #[error(
        "topic {topic} partition {lane}: offset {next} is out of range, the log holds {low} to {high}"
    )]
    OffsetOutOfRange {
        /// The topic.
        topic: String,
        /// The lane.
        lane: Lane,
        /// What was asked for.
        next: NextOffset,
        /// The oldest kept.
        low: Offset,
        /// The next to be appended.
        high: NextOffset,
    },
    /// A record larger than the log takes.
    #[error("topic {topic}: a record of {bytes} bytes is larger than the log takes ({bytes_max})")]
    RecordTooLarge {
        /// The topic.
        topic: String,
        /// Its bytes.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// A record that the brokers will never take as it is: its time, above all.
    #[error("topic {topic}: the brokers don't take a record: {detail}")]
    RecordRefused {
        /// The topic.
        topic: String,
        /// What they say.
        detail: String,
    },
    /// An append was not acknowledged; the record may stand in the log all the same.
    #[error("topic {topic}: an append was not acknowledged: {detail}")]
    NotAcknowledged {
        /// The topic.
        topic: String,
        /// What the log says.
        detail: String,
    },
    /// The disk is full; nothing acknowledged is lost.
    #[error("topic {topic}: no space left in {path}")]
    NoSpace {
        /// The topic.
        topic: String,
        /// The log's directory.
        path: PathBuf,
    },
    /// A file of the log can't be made now; nothing acknowledged is lost.
    #[error("topic {topic}: {path} can't be made now: {detail}", path = .path.display())]
    NotMade {
        /// The topic.
        topic: String,
        /// The file.
        path: PathBuf,
        /// What the system says.
        detail: String,
    },
    /// An earlier failure, fsync above all, that nothing after it may paper over.
    #[error("topic {topic}: the log failed before and must be opened anew: {detail}")]
    Failed {
        /// The topic.
        topic: String,
        /// The first failure.
        detail: String,
    },
    /// The log was shut down.
    #[error("topic {topic}: the log is closed")]
    Closed {
        /// The topic.
        topic: String,
    },
    /// A thread of the log ended by a panic.
    #[error("topic {topic}: the log's {thread} thread panicked")]
    Panicked {
        /// The topic.
        topic: String,
        /// The thread's name.
        thread: &'static str,
    },
    /// The frames on disk.
    #[error(transparent)]
    Segments(#[from] SegmentError),
    /// A record's frame is whole but says something that can't be.
    #[error("topic {topic}: frame {frame} can't be decoded: {detail}")]
    CorruptFrame {
        /// The topic.
        topic: String,
        /// The frame's number.
        frame: u64,
        /// What is wrong.
        detail: &'static str,
    },
    /// A file operation beside the frames.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl LogError {
    /// Retry: the same call may succeed later. Poison: this record never will. Fatal: someone must
    /// look at it.
    pub fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. }
            | Self::MissingTopic { .. }
            | Self::NotAcknowledged { .. }
            | Self::NoSpace { .. }
            | Self::NotMade { .. } => Class::Retry,
            Self::RecordTooLarge { .. } | Self::RecordRefused { .. } => Class::Poison,
            Self::Segments(error) => error.class(),
            Self::CompactedTopic { .. }
            | Self::NotCompacted { .. }
            | Self::TopicChanged { .. }
            | Self::AnotherRecord { .. }
            | Self::Refused { .. }
            | Self::Configuration { .. }
            | Self::Mismatch { .. }
            | Self::Meta { .. }
            | Self::Locked { .. }
            | Self::ReadOnly { .. }
            | Self::UnknownLane { .. }
            | Self::OffsetOutOfRange { .. }
            | Self::Failed { .. }
            | Self::Closed { .. }
            | Self::Panicked { .. }
            | Self::CorruptFrame { .. }
            | Self::Io { .. } => Class::Fatal,
        }
    }
}
