//! Builds one frame: entries are encoded as they are staged, compressed in blocks at the end.

use std::ops::Range;

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};
use xxhash_rust::xxh3::xxh3_64;

use crate::domain::control::Decision;
use crate::domain::verdict::Verdict;
use crate::segments::FrameNo;

use super::super::StoreError;
use super::super::codec::{ChangeRef, Links};
use super::super::cut::Cut;
use super::blocks::{Block, seal_head};
use super::varint::{put, put_signed};
use super::{
    ATTEMPTED, AwayRecord, DeadLetter, EntryMeta, FORMAT, RulesChange, VALUE_HEAD, VALUE_KEPT_MAX,
    WITH_IMAGE, event_hash,
};

/// A block is closed by the entry that takes it past this. Below 64 KiB in most cases, where LZ4
/// has a smaller table and one entry is read back cheaply.
const BLOCK_BYTES: usize = 48 << 10;
/// The blocks of a frame this large stay as they are. So much comes together only while applying is
/// behind, where compressing would be a seventh of its CPU, for a journal half as large.
const BACKLOG_BYTES: usize = 512 << 10;

/// The entries of a batch, in a buffer that is kept from batch to batch.
pub(crate) struct FrameBuilder {
    raw: Vec<u8>,
    blocks: Vec<BlockEnd>,
    entries: usize,
    /// Of the entries that have an event id.
    event_hashes: Vec<u64>,
    base_time_ms: i64,
    head: Vec<u8>,
    packed: Vec<u8>,
    small: CompressTable,
    large: CompressTable,
}

impl std::fmt::Debug for FrameBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameBuilder")
            .field("entries", &self.entries)
            .field("bytes", &self.raw.len())
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
struct BlockEnd {
    end: usize,
    entries: usize,
}

/// Where an applied entry lies in the builder's buffer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FrameRange {
    /// Where `id 0x00 body` begins.
    pub(crate) joined: usize,
    /// Where the body begins.
    pub(crate) body: usize,
    /// Where it ends.
    pub(crate) end: usize,
}

impl FrameRange {
    pub(crate) fn joined(self) -> Range<usize> {
        self.joined..self.end
    }

    pub(crate) fn body(self) -> Range<usize> {
        self.body..self.end
    }
}

impl FrameBuilder {
    pub(crate) fn new() -> Self {
        Self {
            raw: Vec::new(),
            blocks: Vec::new(),
            entries: 0,
            event_hashes: Vec::new(),
            base_time_ms: 0,
            head: Vec::new(),
            packed: Vec::new(),
            small: CompressTable::small(),
            large: CompressTable::large(),
        }
    }

    pub(crate) fn entries(&self) -> usize {
        self.entries
    }

    /// Hashes of the event ids.
    pub(crate) fn event_hashes(&self) -> &[u64] {
        &self.event_hashes
    }

    /// Bytes of a place; empty when it is none of this batch's.
    pub(crate) fn bytes(&self, at: Range<usize>) -> &[u8] {
        self.raw.get(at).unwrap_or_default()
    }

    pub(crate) fn clear(&mut self) {
        self.raw.clear();
        self.blocks.clear();
        self.entries = 0;
        self.event_hashes.clear();
    }

    /// `this` is the entry's own place, `previous` where the contact lay before.
    pub(crate) fn image(
        &mut self,
        meta: &EntryMeta<'_>,
        verdict: Verdict,
        this: ChangeRef,
        previous: Links,
        id: &[u8],
        body: &[u8],
    ) -> Result<FrameRange, StoreError> {
        let (start, _) = self.begin(meta, verdict)?;
        let raw = &mut self.raw;
        if verdict != Verdict::Applied
            && let Some(kinds) = raw.get_mut(start + 4)
        {
            *kinds |= WITH_IMAGE;
        }
        raw.push(meta.kind as u8);
        let Links { image, change } = previous;
        put(raw, if image.is_some() { this.0.wrapping_sub(image.0) } else { 0 });
        put(raw, if change.is_some() { image.0.wrapping_sub(change.0) } else { 0 });
        put(raw, meta.event_time_us.map_or(0, |at| at.saturating_add(1)));
        put(raw, meta.event_id.len() as u64);
        put(raw, meta.source.len() as u64);
        put(raw, meta.principal.map_or(0, |at| at.len() as u64 + 1));
        put(raw, meta.request_id.map_or(0, |at| at.len() as u64 + 1));
        raw.extend_from_slice(meta.event_id);
        raw.extend_from_slice(meta.source);
        raw.extend_from_slice(meta.principal.unwrap_or_default());
        raw.extend_from_slice(meta.request_id.unwrap_or_default());
        put(raw, id.len() as u64);
        let joined = raw.len();
        raw.extend_from_slice(id);
        raw.push(0);
        let at = raw.len();
        raw.extend_from_slice(body);
        let place = FrameRange { joined, body: at, end: self.raw.len() };
        self.end(start);
        Ok(place)
    }

    pub(crate) fn settled(
        &mut self,
        meta: &EntryMeta<'_>,
        verdict: Verdict,
    ) -> Result<(), StoreError> {
        let (start, event_hash) = self.begin(meta, verdict)?;
        self.raw.extend_from_slice(&event_hash.to_le_bytes());
        put_source(&mut self.raw, meta);
        self.end(start);
        Ok(())
    }

    pub(crate) fn control(
        &mut self,
        meta: &EntryMeta<'_>,
        key: &str,
        decision: &Decision,
    ) -> Result<FrameRange, StoreError> {
        let (start, _) = self.begin(meta, decision.verdict)?;
        let mut entry = Vec::new();
        if let Some(after) = &decision.entry {
            after.encode(&mut entry);
        }
        let raw = &mut self.raw;
        put(raw, meta.event_id.len() as u64);
        put(raw, key.len() as u64);
        put(raw, meta.principal.map_or(0, |at| at.len() as u64 + 1));
        put(raw, meta.request_id.map_or(0, |at| at.len() as u64 + 1));
        put(raw, decision.entry.as_ref().map_or(0, |_| entry.len() as u64 + 1));
        raw.extend_from_slice(meta.event_id);
        raw.extend_from_slice(key.as_bytes());
        raw.extend_from_slice(meta.principal.unwrap_or_default());
        raw.extend_from_slice(meta.request_id.unwrap_or_default());
        let at = raw.len();
        raw.extend_from_slice(&entry);
        let place = FrameRange { joined: at, body: at, end: raw.len() };
        for key in &decision.expired {
            put(raw, key.len() as u64);
            raw.extend_from_slice(key.as_bytes());
        }
        self.end(start);
        Ok(place)
    }

    pub(crate) fn rules(
        &mut self,
        meta: &EntryMeta<'_>,
        change: &RulesChange<'_>,
    ) -> Result<(), StoreError> {
        let (start, _) = self.begin(meta, Verdict::Applied)?;
        let raw = &mut self.raw;
        put(raw, change.number);
        put(raw, change.beginning.map_or(0, |founding| founding.saturating_add(1)));
        put(raw, change.packed.len() as u64);
        put(raw, change.principal.map_or(0, |at| at.len() as u64 + 1));
        raw.extend_from_slice(change.packed);
        raw.extend_from_slice(change.principal.unwrap_or_default());
        self.end(start);
        Ok(())
    }

    pub(crate) fn dead_letter(
        &mut self,
        meta: &EntryMeta<'_>,
        letter: &DeadLetter<'_>,
    ) -> Result<(), StoreError> {
        let (start, event_hash) = self.begin(meta, Verdict::DeadLettered)?;
        self.raw.extend_from_slice(&event_hash.to_le_bytes());
        let value = letter.value.unwrap_or_default();
        let kept = if value.len() > VALUE_KEPT_MAX {
            value.get(..VALUE_HEAD).unwrap_or_default()
        } else {
            value
        };
        let raw = &mut self.raw;
        put_source(raw, meta);
        raw.push(letter.reason.code());
        put(raw, letter.detail.len() as u64);
        put(raw, letter.key.map_or(0, |at| at.len() as u64 + 1));
        put(raw, letter.value.map_or(0, |_| kept.len() as u64 + 1));
        put(raw, value.len() as u64);
        raw.extend_from_slice(&xxh3_64(value).to_le_bytes());
        put(raw, letter.headers.len() as u64);
        raw.extend_from_slice(letter.detail.as_bytes());
        raw.extend_from_slice(letter.key.unwrap_or_default());
        raw.extend_from_slice(kept);
        raw.extend_from_slice(letter.headers);
        self.end(start);
        Ok(())
    }

    /// All of it is kept: it is what will be appended at home.
    pub(crate) fn rehomed(
        &mut self,
        meta: &EntryMeta<'_>,
        record: &AwayRecord<'_>,
    ) -> Result<(), StoreError> {
        let (start, _) = self.begin(meta, Verdict::Rehomed)?;
        let raw = &mut self.raw;
        put_source(raw, meta);
        put(raw, meta.event_time_us.map_or(0, |at| at.saturating_add(1)));
        put(raw, meta.event_id.len() as u64);
        put(raw, record.contact_id.len() as u64);
        put(raw, record.key.map_or(0, |at| at.len() as u64 + 1));
        put(raw, record.value.map_or(0, |at| at.len() as u64 + 1));
        put(raw, record.headers.len() as u64);
        raw.extend_from_slice(meta.event_id);
        raw.extend_from_slice(record.contact_id);
        raw.extend_from_slice(record.key.unwrap_or_default());
        raw.extend_from_slice(record.value.unwrap_or_default());
        raw.extend_from_slice(record.headers);
        self.end(start);
        Ok(())
    }

    /// The whole payload: what holds after the batch, then the entries. Leaves the entries as they
    /// are, so that a commit which found no room can be made again.
    pub(crate) fn finish(&mut self, after: &Cut, out: &mut Vec<u8>) {
        let is_backlog = self.raw.len() >= BACKLOG_BYTES;
        let Self { raw, blocks, head, packed, small, large, .. } = self;
        head.clear();
        packed.clear();
        put_after(head, self.base_time_ms, after);
        let (mut start, mut entries) = (0, 0);
        let open = BlockEnd { end: raw.len(), entries: self.entries };
        for block in blocks.iter().copied().chain([open]) {
            if block.entries > entries {
                let raw = raw.get(start..block.end).unwrap_or_default();
                let stored = if is_backlog {
                    raw
                } else {
                    let is_small = raw.len() < usize::from(u16::MAX);
                    put_compressed(packed, raw, if is_small { small } else { large })
                };
                Block::put(head, raw.len(), block.entries - entries, stored);
            }
            (start, entries) = (block.end, block.entries);
        }
        out.clear();
        seal_head(FrameNo(after.next_frame.0.saturating_sub(1)), FORMAT, head, out);
        out.extend_from_slice(if is_backlog { raw } else { packed });
    }

    /// Where the entry starts, and the hash of its event id.
    fn begin(
        &mut self,
        meta: &EntryMeta<'_>,
        verdict: Verdict,
    ) -> Result<(usize, u64), StoreError> {
        if self.entries >= ChangeRef::ENTRIES_MAX {
            return Err(StoreError::BatchFull { max: ChangeRef::ENTRIES_MAX });
        }
        if self.entries == 0 {
            self.base_time_ms = meta.record_time_ms;
        }
        let start = self.raw.len();
        let attempted = if meta.attempt.is_some() { ATTEMPTED } else { 0 };
        let kinds = verdict as u8 | (meta.record_kind as u8) << 4 | attempted;
        self.raw.extend_from_slice(&[0, 0, 0, 0, kinds]);
        put(&mut self.raw, u64::from(meta.lane.0));
        put(&mut self.raw, meta.offset.0);
        let time = meta.record_time_ms.wrapping_sub(self.base_time_ms);
        put_signed(&mut self.raw, time);
        if let Some(attempt) = meta.attempt {
            self.raw.extend_from_slice(attempt);
        }
        let event_hash = event_hash(meta.event_id);
        if event_hash != 0 {
            self.event_hashes.push(event_hash);
        }
        Ok((start, event_hash))
    }

    fn end(&mut self, start: usize) {
        let len = (self.raw.len() - start - 4) as u32;
        if let Some(at) = self.raw.get_mut(start..start + 4) {
            at.copy_from_slice(&len.to_le_bytes());
        }
        self.entries += 1;
        let block = self.blocks.last().map_or(0, |at| at.end);
        if self.raw.len() - block >= BLOCK_BYTES {
            self.blocks.push(BlockEnd { end: self.raw.len(), entries: self.entries });
        }
    }
}

fn put_source(out: &mut Vec<u8>, meta: &EntryMeta<'_>) {
    put(out, meta.source.len() as u64);
    out.extend_from_slice(meta.source);
}

fn put_after(out: &mut Vec<u8>, base_time_ms: i64, after: &Cut) {
    put_signed(out, base_time_ms);
    put_signed(out, after.record_time_ms);
    put_lanes(out, after);
    for total in after.counters.verdicts {
        put(out, total);
    }
    put(out, after.counters.active);
    put(out, after.counters.deleted);
    out.extend_from_slice(&after.digest.0.to_le_bytes());
    out.extend_from_slice(&after.control.digest.0.to_le_bytes());
    for total in after.control.verdicts {
        put(out, total);
    }
    out.extend_from_slice(&after.attempts.0.to_le_bytes());
}

fn put_lanes(out: &mut Vec<u8>, after: &Cut) {
    put(out, after.lanes.len() as u64);
    for (lane, progress) in &after.lanes {
        put(out, u64::from(lane.0));
        put(out, progress.next.0);
        out.push(u8::from(progress.last.is_some()));
        if let Some(last) = progress.last {
            put(out, progress.next.0.wrapping_sub(last.offset.0));
            put_signed(out, last.leader_epoch.map_or(0, |at| i64::from(at) + 1));
            out.extend_from_slice(&last.hash.to_le_bytes());
        }
    }
}

/// Appends a block, compressed where that makes it shorter, and shows what was appended.
fn put_compressed<'a>(out: &'a mut Vec<u8>, raw: &[u8], table: &mut CompressTable) -> &'a [u8] {
    let start = out.len();
    out.resize(start + get_maximum_output_size(raw.len()), 0);
    let room = out.get_mut(start..).unwrap_or_default();
    match compress_into_with_table(raw, room, table) {
        Ok(len) if len < raw.len() => out.truncate(start + len),
        Ok(_) | Err(_) => {
            out.truncate(start);
            out.extend_from_slice(raw);
        }
    }
    out.get(start..).unwrap_or_default()
}
