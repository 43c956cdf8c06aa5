//! When each key was last used on this instance.

use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;
use parking_lot::RwLock;

/// More are not remembered: there are fewer keys.
const NAMES_MAX: usize = 4096;
/// Finer than that nobody wants to know.
const STEP_MS: u64 = 1000;

/// By name, in milliseconds since 1970.
#[derive(Default)]
pub(super) struct Used(RwLock<HashMap<Box<str>, AtomicU64>>);

impl Used {
    /// The key is used now.
    pub(super) fn note(&self, name: &str, now_ms: u64) {
        if let Some(last) = self.0.read().get(name) {
            // Written seldom, as all cores share it.
            if last.load(Ordering::Relaxed) + STEP_MS <= now_ms {
                last.store(now_ms, Ordering::Relaxed);
            }
            return;
        }
        let mut used = self.0.write();
        if used.len() < NAMES_MAX {
            used.insert(name.into(), AtomicU64::new(now_ms));
        }
    }

    /// None: not since the start.
    pub(super) fn last(&self, name: &str) -> Option<u64> {
        self.0.read().get(name).map(|last| last.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_use_is_remembered_to_the_second() {
        let used = Used::default();
        assert_eq!(used.last("ci"), None);
        for (now, last) in [(5_000, 5_000), (5_400, 5_000), (6_000, 6_000)] {
            used.note("ci", now);
            assert_eq!(used.last("ci"), Some(last));
        }
    }
}
