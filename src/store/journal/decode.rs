//! Reads frames back: for redo in order, for history one entry at a time.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::domain::attempts::ENCODED_BYTES;
use crate::domain::event::EventKind;
use crate::domain::position::{Lane, NextOffset, Offset};
use crate::domain::record::RecordKind;
use crate::domain::verdict::{DeadLetterReason, Verdict};
use crate::segments::{FrameNo, SegmentKind, SegmentReader};

use super::super::StoreError;
use super::super::cache::ReadCache;
use super::super::codec::{ChangeRef, Links};
use super::super::cut::{ControlSums, Cut};
use super::super::digest::Digest;
use super::blocks::{Block, FrameHead, PREFIX_BYTES, sealed_head};
use super::entry::event_hash;
use super::varint::Cursor;
use super::{
    ATTEMPTED, Applied, AwayRecord, ControlChange, Counters, Entry, FORMAT, LaneProgress,
    LastRecord, Letter, Outcome, Rehomed, RulesChange, WITH_IMAGE,
};

/// The journal as readers see it: whole frames only, by several at once.
#[derive(Clone, Debug)]
pub struct Journal {
    pub(super) segments: SegmentReader,
    pub(in super::super) cache: Arc<ReadCache>,
    path: PathBuf,
    /// The first part of it that was found not to be as it was written.
    damage: Arc<OnceLock<String>>,
}

/// One frame, its head read, its entries still compressed.
#[derive(Debug)]
pub struct Frame {
    /// What stands before its entries.
    pub head: FrameHead,
    payload: Vec<u8>,
}

/// One entry, in the block that it stands in.
#[derive(Clone, Debug)]
pub struct JournalEntry {
    change: ChangeRef,
    base_time_ms: i64,
    block: Arc<[u8]>,
    at: Range<usize>,
}

impl JournalEntry {
    /// The entry of that number in a block.
    pub(super) fn find(
        block: Arc<[u8]>,
        number: usize,
        change: ChangeRef,
        base_time_ms: i64,
    ) -> Option<Self> {
        let mut rest = Cursor(&block);
        let entry = (0..=number).map(|_| next_entry(&mut rest)).last()??;
        let end = block.len() - rest.0.len();
        Some(Self { change, base_time_ms, at: end - entry.len()..end, block })
    }

    /// The entry's parts.
    pub fn view(&self) -> Result<Entry<'_>, StoreError> {
        let bytes = self.block.get(self.at.clone()).unwrap_or_default();
        parse_entry(bytes, self.change, self.base_time_ms)
            .ok_or_else(|| damaged(self.change.frame(), "an entry can't be read"))
    }
}

impl Journal {
    /// Opens the journal's directory for reading, with nothing kept of it.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::cached(dir, Arc::new(ReadCache::new(0, Duration::ZERO)))
    }

    /// The same, with what was read kept in a cache.
    pub(in super::super) fn cached(dir: &Path, cache: Arc<ReadCache>) -> Result<Self, StoreError> {
        Ok(Self {
            segments: SegmentReader::open(dir, SegmentKind::Journal)?,
            cache,
            path: dir.to_path_buf(),
            damage: Arc::default(),
        })
    }

    /// What was found damaged since it was opened, in a sentence.
    pub fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    /// Keeps what is damaged in mind: whoever asked may be anybody.
    pub(super) fn noticed<T>(&self, read: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &read
            && error.is_about_data()
            && self.damage.set(error.to_string()).is_ok()
        {
            tracing::error!(%error, "the journal is damaged: what needs that part of it fails");
        }
        read
    }

    /// A frame; none when it was trimmed away or not yet written.
    pub fn frame(&self, no: FrameNo) -> Result<Option<Frame>, StoreError> {
        let read = || match self.segments.frame(no)? {
            Some(payload) => Frame::parse(no, payload).map(Some),
            None => Ok(None),
        };
        self.noticed(read())
    }

    /// The frames from one on, in order, as far as they are written when they are asked for.
    pub fn frames_from(
        &self,
        no: FrameNo,
    ) -> impl Iterator<Item = Result<Frame, StoreError>> + use<> {
        let journal = self.clone();
        self.segments.iter_from(no).map(move |frame| {
            let read = frame.map_err(StoreError::from);
            journal.noticed(read.and_then(|(no, payload)| Frame::parse(no, payload)))
        })
    }

    /// The first frame still there.
    pub fn first(&self) -> Result<FrameNo, StoreError> {
        Ok(self.segments.first()?)
    }

    /// The frame after the last one.
    pub(crate) fn end(&self) -> Result<FrameNo, StoreError> {
        Ok(self.segments.end()?)
    }

    /// The first frames of all segments, in order.
    pub(crate) fn segment_bases(&self) -> Result<Vec<FrameNo>, StoreError> {
        Ok(self.segments.segment_bases()?)
    }

    /// Whether no segment was ever made.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.segments.segment_bases()?.is_empty())
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Frame {
    /// Reads the head of a payload.
    pub fn parse(no: FrameNo, payload: Vec<u8>) -> Result<Self, StoreError> {
        let head = parse_head(no, &payload)?;
        let end = head.blocks.last().map_or(payload.len(), |block| block.at.end);
        if end != payload.len() {
            return Err(damaged(no, "its blocks are not all there"));
        }
        Ok(Self { head, payload })
    }

    pub(super) fn stored(&self, block: &Block) -> &[u8] {
        self.payload.get(block.at.clone()).unwrap_or_default()
    }

    /// Shows every entry in order; `scratch` is room for one block.
    pub fn for_each(
        &self,
        scratch: &mut Vec<u8>,
        mut each: impl FnMut(&Entry<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.for_each_from(0, scratch, |entry| each(entry).map(ControlFlow::Continue))
    }

    /// Shows the entries from one on, in order, until `each` breaks.
    pub fn for_each_from(
        &self,
        from: usize,
        scratch: &mut Vec<u8>,
        mut each: impl FnMut(&Entry<'_>) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let FrameHead { no, base_time_ms, .. } = self.head;
        for block in self.head.blocks.iter().filter(|block| block.entries.end > from) {
            block.unpack(no, self.stored(block), scratch)?;
            let mut rest = Cursor(scratch);
            for index in block.entries.clone() {
                let bytes = next_entry(&mut rest);
                if index < from {
                    continue;
                }
                let entry = bytes
                    .and_then(|bytes| {
                        let change = ChangeRef::new(no, u16::try_from(index).ok()?);
                        parse_entry(bytes, change, base_time_ms)
                    })
                    .ok_or_else(|| damaged(no, "an entry can't be read"))?;
                if each(&entry)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

pub(super) fn damaged(no: FrameNo, detail: &str) -> StoreError {
    StoreError::damaged(format!("journal frame {}", no.0), detail)
}

/// The head at the beginning of a payload, of which the rest may be missing.
pub(super) fn parse_head(no: FrameNo, payload: &[u8]) -> Result<FrameHead, StoreError> {
    match payload.first() {
        Some(&FORMAT) => {}
        Some(&found) => {
            return Err(StoreError::UnknownFormat {
                what: format!("journal frame {}", no.0),
                found: found.into(),
                known: FORMAT.into(),
            });
        }
        None => return Err(damaged(no, "it is empty")),
    }
    sealed_head(no, payload)
        .and_then(|head| read_head(no, head))
        .ok_or_else(|| damaged(no, "its head can't be read"))
}

fn read_head(no: FrameNo, head: &[u8]) -> Option<FrameHead> {
    let mut at = Cursor(head);
    let base_time_ms = at.signed()?;
    let record_time_ms = at.signed()?;
    let lanes = parse_lanes(&mut at)?;
    let mut counters = Counters::default();
    for total in &mut counters.verdicts {
        *total = at.varint()?;
    }
    counters.active = at.varint()?;
    counters.deleted = at.varint()?;
    let digest = Digest(u128::from_le_bytes(at.array()?));
    let digest_of_controls = Digest(u128::from_le_bytes(at.array()?));
    let mut control = ControlSums { digest: digest_of_controls, ..ControlSums::default() };
    for total in &mut control.verdicts {
        *total = at.varint()?;
    }
    let attempts = Digest(u128::from_le_bytes(at.array()?));
    let next_frame = FrameNo(no.0 + 1);
    // Of the rules and of verdicts by source a frame's entries say what is new.
    let (rules, sources) = (Arc::default(), Arc::default());
    let after = Cut {
        next_frame,
        lanes,
        counters,
        sources,
        digest,
        control,
        attempts,
        rules,
        record_time_ms,
    };
    let (mut blocks, mut byte, mut entries) = (Vec::new(), PREFIX_BYTES + head.len(), 0);
    while !at.0.is_empty() {
        let block = Block::parse(&mut at, byte, entries)?;
        (byte, entries) = (block.at.end, block.entries.end);
        blocks.push(block);
    }
    Some(FrameHead { no, after, entries, base_time_ms, blocks: blocks.into() })
}

fn parse_lanes(at: &mut Cursor<'_>) -> Option<BTreeMap<Lane, LaneProgress>> {
    let mut lanes = BTreeMap::new();
    for _ in 0..at.len()? {
        let lane = Lane(u16::try_from(at.varint()?).ok()?);
        let next = NextOffset(at.varint()?);
        let last = match at.u8()? {
            0 => None,
            _ => Some(LastRecord {
                offset: Offset(next.0.wrapping_sub(at.varint()?)),
                leader_epoch: match at.signed()? {
                    0 => None,
                    epoch => Some(i32::try_from(epoch.checked_sub(1)?).ok()?),
                },
                hash: at.u64()?,
            }),
        };
        lanes.insert(lane, LaneProgress { next, last });
    }
    Some(lanes)
}

fn next_entry<'a>(rest: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let len = rest.u32()?;
    rest.bytes(len as usize)
}

fn parse_entry(bytes: &[u8], change: ChangeRef, base_time_ms: i64) -> Option<Entry<'_>> {
    let mut at = Cursor(bytes);
    let kinds = at.u8()?;
    let verdict = Verdict::from_u8(kinds & 0xf)?;
    let record_kind = RecordKind::from_u8((kinds & !(WITH_IMAGE | ATTEMPTED)) >> 4)?;
    let lane = Lane(u16::try_from(at.varint()?).ok()?);
    let offset = Offset(at.varint()?);
    let record_time_ms = base_time_ms.wrapping_add(at.signed()?);
    let attempt = if kinds & ATTEMPTED == 0 { None } else { Some(at.bytes(ENCODED_BYTES)?) };
    let nobody: &[u8] = &[];
    let (event_hash, source, outcome) = match verdict {
        _ if record_kind == RecordKind::Control && verdict != Verdict::DeadLettered => {
            let change = parse_control(&mut at)?;
            (event_hash(change.event_id), nobody, Outcome::Control(change))
        }
        Verdict::Applied if record_kind == RecordKind::Marker => {
            (0, nobody, Outcome::Rules(parse_rules(&mut at)?))
        }
        Verdict::Applied => {
            let applied = parse_applied(&mut at, change)?;
            (event_hash(applied.event_id), applied.source, Outcome::Applied(applied))
        }
        Verdict::Rehomed => {
            let source = parse_source(&mut at)?;
            let rehomed = parse_rehomed(&mut at)?;
            (event_hash(rehomed.event_id), source, Outcome::Rehomed(rehomed))
        }
        _ if kinds & WITH_IMAGE != 0 => {
            let noted = parse_applied(&mut at, change)?;
            (event_hash(noted.event_id), noted.source, Outcome::Noted(noted))
        }
        Verdict::DeadLettered => {
            let (hash, source) = (at.u64()?, parse_source(&mut at)?);
            (hash, source, Outcome::DeadLettered(parse_letter(&mut at)?))
        }
        Verdict::Unchanged
        | Verdict::Stale
        | Verdict::Duplicate
        | Verdict::Conflict
        | Verdict::Superseded
        | Verdict::NotFound => (at.u64()?, parse_source(&mut at)?, Outcome::Settled),
    };
    Some(Entry {
        change,
        lane,
        offset,
        record_time_ms,
        record_kind,
        attempt,
        verdict,
        event_hash,
        source,
        outcome,
    })
}

fn parse_source<'a>(at: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let len = at.len()?;
    at.bytes(len)
}

fn parse_applied<'a>(at: &mut Cursor<'a>, change: ChangeRef) -> Option<Applied<'a>> {
    let kind = EventKind::from_u8(at.u8()?)?;
    let previous = match (at.varint()?, at.varint()?) {
        (0, _) => Links::NONE,
        (back, further) => {
            let image = change.0.checked_sub(back)?;
            Links { image: ChangeRef(image), change: ChangeRef(image.checked_sub(further)?) }
        }
    };
    let event_time_us = at.varint()?.checked_sub(1);
    let (event_id, source) = (at.len()?, at.len()?);
    let (principal, request_id) = (at.len_or_none()?, at.len_or_none()?);
    let event_id = at.bytes(event_id)?;
    let source = at.bytes(source)?;
    let principal = match principal {
        Some(len) => Some(at.bytes(len)?),
        None => None,
    };
    let request_id = match request_id {
        Some(len) => Some(at.bytes(len)?),
        None => None,
    };
    let id_len = at.len()?;
    let joined = at.0;
    let id = at.bytes(id_len)?;
    at.u8()?;
    Some(Applied {
        id,
        body: at.0,
        joined,
        previous,
        kind,
        event_id,
        source,
        event_time_us,
        principal,
        request_id,
    })
}

fn parse_control<'a>(at: &mut Cursor<'a>) -> Option<ControlChange<'a>> {
    let (event_id, key) = (at.len()?, at.len()?);
    let (principal, request_id, entry) = (at.len_or_none()?, at.len_or_none()?, at.len_or_none()?);
    let event_id = at.bytes(event_id)?;
    let key = at.bytes(key)?;
    let mut optional = |len: Option<usize>| match len {
        Some(len) => at.bytes(len).map(Some),
        None => Some(None),
    };
    let (principal, request_id, entry) =
        (optional(principal)?, optional(request_id)?, optional(entry)?);
    Some(ControlChange { event_id, key, principal, request_id, entry, expired: at.0 })
}

fn parse_rehomed<'a>(at: &mut Cursor<'a>) -> Option<Rehomed<'a>> {
    let event_time_us = at.varint()?.checked_sub(1);
    let (event_id, contact_id) = (at.len()?, at.len()?);
    let (key, value, headers) = (at.len_or_none()?, at.len_or_none()?, at.len()?);
    let (event_id, contact_id) = (at.bytes(event_id)?, at.bytes(contact_id)?);
    let mut optional = |len: Option<usize>| match len {
        Some(len) => at.bytes(len).map(Some),
        None => Some(None),
    };
    let (key, value) = (optional(key)?, optional(value)?);
    let headers = at.bytes(headers)?;
    let record = AwayRecord { contact_id, key, value, headers };
    Some(Rehomed { event_id, event_time_us, record })
}

fn parse_rules<'a>(at: &mut Cursor<'a>) -> Option<RulesChange<'a>> {
    let number = at.varint()?;
    let beginning = at.varint()?.checked_sub(1);
    let packed = at.len()?;
    let principal = at.len_or_none()?;
    let packed = at.bytes(packed)?;
    let principal = match principal {
        Some(len) => Some(at.bytes(len)?),
        None => None,
    };
    Some(RulesChange { number, beginning, packed, principal })
}

fn parse_letter<'a>(at: &mut Cursor<'a>) -> Option<Letter<'a>> {
    let reason = DeadLetterReason::from_u8(at.u8()?)?;
    let detail = at.len()?;
    let (key, value) = (at.len_or_none()?, at.len_or_none()?);
    let value_len = at.varint()?;
    let value_hash = at.u64()?;
    let headers = at.len()?;
    let detail = std::str::from_utf8(at.bytes(detail)?).ok()?;
    let key = match key {
        Some(len) => Some(at.bytes(len)?),
        None => None,
    };
    let value = match value {
        Some(len) => Some(at.bytes(len)?),
        None => None,
    };
    Some(Letter { reason, detail, key, value, value_len, value_hash, headers: at.bytes(headers)? })
}
