//! Segment files: names, headers, creation, and what a directory holds.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::telemetry::fault;

use super::error::{io_error, not_made};
use super::{FrameNo, SegmentError, SegmentKind};

/// Bytes before the first frame.
pub(super) const SEGMENT_HEADER_BYTES: u64 = 64;
const HEADER_BODY_BYTES: usize = 60;
const FORMAT: u32 = 1;
const EXTENSION: &str = "seg";
const UNFINISHED: &str = "seg-new";

/// What stands at the start of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// Random, so that no other segment's bytes pass for this one's.
    pub(super) id: u64,
    /// Its first frame.
    pub(super) base: FrameNo,
    /// The segment before, 0 for the first.
    pub(super) previous_id: u64,
    /// The bytes of the segment before, sealed.
    pub(super) previous_bytes: u64,
}

impl SegmentHeader {
    /// A header with an id never used before.
    pub(super) fn new(base: FrameNo, previous_id: u64, previous_bytes: u64) -> Self {
        Self { id: fastrand::u64(1..), base, previous_id, previous_bytes }
    }

    fn encode(&self, kind: SegmentKind) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES as usize);
        bytes.extend_from_slice(&kind.magic());
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        for field in [self.id, self.base.0, self.previous_id, self.previous_bytes] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.resize(HEADER_BODY_BYTES, 0);
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8], kind: SegmentKind) -> Result<Self, &'static str> {
        const SHORT: &str = "it is too short for its header";
        let (magic, rest) = bytes.split_first_chunk::<4>().ok_or(SHORT)?;
        if *magic != kind.magic() {
            return Err("it does not start with this kind's magic");
        }
        let (format, mut rest) = rest.split_first_chunk().ok_or(SHORT)?;
        if u32::from_le_bytes(*format) != FORMAT {
            return Err("its format version is not known here");
        }
        let body = bytes.get(..HEADER_BODY_BYTES).ok_or(SHORT)?;
        let crc = bytes.get(HEADER_BODY_BYTES..).and_then(<[u8]>::first_chunk).ok_or(SHORT)?;
        if u32::from_le_bytes(*crc) != crc32fast::hash(body) {
            return Err("its header fails its checksum");
        }
        let mut field = || {
            let (value, after) = rest.split_first_chunk().ok_or(SHORT)?;
            rest = after;
            Ok::<_, &'static str>(u64::from_le_bytes(*value))
        };
        let (id, base) = (field()?, FrameNo(field()?));
        Ok(Self { id, base, previous_id: field()?, previous_bytes: field()? })
    }
}

/// The file of the segment that starts at `base`.
pub(super) fn path(dir: &Path, base: FrameNo) -> PathBuf {
    dir.join(format!("{:020}.{EXTENSION}", base.0))
}

/// The id table beside the segment that starts at `base`.
pub(super) fn ids_path(dir: &Path, base: FrameNo) -> PathBuf {
    dir.join(format!("{:020}.ids", base.0))
}

/// First frames of all segments in a directory, in order; empty when there is no directory.
pub(super) fn list(dir: &Path) -> Result<Vec<FrameNo>, SegmentError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error("list", dir)(error)),
    };
    let mut bases = Vec::new();
    for entry in entries {
        let name = entry.map_err(io_error("list", dir))?.file_name();
        let base = name.to_str().and_then(|name| name.strip_suffix(".seg"));
        bases.extend(base.and_then(|base| base.parse().ok()).map(FrameNo));
    }
    bases.sort_unstable();
    Ok(bases)
}

/// Removes what a kill left of segments and tables being made.
pub(super) fn remove_unfinished(dir: &Path) -> Result<(), SegmentError> {
    for entry in fs::read_dir(dir).map_err(io_error("list", dir))? {
        let path = entry.map_err(io_error("list", dir))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == UNFINISHED || extension == "ids-new")
        {
            fs::remove_file(&path).map_err(io_error("remove", &path))?;
        }
    }
    Ok(())
}

/// An open segment with its believed header.
#[derive(Debug)]
pub(super) struct OpenSegment {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) header: SegmentHeader,
    /// Tells a file from another put in its place.
    pub(super) inode: u64,
}

impl OpenSegment {
    /// Opens the segment that starts at `base`; `None` when there is no such file.
    pub(super) fn open(
        dir: &Path,
        base: FrameNo,
        kind: SegmentKind,
        write: bool,
    ) -> Result<Option<Self>, SegmentError> {
        let path = path(dir, base);
        let mut file = match OpenOptions::new().read(true).write(write).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("open", &path)(error)),
        };
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES as usize);
        let mut start = (&mut file).take(SEGMENT_HEADER_BYTES);
        start.read_to_end(&mut bytes).map_err(io_error("read", &path))?;
        let header = match SegmentHeader::decode(&bytes, kind) {
            Ok(header) if header.base == base => header,
            Ok(_) => {
                return Err(SegmentError::Foreign {
                    path,
                    detail: "its name is another segment's",
                });
            }
            Err(detail) => return Err(SegmentError::Foreign { path, detail }),
        };
        let inode = file.metadata().map_err(io_error("stat", &path))?.ino();
        Ok(Some(Self { path, file, header, inode }))
    }

    /// Its length at this moment.
    pub(super) fn bytes(&self) -> Result<u64, SegmentError> {
        let metadata = self.file.metadata().map_err(io_error("stat", &self.path))?;
        Ok(metadata.len())
    }
}

/// Makes a segment that is whole or not there: written aside, synced, renamed, directory synced.
/// One of the same base is replaced.
///
/// # Errors
/// Of class Retry: nothing was changed. Only of the directory's fsync it is not known what it left.
pub(super) fn create(
    dir: &Path,
    kind: SegmentKind,
    header: SegmentHeader,
) -> Result<OpenSegment, SegmentError> {
    let path = path(dir, header.base);
    // Before anything has its name: descriptors may be short.
    let folder = File::open(dir).map_err(not_made(dir))?;
    let made = fault::io(kind.faults().make).map_err(not_made(&path));
    let aside = path.with_extension(UNFINISHED);
    let made = made.and_then(|()| write_aside(&aside, &header.encode(kind))).and_then(|file| {
        let inode = file.metadata().map_err(not_made(&path))?.ino();
        fs::rename(&aside, &path).map_err(not_made(&path))?;
        Ok((file, inode))
    });
    let (file, inode) = made.inspect_err(|_| {
        // Half a header aside means nothing; the next attempt or open removes it if this can't.
        let _ = fs::remove_file(&aside);
    })?;
    // The file is synced already, under its other name.
    let named = fault::synced(&file, || folder.sync_all());
    named.map_err(|source| SegmentError::Io { what: "sync", path: dir.to_owned(), source })?;
    Ok(OpenSegment { path, file, header, inode })
}

/// Writes and syncs a new file; one that can't be synced is none.
pub(super) fn write_aside(path: &Path, bytes: &[u8]) -> Result<File, SegmentError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true);
    let mut file = options.open(path).map_err(not_made(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(not_made(path))?;
    Ok(file)
}

/// Makes names in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), SegmentError> {
    let synced = sync_dir_of(dir);
    synced.map_err(|source| SegmentError::Io { what: "sync", path: dir.to_owned(), source })
}

fn sync_dir_of(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes the directory and its own name durable.
pub(super) fn create_dir(dir: &Path) -> Result<(), SegmentError> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(io_error("create", dir))?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        Some(_) | None => sync_dir(Path::new(".")),
    }
}
