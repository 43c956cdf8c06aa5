//! What no clock can tell: repeats of events without a time of their own, and what a source will tell of
//! our own changes there ([`notice_hash`]).
//!
//! Count u16 ‖ id hash u64, body hash u64, first time u64 (µs), record time i64 (ms) each, oldest
//! first. The first time of a notice is that of the source's word; 0 until that has come.

use super::wire::{Wire, put_u64};
use crate::domain::clock::id_hash;

/// Events without a time of their own that are remembered however old they are, and at most.
pub(crate) const REPEATS_MIN: usize = 16;
pub(crate) const REPEATS_MAX: usize = 256;
/// How long they are remembered between those bounds, by the times of records.
pub(crate) const REPEATS_MS: i64 = 10 * 60 * 1000;
const REPEAT_BYTES: usize = 32;
/// No event has such an id.
const NOTICE_ID: &[u8] = b"\0notice";
/// Of the id hash of a notice: the source's version.
const VERSION_BITS: u64 = 0xFFFF_FFFF;

/// What a notice stands under instead of an event's id: its source, and the version that our change makes
/// there.
pub(crate) fn notice_hash(source: &[u8], version: u64) -> u64 {
    id_hash(source, NOTICE_ID) & !VERSION_BITS | version & VERSION_BITS
}

/// An event without a time of its own, as it came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FirstSeen {
    pub(crate) id_hash: u64,
    pub(crate) body_hash: u64,
    /// The time that it took, in µs since 1970.
    pub(crate) time_us: u64,
    pub(crate) record_time_ms: i64,
}

impl FirstSeen {
    /// Whether it is a notice, and the source has not told of the change yet.
    pub(crate) fn is_awaited(&self) -> bool {
        self.time_us == 0
    }
}

/// The ring, in place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rings<'a> {
    repeats: &'a [[u8; REPEAT_BYTES]],
}

impl<'a> Rings<'a> {
    pub(crate) fn read(wire: &mut Wire<'a>) -> Option<Self> {
        let count = usize::from(wire.u16()?);
        let bytes = wire.bytes(count * REPEAT_BYTES)?;
        (count <= REPEATS_MAX).then_some(Self { repeats: bytes.as_chunks().0 })
    }

    /// When the event of this id and body was first seen; another body is another event.
    pub(crate) fn first_seen(&self, id_hash: u64, body_hash: u64) -> Option<FirstSeen> {
        let mut entries = self.repeats.iter().rev().filter_map(read_repeat);
        entries.find(|first| (first.id_hash, first.body_hash) == (id_hash, body_hash))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.repeats.is_empty()
    }

    /// What is noted of changes of ours at a source.
    pub(crate) fn notices(&self, source: &[u8]) -> impl Iterator<Item = FirstSeen> {
        let hash = notice_hash(source, 0);
        let entries = self.repeats.iter().filter_map(read_repeat);
        entries.filter(move |it| it.id_hash & !VERSION_BITS == hash)
    }

    /// Writes them with what is new at the end, the oldest dropped, and without the notice that it takes
    /// the place of.
    pub(crate) fn write_with(&self, first: Option<FirstSeen>, out: &mut Vec<u8>) {
        let is_replaced = |entry: &[u8; REPEAT_BYTES]| {
            let (entry, first) = (read_repeat(entry), first);
            entry.zip(first).is_some_and(|(entry, first)| {
                entry.is_awaited()
                    && (entry.id_hash, entry.body_hash) == (first.id_hash, first.body_hash)
            })
        };
        let mut kept = self.repeats;
        while let (Some(first), [oldest, rest @ ..]) = (first, kept) {
            let is_old = read_repeat(oldest).is_none_or(|oldest| {
                first.record_time_ms.saturating_sub(oldest.record_time_ms) > REPEATS_MS
            });
            if kept.len() < REPEATS_MIN || (!is_old && kept.len() < REPEATS_MAX) {
                break;
            }
            kept = rest;
        }
        let kept = kept.iter().filter(|entry| !is_replaced(entry));
        let count = kept.clone().count() + usize::from(first.is_some());
        out.extend_from_slice(&(count as u16).to_le_bytes());
        kept.for_each(|entry| out.extend_from_slice(entry));
        if let Some(first) = first {
            put_u64(out, first.id_hash);
            put_u64(out, first.body_hash);
            put_u64(out, first.time_us);
            put_u64(out, first.record_time_ms.cast_unsigned());
        }
    }
}

fn read_repeat(entry: &[u8; REPEAT_BYTES]) -> Option<FirstSeen> {
    let mut wire = Wire::new(entry);
    Some(FirstSeen {
        id_hash: wire.u64()?,
        body_hash: wire.u64()?,
        time_us: wire.u64()?,
        record_time_ms: wire.u64()?.cast_signed(),
    })
}
