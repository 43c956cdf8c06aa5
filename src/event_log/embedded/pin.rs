//! The log's files held for who copies them while it is appended to.

use std::path::Path;

use crate::domain::position::LogIdentity;
use crate::event_log::LogError;
use crate::segments::{self, FrameNo, SegmentExtent, SegmentKind};

use super::meta::FILE;
use super::{EmbeddedLog, segments_dir};

/// Its segments, by their path in the log's directory.
pub const SEGMENTS: &str = "segments";
/// What says which log it is.
pub const META: &str = FILE;

/// Holds all that the log in `dir` has now in the directory `to`.
///
/// # Errors
/// When there is no log, or its files can't be held.
pub fn pin(dir: &Path, to: &Path) -> Result<(), LogError> {
    let (from, at) = (dir.join(FILE), to.join(FILE));
    let io = |source| LogError::Io { what: "link", path: from.clone(), source };
    std::fs::create_dir_all(to).and_then(|()| segments::link(&from, &at)).map_err(io)?;
    Ok(segments::pin(&segments_dir(dir), &segments_dir(to))?)
}

/// The segments of the log in `dir`, each up to its last whole frame.
///
/// # Errors
/// When one can't be read.
pub fn extents(dir: &Path) -> Result<Vec<SegmentExtent>, LogError> {
    Ok(segments::extents(&segments_dir(dir), SegmentKind::Log, FrameNo(u64::MAX))?)
}

/// Reads every frame of the log in `dir`, which nobody writes, and says which log it is.
///
/// # Errors
/// Of the first frame that is not whole.
pub fn check(dir: &Path) -> Result<LogIdentity, LogError> {
    segments::check(&segments_dir(dir), SegmentKind::Log)?;
    EmbeddedLog::open_read_only(dir)?.identity()
}
