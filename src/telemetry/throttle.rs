//! Keeps one kind of log line from flooding: the first one of a while is written, the rest counted.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::{DefaultDirectRateLimiter, Quota};

/// At most one line a while, and how many were left out since the last.
#[derive(Debug)]
pub struct Throttle {
    lines: DefaultDirectRateLimiter,
    left_out: AtomicU64,
}

impl Default for Throttle {
    /// One line a second.
    fn default() -> Self {
        Self::of(Quota::per_second(NonZeroU32::MIN))
    }
}

impl Throttle {
    /// One line a minute.
    pub fn a_minute() -> Self {
        Self::of(Quota::per_minute(NonZeroU32::MIN))
    }

    fn of(quota: Quota) -> Self {
        Self { lines: DefaultDirectRateLimiter::direct(quota), left_out: AtomicU64::new(0) }
    }

    /// `Some(lines left out before this one)` when a line may be written now.
    pub fn pass(&self) -> Option<u64> {
        if self.lines.check().is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.left_out.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_line_a_while_and_the_next_says_what_was_left_out() {
        let day = Quota::with_period(Duration::from_secs(86_400)).unwrap();
        let throttle = Throttle::of(day);
        assert_eq!(throttle.pass(), Some(0));
        assert_eq!(throttle.pass(), None);
        assert_eq!(throttle.pass(), None);
        let next = Quota::with_period(Duration::from_nanos(1)).unwrap();
        let throttle = Throttle { left_out: throttle.left_out, ..Throttle::of(next) };
        assert_eq!(throttle.pass(), Some(2));
    }
}
