//! A moving view of a file, so that many small frames cost one read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::FrameNo;
use super::frame::{self, FrameHeader, HEADER_BYTES};

/// What one read asks for where frames are read in order, in bytes.
const READ_BYTES: usize = 256 << 10;
/// A buffer grown past this by one large frame is given back.
const KEEP_BYTES: usize = 4 << 20;

/// Bytes of a file from `start` on.
#[derive(Debug)]
pub(super) struct Window {
    start: u64,
    /// A buffer, zeroed once.
    bytes: Vec<u8>,
    /// How much of it was read.
    filled: usize,
    /// What one read asks for, in bytes.
    step: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self::reading(READ_BYTES)
    }
}

/// What stands at a place where a frame should start.
pub(super) enum Place<'a> {
    /// A whole, valid frame.
    Frame(FrameHeader, &'a [u8]),
    /// The file ends here.
    End,
    /// Bytes that are not that frame, or not yet.
    Bad,
}

impl Window {
    /// A window that reads `step` bytes at once.
    pub(super) fn reading(step: usize) -> Self {
        Self { start: 0, bytes: Vec::new(), filled: 0, step }
    }

    /// Forgets what was read, for another file or one that may have changed.
    pub(super) fn clear(&mut self) {
        self.filled = 0;
    }

    /// Up to `len` bytes at `at`: fewer only where the file ends.
    pub(super) fn get(&mut self, file: &File, at: u64, len: usize) -> io::Result<&[u8]> {
        if self.held(at).len() < len {
            self.fill(file, at, len.max(self.step))?;
        }
        let held = self.held(at);
        Ok(held.get(..len).unwrap_or(held))
    }

    /// The same, kept by whoever asks.
    pub(super) fn into_bytes(mut self, file: &File, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let len = self.get(file, at, len)?.len();
        let skip = self.filled - self.held(at).len();
        self.bytes.truncate(skip + len);
        self.bytes.drain(..skip);
        Ok(self.bytes)
    }

    /// The frame `no` of `segment` at `at`.
    pub(super) fn frame(
        &mut self,
        file: &File,
        segment: u64,
        no: FrameNo,
        at: u64,
    ) -> io::Result<Place<'_>> {
        let start = self.get(file, at, HEADER_BYTES)?;
        if start.is_empty() {
            return Ok(Place::End);
        }
        let Some(header) = frame::header(start).filter(|header| header.is_plausible(no)) else {
            return Ok(Place::Bad);
        };
        // A length made up by damage must not make us allocate for it.
        let bytes = header.frame_bytes();
        if bytes > self.step && file.metadata()?.len().saturating_sub(at) < bytes as u64 {
            return Ok(Place::Bad);
        }
        match frame::parse(self.get(file, at, bytes)?, segment, no) {
            Some((header, payload)) => Ok(Place::Frame(header, payload)),
            None => Ok(Place::Bad),
        }
    }

    fn held(&self, at: u64) -> &[u8] {
        let skip = at.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| self.bytes.get(skip..self.filled)).unwrap_or_default()
    }

    fn fill(&mut self, file: &File, at: u64, len: usize) -> io::Result<()> {
        if self.bytes.len() < len || self.bytes.len() > KEEP_BYTES.max(len) {
            self.bytes = vec![0; len];
        }
        self.start = at;
        self.filled = 0;
        let (buffer, _) = self.bytes.split_at_mut_checked(len).unwrap_or_default();
        while let Some(rest) = buffer.get_mut(self.filled..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, at + self.filled as u64) {
                Ok(0) => break,
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.filled = 0;
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}
