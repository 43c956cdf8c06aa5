//! Segments held for who copies them: linked into a directory of their own, so that neither retention nor the
//! writer takes them away meanwhile.

use std::fs;
use std::io;
use std::path::Path;

use super::error::io_error;
use super::reader::SegmentExtent;
use super::{FrameNo, SegmentError, SegmentKind, SegmentReader, file};

/// Holds every segment of `dir` in `to`, which is made if need be. Called again, it adds those that came since.
///
/// # Errors
/// When the files can't be linked, nor copied.
pub fn pin(dir: &Path, to: &Path) -> Result<(), SegmentError> {
    fs::create_dir_all(to).map_err(io_error("create", to))?;
    // Retention takes the oldest first: behind one that is gone there is none.
    for base in file::list(dir)?.into_iter().rev() {
        let (from, at) = (file::path(dir, base), file::path(to, base));
        match link(&from, &at) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(io_error("link", &from)(error)),
        }
    }
    Ok(())
}

/// A second name for a file, or a copy where the file system has no such names.
pub fn link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        // Another file system, or one without links.
        Err(_) => fs::copy(from, to).map(drop),
        Ok(()) => Ok(()),
    }
}

/// The segments in `dir`, each up to its last whole frame.
///
/// # Errors
/// When one can't be read, or is no segment of that kind.
pub fn extents(
    dir: &Path,
    kind: SegmentKind,
    to: FrameNo,
) -> Result<Vec<SegmentExtent>, SegmentError> {
    SegmentReader::open(dir, kind)?.extents(to)
}

/// Reads every frame in `dir`, each with its checksum, and gives the frame behind the last one.
///
/// # Errors
/// Of a frame that is not whole, by its file and place.
pub fn check(dir: &Path, kind: SegmentKind) -> Result<FrameNo, SegmentError> {
    let reader = SegmentReader::open(dir, kind)?;
    let mut cursor = reader.cursor(reader.first()?);
    while cursor.next()?.is_some() {}
    let (reached, end) = (cursor.position(), reader.end()?);
    match reader.extents(end)?.pop() {
        Some(last) if reached < end => Err(SegmentError::Damage {
            path: last.path,
            at: last.bytes,
            frame: reached,
            detail: "the frame is not whole",
        }),
        Some(_) | None => Ok(end),
    }
}
