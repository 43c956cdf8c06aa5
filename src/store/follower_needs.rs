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
/// Ledgers that are looked at.
const LEDGERS_MAX: usize = 10_000;

/// Up to where each follower is done, as it is written down.
#[derive(Debug, Default)]
pub(crate) struct FollowerNeeds(Mutex<Needs>);

#[derive(Debug, Default)]
struct Needs {
    told: BTreeMap<String, Need>,
    /// Those that there are; none: not known, so that whatever has a ledger may be one.
    names: Option<Vec<String>>,
}

/// What a follower has written down, as far as the journal is kept for it.
#[derive(Deserialize)]
struct Ledger {
    position: String,
    #[serde(default)]
    waiting: Vec<(IgnoredAny, Lane, NextOffset)>,
    #[serde(default)]
    again: Vec<(IgnoredAny, Lane, NextOffset)>,
}

#[derive(Clone, Debug)]
struct Need {
    position: Position,
    /// Whether the journal waits for it however large it grows.
    is_unbounded: bool,
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
    /// One is done with all before a position; `is_unbounded`: the journal waits for it however large it
    /// grows.
    pub(super) fn tell(&self, name: &str, position: Position, is_unbounded: bool) {
        self.0.lock().told.insert(name.to_owned(), Need { position, is_unbounded });
    }

    /// Which there are.
    pub(super) fn are(&self, names: Vec<String>) {
        self.0.lock().names = Some(names);
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
        for need in self.all(controls, log).values() {
            let is_unseen = |after: &Cut| !after.is_seen_by(&need.position);
            let frame = journal.first_where(first, cut.next_frame, is_unseen)?;
            let at = if need.is_unbounded { &mut held.always } else { &mut held.bounded };
            *at = frame.min(*at);
        }
        Ok(held)
    }

    /// Of those that have told nothing yet, what they have written down: however large the journal grows,
    /// for they will tell soon, or this is no more than a look at the store.
    fn all(&self, controls: &Controls, log: u64) -> BTreeMap<String, Need> {
        let needs = self.0.lock();
        let mut all = needs.told.clone();
        for (key, entry) in controls.list(LEDGERS, None, LEDGERS_MAX) {
            let name = key.strip_prefix(LEDGERS).unwrap_or(&key);
            let is_one =
                needs.names.as_ref().is_none_or(|names| names.iter().any(|one| one == name));
            if is_one
                && !all.contains_key(name)
                && let Some(position) = written(&entry)
                && position.log == log
            {
                all.insert(name.to_owned(), Need { position, is_unbounded: true });
            }
        }
        all
    }
}

/// Before all that is owed.
fn written(entry: &ControlEntry) -> Option<Position> {
    let ledger: Ledger = serde_json::from_slice(&entry.value).ok()?;
    let mut position = Position::decode(&ledger.position).ok()?;
    for (_, lane, offset) in ledger.waiting.into_iter().chain(ledger.again) {
        // What is told as it is now needs nothing, and stands in no lane of contacts.
        if lane != CONTROL_LANE {
            let next = position.next.entry(lane).or_default();
            *next = offset.min(*next);
        }
    }
    Some(position)
}
