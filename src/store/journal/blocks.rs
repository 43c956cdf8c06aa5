//! A frame's head, which has a directory of its blocks, so that one entry is read without the rest.
//!
//! Head and blocks are kept in the store's cache: a frame never changes, so nothing of it can be stale.

use std::ops::Range;
use std::sync::Arc;

use crate::segments::FrameNo;

use super::super::StoreError;
use super::super::cache::{BlockKey, CacheEntry};
use super::super::codec::ChangeRef;
use super::super::cut::Cut;
use super::decode::{Journal, JournalEntry, damaged, parse_head};
use super::varint::{Cursor, put};

/// Format u8, length of the head u32, its checksum u32.
pub(super) const PREFIX_BYTES: usize = 9;
/// What is read of a frame whose head is wanted: most heads, with some first blocks.
const HEAD_READ_BYTES: usize = 4 << 10;

/// What stands before a frame's entries.
#[derive(Debug)]
pub struct FrameHead {
    /// The frame's number.
    pub no: FrameNo,
    /// What holds after it, but for the rules.
    pub after: Cut,
    /// Entries in it.
    pub entries: usize,
    pub(super) base_time_ms: i64,
    pub(super) blocks: Box<[Block]>,
}

/// A run of entries, compressed where that made it shorter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Where it lies in the payload.
    pub(super) at: Range<usize>,
    pub(super) raw_len: usize,
    pub(super) entries: Range<usize>,
    crc: u32,
}

impl FrameHead {
    /// The block with an entry, and its number.
    fn block_of(&self, index: usize) -> Option<(u32, &Block)> {
        let number = self.blocks.partition_point(|block| block.entries.end <= index);
        Some((u32::try_from(number).ok()?, self.blocks.get(number)?))
    }

    /// What it takes in memory, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.after.lanes.len() * 80 + size_of_val(&*self.blocks)
    }
}

impl Block {
    pub(super) fn put(out: &mut Vec<u8>, raw_len: usize, entries: usize, stored: &[u8]) {
        put(out, raw_len as u64);
        put(out, stored.len() as u64);
        put(out, entries as u64);
        out.extend_from_slice(&crc32fast::hash(stored).to_le_bytes());
    }

    /// The block behind those that end at a byte and an entry.
    pub(super) fn parse(from: &mut Cursor<'_>, at: usize, entry: usize) -> Option<Self> {
        let (raw_len, stored_len, count) = (from.len()?, from.len()?, from.len()?);
        let (end, entries) = (at.checked_add(stored_len)?, entry..entry.checked_add(count)?);
        // LZ4 shrinks to 1/255 at best, and an entry has a length: others are no lengths.
        let can_be = raw_len / 256 <= stored_len && count <= raw_len;
        can_be.then_some(Self { at: at..end, raw_len, entries, crc: from.u32()? })
    }

    fn is_stored_as(&self, stored: &[u8]) -> bool {
        stored.len() == self.at.len() && crc32fast::hash(stored) == self.crc
    }

    /// Its entries' bytes, of the bytes that are stored.
    pub(super) fn unpack(
        &self,
        no: FrameNo,
        stored: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        out.clear();
        if stored.len() == self.raw_len {
            out.extend_from_slice(stored);
            return Ok(());
        }
        out.resize(self.raw_len, 0);
        match lz4_flex::block::decompress_into(stored, out) {
            Ok(len) if len == self.raw_len => Ok(()),
            Ok(_) | Err(_) => Err(damaged(no, "a block can't be decompressed")),
        }
    }
}

/// Puts a frame's head together, behind which its blocks follow.
pub(super) fn seal_head(no: FrameNo, format: u8, head: &[u8], out: &mut Vec<u8>) {
    out.push(format);
    out.extend_from_slice(&(head.len() as u32).to_le_bytes());
    out.extend_from_slice(&checksum(no, head).to_le_bytes());
    out.extend_from_slice(head);
}

/// The head at the beginning of a payload; none where it is not all there.
pub(super) fn sealed_head(no: FrameNo, payload: &[u8]) -> Option<&[u8]> {
    let mut at = Cursor(payload.get(1..)?);
    let (len, crc) = (at.u32()?, at.u32()?);
    at.bytes(len as usize).filter(|head| checksum(no, head) == crc)
}

fn checksum(no: FrameNo, head: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&no.0.to_le_bytes());
    hasher.update(head);
    hasher.finalize()
}

impl Journal {
    /// A frame's head; none when the frame was trimmed away or not yet written.
    pub fn head(&self, no: FrameNo) -> Result<Option<Arc<FrameHead>>, StoreError> {
        let Some(CacheEntry::Head(head)) = self.cache.block((no, BlockKey::Head)) else {
            return self.read_head(no);
        };
        Ok(Some(head))
    }

    fn read_head(&self, no: FrameNo) -> Result<Option<Arc<FrameHead>>, StoreError> {
        let mut start = self.segments.part(no, 0..HEAD_READ_BYTES)?.unwrap_or_default();
        let len = Cursor(start.get(1..).unwrap_or_default()).u32().unwrap_or_default() as usize;
        if start.len() == HEAD_READ_BYTES && len > HEAD_READ_BYTES - PREFIX_BYTES {
            start = self.segments.part(no, 0..PREFIX_BYTES + len)?.unwrap_or_default();
        }
        let head = match parse_head(no, &start) {
            Ok(head) => head,
            // The whole frame says best what is wrong with it, or that it isn't there.
            Err(_) => match self.frame(no)? {
                Some(frame) => frame.head,
                None => return Ok(None),
            },
        };
        let head = Arc::new(head);
        self.cache.keep_block((no, BlockKey::Head), CacheEntry::Head(Arc::clone(&head)));
        Ok(Some(head))
    }

    /// The first frame of `low..high` after which something holds that goes on holding; `high` where it
    /// holds after none. A frame that was trimmed away meanwhile counts as one after which it does not.
    pub fn first_where(
        &self,
        mut low: FrameNo,
        mut high: FrameNo,
        holds: impl Fn(&Cut) -> bool,
    ) -> Result<FrameNo, StoreError> {
        while low < high {
            let middle = FrameNo(low.0 + (high.0 - low.0) / 2);
            match self.head(middle)? {
                Some(head) if holds(&head.after) => high = middle,
                Some(_) | None => low = middle.next(),
            }
        }
        Ok(low)
    }

    /// The entry behind a ref; none when it was trimmed away.
    pub fn entry(&self, change: ChangeRef) -> Result<Option<JournalEntry>, StoreError> {
        self.noticed(self.find(change))
    }

    fn find(&self, change: ChangeRef) -> Result<Option<JournalEntry>, StoreError> {
        if !change.is_some() {
            return Ok(None);
        }
        let (no, index) = (change.frame(), change.index());
        let Some(head) = self.head(no)? else {
            return Ok(None);
        };
        let missing = || damaged(no, "it lacks an entry that a contact points to");
        let (number, block) = head.block_of(index).ok_or_else(missing)?;
        let Some(bytes) = self.block(no, number, block)? else {
            return Ok(None);
        };
        JournalEntry::find(bytes, index - block.entries.start, change, head.base_time_ms)
            .ok_or_else(|| damaged(no, "an entry can't be read"))
            .map(Some)
    }

    fn block(
        &self,
        no: FrameNo,
        number: u32,
        block: &Block,
    ) -> Result<Option<Arc<[u8]>>, StoreError> {
        let key = (no, BlockKey::Block(number));
        if let Some(CacheEntry::Block(bytes)) = self.cache.block(key) {
            return Ok(Some(bytes));
        }
        let stored = self.segments.part(no, block.at.clone())?;
        let stored = match stored.filter(|stored| block.is_stored_as(stored)) {
            Some(stored) => stored,
            // The whole frame says best what is wrong with it, or that it isn't there.
            None => match self.frame(no)? {
                Some(frame) => frame.stored(block).to_vec(),
                None => return Ok(None),
            },
        };
        if !block.is_stored_as(&stored) {
            return Err(damaged(no, "a block is not as it was written"));
        }
        let mut raw = Vec::new();
        block.unpack(no, &stored, &mut raw)?;
        let bytes: Arc<[u8]> = raw.into();
        self.cache.keep_block(key, CacheEntry::Block(Arc::clone(&bytes)));
        Ok(Some(bytes))
    }
}
