//! How a follower stands on this instance, for those who list it and for the figures.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::domain::position::Position;

use super::ledger::Trouble;
use super::parked::WHY_MAX;

/// Shared by the engine and those who look.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Whether this instance has it.
    is_ours: AtomicBool,
    delivered: AtomicU64,
    failures: AtomicU64,
    overruns: AtomicU64,
    /// The record time of the oldest change that is owed, in ms; 0: none is.
    oldest_ms: AtomicU64,
    /// Contacts of which something is owed.
    waiting: AtomicU64,
    /// Changes that are owed, where they are counted.
    owed: AtomicU64,
    /// Whether it may not run on this instance.
    is_kept_from: AtomicBool,
    /// All before it was read.
    read: Mutex<Option<Position>>,
    trouble: Mutex<Option<Trouble>>,
    /// What its sink says besides.
    note: Mutex<Option<String>>,
    /// How many changes are refused for long, and why one of them is.
    refused: Mutex<Option<(usize, String)>>,
}

/// What was counted here since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) delivered: u64,
    pub(super) failures: u64,
    pub(super) overruns: u64,
}

impl Standing {
    pub(super) fn set_ours(&self, is_ours: bool) {
        self.is_ours.store(is_ours, Ordering::Relaxed);
    }

    pub(super) fn is_ours(&self) -> bool {
        self.is_ours.load(Ordering::Relaxed)
    }

    pub(super) fn delivered(&self) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn overrun(&self) {
        self.overruns.fetch_add(1, Ordering::Relaxed);
    }

    /// Where it is; `oldest_ms`: of the record that is owed, none where none is.
    pub(super) fn set_progress(&self, read: &Position, waiting: usize, oldest_ms: Option<i64>) {
        *self.read.lock() = Some(read.clone());
        self.waiting.store(waiting as u64, Ordering::Relaxed);
        let oldest_ms = oldest_ms.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0);
        self.oldest_ms.store(oldest_ms, Ordering::Relaxed);
    }

    pub(super) fn set_owed(&self, owed: u64) {
        self.owed.store(owed, Ordering::Relaxed);
    }

    pub(super) fn owed(&self) -> u64 {
        self.owed.load(Ordering::Relaxed)
    }

    pub(super) fn set_kept_from(&self, is_kept_from: bool) {
        self.is_kept_from.store(is_kept_from, Ordering::Relaxed);
    }

    pub(super) fn is_kept_from(&self) -> bool {
        self.is_kept_from.load(Ordering::Relaxed)
    }

    pub(super) fn read(&self) -> Option<Position> {
        self.read.lock().clone()
    }

    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn oldest_ms(&self) -> Option<u64> {
        Some(self.oldest_ms.load(Ordering::Relaxed)).filter(|ms| *ms > 0)
    }

    /// Returns whether that is news.
    pub(super) fn set_trouble(&self, why: Option<&str>, now_ms: u64) -> bool {
        let why = why.map(of_a_reason);
        let mut trouble = self.trouble.lock();
        match (why, &*trouble) {
            (None, None) => false,
            (None, Some(_)) => {
                *trouble = None;
                true
            }
            (Some(why), Some(known)) if known.why == why => false,
            (Some(why), known) => {
                let since_ms = known.as_ref().map_or(now_ms, |known| known.since_ms);
                *trouble = Some(Trouble { why, since_ms });
                true
            }
        }
    }

    pub(super) fn set_refused(&self, refused: Option<(usize, &str)>) {
        *self.refused.lock() = refused.map(|(changes, why)| (changes, of_a_reason(why)));
    }

    pub(super) fn set_note(&self, note: Option<String>) {
        *self.note.lock() = note;
    }

    pub(super) fn note(&self) -> Option<String> {
        self.note.lock().clone()
    }

    pub(super) fn refused(&self) -> Option<(usize, String)> {
        self.refused.lock().clone()
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().clone()
    }

    pub(super) fn counted(&self) -> Counted {
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        Counted {
            delivered: read(&self.delivered),
            failures: read(&self.failures),
            overruns: read(&self.overruns),
        }
    }
}

fn of_a_reason(why: &str) -> String {
    why.chars().take(WHY_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_and_no_news_when_it_is_told_again() {
        let standing = Standing::default();
        let why = "ä".repeat(WHY_MAX * 2);
        assert!(standing.set_trouble(Some(&why), 1));
        assert_eq!(standing.trouble().unwrap().why.chars().count(), WHY_MAX);
        assert!(!standing.set_trouble(Some(&why), 2));
    }
}
