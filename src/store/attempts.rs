//! The attempts at commands in the store: a table a lane in memory, behind the same journal and
//! engine as contacts.
//!
//! ```text
//! Writer: note (with the batch) ─► the lane's table, journal entry ─commit─► the dirty generation
//! engine: b'a' lane offset ─► format | attempt      a forgotten one's key is removed
//! ```
//! The tables hold what is staged too: who reads them beside the writer looks whether the place of
//! what is found is committed.

use std::collections::BTreeMap;

use parking_lot::RwLock;

use crate::domain::attempts::{Attempt, Attempts, ENCODED_BYTES, LaneAttempt, Seen};
use crate::domain::position::{Lane, NextOffset, Offset};

use super::StoreError;
use super::codec;
use super::cut::Cut;
use super::digest::{Digest, contact_hash};
use super::dirty::{DirtySet, Generation};
use super::engine::Engine;
use super::error::EngineMismatch;

const KEY_BYTES: usize = 10;

/// The tables of all lanes.
#[derive(Debug, Default)]
pub(crate) struct LaneAttempts {
    lanes: RwLock<BTreeMap<Lane, Attempts>>,
}

impl LaneAttempts {
    pub(crate) fn look_up(&self, lane: Lane, wanted: &Attempt, lane_next: NextOffset) -> Seen {
        let lanes = self.lanes.read();
        lanes.get(&lane).map_or(Seen::Never, |table| table.look_up(wanted, lane_next))
    }

    /// Whether anything was done under an event id in a lane, staged or committed.
    pub(crate) fn is_done(&self, lane: Lane, id_hash: impl FnOnce() -> u64) -> bool {
        let lanes = self.lanes.read();
        lanes.get(&lane).is_some_and(|table| table.done(id_hash()).is_some())
    }

    /// What was done under an event id, in any lane, as far as it is committed.
    pub(crate) fn committed(&self, id_hash: u64, cut: &Cut) -> Option<Attempt> {
        let lanes = self.lanes.read();
        lanes.iter().find_map(|(lane, table)| {
            let next = cut.lanes.get(lane)?.next;
            let (offset, attempt) = table.done(id_hash)?;
            (offset.next() <= next).then_some(attempt)
        })
    }
}

/// What the batch in hand did to the tables.
#[derive(Debug, Default)]
pub(crate) struct AttemptStage {
    /// Stored bytes by key in the engine; none: forgotten.
    changed: BTreeMap<Vec<u8>, Option<[u8; ENCODED_BYTES]>>,
    scratch: Vec<u8>,
}

impl AttemptStage {
    /// Takes an attempt in, and its effect on the digest; returns its stored form.
    pub(crate) fn note(
        &mut self,
        tables: &LaneAttempts,
        (lane, offset): (Lane, Offset),
        attempt: Attempt,
        record_time_ms: i64,
        digest: &mut Digest,
    ) -> [u8; ENCODED_BYTES] {
        let Self { changed, scratch } = self;
        let mut lanes = tables.lanes.write();
        let mut forget = |offset: Offset, attempt: LaneAttempt| {
            let key = key(lane, offset);
            digest.remove(contact_hash(&key, &attempt.encode(), scratch));
            changed.insert(engine_key(&key), None);
        };
        let table = lanes.entry(lane).or_default();
        let kept = table.note(offset, attempt, record_time_ms, &mut forget);
        let (key, bytes) = (key(lane, offset), kept.encode());
        digest.add(contact_hash(&key, &bytes, scratch));
        changed.insert(engine_key(&key), Some(bytes));
        bytes
    }

    /// Begins anew from what is committed.
    pub(crate) fn abandon(
        &mut self,
        tables: &LaneAttempts,
        engine: &Engine,
        dirty: &DirtySet,
    ) -> Result<(), StoreError> {
        if self.changed.is_empty() {
            return Ok(());
        }
        self.changed.clear();
        let before = load(engine, dirty).map_err(|mismatch| mismatch.into_error("the engine"))?;
        *tables.lanes.write() = before.lanes.into_inner();
        Ok(())
    }

    /// Hands the batch's changes on, under the cut's lock.
    pub(crate) fn publish(&mut self, generation: &Generation) {
        for (key, bytes) in std::mem::take(&mut self.changed) {
            generation.put_entry(&key, bytes.map(|bytes| codec::entry_value(&bytes)));
        }
    }
}

/// Puts a journal entry's attempt into a generation, as its commit did.
pub(crate) fn redo(generation: &Generation, lane: Lane, offset: Offset, attempt: &[u8]) {
    let key = engine_key(&key(lane, offset));
    generation.put_entry(&key, Some(codec::entry_value(attempt)));
}

/// Every attempt of the engine, with the dirty set in front of it.
fn stored(
    engine: &Engine,
    dirty: &DirtySet,
) -> Result<BTreeMap<(Lane, Offset), LaneAttempt>, EngineMismatch> {
    // Taken first: what is flushed meanwhile is in the engine too.
    let in_front = dirty.entries(codec::ATTEMPT);
    let mut stored = BTreeMap::new();
    for found in engine.scan(&[codec::ATTEMPT], None) {
        let (key, value) = found?;
        stored.insert(parse_key(key.get(1..))?, parse(&value)?);
    }
    for (key, value) in in_front {
        let place = parse_key(Some(&key))?;
        match value {
            Some(value) => stored.insert(place, parse(&value)?),
            None => stored.remove(&place),
        };
    }
    Ok(stored)
}

/// The stored attempts, but for those that newer ones left no room or time for: a journal's entry
/// does not say what was forgotten for it, so after a redo they are still there, and are dropped now.
pub(crate) fn load(engine: &Engine, dirty: &DirtySet) -> Result<LaneAttempts, EngineMismatch> {
    let mut lanes: BTreeMap<Lane, Attempts> = BTreeMap::new();
    for ((lane, offset), attempt) in stored(engine, dirty)? {
        lanes.entry(lane).or_default().restore(offset, attempt);
    }
    let generation = dirty.current();
    for (lane, table) in &mut lanes {
        table.forget(&mut |offset, _| {
            generation.put_entry(&engine_key(&key(*lane, offset)), None);
        });
    }
    Ok(LaneAttempts { lanes: RwLock::new(lanes) })
}

/// What all of them add up to.
pub(crate) fn digest_of(tables: &LaneAttempts) -> Digest {
    let lanes = tables.lanes.read();
    sum(lanes.iter().flat_map(|(lane, table)| {
        table.iter().map(|(offset, attempt)| ((*lane, offset), *attempt))
    }))
}

/// What the stored ones add up to.
pub(crate) fn digest_stored(engine: &Engine, dirty: &DirtySet) -> Result<Digest, EngineMismatch> {
    Ok(sum(stored(engine, dirty)?.into_iter()))
}

fn sum(attempts: impl Iterator<Item = ((Lane, Offset), LaneAttempt)>) -> Digest {
    let (mut digest, mut scratch) = (Digest::default(), Vec::new());
    for ((lane, offset), attempt) in attempts {
        digest.add(contact_hash(&key(lane, offset), &attempt.encode(), &mut scratch));
    }
    digest
}

fn key(lane: Lane, offset: Offset) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    let (head, tail) = key.split_at_mut(2);
    head.copy_from_slice(&lane.0.to_be_bytes());
    tail.copy_from_slice(&offset.0.to_be_bytes());
    key
}

fn engine_key(key: &[u8]) -> Vec<u8> {
    codec::entry_key(codec::ATTEMPT, key)
}

fn parse_key(key: Option<&[u8]>) -> Result<(Lane, Offset), EngineMismatch> {
    let parsed = key.and_then(|key| {
        let (lane, offset) = key.split_first_chunk::<2>()?;
        let offset = u64::from_be_bytes(offset.try_into().ok()?);
        Some((Lane(u16::from_be_bytes(*lane)), Offset(offset)))
    });
    parsed.ok_or_else(unreadable)
}

fn parse(value: &[u8]) -> Result<LaneAttempt, EngineMismatch> {
    codec::entry_body(value).and_then(LaneAttempt::decode).ok_or_else(unreadable)
}

fn unreadable() -> EngineMismatch {
    EngineMismatch::damage("an attempt at a command can't be read")
}
