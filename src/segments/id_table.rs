//! Which ids a sealed segment holds, 12 bytes each: sorted (hash, position) in checksummed blocks. The
//! journal has them of its events, the position being the frame counted from the first.
//!
//! A file beside the segment: header (magic, format u32, segment id u64, entries u64, CRC-32), then
//! blocks of 4,096 bytes: 340 entries of hash u64 and position u32, padding, CRC-32 over segment id,
//! block number and entries. It can always be built anew from its segment.

use std::cmp::Ordering;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::telemetry::fault;

use super::error::{io_error, not_made};
use super::file::{self, OpenSegment};
use super::{FrameNo, SegmentError, SegmentKind};

const MAGIC: [u8; 4] = *b"CDI1";
const FORMAT: u32 = 1;
const HEADER_BYTES: usize = 28;
const ENTRY_BYTES: usize = 12;
const BLOCK_ENTRIES: usize = 340;
const BLOCK_BYTES: usize = 4096;
const CRC_AT: usize = BLOCK_BYTES - 4;

/// The id table of one sealed segment, read block by block.
#[derive(Debug)]
pub struct IdTable {
    path: PathBuf,
    file: File,
    base: FrameNo,
    segment: u64,
    entries: u64,
}

impl IdTable {
    /// Writes the table of the segment that starts at `base`, whole or not at all. Entries are an
    /// id's hash and the caller's position of it in the segment; they are sorted here.
    pub fn build(
        dir: &Path,
        kind: SegmentKind,
        base: FrameNo,
        mut entries: Vec<(u64, u32)>,
    ) -> Result<(), SegmentError> {
        let segment = segment_id(dir, kind, base)?;
        entries.sort_unstable();
        let blocks = entries.len().div_ceil(BLOCK_ENTRIES);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + blocks * BLOCK_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&segment.to_le_bytes());
        bytes.extend_from_slice(&(entries.len() as u64).to_le_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        for (number, block) in entries.chunks(BLOCK_ENTRIES).enumerate() {
            let start = bytes.len();
            for (hash, position) in block {
                bytes.extend_from_slice(&hash.to_le_bytes());
                bytes.extend_from_slice(&position.to_le_bytes());
            }
            bytes.resize(start + CRC_AT, 0);
            let crc = block_crc(segment, number as u64, bytes.get(start..).unwrap_or_default());
            bytes.extend_from_slice(&crc.to_le_bytes());
        }
        let path = file::ids_path(dir, base);
        let aside = path.with_extension("ids-new");
        let made = fault::io("ids_make").map_err(not_made(&path));
        if let Err(error) = made.and_then(|()| file::write_aside(&aside, &bytes)) {
            // Half a table aside means nothing; the next attempt or open removes it if this can't.
            let _ = fs::remove_file(&aside);
            return Err(error);
        }
        fs::rename(&aside, &path).map_err(io_error("rename", &path))?;
        if !file::path(dir, base).exists() {
            // The segment was trimmed meanwhile; nobody else will remove its table.
            let _ = fs::remove_file(&path);
        }
        file::sync_dir(dir)
    }

    /// Opens the table of the segment that starts at `base`; `None` when it has none, or one that
    /// isn't its own, and should be built anew.
    pub fn open(
        dir: &Path,
        kind: SegmentKind,
        base: FrameNo,
    ) -> Result<Option<Self>, SegmentError> {
        let path = file::ids_path(dir, base);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("open", &path)(error)),
        };
        let segment = segment_id(dir, kind, base)?;
        let mut header = [0; HEADER_BYTES];
        let read = file.read_exact_at(&mut header, 0);
        let entries = read.ok().and_then(|()| decode_header(&header, segment));
        let bytes = file.metadata().map_err(io_error("stat", &path))?.len();
        let is_whole = |entries: &u64| {
            let blocks = entries.div_ceil(BLOCK_ENTRIES as u64);
            blocks
                .checked_mul(BLOCK_BYTES as u64)
                .is_some_and(|len| len + HEADER_BYTES as u64 == bytes)
        };
        let table = |entries| Self { path, file, base, segment, entries };
        Ok(entries.filter(is_whole).map(table))
    }

    /// How many ids it holds.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Positions of the ids with this hash, ascending.
    ///
    /// # Errors
    /// `Damage` when a block fails its checksum: the table should be built anew.
    pub fn positions(&self, hash: u64) -> Result<Vec<u32>, SegmentError> {
        let blocks = self.entries.div_ceil(BLOCK_ENTRIES as u64);
        // The first block whose last hash is not below the one looked for.
        let (mut low, mut high) = (0, blocks);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.block(middle)?.last().map(|(last, _)| last.cmp(&hash)) {
                Some(Ordering::Less) => low = middle + 1,
                Some(Ordering::Equal | Ordering::Greater) | None => high = middle,
            }
        }
        let mut positions = Vec::new();
        for number in low..blocks {
            let block = self.block(number)?;
            positions.extend(
                block.iter().filter(|(other, _)| *other == hash).map(|(_, position)| *position),
            );
            if block.last().is_some_and(|(last, _)| *last > hash) {
                break;
            }
        }
        Ok(positions)
    }

    fn block(&self, number: u64) -> Result<Vec<(u64, u32)>, SegmentError> {
        let at = HEADER_BYTES as u64 + number * BLOCK_BYTES as u64;
        let mut bytes = vec![0; BLOCK_BYTES];
        self.file.read_exact_at(&mut bytes, at).map_err(io_error("read", &self.path))?;
        let (body, crc) = bytes.split_at_checked(CRC_AT).unwrap_or_default();
        let crc = crc.first_chunk().map(|crc| u32::from_le_bytes(*crc));
        if crc != Some(block_crc(self.segment, number, body)) {
            let detail = "a block of the id table fails its checksum";
            return Err(SegmentError::Damage {
                path: self.path.clone(),
                at,
                frame: self.base,
                detail,
            });
        }
        let held = self.entries.saturating_sub(number * BLOCK_ENTRIES as u64);
        let held = usize::try_from(held).unwrap_or(BLOCK_ENTRIES).min(BLOCK_ENTRIES);
        Ok(body.chunks_exact(ENTRY_BYTES).take(held).filter_map(decode_entry).collect())
    }
}

fn segment_id(dir: &Path, kind: SegmentKind, base: FrameNo) -> Result<u64, SegmentError> {
    match OpenSegment::open(dir, base, kind, false)? {
        Some(segment) => Ok(segment.header.id),
        None => {
            Err(SegmentError::Trimmed { path: dir.to_owned(), frame: base, first: base.next() })
        }
    }
}

fn decode_header(header: &[u8; HEADER_BYTES], segment: u64) -> Option<u64> {
    let (body, crc) = header.split_at_checked(HEADER_BYTES - 4)?;
    let (magic, rest) = body.split_first_chunk()?;
    let (format, rest) = rest.split_first_chunk()?;
    let (id, rest) = rest.split_first_chunk()?;
    let entries = u64::from_le_bytes(*rest.first_chunk()?);
    let is_ours = *magic == MAGIC
        && u32::from_le_bytes(*format) == FORMAT
        && u64::from_le_bytes(*id) == segment
        && u32::from_le_bytes(*crc.first_chunk()?) == crc32fast::hash(body);
    is_ours.then_some(entries)
}

fn decode_entry(entry: &[u8]) -> Option<(u64, u32)> {
    let (hash, position) = entry.split_first_chunk()?;
    Some((u64::from_le_bytes(*hash), u32::from_le_bytes(*position.first_chunk()?)))
}

fn block_crc(segment: u64, number: u64, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&segment.to_le_bytes());
    hasher.update(&number.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}
