//! Control entries in the store: all in memory, behind the same journal and engine as contacts.
//!
//! ```text
//! Writer: ControlStage (with the batch) ─commit─► Controls (what readers see), the dirty generation
//! engine: b'k' key ─► format | entry        a dropped entry's key is removed
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::RwLock;
use tokio::sync::watch;

use crate::domain::control::{ControlEntry, ControlState, Decision, UNSETTLED_KEY};
use crate::domain::position::NextOffset;

use super::codec;
use super::digest::{Digest, contact_hash};
use super::dirty::{DirtySet, Generation};
use super::engine::Engine;
use super::error::EngineMismatch;
use super::journal::ControlChange;

/// What was not read of the control lane before the next record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlGap {
    /// Some records: entries may be others by now.
    Records,
    /// It is another lane: what is known is not on it.
    All,
}

/// The entries that readers see.
#[derive(Debug, Default)]
pub(crate) struct Controls {
    state: RwLock<ControlState>,
    /// The log no longer holds what comes next, and nothing was read behind that yet.
    has_gap: AtomicBool,
    version: AtomicU64,
    changed: watch::Sender<u64>,
}

impl Controls {
    pub(crate) fn new(state: ControlState) -> Self {
        Self { state: RwLock::new(state), ..Self::default() }
    }

    pub(crate) fn get(&self, key: &str) -> Option<ControlEntry> {
        let state = self.state.read();
        state.get(key).filter(|entry| !entry.is_removed()).map(|entry| ControlEntry::clone(entry))
    }

    pub(crate) fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<(String, ControlEntry)> {
        let state = self.state.read();
        let found = state.from(prefix, after).filter(|(_, entry)| !entry.is_removed());
        found
            .take(limit)
            .map(|(key, entry)| (key.to_string(), ControlEntry::clone(entry)))
            .collect()
    }

    /// How many there are, up to a limit.
    pub(crate) fn count(&self, prefix: &str, limit: usize) -> usize {
        let state = self.state.read();
        let found = state.from(prefix, None).filter(|(_, entry)| !entry.is_removed());
        found.take(limit).count()
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Entries and bytes, removed ones counted.
    pub(crate) fn size(&self) -> (u64, u64) {
        let state = self.state.read();
        (state.len() as u64, state.bytes())
    }

    /// All entries as they are now, removed ones too.
    pub(crate) fn snapshot(&self) -> ControlState {
        self.state.read().clone()
    }

    /// The next record that is read does not follow the last one.
    pub(crate) fn begin_gap(&self) {
        self.has_gap.store(true, Ordering::Release);
    }

    /// Whether there may be entries that are not known, or known as they were.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.has_gap.load(Ordering::Acquire) || self.state.read().unsettled().is_some()
    }

    /// The same of one key.
    pub(crate) fn is_settled(&self, key: &str) -> bool {
        !self.has_gap.load(Ordering::Acquire) && self.state.read().is_settled(key)
    }

    /// From where on every entry was made or restated, up to a place.
    pub(crate) fn restated_from(&self, up_to: NextOffset) -> NextOffset {
        self.state.read().restated_from(up_to)
    }

    /// Removed ones too: at most `limit` that were last stated before a time.
    pub(crate) fn stated_before(
        &self,
        time_ms: u64,
        limit: usize,
    ) -> Vec<(Arc<str>, Arc<ControlEntry>)> {
        let state = self.state.read();
        let old = state.iter().filter(|(_, entry)| entry.stated.time_ms < time_ms);
        old.take(limit).map(|(key, entry)| (Arc::clone(key), Arc::clone(entry))).collect()
    }

    /// Who waits for changes hears of values, not of when they were stated or seen.
    fn publish(&self, changed: BTreeMap<Arc<str>, Option<Arc<ControlEntry>>>) {
        let mut state = self.state.write();
        let mut is_news = false;
        for (key, entry) in changed {
            let says = |entry: &Arc<ControlEntry>| (entry.revision, Arc::clone(&entry.value));
            is_news |= state.get(&key).map(says) != entry.as_ref().map(says);
            if &*key == UNSETTLED_KEY {
                self.has_gap.store(false, Ordering::Release);
            }
            match entry {
                Some(entry) => state.put(key, entry),
                None => state.remove(&key),
            }
        }
        if !is_news {
            return;
        }
        let version = self.version.fetch_add(1, Ordering::AcqRel) + 1;
        drop(state);
        self.changed.send_replace(version);
    }
}

/// The entries with the batch in hand.
#[derive(Debug, Default)]
pub(crate) struct ControlStage {
    state: ControlState,
    /// What the batch changed; none: dropped.
    changed: BTreeMap<Arc<str>, Option<Arc<ControlEntry>>>,
    /// What the next record has to say first, unless the batch in hand says it.
    gap: Option<ControlGap>,
    is_gap_staged: bool,
    scratch: Vec<u8>,
}

impl ControlStage {
    pub(crate) fn new(state: ControlState) -> Self {
        Self { state, ..Self::default() }
    }

    pub(crate) fn state(&self) -> &ControlState {
        &self.state
    }

    pub(crate) fn begin_gap(&mut self, gap: ControlGap) {
        self.gap = Some(gap);
    }

    pub(crate) fn gap(&self) -> Option<ControlGap> {
        self.gap.filter(|_| !self.is_gap_staged)
    }

    /// Takes a decision, and its effect on the digest.
    pub(crate) fn take(&mut self, key: &str, decision: &Decision, digest: &mut Digest) {
        for key in &decision.expired {
            self.leave(key, digest);
            self.changed.insert(Arc::clone(key), None);
        }
        if let Some(entry) = &decision.entry {
            self.leave(key, digest);
            digest.add(entry_hash(key, entry, &mut self.scratch));
            self.changed.insert(Arc::from(key), Some(Arc::clone(entry)));
            self.is_gap_staged |= key == UNSETTLED_KEY;
        }
        self.state.take(key, decision);
    }

    fn leave(&mut self, key: &str, digest: &mut Digest) {
        if let Some(before) = self.state.get(key) {
            digest.remove(entry_hash(key, before, &mut self.scratch));
        }
    }

    /// Begins anew from what is committed.
    pub(crate) fn abandon(&mut self, controls: &Controls) {
        if !self.changed.is_empty() {
            self.changed.clear();
            self.state = controls.snapshot();
            self.is_gap_staged = false;
        }
    }

    /// Hands the batch's changes on, under the cut's lock.
    pub(crate) fn publish(&mut self, generation: &Generation, controls: &Controls) {
        if self.changed.is_empty() {
            return;
        }
        for (key, entry) in &self.changed {
            let value = entry.as_ref().map(|entry| stored(entry));
            generation.put_entry(&codec::entry_key(codec::CONTROL, key.as_bytes()), value);
        }
        if std::mem::take(&mut self.is_gap_staged) {
            self.gap = None;
        }
        controls.publish(std::mem::take(&mut self.changed));
    }
}

/// An entry's summand in the digest.
pub(crate) fn entry_hash(key: &str, entry: &ControlEntry, scratch: &mut Vec<u8>) -> u128 {
    let mut body = Vec::new();
    entry.encode(&mut body);
    contact_hash(key.as_bytes(), &body, scratch)
}

/// An entry as the engine has it.
fn stored(entry: &ControlEntry) -> Box<[u8]> {
    let mut body = Vec::new();
    entry.encode(&mut body);
    codec::entry_value(&body)
}

/// Puts a journal entry's change into a generation, as its commit did.
pub(crate) fn redo(generation: &Generation, change: &ControlChange<'_>) {
    for key in change.expired() {
        generation.put_entry(&codec::entry_key(codec::CONTROL, key), None);
    }
    if let Some(body) = change.entry {
        let key = codec::entry_key(codec::CONTROL, change.key);
        generation.put_entry(&key, Some(codec::entry_value(body)));
    }
}

/// Every entry of the engine, with the dirty set in front of it.
pub(crate) fn load(engine: &Engine, dirty: &DirtySet) -> Result<ControlState, EngineMismatch> {
    let mut state = ControlState::default();
    let dirty = dirty.entries(codec::CONTROL);
    for found in engine.scan(&[codec::CONTROL], None) {
        let (key, value) = found?;
        let key = key.get(1..).unwrap_or_default();
        if !dirty.contains_key(key) {
            put(&mut state, key, &value)?;
        }
    }
    for (key, value) in &dirty {
        if let Some(value) = value {
            put(&mut state, key, value)?;
        }
    }
    Ok(state)
}

fn put(state: &mut ControlState, key: &[u8], value: &[u8]) -> Result<(), EngineMismatch> {
    let entry = codec::entry_body(value).and_then(ControlEntry::decode);
    match (std::str::from_utf8(key), entry) {
        (Ok(key), Some(entry)) => {
            state.put(Arc::from(key), Arc::new(entry));
            Ok(())
        }
        (Ok(_) | Err(_), _) => Err(EngineMismatch::damage("a control entry can't be read")),
    }
}

/// What all entries add up to.
pub(crate) fn digest_of(state: &ControlState) -> Digest {
    let mut digest = Digest::default();
    let mut scratch = Vec::new();
    for (key, entry) in state.iter() {
        digest.add(entry_hash(key, entry, &mut scratch));
    }
    digest
}
