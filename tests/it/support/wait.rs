//! Waiting for what another process or thread does: a condition with a deadline, never a sleep
//! that hopes.

use std::time::{Duration, Instant};

/// How long a condition of another process is left alone between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Returns once `is_true` is, and fails at the deadline.
#[track_caller]
pub fn wait_until(deadline: Duration, what: &str, mut is_true: impl FnMut() -> bool) {
    wait_for(deadline, what, || is_true().then_some(()));
}

/// Returns what `look` found, and fails at the deadline.
#[track_caller]
pub fn wait_for<T>(deadline: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited {deadline:?} in vain: {what}");
        std::thread::park_timeout(LOOK_AGAIN);
    }
}
