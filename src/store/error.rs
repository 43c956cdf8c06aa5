//! What can go wrong in the store, with where and what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::Class;
use crate::domain::contact::CorruptContact;
use crate::domain::position::{Lane, NextOffset, Offset};
use crate::segments::{SegmentError, is_passing};

use super::engine::EngineError;

/// Why the store can't do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An I/O call failed.
    #[error("{doing} {path}: {source}", path = .path.display())]
    Io {
        /// What was being done, as in "reading".
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A file could not be made or filled; nothing was changed, the same call may be made again.
    #[error("{path} can't be made now: {source}", path = .path.display())]
    NotMade {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// There is no room; nothing was changed, the same call may be made again.
    #[error("the disk of {path} has {free} bytes free, {needed} are needed", path = .path.display())]
    NoSpace {
        /// The data directory.
        path: PathBuf,
        /// Bytes free.
        free: u64,
        /// Bytes below which nothing is written.
        needed: u64,
    },
    /// Another process has the data directory.
    #[error("the data directory {path} is in use by another process: stop that one, or give this one a directory (--path) and a port (PORT) of its own", path = .path.display())]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// There is no store, and none may be made without knowing its log.
    #[error("there is no store in {path}", path = .path.display())]
    NoStore {
        /// The data directory.
        path: PathBuf,
    },
    /// The journal's segments failed.
    #[error("journal: {0}")]
    Journal(#[from] SegmentError),
    /// The engine failed.
    #[error("engine: {0}")]
    Engine(#[from] EngineError),
    /// Something on disk is not what was written there.
    #[error("{what} is damaged: {detail}; restore a snapshot or run `contactd store rebuild`")]
    Damaged {
        /// The file or part.
        what: String,
        /// What does not fit.
        detail: String,
    },
    /// A file was written by a version that this one does not know.
    #[error(
        "{what} has format {found}, this version reads up to {known}; use the version that wrote it, or newer"
    )]
    UnknownFormat {
        /// The file or part.
        what: String,
        /// The format found.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// The store follows another log.
    #[error(
        "the store in {path} follows {stored}, not {given}: another directory (--path) keeps both apart, and `contactd store rebuild` moves this store aside and follows the new log", path = .path.display()
    )]
    AnotherLog {
        /// The data directory.
        path: PathBuf,
        /// The log that the store follows.
        stored: String,
        /// The log that it was to follow.
        given: String,
    },
    /// Contacts would have other homes than those that the store has applied them in.
    #[error(
        "the store in {path} was applied under the founding of {stored}, the log says {given}; use the log that the store follows, or run `contactd store rebuild` to go by the log's", path = .path.display()
    )]
    AnotherFounding {
        /// The data directory.
        path: PathBuf,
        /// What the store goes by.
        stored: String,
        /// What the log says.
        given: String,
    },
    /// The log does not hold the offset at which the store goes on.
    #[error(
        "partition {lane} of the log holds offsets {low} to {high}, the store goes on at {next}: {why}"
    )]
    OutsideLog {
        /// The partition.
        lane: Lane,
        /// Where the store goes on.
        next: NextOffset,
        /// The first offset that the log has.
        low: Offset,
        /// One past the last offset that the log has.
        high: NextOffset,
        /// What that means and what to do.
        why: &'static str,
    },
    /// The log has another record where the store has read one.
    #[error(
        "partition {lane} offset {offset} of the log is not the record that the store has applied: the log was re-created or cut; use another data directory, or run `contactd store rebuild`"
    )]
    AnotherRecord {
        /// The partition.
        lane: Lane,
        /// The offset.
        offset: Offset,
    },
    /// One commit can't hold more entries.
    #[error("a commit holds {max} entries at most")]
    BatchFull {
        /// The bound.
        max: usize,
    },
    /// The store stopped earlier and takes nothing more.
    #[error("the store has stopped: {0}")]
    Stopped(#[source] Arc<StoreError>),
    /// The wait for a position was longer than allowed.
    #[error("the position was not reached in time")]
    TimedOut,
}

impl StoreError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::NoSpace { .. } | Self::NotMade { .. } | Self::TimedOut => Class::Retry,
            Self::Io { source, .. } if is_passing(source) => Class::Retry,
            Self::Journal(error) => error.class(),
            Self::Io { .. }
            | Self::Locked { .. }
            | Self::NoStore { .. }
            | Self::Engine(_)
            | Self::Damaged { .. }
            | Self::UnknownFormat { .. }
            | Self::AnotherLog { .. }
            | Self::AnotherFounding { .. }
            | Self::OutsideLog { .. }
            | Self::AnotherRecord { .. }
            | Self::BatchFull { .. }
            | Self::Stopped(_) => Class::Fatal,
        }
    }

    /// Whether the disk, or what we may use of it, is full.
    pub fn is_no_space(&self) -> bool {
        matches!(self, Self::NoSpace { .. } | Self::Journal(SegmentError::NoSpace { .. }))
    }

    /// Whether the data itself is the matter (exit code 5), not the machine.
    pub fn is_about_data(&self) -> bool {
        match self {
            Self::Damaged { .. }
            | Self::NoStore { .. }
            | Self::UnknownFormat { .. }
            | Self::AnotherLog { .. }
            | Self::AnotherFounding { .. }
            | Self::OutsideLog { .. }
            | Self::AnotherRecord { .. } => true,
            Self::Journal(error) => error.is_damage(),
            Self::Engine(error) => error.is_damage(),
            Self::Stopped(error) => error.is_about_data(),
            Self::Io { .. }
            | Self::NotMade { .. }
            | Self::NoSpace { .. }
            | Self::Locked { .. }
            | Self::BatchFull { .. }
            | Self::TimedOut => false,
        }
    }

    /// For `map_err` on an I/O call.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { doing, path, source }
    }

    /// For `map_err` on what is done to make a file: until it has its name nothing depends on it.
    pub(crate) fn not_made(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::NotMade { path, source }
    }

    pub(crate) fn damaged(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Damaged { what: what.into(), detail: detail.into() }
    }
}

impl From<CorruptContact> for StoreError {
    fn from(error: CorruptContact) -> Self {
        Self::damaged("a contact", error.to_string())
    }
}

/// Why an engine's content is not taken.
#[derive(Debug)]
pub(crate) enum EngineMismatch {
    /// It is not what it should be, and can be filled again.
    Damage(String),
    /// Filling it again would not help.
    Fatal(StoreError),
}

impl EngineMismatch {
    pub(crate) fn damage(why: &str) -> Self {
        Self::Damage(why.to_owned())
    }

    /// Where it can't be filled again.
    pub(crate) fn into_error(self, what: &str) -> StoreError {
        match self {
            Self::Damage(why) => StoreError::damaged(what, why),
            Self::Fatal(error) => error,
        }
    }
}

impl From<StoreError> for EngineMismatch {
    fn from(error: StoreError) -> Self {
        Self::Fatal(error)
    }
}

impl From<EngineError> for EngineMismatch {
    fn from(error: EngineError) -> Self {
        if error.is_damage() { Self::Damage(error.to_string()) } else { Self::Fatal(error.into()) }
    }
}
