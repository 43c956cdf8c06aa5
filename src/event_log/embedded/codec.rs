//! What the log's frames hold.
//!
//! A *lanes* frame starts every segment: each lane's next offset at that point, the control lane's
//! last (logs made before there was one lack it: 0), so that offsets are found by looking at
//! segments' first frames. A *records* frame holds what was appended together:
//! sections of a lane u16, count u32, base offset u64, byte length u32, and the records: timestamp
//! i64, key length i32 (−1: none), value length i32 (−1: tombstone), header bytes u32, key, value,
//! headers (encoded as in `domain::record`). Little endian.

use crate::domain::position::{Lane, NextOffset, Offset};
use crate::domain::record::{Headers, header_refs, owned_headers};
use crate::event_log::NewRecord;

const LANES: u8 = 1;
const RECORDS: u8 = 2;
/// Bytes of a record besides its key, value and headers.
pub(super) const RECORD_HEADER_BYTES: usize = 20;
/// Kind u8, section count u16.
pub(super) const FRAME_HEAD_BYTES: usize = 3;
/// Lane, count, base offset, byte length.
pub(super) const SECTION_HEAD_BYTES: usize = 18;

/// A frame read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LogFrame<'a> {
    /// The lanes' next offsets at the start of a segment.
    Lanes(Vec<NextOffset>),
    /// Records of some lanes.
    Records(Vec<Section<'a>>),
}

/// Consecutive records of one lane in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section<'a> {
    pub(super) lane: Lane,
    pub(super) base: Offset,
    pub(super) count: u32,
    bytes: &'a [u8],
}

/// One record in a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RawRecord<'a> {
    pub(super) timestamp_ms: i64,
    /// `None`: a null key.
    pub(super) key_bytes: Option<usize>,
    /// `None`: a tombstone.
    pub(super) value_bytes: Option<usize>,
    /// Key, value and headers, one after the other.
    pub(super) body: &'a [u8],
}

/// What the record takes in a frame.
pub(super) fn record_bytes(record: &NewRecord) -> usize {
    let value = record.value.as_ref().map_or(0, Vec::len);
    RECORD_HEADER_BYTES + record.key.len() + value + headers_bytes(record)
}

fn headers_bytes(record: &NewRecord) -> usize {
    let headers = header_refs(&record.headers);
    headers.map(|(name, value)| 6 + name.len() + value.map_or(0, <[u8]>::len)).sum()
}

/// Appends a record. Lengths were bounded before.
pub(super) fn encode_record(out: &mut Vec<u8>, record: &NewRecord) {
    out.extend_from_slice(&record.timestamp_ms.to_le_bytes());
    // As at a Kafka broker, no key and an empty one are the same to whoever appends.
    let key = if record.key.is_empty() { -1 } else { record.key.len() as i32 };
    out.extend_from_slice(&key.to_le_bytes());
    let value = record.value.as_ref().map_or(-1, |value| value.len() as i32);
    out.extend_from_slice(&value.to_le_bytes());
    out.extend_from_slice(&(headers_bytes(record) as u32).to_le_bytes());
    out.extend_from_slice(&record.key);
    out.extend_from_slice(record.value.as_deref().unwrap_or_default());
    for (name, value) in &record.headers {
        out.extend_from_slice(&(name.len() as u16).to_le_bytes());
        out.extend_from_slice(name.as_bytes());
        let len = value.as_ref().map_or(-1, |value| value.len() as i32);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(value.as_deref().unwrap_or_default());
    }
}

/// The head of a records frame.
pub(super) fn frame_head(sections: usize) -> [u8; FRAME_HEAD_BYTES] {
    let [low, high] = (sections as u16).to_le_bytes();
    [RECORDS, low, high]
}

/// The head of a section.
pub(super) fn section_head(
    lane: Lane,
    count: u32,
    base: Offset,
    bytes: usize,
) -> [u8; SECTION_HEAD_BYTES] {
    let mut head = [0; SECTION_HEAD_BYTES];
    let fields = lane.0.to_le_bytes().into_iter().chain(count.to_le_bytes());
    let fields = fields.chain(base.0.to_le_bytes()).chain((bytes as u32).to_le_bytes());
    for (to, from) in head.iter_mut().zip(fields) {
        *to = from;
    }
    head
}

/// A lanes frame.
pub(super) fn encode_lanes(next: &[NextOffset]) -> Vec<u8> {
    let mut bytes = vec![LANES];
    bytes.extend_from_slice(&(next.len() as u16).to_le_bytes());
    bytes.extend(next.iter().flat_map(|next| next.0.to_le_bytes()));
    bytes
}

const CUT: &str = "it ends early";

/// Takes a frame's payload apart, as far as sections; records are checked as they are read.
pub(super) fn decode(payload: &[u8]) -> Result<LogFrame<'_>, &'static str> {
    let mut rest = payload;
    let [kind] = take(&mut rest)?;
    let count = u16::from_le_bytes(take(&mut rest)?);
    match kind {
        LANES => {
            let next = |_| take(&mut rest).map(|bytes| NextOffset(u64::from_le_bytes(bytes)));
            Ok(LogFrame::Lanes((0..count).map(next).collect::<Result<_, _>>()?))
        }
        RECORDS => {
            let section = |_| decode_section(&mut rest);
            Ok(LogFrame::Records((0..count).map(section).collect::<Result<_, _>>()?))
        }
        _ => Err("its kind is not known here"),
    }
}

/// A frame's bytes, read and written again.
///
/// # Errors
/// Why it is no frame of a log.
pub fn frame_again(payload: &[u8]) -> Result<Vec<u8>, &'static str> {
    let sections = match decode(payload)? {
        LogFrame::Lanes(next) => return Ok(encode_lanes(&next)),
        LogFrame::Records(sections) => sections,
    };
    let mut again = frame_head(sections.len()).to_vec();
    for section in sections {
        let mut records = Vec::new();
        for record in section.records() {
            encode_record(&mut records, &record?.1.to_be_appended());
        }
        let Section { lane, base, count, .. } = section;
        again.extend_from_slice(&section_head(lane, count, base, records.len()));
        again.append(&mut records);
    }
    Ok(again)
}

fn decode_section<'a>(rest: &mut &'a [u8]) -> Result<Section<'a>, &'static str> {
    let lane = Lane(u16::from_le_bytes(take(rest)?));
    let count = u32::from_le_bytes(take(rest)?);
    let base = Offset(u64::from_le_bytes(take(rest)?));
    let len = u32::from_le_bytes(take(rest)?) as usize;
    let (bytes, after) = rest.split_at_checked(len).ok_or(CUT)?;
    *rest = after;
    Ok(Section { lane, base, count, bytes })
}

impl<'a> Section<'a> {
    /// The offset after its last record.
    pub(super) fn next(&self) -> NextOffset {
        NextOffset(self.base.0.saturating_add(u64::from(self.count)))
    }

    /// Its records with their offsets.
    pub(super) fn records(
        &self,
    ) -> impl Iterator<Item = Result<(Offset, RawRecord<'a>), &'static str>> + use<'a> {
        let mut rest = self.bytes;
        let base = self.base.0;
        (0..u64::from(self.count)).map(move |index| {
            let record = decode_record(&mut rest)?;
            Ok((Offset(base.saturating_add(index)), record))
        })
    }
}

impl<'a> RawRecord<'a> {
    /// Key and value.
    pub(super) fn parts(&self) -> (Option<&'a [u8]>, Option<&'a [u8]>) {
        let key_bytes = self.key_bytes.unwrap_or(0);
        let (key, rest) = self.body.split_at_checked(key_bytes).unwrap_or_default();
        let value = rest.get(..self.value_bytes.unwrap_or(0)).unwrap_or_default();
        (self.key_bytes.map(|_| key), self.value_bytes.map(|_| value))
    }

    fn to_be_appended(self) -> NewRecord {
        let (key, value) = self.parts();
        let before = self.key_bytes.unwrap_or(0) + self.value_bytes.unwrap_or(0);
        NewRecord {
            key: key.unwrap_or_default().to_vec(),
            value: value.map(<[u8]>::to_vec),
            headers: owned_headers(Headers::new(self.body.get(before..).unwrap_or_default())),
            timestamp_ms: self.timestamp_ms,
            lane: None,
        }
    }
}

fn decode_record<'a>(rest: &mut &'a [u8]) -> Result<RawRecord<'a>, &'static str> {
    let timestamp_ms = i64::from_le_bytes(take(rest)?);
    let key_bytes = usize::try_from(i32::from_le_bytes(take(rest)?)).ok();
    let value_bytes = usize::try_from(i32::from_le_bytes(take(rest)?)).ok();
    let headers_bytes = u32::from_le_bytes(take(rest)?) as usize;
    let len = key_bytes.unwrap_or(0) + value_bytes.unwrap_or(0) + headers_bytes;
    let (body, after) = rest.split_at_checked(len).ok_or(CUT)?;
    *rest = after;
    Ok(RawRecord { timestamp_ms, key_bytes, value_bytes, body })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], &'static str> {
    let (taken, after) = rest.split_first_chunk().ok_or(CUT)?;
    *rest = after;
    Ok(*taken)
}
