//! All control entries, and what a record does to them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::domain::decode::Reject;
use crate::domain::founding::{FOUNDING_KEY, Founding};
use crate::domain::position::NextOffset;
use crate::domain::verdict::{DeadLetterReason, Verdict};

use super::entry::{ControlEntry, Recent};
use super::restated::{RecordAt, decide_restated, says_restated_from};
use super::{ControlRecord, REMOVED_KEPT_MS};

/// Expired entries that one record takes away at most.
const EXPIRED_A_RECORD_MAX: usize = 64;
/// What an entry costs beside its bytes: two nodes of maps, two allocations.
const ENTRY_OVERHEAD_BYTES: u64 = 192;
/// Eighths of the room that are for everybody, as for new sign-ins: no flood of them takes the rest.
const EIGHTHS_FOR_ALL: u64 = 6;
/// Eighths that what is no sign-in may use, and a sign-in that goes on. The last one is for what revokes,
/// which is never refused.
const EIGHTHS_FOR_OTHERS: u64 = 7;
/// What one takes, about.
const SIGN_IN_BYTES: u64 = 1024;
/// Sign-ins.
const SIGN_INS: &str = "family/";
/// All else rests on what the log says of itself, which is never refused for want of room.
const NEVER_REFUSED: &str = "log/";
/// Stands where the control lane was not read from its beginning; no record can write it. Its revision
/// is the offset from which on it was.
pub const UNSETTLED_KEY: &str = "\u{0}unsettled";

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

impl ControlLimits {
    /// What is taken of all the room, from 0 to 1.
    pub fn taken(&self, entries: u64, bytes: u64) -> f64 {
        let entries = entries as f64 / (self.entries_max as f64).max(1.0);
        entries.max(bytes as f64 / (self.bytes_max as f64).max(1.0))
    }

    /// Whether so much is taken that nobody can sign in.
    pub fn refuses_sign_ins(&self, entries: u64, bytes: u64) -> bool {
        entries + 1 > self.entries_max as u64 * EIGHTHS_FOR_ALL / 8
            || bytes + SIGN_IN_BYTES > self.bytes_max / 8 * EIGHTHS_FOR_ALL
    }
}

/// What a record does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What became of it.
    pub verdict: Verdict,
    /// The entry after it, where that is another, or was stated or seen anew.
    pub entry: Option<Arc<ControlEntry>>,
    /// Keys that go, whatever became of the record: those whose time is over by the record's time, and
    /// what is known to be no entry when the lane is settled.
    pub expired: Vec<Arc<str>>,
}

impl Decision {
    /// Of the first record that is read of a lane whose beginning was not: only that it is so, under
    /// [`UNSETTLED_KEY`].
    pub fn unsettled(at: RecordAt) -> Self {
        let entry = ControlEntry { revision: at.offset.next().0, ..ControlEntry::nothing(at) };
        Self { verdict: Verdict::Stale, entry: Some(Arc::new(entry)), expired: Vec::new() }
    }
}

/// All entries, those that were removed a short while ago too. Cloning it copies no values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlState {
    entries: BTreeMap<Arc<str>, Arc<ControlEntry>>,
    expiring: BTreeSet<(u64, Arc<str>)>,
    bytes: u64,
    unsettled: Option<NextOffset>,
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

    /// From where on the lane was read, where that is not its beginning and not all entries were
    /// restated since.
    pub fn unsettled(&self) -> Option<NextOffset> {
        self.unsettled
    }

    /// Whether an entry is what it is on every instance, or there is none anywhere.
    pub fn is_settled(&self, key: &str) -> bool {
        let Some(began) = self.unsettled else {
            return true;
        };
        self.entries.get(key).is_some_and(|entry| entry.stated.offset.0 >= began.0)
    }

    /// From where on every entry was made or restated, up to a place.
    pub fn restated_from(&self, up_to: NextOffset) -> NextOffset {
        let stated = self.entries.values().map(|entry| entry.stated.offset.0);
        NextOffset(stated.fold(up_to.0, u64::min))
    }

    /// What a record there does. Changes nothing.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn decide(
        &self,
        record: &ControlRecord,
        at: RecordAt,
        limits: &ControlLimits,
    ) -> Result<Decision, Reject> {
        let found = self.entries.get(record.key.as_str());
        // One whose time is over is none, whether or not it was taken away yet.
        let before = found.filter(|entry| !is_over(entry, at.time_ms)).map(|entry| &**entry);
        check_founding(before, record)?;
        let (verdict, entry) = match &record.restated {
            Some(restated) => decide_restated(before, record, restated, at, self.unsettled),
            None => decide_entry(before, record, at, self.unsettled.is_some()),
        };
        let mut expired = self.expired(at.time_ms);
        if matches!(verdict, Verdict::Applied | Verdict::Unchanged) {
            let mut unknown = self.settled(record);
            unknown.retain(|key| !expired.contains(key));
            expired.append(&mut unknown);
        }
        if let Some(entry) = &entry {
            expired.retain(|key| **key != *record.key);
            self.check_room(record, entry, &expired, limits)?;
        }
        Ok(Decision { verdict, entry: entry.map(Arc::new), expired })
    }

    /// What goes where the record settles the lane: the note of it, and entries that were neither made
    /// nor restated, so are none where the lane was read from its beginning.
    fn settled(&self, record: &ControlRecord) -> Vec<Arc<str>> {
        let from = self
            .unsettled
            .and_then(|began| says_restated_from(record).filter(|from| *from >= began));
        let Some(from) = from else {
            return Vec::new();
        };
        let unknown = self.entries.iter().filter(|(_, entry)| entry.stated.offset.0 < from.0);
        let note = self.entries.get_key_value(UNSETTLED_KEY).map(|(key, _)| Arc::clone(key));
        let keys = unknown.map(|(key, _)| Arc::clone(key)).filter(|key| **key != *UNSETTLED_KEY);
        keys.chain(note).collect()
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
        if &*key == UNSETTLED_KEY {
            self.unsettled = Some(NextOffset(entry.revision));
        }
        self.entries.insert(key, entry);
    }

    /// Drops an entry.
    pub fn remove(&mut self, key: &str) {
        if let Some((key, entry)) = self.entries.remove_entry(key) {
            self.bytes = self.bytes.saturating_sub(cost(&key, &entry));
            if &*key == UNSETTLED_KEY {
                self.unsettled = None;
            }
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
        let is_never_refused =
            record.revokes || record.restated.is_some() || record.key.starts_with(NEVER_REFUSED);
        if entry.is_removed || is_never_refused {
            return Ok(());
        }
        let goes = expired.iter().filter_map(|key| self.entries.get_key_value(key));
        let gone: u64 = goes.map(|(key, entry)| cost(key, entry)).sum();
        let replaced = self.entries.get_key_value(record.key.as_str());
        let old = replaced.map_or(0, |(key, entry)| cost(key, entry));
        let new = cost(&record.key, entry);
        let entries =
            (self.entries.len() + usize::from(replaced.is_none())).saturating_sub(expired.len());
        let bytes = (self.bytes + new).saturating_sub(gone + old);
        let is_new_sign_in = replaced.is_none() && record.key.starts_with(SIGN_INS);
        let eighths = if is_new_sign_in { EIGHTHS_FOR_ALL } else { EIGHTHS_FOR_OTHERS };
        let (entries_max, bytes_max) =
            (limits.entries_max as u64 * eighths / 8, limits.bytes_max / 8 * eighths);
        let is_more = replaced.is_none() && entries as u64 > entries_max;
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

/// Contacts' homes stand for ever, founding anew included: that is about the rules.
fn check_founding(before: Option<&ControlEntry>, record: &ControlRecord) -> Result<(), Reject> {
    if record.key != FOUNDING_KEY {
        return Ok(());
    }
    let refuse = |why: &str| Err(Reject::new(DeadLetterReason::InvalidControl, why));
    let Some(value) = record.value.as_deref().filter(|_| record.expires_at_ms.is_none()) else {
        return refuse("the founding is neither removed nor does it expire");
    };
    let Ok(founding) = Founding::parse(value) else {
        return refuse("this is no founding");
    };
    let stands = before.and_then(|entry| Founding::parse(&entry.value).ok());
    match stands {
        Some(stands) if founding != stands => refuse("the log was founded otherwise"),
        Some(_) | None => Ok(()),
    }
}

/// Compare and set on one entry. A record about an entry is noted in it, whatever becomes of it; where
/// reading began in the middle also where there is none, because there may be one.
fn decide_entry(
    before: Option<&ControlEntry>,
    record: &ControlRecord,
    at: RecordAt,
    is_unsettled: bool,
) -> (Verdict, Option<ControlEntry>) {
    let (verdict, entry) = changed_entry(before, record, at);
    let seen = || match before {
        Some(before) => Some(ControlEntry { seen: at.offset, ..before.clone() }),
        None => is_unsettled.then(|| ControlEntry {
            expires_at_ms: Some(at.time_ms.saturating_add(REMOVED_KEPT_MS)),
            ..ControlEntry::nothing(at)
        }),
    };
    (verdict, entry.or_else(seen))
}

fn changed_entry(
    before: Option<&ControlEntry>,
    record: &ControlRecord,
    at: RecordAt,
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
    let ends_ms = record.ends_ms(at);
    let value = record.value.as_deref().filter(|_| ends_ms.is_none_or(|end| end > at.time_ms));
    let is_same = match (live, value) {
        (None, None) => true,
        (Some(live), Some(value)) => *live.value == *value && live.expires_at_ms == ends_ms,
        (Some(_), None) | (None, Some(_)) => false,
    };
    if is_same {
        return (Verdict::Unchanged, None);
    }
    // One without a revision only says that there may be one.
    let before = before.filter(|before| before.revision > 0);
    let revision = before.map_or(0, |at| at.revision).saturating_add(1);
    let recent: &[Recent] = before.map_or(&[], |at| &at.recent);
    let entry = ControlEntry {
        revision,
        expires_at_ms: match value {
            Some(_) => ends_ms,
            None => Some(at.time_ms.saturating_add(REMOVED_KEPT_MS)),
        },
        value: Arc::from(value.unwrap_or_default()),
        changed_at_ms: at.time_ms,
        stated: before.map_or(at, |before| before.stated),
        seen: at.offset,
        is_removed: value.is_none(),
        recent: ControlEntry::recent_with(recent, &record.id, content, revision),
    };
    (Verdict::Applied, Some(entry))
}
