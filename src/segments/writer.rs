//! The one writer of a directory of segments.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::domain::Class;
use crate::telemetry::fault;

use super::error::{io_error, is_full};
use super::file::{self, OpenSegment, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::frame::{self, FRAME_BYTES_MAX, HEADER_BYTES};
use super::recover::{Recovered, recover};
use super::sync::{SegmentSync, Shared};
use super::{FrameNo, SegmentError, SegmentOptions};

/// A buffer grown past this by one large frame is given back.
const BUFFER_KEEP_BYTES: usize = 4 << 20;

/// What opening found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenReport {
    /// The oldest frame.
    pub first: FrameNo,
    /// The frame after the last one; all below are synced now.
    pub next: FrameNo,
    /// Bytes of a torn end that were cut off.
    pub truncated_bytes: u64,
    /// Segments, the active one among them.
    pub segments: usize,
}

/// A segment as retention sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its first frame.
    pub base: FrameNo,
    /// The frame after its last one.
    pub end: FrameNo,
    /// Its length.
    pub bytes: u64,
    /// When it was last written.
    pub modified: SystemTime,
}

impl SegmentInfo {
    pub(super) fn of(segment: &OpenSegment, end: FrameNo) -> Result<Self, SegmentError> {
        let stat = io_error("stat", &segment.path);
        let metadata = segment.file.metadata();
        let (bytes, modified) = metadata
            .and_then(|metadata| Ok((metadata.len(), metadata.modified()?)))
            .map_err(stat)?;
        Ok(Self { base: segment.header.base, end, bytes, modified })
    }
}

/// Appends frames. There must be one a directory; who makes it holds a lock of its own.
#[derive(Debug)]
pub struct SegmentWriter {
    dir: PathBuf,
    options: SegmentOptions,
    shared: Arc<Shared>,
    /// Oldest first.
    sealed: VecDeque<SegmentInfo>,
    active: ActiveSegment,
    next: FrameNo,
    /// The frame being written, kept for its capacity.
    buffer: Vec<u8>,
}

/// The segment that is appended to.
#[derive(Debug)]
struct ActiveSegment {
    /// Shared with whoever syncs.
    file: Arc<fs::File>,
    path: PathBuf,
    header: SegmentHeader,
    bytes: u64,
}

impl ActiveSegment {
    fn new(segment: OpenSegment, bytes: u64) -> Self {
        let OpenSegment { path, file, header, inode: _ } = segment;
        Self { file: Arc::new(file), path, header, bytes }
    }
}

impl SegmentWriter {
    /// Opens the segments in `dir`, which is made if need be. `proven_synced`: the first frame that
    /// the caller does *not* know to be synced, from a checkpoint for instance. Everything that is
    /// kept is synced on return.
    ///
    /// # Errors
    /// `Damage` and `BeyondEnd` when frames that were synced are not there or not whole.
    pub fn open(
        dir: &Path,
        options: SegmentOptions,
        proven_synced: Option<FrameNo>,
    ) -> Result<(Self, OpenReport), SegmentError> {
        file::create_dir(dir)?;
        let recovered = recover(dir, options, proven_synced.unwrap_or_default())?;
        let truncated_bytes = recovered.truncated_bytes;
        let writer = Self::with(dir, options, recovered);
        let report = OpenReport {
            first: writer.first(),
            next: writer.next,
            truncated_bytes,
            segments: writer.sealed.len() + 1,
        };
        Ok((writer, report))
    }

    /// Starts new segments at frame `first`, in a directory that holds none: after a restore.
    pub fn create(
        dir: &Path,
        options: SegmentOptions,
        first: FrameNo,
    ) -> Result<Self, SegmentError> {
        file::create_dir(dir)?;
        if !file::list(dir)?.is_empty() {
            return Err(SegmentError::NotEmpty { path: dir.to_owned() });
        }
        file::remove_unfinished(dir)?;
        let recovered = Recovered {
            sealed: VecDeque::new(),
            active: file::create(dir, options.kind, SegmentHeader::new(first, 0, 0))?,
            bytes: SEGMENT_HEADER_BYTES,
            next: first,
            truncated_bytes: 0,
        };
        Ok(Self::with(dir, options, recovered))
    }

    fn with(dir: &Path, options: SegmentOptions, recovered: Recovered) -> Self {
        let active = ActiveSegment::new(recovered.active, recovered.bytes);
        let file = Arc::clone(&active.file);
        Self {
            dir: dir.to_owned(),
            options,
            shared: Shared::new(dir.to_owned(), options.kind, file, recovered.next),
            sealed: recovered.sealed,
            active,
            next: recovered.next,
            buffer: Vec::new(),
        }
    }

    /// Appends one frame; not durable until a sync that starts after it.
    ///
    /// # Errors
    /// Of class Retry: nothing was appended, and the same may be tried again. Anything else is fatal.
    pub fn append(&mut self, payload: &[u8]) -> Result<FrameNo, SegmentError> {
        self.append_parts(&[payload])
    }

    /// Appends one frame whose payload is the parts, one after the other.
    ///
    /// # Errors
    /// As [`SegmentWriter::append`].
    pub fn append_parts(&mut self, parts: &[&[u8]]) -> Result<FrameNo, SegmentError> {
        let bytes = parts.iter().map(|part| part.len()).sum();
        if self.would_roll(bytes) {
            self.roll()?;
        }
        self.append_here(parts)
    }

    /// As [`SegmentWriter::append_parts`], but into the active segment, however large it is: for a
    /// frame that belongs with the one before.
    ///
    /// # Errors
    /// As [`SegmentWriter::append`].
    pub fn append_here(&mut self, parts: &[&[u8]]) -> Result<FrameNo, SegmentError> {
        self.shared.check()?;
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let len = match u32::try_from(bytes) {
            Ok(len) if len > 0 && bytes <= FRAME_BYTES_MAX => len,
            Ok(_) | Err(_) => {
                return Err(SegmentError::FrameSize { bytes, bytes_max: FRAME_BYTES_MAX });
            }
        };
        let no = self.next;
        let mut buffer = std::mem::take(&mut self.buffer);
        frame::write(&mut buffer, self.active.header.id, no, self.shared.synced(), len, parts);
        let written = self.write(&buffer);
        buffer.clear();
        buffer.shrink_to(BUFFER_KEEP_BYTES);
        self.buffer = buffer;
        written?;
        self.next = no.next();
        self.shared.set_written(self.next);
        Ok(no)
    }

    /// Whether a payload of `bytes` would start a new segment.
    pub fn would_roll(&self, bytes: usize) -> bool {
        let after = self.active.bytes + (HEADER_BYTES + bytes) as u64;
        after > self.options.segment_bytes_max && !self.is_segment_empty()
    }

    /// Whether the active segment holds no frame.
    pub fn is_segment_empty(&self) -> bool {
        self.next == self.active.header.base
    }

    /// Writes a whole frame at the end, or nothing.
    fn write(&mut self, bytes: &[u8]) -> Result<(), SegmentError> {
        let Err(error) = self.write_at_end(bytes) else {
            self.active.bytes += bytes.len() as u64;
            return Ok(());
        };
        // What the short write left must not stand where the next frame goes.
        if let Err(error) = self.active.file.set_len(self.active.bytes) {
            return Err(self.shared.fail(format!("truncate after a short write: {error}")));
        }
        if is_full(&error) {
            return Err(SegmentError::NoSpace { path: self.active.path.clone() });
        }
        Err(self.shared.fail(format!("write: {error}")))
    }

    fn write_at_end(&self, bytes: &[u8]) -> io::Result<()> {
        let faults = self.options.kind.faults();
        let ActiveSegment { file, bytes: at, .. } = &self.active;
        let half = bytes.len() / 2;
        if let Err(error) = fault::io(faults.append) {
            // An armed failure leaves half a frame behind, as a full disk does.
            file.write_all_at(bytes.get(..half).unwrap_or_default(), *at)?;
            return Err(error);
        }
        if fault::is_armed(faults.append_half) {
            let (first, second) = bytes.split_at_checked(half).unwrap_or((bytes, &[]));
            file.write_all_at(first, *at)?;
            fault::point(faults.append_half);
            return file.write_all_at(second, *at + half as u64);
        }
        file.write_all_at(bytes, *at)
    }

    /// Seals the active segment and starts the next, unless it is empty.
    ///
    /// # Errors
    /// Of class Retry: the old segment is still the active one, and whole.
    pub fn roll(&mut self) -> Result<(), SegmentError> {
        if self.is_segment_empty() {
            return Ok(());
        }
        self.shared.sync()?;
        let header = SegmentHeader::new(self.next, self.active.header.id, self.active.bytes);
        let segment = match file::create(&self.dir, self.options.kind, header) {
            Ok(segment) => segment,
            Err(error) if error.class() == Class::Retry => return Err(error),
            Err(error) => return Err(self.shared.fail(format!("starting a segment: {error}"))),
        };
        let sealed = SegmentInfo {
            base: self.active.header.base,
            end: self.next,
            bytes: self.active.bytes,
            modified: SystemTime::now(),
        };
        self.sealed.push_back(sealed);
        self.active = ActiveSegment::new(segment, SEGMENT_HEADER_BYTES);
        self.shared.set_active(Arc::clone(&self.active.file));
        fault::point(self.options.kind.faults().rolled);
        Ok(())
    }

    /// Syncs every frame appended so far; returns the next frame after them.
    pub fn sync(&self) -> Result<FrameNo, SegmentError> {
        self.shared.sync()
    }

    /// For syncing from another thread while this one goes on appending.
    pub fn sync_handle(&self) -> SegmentSync {
        SegmentSync { shared: Arc::clone(&self.shared) }
    }

    /// The oldest frame; equals `next` when there is none.
    pub fn first(&self) -> FrameNo {
        self.sealed.front().map_or(self.active.header.base, |segment| segment.base)
    }

    /// The frame that the next append gets.
    pub fn next(&self) -> FrameNo {
        self.next
    }

    /// Frames below this are known to be synced.
    pub fn synced(&self) -> FrameNo {
        self.shared.synced()
    }

    /// The first frame of the active segment; it grows when a segment was sealed.
    pub fn segment_base(&self) -> FrameNo {
        self.active.header.base
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.sealed.iter().map(|segment| segment.bytes).sum::<u64>() + self.active.bytes
    }

    /// Sealed segments, oldest first.
    pub fn sealed(&self) -> impl DoubleEndedIterator<Item = &SegmentInfo> + ExactSizeIterator {
        self.sealed.iter()
    }

    /// Removes whole sealed segments that hold nothing but frames below `keep`, with their id
    /// tables, oldest first; returns the bytes given back.
    ///
    /// # Errors
    /// What is left may be removed by the next call.
    pub fn trim_before(&mut self, keep: FrameNo) -> Result<u64, SegmentError> {
        let mut removed = 0;
        while let Some(segment) = self.sealed.front().filter(|segment| segment.end <= keep) {
            remove(&file::path(&self.dir, segment.base))?;
            remove(&file::ids_path(&self.dir, segment.base))?;
            removed += segment.bytes;
            self.sealed.pop_front();
        }
        if removed > 0 {
            file::sync_dir(&self.dir)?;
        }
        Ok(removed)
    }
}

/// Removes a file that may be gone already.
fn remove(path: &Path) -> Result<(), SegmentError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
