//! What the journal is kept for: up to where each follower is done.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::domain::control::ControlEntry;
use crate::domain::position::{CONTROL_LANE, Lane, NextOffset, Position};
use crate::segments::FrameNo;

use super::StoreError;
use super::control::Controls;
use super::cut::Cut;
use super::journal::Journal;

/// Control entries that say how far followers are: their keys begin with it.
pub const LEDGERS: &str = "follower/";
/// The follower that brings records home. The journal is kept for it whatever else is known, because what
/// it is owed stands nowhere else in order.
pub const REHOMING: &str = "rehoming";
/// Ledgers that are looked at.
const LEDGERS_MAX: usize = 10_000;

/// Up to where each follower is done, as it is written down.
#[derive(Debug, Default)]
pub(crate) struct FollowerNeeds(Mutex<Needs>);

#[derive(Debug, Default)]
struct Needs {
    told: BTreeMap<String, FollowerNeed>,
    /// Those that there are; none: not known, so that whatever has a ledger may be one.
    names: Option<Vec<String>>,
}

/// What a follower has written down, as far as the journal is kept for it.
#[derive(Deserialize)]
struct Ledger {
    position: String,
    #[serde(default)]
    count: Option<u64>,
    /// Under which founding of the log; none: of whichever.
    #[serde(default)]
    founding: Option<u64>,
    #[serde(default)]
    waiting: Vec<(IgnoredAny, Lane, NextOffset)>,
    #[serde(default)]
    again: Vec<(IgnoredAny, Lane, NextOffset)>,
}

/// What the journal is kept for.
#[derive(Clone, Debug)]
pub struct FollowerNeed {
    /// All before it is done.
    pub position: Position,
    /// Whether the journal waits for it however large it grows.
    pub is_unbounded: bool,
    /// How many of what it counts are done, where nothing else is owed and that is known.
    pub count: Option<u64>,
}

/// The first frames of the journal that followers still need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// However large the journal grows.
    pub(crate) always: FrameNo,
    /// As long as it is not too large.
    pub(crate) bounded: FrameNo,
}

impl FollowerNeeds {
    /// One says what it still needs.
    pub(super) fn tell(&self, name: &str, need: FollowerNeed) {
        self.0.lock().told.insert(name.to_owned(), need);
    }

    /// Which there are.
    pub(super) fn are(&self, names: Vec<String>) {
        self.0.lock().names = Some(names);
    }

    /// There is one less here.
    pub(super) fn lose(&self, name: &str) {
        if let Some(names) = &mut self.0.lock().names {
            names.retain(|one| one != name);
        }
    }

    /// What is still needed of the frames of a state.
    pub(crate) fn of(
        &self,
        journal: &Journal,
        controls: &Controls,
        log: u64,
        cut: &Cut,
    ) -> Result<Held, StoreError> {
        let mut held = Held { always: FrameNo(u64::MAX), bounded: FrameNo(u64::MAX) };
        let first = journal.first()?;
        for (name, need) in self.all(controls, log, cut) {
            // While none is owed nothing is kept for that, however long nothing is written down. Where others have
            // seen more than there is here, the count says nothing of what is.
            let is_all = need.count.is_some_and(|count| count >= cut.rehomed());
            if name == REHOMING && is_all && cut.has_all_of(&need.position) {
                continue;
            }
            let is_unseen = |after: &Cut| !after.is_seen_by(&need.position);
            let frame = journal.first_where(first, cut.next_frame, is_unseen)?;
            let at = if need.is_unbounded { &mut held.always } else { &mut held.bounded };
            *at = frame.min(*at);
        }
        Ok(held)
    }

    /// Of those that have told nothing yet, what they have written down: however large the journal grows,
    /// for they will tell soon, or this is no more than a look at the store.
    fn all(&self, controls: &Controls, log: u64, cut: &Cut) -> BTreeMap<String, FollowerNeed> {
        let needs = self.0.lock();
        let mut all = needs.told.clone();
        for (key, entry) in controls.list(LEDGERS, None, LEDGERS_MAX) {
            let name = key.strip_prefix(LEDGERS).unwrap_or(&key);
            if !all.contains_key(name)
                && let Some(need) = written(&entry, cut.rules.founding())
                && need.position.log == log
            {
                all.insert(name.to_owned(), need);
            }
        }
        // Under this founding nobody has begun with it.
        all.entry(REHOMING.to_owned()).or_insert_with(|| FollowerNeed {
            position: Position::of_lanes(log, BTreeMap::new()),
            is_unbounded: true,
            count: Some(0),
        });
        // What a follower writes down in parts stands under its own name.
        let whose = |name: &str| name.split('/').next().unwrap_or_default().to_owned();
        all.retain(|name, _| needs.names.as_ref().is_none_or(|names| names.contains(&whose(name))));
        all
    }
}

/// Before all that is owed; none: it says nothing of this founding.
fn written(entry: &ControlEntry, founding: u64) -> Option<FollowerNeed> {
    let ledger: Ledger = serde_json::from_slice(&entry.value).ok()?;
    if ledger.founding.is_some_and(|said| said != founding) {
        return None;
    }
    let is_all = ledger.waiting.is_empty() && ledger.again.is_empty();
    let count = ledger.count.filter(|_| is_all);
    let mut position = Position::decode(&ledger.position).ok()?;
    for (_, lane, offset) in ledger.waiting.into_iter().chain(ledger.again) {
        // What is told as it is now needs nothing, and stands in no lane of contacts.
        if lane != CONTROL_LANE {
            let next = position.next.entry(lane).or_default();
            *next = offset.min(*next);
        }
    }
    Some(FollowerNeed { position, is_unbounded: true, count })
}
