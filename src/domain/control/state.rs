//! All control entries, and what a record does to them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::domain::decode::Reject;
use crate::domain::verdict::{DeadLetterReason, Verdict};

use super::entry::{ControlEntry, Recent};
use super::{ControlRecord, REMOVED_KEPT_MS};

/// Expired entries that one record takes away at most.
const EXPIRED_A_RECORD_MAX: usize = 64;
/// What an entry costs beside its bytes: two nodes of maps, two allocations.
const ENTRY_OVERHEAD_BYTES: u64 = 192;
/// Keys that may use all of the room; the others leave a quarter of it to them, so that no flood of
/// sessions keeps one from being revoked.
const FIRST_PREFIXES: [&str; 2] = ["revoked/", "user/"];

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlLimits {
    /// Entries at most.
    pub entries_max: usize,
    /// Bytes of memory at most, about.
    pub bytes_max: u64,
}

impl Default for ControlLimits {
    fn default() -> Self {
        Self { entries_max: 200_000, bytes_max: 64 << 20 }
    }
}

/// What a record does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What became of it.
    pub verdict: Verdict,
    /// The entry after it, where it was applied.
    pub entry: Option<Arc<ControlEntry>>,
    /// Keys whose time is over by the record's time: they go, whatever became of the record.
    pub expired: Vec<Arc<str>>,
}

/// All entries, those that were removed a short while ago too. Cloning it copies no values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlState {
    entries: BTreeMap<Arc<str>, Arc<ControlEntry>>,
    expiring: BTreeSet<(u64, Arc<str>)>,
    bytes: u64,
}

impl ControlState {
    /// The entry of a key, a removed one's too.
    pub fn get(&self, key: &str) -> Option<&Arc<ControlEntry>> {
        self.entries.get(key)
    }

    /// Entries in all.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of memory, about.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Every entry, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<ControlEntry>)> {
        self.entries.iter()
    }

    /// The entries whose keys begin with `prefix`, after the key `after`, by key.
    pub fn from<'s>(
        &'s self,
        prefix: &'s str,
        after: Option<&'s str>,
    ) -> impl Iterator<Item = (&'s Arc<str>, &'s Arc<ControlEntry>)> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix),
        };
        let found = self.entries.range::<str, _>((start, Bound::Unbounded));
        found.take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// What a record of that time does. Changes nothing.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn decide(
        &self,
        record: &ControlRecord,
        record_time_ms: u64,
        limits: &ControlLimits,
    ) -> Result<Decision, Reject> {
        let found = self.entries.get(record.key.as_str());
        // One whose time is over is none, whether or not it was taken away yet.
        let before = found.filter(|at| !is_over(at, record_time_ms)).map(|at| &**at);
        let (verdict, entry) = decide_entry(before, record, record_time_ms);
        let mut expired = self.expired(record_time_ms);
        if let Some(entry) = &entry {
            expired.retain(|key| **key != *record.key);
            self.check_room(record, entry, &expired, limits)?;
        }
        Ok(Decision { verdict, entry: entry.map(Arc::new), expired })
    }

    /// Takes what was decided for a key.
    pub fn take(&mut self, key: &str, decision: &Decision) {
        for key in &decision.expired {
            self.remove(key);
        }
        if let Some(entry) = &decision.entry {
            self.put(Arc::from(key), Arc::clone(entry));
        }
    }

    /// Sets an entry.
    pub fn put(&mut self, key: Arc<str>, entry: Arc<ControlEntry>) {
        self.remove(&key);
        if let Some(at) = entry.expires_at_ms {
            self.expiring.insert((at, Arc::clone(&key)));
        }
        self.bytes += cost(&key, &entry);
        self.entries.insert(key, entry);
    }

    /// Drops an entry.
    pub fn remove(&mut self, key: &str) {
        if let Some((key, entry)) = self.entries.remove_entry(key) {
            self.bytes = self.bytes.saturating_sub(cost(&key, &entry));
            if let Some(at) = entry.expires_at_ms {
                self.expiring.remove(&(at, key));
            }
        }
    }

    fn expired(&self, record_time_ms: u64) -> Vec<Arc<str>> {
        let over = self.expiring.iter().take_while(|(at, _)| *at <= record_time_ms);
        over.take(EXPIRED_A_RECORD_MAX).map(|(_, key)| Arc::clone(key)).collect()
    }

    /// Whether a new value finds room. One that makes an entry smaller always does.
    fn check_room(
        &self,
        record: &ControlRecord,
        entry: &ControlEntry,
        expired: &[Arc<str>],
        limits: &ControlLimits,
    ) -> Result<(), Reject> {
        if entry.is_removed {
            return Ok(());
        }
        let goes = expired.iter().filter_map(|key| self.entries.get_key_value(key));
        let gone: u64 = goes.map(|(key, entry)| cost(key, entry)).sum();
        let replaced = self.entries.get_key_value(record.key.as_str());
        let old = replaced.map_or(0, |(key, entry)| cost(key, entry));
        let new = cost(&record.key, entry);
        let entries = self.entries.len() + usize::from(replaced.is_none()) - expired.len();
        let bytes = (self.bytes + new).saturating_sub(gone + old);
        let comes_first = FIRST_PREFIXES.iter().any(|prefix| record.key.starts_with(prefix));
        let quarters = if comes_first { 4 } else { 3 };
        let (entries_max, bytes_max) =
            (limits.entries_max / 4 * quarters, limits.bytes_max / 4 * quarters as u64);
        let is_more = replaced.is_none() && entries > entries_max;
        if is_more || (new > old && bytes > bytes_max) {
            let detail = format!("{entries} control entries of {bytes} bytes are too many");
            return Err(Reject::new(DeadLetterReason::ControlFull, detail));
        }
        Ok(())
    }
}

fn cost(key: &str, entry: &ControlEntry) -> u64 {
    2 * key.len() as u64 + entry.bytes() + ENTRY_OVERHEAD_BYTES
}

fn is_over(entry: &ControlEntry, record_time_ms: u64) -> bool {
    entry.expires_at_ms.is_some_and(|at| at <= record_time_ms)
}

/// Compare and set on one entry.
fn decide_entry(
    before: Option<&ControlEntry>,
    record: &ControlRecord,
    record_time_ms: u64,
) -> (Verdict, Option<ControlEntry>) {
    let content = record.content_hash();
    if let Some(recent) = before.and_then(|at| at.recent(&record.id)) {
        let is_repeat = recent.content == content;
        return (if is_repeat { Verdict::Duplicate } else { Verdict::Conflict }, None);
    }
    let live = before.filter(|at| !at.is_removed);
    let revision = live.map_or(0, |at| at.revision);
    if record.expected_revision.is_some_and(|expected| expected != revision) {
        return (Verdict::Conflict, None);
    }
    // What is over already is as good as removed.
    let is_in_time = record.expires_at_ms.is_none_or(|at| at > record_time_ms);
    let value = record.value.as_deref().filter(|_| is_in_time);
    let is_same = match (live, value) {
        (None, None) => true,
        (Some(at), Some(value)) => *at.value == *value && at.expires_at_ms == record.expires_at_ms,
        (Some(_), None) | (None, Some(_)) => false,
    };
    if is_same {
        return (Verdict::Unchanged, None);
    }
    let revision = before.map_or(0, |at| at.revision).saturating_add(1);
    let recent: &[Recent] = before.map_or(&[], |at| &at.recent);
    let entry = ControlEntry {
        revision,
        expires_at_ms: match value {
            Some(_) => record.expires_at_ms,
            None => Some(record_time_ms.saturating_add(REMOVED_KEPT_MS)),
        },
        value: Arc::from(value.unwrap_or_default()),
        changed_at_ms: record_time_ms,
        is_removed: value.is_none(),
        recent: ControlEntry::recent_with(recent, &record.id, content, revision),
    };
    (Verdict::Applied, Some(entry))
}
