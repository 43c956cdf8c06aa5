//! Keeps one kind of log line from flooding: the first one of a second is written, the rest counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// At most one line a second, and how many were left out since the last.
#[derive(Debug)]
pub(super) struct Throttle {
    started: Instant,
    /// Second (from 1) of the last line; 0: none yet.
    last: AtomicU64,
    left_out: AtomicU64,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { started: Instant::now(), last: AtomicU64::new(0), left_out: AtomicU64::new(0) }
    }
}

impl Throttle {
    /// `Some(lines left out before this one)` when a line may be written now.
    pub(super) fn pass(&self) -> Option<u64> {
        self.pass_at(self.started.elapsed().as_secs() + 1)
    }

    fn pass_at(&self, second: u64) -> Option<u64> {
        if self.last.swap(second, Ordering::Relaxed) == second {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.left_out.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_and_the_next_says_what_was_left_out() {
        let throttle = Throttle::default();
        assert_eq!(throttle.pass_at(1), Some(0));
        assert_eq!(throttle.pass_at(1), None);
        assert_eq!(throttle.pass_at(1), None);
        assert_eq!(throttle.pass_at(2), Some(2));
        assert_eq!(throttle.pass_at(7), Some(0));
    }
}
