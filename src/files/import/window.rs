//! As much of a file as the row in hand needs, and where in the file that is.

use std::io::{self, Read};

use super::content::{Content, Place, SourceRow};
use super::refusal::{ROW_BYTES_MAX, Refusal};

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

/// What is read of a file and not taken yet.
pub(super) struct Window<R> {
    input: R,
    buffer: Vec<u8>,
    /// Where in the buffer it begins.
    start: usize,
    /// Where that is in the file.
    pub(super) place: Place,
    /// The file has no more than what is here.
    pub(super) is_end: bool,
}

impl<R: Read> Window<R> {
    /// From that place of a file on, where `input` stands.
    pub(super) fn new(input: R, place: Place) -> Self {
        Self { input, buffer: Vec::new(), start: 0, place, is_end: false }
    }

    /// The next row: from there up to here.
    pub(super) fn row(&mut self, from: Place, content: Result<Content, Refusal>) -> SourceRow {
        self.place.number += 1;
        let Place { number, at, .. } = self.place;
        SourceRow { number, line: from.line, at: from.at, bytes: at - from.at, content }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Reads more. False: a row has no more room, or there is no more.
    pub(super) fn more(&mut self) -> io::Result<bool> {
        if self.is_end || self.bytes().len() >= ROW_BYTES_MAX {
            return Ok(false);
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        let before = self.buffer.len();
        self.buffer.resize(before + READ_BYTES, 0);
        let read = self.input.read(self.buffer.get_mut(before..).unwrap_or_default())?;
        self.buffer.truncate(before + read);
        self.is_end = read == 0;
        Ok(true)
    }

    /// So many bytes are done with.
    pub(super) fn take(&mut self, bytes: usize) {
        let taken = self.bytes().get(..bytes).unwrap_or_default();
        let lines = taken.iter().filter(|byte| **byte == b'\n').count();
        self.place.at += bytes as u64;
        self.place.line += lines as u64;
        self.start += bytes;
    }

    /// Where the line that begins here ends, its break included; none: too long for a row.
    pub(super) fn line_end(&mut self) -> io::Result<Option<usize>> {
        let mut looked = 0;
        loop {
            let rest = self.bytes().get(looked..).unwrap_or_default();
            if let Some(found) = rest.iter().position(|byte| *byte == b'\n') {
                return Ok(Some(looked + found + 1));
            }
            looked = self.bytes().len();
            if !self.more()? {
                return Ok(self.is_end.then_some(looked));
            }
        }
    }

    /// Takes the rest of a line, however long that is.
    pub(super) fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let bytes = self.bytes();
            let end = bytes.iter().position(|byte| *byte == b'\n').map(|found| found + 1);
            let (taken, is_whole) = (end.unwrap_or(bytes.len()), end.is_some());
            self.take(taken);
            if is_whole || !self.more()? {
                return Ok(());
            }
        }
    }
}
