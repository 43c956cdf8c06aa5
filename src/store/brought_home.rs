//! How far records that stood away from home are brought there: the journal is kept up to them.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::segments::FrameNo;

use super::cut::Cut;

/// How far they are brought home, as whoever brings them has said.
#[derive(Debug, Default)]
pub(crate) struct BroughtHome {
    /// How many.
    count: AtomicU64,
    /// All of the journal's frames before it.
    before: AtomicU64,
}

impl BroughtHome {
    pub(crate) fn set(&self, count: u64, before: FrameNo) {
        self.before.store(before.0, Ordering::Release);
        self.count.store(count, Ordering::Release);
    }

    /// The first frame of the journal that is still needed for records up to a cut.
    pub(crate) fn needs_from(&self, cut: &Cut) -> FrameNo {
        let is_all = self.count.load(Ordering::Acquire) >= cut.rehomed();
        if is_all { FrameNo(u64::MAX) } else { FrameNo(self.before.load(Ordering::Acquire)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::verdict::Verdict;

    #[test]
    fn the_journal_is_needed_until_all_are_at_home() {
        let mut cut = Cut::default();
        let brought = BroughtHome::default();
        assert_eq!(brought.needs_from(&cut), FrameNo(u64::MAX));
        cut.counters.count(Verdict::Rehomed);
        assert_eq!(brought.needs_from(&cut), FrameNo(0), "nobody has said anything yet");
        brought.set(0, FrameNo(7));
        assert_eq!(brought.needs_from(&cut), FrameNo(7));
        brought.set(1, FrameNo(7));
        assert_eq!(brought.needs_from(&cut), FrameNo(u64::MAX));
    }
}
