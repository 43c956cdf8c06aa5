//! All subscriptions, as the control entries say now.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::store::Reader;

use super::subscription::{Content, Facts, PREFIX, Subscription};

/// Subscriptions that are looked at; how many there may be is less.
const LOOKED_AT_MAX: usize = 10_000;

/// All of them as of one version of the control entries.
#[derive(Debug, Default)]
pub(super) struct Roster {
    version: Option<u64>,
    /// By their ids, with the entry's revision.
    pub(super) all: BTreeMap<String, (u64, Arc<Subscription>)>,
    /// Whether anybody asks which fields changed.
    pub(super) compares: bool,
}

impl Roster {
    /// Whether any of them may want a change.
    pub(super) fn wants(&self, facts: &Facts<'_>) -> bool {
        self.all.values().any(|(_, subscription)| subscription.filter.passes(facts))
    }
}

/// Keeps the roster as long as no control entry changes.
pub(super) struct Rosters {
    reader: Reader,
    last: Mutex<Arc<Roster>>,
}

impl Rosters {
    pub(super) fn new(reader: Reader) -> Self {
        Self { reader, last: Mutex::default() }
    }

    pub(super) fn now(&self) -> Arc<Roster> {
        let version = Some(self.reader.control_version());
        let mut last = self.last.lock();
        if last.version != version {
            *last = Arc::new(self.read(&last, version));
        }
        Arc::clone(&last)
    }

    fn read(&self, before: &Roster, version: Option<u64>) -> Roster {
        let mut all = BTreeMap::new();
        for (key, entry) in self.reader.controls(PREFIX, None, LOOKED_AT_MAX) {
            let id = key.strip_prefix(PREFIX).unwrap_or(&key);
            let known = before.all.get(id).filter(|(revision, _)| *revision == entry.revision);
            let read = || Subscription::of(&key, &entry).map(|it| (entry.revision, Arc::new(it)));
            if let Some(found) = known.cloned().or_else(read) {
                all.insert(id.to_owned(), found);
            }
        }
        let mut each = all.values();
        let compares =
            each.any(|(_, it)| !it.filter.fields.is_empty() || it.send == Content::Change);
        Roster { version, all, compares }
    }
}
