//! What goes wrong with frames on disk.

use std::io;
use std::path::{Path, PathBuf};

use crate::domain::Class;

use super::FrameNo;

/// Why segments can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// A file operation failed.
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
    /// The disk is full; what was appended before stands, and the same append may be tried again.
    #[error("no space left for {path}")]
    NoSpace {
        /// The segment.
        path: PathBuf,
    },
    /// A file could not be made; what was appended before stands, and the same may be tried again.
    #[error("{path} can't be made now: {source}", path = .path.display())]
    NotMade {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// An earlier write or fsync failed in a way that leaves open what is on disk.
    #[error("the segments in {path} failed before and must be opened anew: {detail}")]
    Failed {
        /// The directory.
        path: PathBuf,
        /// The first failure.
        detail: String,
    },
    /// Bytes that were once synced are not what was written.
    #[error("damage in {path} at byte {at}, frame {frame}: {detail}")]
    Damage {
        /// The segment.
        path: PathBuf,
        /// Where the frame starts.
        at: u64,
        /// The frame that should stand there.
        frame: FrameNo,
        /// What is wrong.
        detail: &'static str,
    },
    /// Frames known to be synced are not there.
    #[error("damage in {path}: frames up to {proven} were synced, but it ends before frame {end}")]
    BeyondEnd {
        /// The directory.
        path: PathBuf,
        /// The first frame not known to be synced.
        proven: FrameNo,
        /// The first frame that isn't there.
        end: FrameNo,
    },
    /// A file that is no segment of this kind, or of a later format.
    #[error("{path} is not a segment that can be read here: {detail}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: &'static str,
    },
    /// Retention has removed the frame.
    #[error("frame {frame} is gone from {path}, which starts at {first}")]
    Trimmed {
        /// The directory.
        path: PathBuf,
        /// The frame asked for.
        frame: FrameNo,
        /// The oldest still there.
        first: FrameNo,
    },
    /// A payload that no frame takes.
    #[error("a frame of {bytes} bytes; it must be between 1 and {bytes_max}")]
    FrameSize {
        /// Its bytes.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// New segments were to be made where some stand.
    #[error("{path} holds segments already")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
}

impl SegmentError {
    /// A full disk, a file that could not be made and a shortage are worth trying again.
    pub fn class(&self) -> Class {
        match self {
            Self::NoSpace { .. } | Self::NotMade { .. } => Class::Retry,
            Self::Io { source, .. } if is_passing(source) => Class::Retry,
            Self::FrameSize { .. } => Class::Poison,
            Self::Io { .. }
            | Self::Failed { .. }
            | Self::Damage { .. }
            | Self::BeyondEnd { .. }
            | Self::Foreign { .. }
            | Self::Trimmed { .. }
            | Self::NotEmpty { .. } => Class::Fatal,
        }
    }

    /// Whether the bytes on disk are not what was written.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damage { .. } | Self::BeyondEnd { .. } | Self::Foreign { .. })
    }
}

/// Names the operation and the file of an I/O error.
pub(super) fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SegmentError {
    let path = path.to_owned();
    move |source| {
        if is_full(&source) {
            SegmentError::NoSpace { path }
        } else {
            SegmentError::Io { what, path, source }
        }
    }
}

/// As [`io_error`], for what is done to make a file: until it has its name nothing else depends on it.
pub(super) fn not_made(path: &Path) -> impl FnOnce(io::Error) -> SegmentError {
    let path = path.to_owned();
    move |source| {
        if is_full(&source) {
            SegmentError::NoSpace { path }
        } else {
            SegmentError::NotMade { path, source }
        }
    }
}

/// Whether an error says that descriptors or memory are short, or that a signal came between: nothing
/// was done, and it passes.
pub fn is_passing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::INTR | Errno::NOMEM) => true,
        Some(_) | None => false,
    }
}

/// Whether an error says that the disk, or what we may use of it, is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
