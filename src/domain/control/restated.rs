//! Restating: an entry is said again, whole, before its record is gone with the topic's retention, so
//! that who begins to read in the middle of the control lane comes to the same entries.
//!
//! ```text
//! "restated": {"revision": 3, "changedAt": …, "removed": false, "recent": [[id, content, revision], …],
//!              "view": {"next": 1042, "at": …}}
//! ```
//!
//! It holds for the place where it was made, its *view*: who wrote it had applied all records before
//! `next`. It is taken where no record about its key stands between view and restatement, and the view
//! is not too old: removals are kept for longer than that, so nothing that was removed comes back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::position::{NextOffset, Offset};
use crate::domain::verdict::Verdict;

use super::ControlRecord;
use super::entry::{ControlEntry, RECENT_MAX, Recent};

/// Records that a restatement may stand behind its view.
pub(super) const VIEW_RECORDS_MAX: u64 = 10_000;
/// The same in milliseconds of record time.
pub const VIEW_AGE_MAX_MS: u64 = 300_000;
/// The key of the entry that says from where on every entry was restated or made.
pub const RESTATED_KEY: &str = "log/restated";

/// The key of the first record of a control topic that was filled from a store.
pub const ADOPTED_KEY: &str = "log/adopted";

/// Where and when a record stands on the control lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordAt {
    /// Its offset.
    pub offset: Offset,
    /// Its record's timestamp, in milliseconds since 1970.
    pub time_ms: u64,
}

/// What a restatement was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// All control records before it had been applied.
    pub next: NextOffset,
    /// The time of one of the last of them.
    #[serde(rename = "at")]
    pub at_ms: u64,
}

/// What a restatement says besides key, value and end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restated {
    pub(super) revision: u64,
    #[serde(rename = "changedAt")]
    pub(super) changed_at_ms: u64,
    #[serde(rename = "removed", default)]
    pub(super) is_removed: bool,
    #[serde(default)]
    pub(super) recent: Vec<(u64, u64, u64)>,
    pub(super) view: View,
}

impl ControlEntry {
    /// The record that restates it.
    pub fn restate(&self, key: &str, view: View, id: String) -> ControlRecord {
        let recent = self.recent.iter().map(|at| (at.id, at.content, at.revision));
        ControlRecord {
            id,
            key: key.to_owned(),
            expires_at_ms: self.expires_at_ms,
            value: (!self.is_removed).then(|| self.value.to_vec()),
            restated: Some(Restated {
                revision: self.revision,
                changed_at_ms: self.changed_at_ms,
                is_removed: self.is_removed,
                recent: recent.collect(),
                view,
            }),
            ..ControlRecord::default()
        }
    }
}

impl Restated {
    pub(super) fn check(&self, record: &ControlRecord) -> Result<(), &'static str> {
        if self.recent.len() > RECENT_MAX {
            return Err("restatement names too many writings");
        }
        if self.is_removed == record.value.is_some() {
            return Err("restatement has a value and is removed, or neither");
        }
        if record.expected_revision.is_some() || record.lives_ms.is_some() {
            return Err("restatement expects a revision, or lives for a while");
        }
        Ok(())
    }

    fn entry(&self, record: &ControlRecord, at: RecordAt) -> ControlEntry {
        let recent = |(id, content, revision)| Recent { id, content, revision };
        ControlEntry {
            revision: self.revision,
            expires_at_ms: record.expires_at_ms,
            value: Arc::from(record.value.as_deref().unwrap_or_default()),
            changed_at_ms: self.changed_at_ms,
            stated: RecordAt { offset: Offset(self.view.next.0), time_ms: at.time_ms },
            seen: at.offset,
            is_removed: self.is_removed,
            recent: self.recent.iter().copied().map(recent).collect(),
        }
    }

    /// Whether it speaks of what holds where it stands, given the last record about its key.
    fn is_fresh(&self, before: Option<&ControlEntry>, at: RecordAt) -> bool {
        let View { next, at_ms } = self.view;
        next.0 <= at.offset.0
            && at.offset.0 - next.0 <= VIEW_RECORDS_MAX
            && at.time_ms.saturating_sub(at_ms) <= VIEW_AGE_MAX_MS
            && before.is_none_or(|before| before.seen.0 < next.0)
    }
}

/// What a restatement does to an entry; `began` where reading began in the middle, and what stood
/// before is not known.
pub(super) fn decide_restated(
    before: Option<&ControlEntry>,
    record: &ControlRecord,
    restated: &Restated,
    at: RecordAt,
    began: Option<NextOffset>,
) -> (Verdict, Option<ControlEntry>) {
    let seen = before.map(|before| ControlEntry { seen: at.offset, ..before.clone() });
    let is_known_since = began.is_none_or(|began| restated.view.next >= began);
    if !restated.is_fresh(before, at) || !is_known_since {
        return (Verdict::Stale, seen);
    }
    let entry = restated.entry(record, at);
    if entry.expires_at_ms.is_some_and(|end| end <= at.time_ms) {
        return (Verdict::Unchanged, seen);
    }
    let Some(before) = before else {
        return (Verdict::Applied, Some(entry));
    };
    if before.is_as(&entry) {
        return (Verdict::Unchanged, Some(entry));
    }
    if began.is_some() || before.revision < entry.revision {
        return (Verdict::Applied, Some(entry));
    }
    let is_other = before.revision == entry.revision;
    (if is_other { Verdict::Conflict } else { Verdict::Stale }, seen)
}

#[derive(Serialize, Deserialize)]
struct RestatedFrom {
    from: NextOffset,
}

/// The value of the entry [`RESTATED_KEY`]: every entry was made, or restated by a view, there or later.
pub fn restated_from(from: NextOffset) -> Vec<u8> {
    format!("{{\"from\":{}}}", from.0).into_bytes()
}

/// From where on everything was restated, if the record says so.
pub(super) fn says_restated_from(record: &ControlRecord) -> Option<NextOffset> {
    let value = record.value.as_deref().filter(|_| record.key == RESTATED_KEY)?;
    serde_json::from_slice::<RestatedFrom>(value).ok().map(|said| said.from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{ControlLimits, ControlState, Decision, UNSETTLED_KEY};
    use super::*;

    const NOW_MS: u64 = 1_000_000;

    fn at(number: u64, time_ms: u64) -> RecordAt {
        RecordAt { offset: Offset(number), time_ms }
    }

    fn view(next: u64, at_ms: u64) -> View {
        View { next: NextOffset(next), at_ms }
    }

    fn write(number: u64, key: u8, expected: Option<u64>, value: Option<u8>) -> ControlRecord {
        ControlRecord {
            id: format!("w{number}"),
            key: format!("k{key}"),
            expected_revision: expected,
            value: value.map(|value| value.to_string().into_bytes()),
            ..ControlRecord::default()
        }
    }

    fn apply(state: &mut ControlState, record: &ControlRecord, at: RecordAt) -> Verdict {
        let decision = state.decide(record, at, &ControlLimits::default()).unwrap();
        state.take(&record.key, &decision);
        decision.verdict
    }

    #[test]
    fn a_restatement_is_taken_where_its_entry_is_unknown_or_older_and_its_view_is_not_too_old() {
        let mut state = ControlState::default();
        apply(&mut state, &write(0, 0, None, Some(1)), at(0, NOW_MS));
        apply(&mut state, &write(1, 0, None, Some(2)), at(1, NOW_MS));
        let entry = Arc::clone(state.get("k0").unwrap());
        let restated = |next, at_ms| entry.restate("k0", view(next, at_ms), "r".to_owned());
        let bytes = restated(2, NOW_MS).encode().unwrap();
        assert_eq!(ControlRecord::decode(None, Some(&bytes)).unwrap(), restated(2, NOW_MS));
        let verdict = |before: &ControlState, next, at_ms, at| {
            apply(&mut before.clone(), &restated(next, at_ms), at)
        };
        let new = ControlState::default();
        assert_eq!(verdict(&new, 2, NOW_MS, at(2, NOW_MS)), Verdict::Applied);
        assert_eq!(verdict(&state, 2, NOW_MS, at(2, NOW_MS)), Verdict::Unchanged);
        assert_eq!(verdict(&state, 1, NOW_MS, at(2, NOW_MS)), Verdict::Stale, "it has changed");
        let far = VIEW_RECORDS_MAX + 2;
        assert_eq!(verdict(&new, 2, NOW_MS, at(far, NOW_MS)), Verdict::Applied);
        assert_eq!(verdict(&new, 2, NOW_MS, at(far + 1, NOW_MS)), Verdict::Stale);
        let late = NOW_MS + VIEW_AGE_MAX_MS;
        assert_eq!(verdict(&new, 2, NOW_MS, at(2, late)), Verdict::Applied);
        assert_eq!(verdict(&new, 2, NOW_MS, at(2, late + 1)), Verdict::Stale);
        assert_eq!(verdict(&new, 3, NOW_MS, at(2, NOW_MS)), Verdict::Stale, "of another log");
        // What has been removed meanwhile does not come back.
        apply(&mut state, &write(3, 0, None, None), at(3, NOW_MS));
        assert_eq!(verdict(&state, 3, NOW_MS, at(4, NOW_MS)), Verdict::Stale);
        assert_eq!(verdict(&state, 4, NOW_MS, at(4, NOW_MS)), Verdict::Stale, "a lower revision");
        // A newer revision than is known, as in a topic that is filled anew.
        let mut older = ControlState::default();
        apply(&mut older, &write(9, 0, None, Some(9)), at(0, NOW_MS));
        assert_eq!(apply(&mut older, &restated(1, NOW_MS), at(1, NOW_MS)), Verdict::Applied);
        assert!(older.get("k0").unwrap().is_as(&entry));
        apply(&mut older, &write(10, 0, None, Some(9)), at(2, NOW_MS));
        let same = ControlEntry { revision: 3, ..ControlEntry::clone(&entry) };
        let other = same.restate("k0", view(3, NOW_MS), "r".to_owned());
        assert_eq!(apply(&mut older, &other, at(3, NOW_MS)), Verdict::Conflict);
    }

    /// One step: a writing, or a restatement with a view that is so many records old.
    #[derive(Clone, Debug)]
    enum Step {
        Write { key: u8, expected: Option<u64>, value: Option<u8>, ends: Option<u64>, pause: u64 },
        Restate { key: u8, lag: usize },
    }

    fn step() -> impl Strategy<Value = Step> {
        let write = (0..5_u8, 0..5_u64, 0..4_u8, 0..9_u64, 0..40_u64);
        let write = write.prop_map(|(key, expected, value, ends, pause)| Step::Write {
            key,
            expected: (expected < 3).then_some(expected),
            value: (value > 0).then_some(value),
            ends: (ends < 2).then_some(ends * 400 + 100),
            pause,
        });
        let restate = (0..5_u8, 0..6_usize).prop_map(|(key, lag)| Step::Restate { key, lag });
        prop_oneof![4 => write, 1 => restate]
    }

    /// The whole lane as who has read it from its beginning makes it: each record, and all entries
    /// after it.
    #[derive(Default)]
    struct Lane {
        records: Vec<(ControlRecord, RecordAt)>,
        states: Vec<ControlState>,
        now_ms: u64,
    }

    impl Lane {
        fn state(&self) -> ControlState {
            self.states.last().cloned().unwrap_or_default()
        }

        fn append(&mut self, record: ControlRecord) -> Verdict {
            let at = at(self.records.len() as u64, NOW_MS + self.now_ms);
            let mut state = self.state();
            let verdict = apply(&mut state, &record, at);
            self.records.push((record, at));
            self.states.push(state);
            verdict
        }

        fn restate(&mut self, key: &str, lag: usize) {
            let next = self.records.len().saturating_sub(lag);
            let state = next.checked_sub(1).map(|at| self.states[at].clone()).unwrap_or_default();
            let Some(entry) = state.get(key) else { return };
            let id = format!("r{}", self.records.len());
            self.append(entry.restate(key, view(next as u64, NOW_MS + self.now_ms), id));
        }

        fn take(&mut self, step: &Step) {
            match step {
                Step::Restate { key, lag } => self.restate(&format!("k{key}"), *lag),
                Step::Write { key, expected, value, ends, pause } => {
                    self.now_ms += pause;
                    let number = self.records.len() as u64;
                    let mut record = write(number, *key, *expected, *value);
                    record.expires_at_ms = ends.map(|ends| NOW_MS + self.now_ms + ends);
                    self.append(record);
                }
            }
        }

        /// Restates everything, and says so.
        fn settle(&mut self) {
            let keys: Vec<_> = self.state().iter().map(|(key, _)| Arc::clone(key)).collect();
            for key in keys {
                self.restate(&key, 0);
            }
            let from = self.state().restated_from(NextOffset(self.records.len() as u64));
            let mut mark = write(self.records.len() as u64, 0, None, None);
            (mark.key, mark.value) = (RESTATED_KEY.to_owned(), Some(restated_from(from)));
            self.append(mark);
        }
    }

    proptest! {
        /// Whoever begins in the middle comes to the same entries, to the last byte.
        #[test]
        fn who_begins_in_the_middle_comes_to_the_same_entries(
            steps in proptest::collection::vec(step(), 1..60),
            later in proptest::collection::vec(step(), 0..20),
            first in any::<prop::sample::Index>(),
            known in any::<prop::sample::Index>(),
        ) {
            let mut lane = Lane::default();
            lane.append(write(0, 9, None, Some(1)));
            steps.iter().for_each(|step| lane.take(step));
            let first = first.index(lane.records.len());
            lane.settle();
            later.iter().for_each(|step| lane.take(step));
            // Nothing is known, or what held some time before.
            let known = known.index(first + 1);
            let before = known.checked_sub(1).map(|at| lane.states[at].clone());
            for begun in [ControlState::default(), before.unwrap_or_default()] {
                let mut state = begun;
                let mut records = lane.records[first..].iter();
                let (_, at) = records.next().unwrap();
                state.take(UNSETTLED_KEY, &Decision::unsettled(*at));
                prop_assert!(state.unsettled().is_some() && !state.is_settled("k9"));
                for (record, at) in records {
                    apply(&mut state, record, *at);
                }
                prop_assert_eq!(state.unsettled(), None);
                prop_assert_eq!(&state, &lane.state());
            }
        }
    }
}
