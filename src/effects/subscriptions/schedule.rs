//! When a subscription that fails is tried again.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Pauses after the first, second … failure in a row, 75 hours together; after the last one once a day.
pub(super) const PAUSES: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * MINUTE),
    Duration::from_secs(30 * MINUTE),
    Duration::from_secs(2 * HOUR),
    Duration::from_secs(5 * HOUR),
    Duration::from_secs(10 * HOUR),
    Duration::from_secs(14 * HOUR),
    Duration::from_secs(20 * HOUR),
    Duration::from_secs(24 * HOUR),
];
/// How often one message is sent that alone is not taken.
pub(super) const ATTEMPTS_MAX: u32 = PAUSES.len() as u32 + 1;
/// A subscription that has failed for so long is disabled.
pub(super) const DISABLED_AFTER: Duration = Duration::from_secs(5 * 24 * HOUR);
/// What Retry-After may ask for.
const ASKED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(24 * HOUR));

/// Before the next attempt, after so many failures; `chance`, from 0 to 1, moves it by a tenth.
pub(super) fn pause(failures: u32, asked: Option<Duration>, chance: f64) -> Duration {
    if let Some(asked) = asked {
        return asked.clamp(ASKED.0, ASKED.1);
    }
    let place = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    let pause = PAUSES.get(place.min(PAUSES.len() - 1)).copied().unwrap_or_default();
    pause.mul_f64(0.9 + chance / 5.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_are_seventy_five_hours_together() {
        let all: Duration = PAUSES.iter().sum();
        assert_eq!(all.as_secs() / 3_600, 75);
        assert_eq!(pause(1, None, 0.5), Duration::from_secs(5));
        assert_eq!(pause(40, None, 0.5), Duration::from_secs(24 * HOUR));
        assert!(pause(2, None, 0.0) >= Duration::from_secs(270));
        assert!(pause(2, None, 1.0) <= Duration::from_secs(330));
    }

    #[test]
    fn retry_after_is_obeyed_within_a_day() {
        assert_eq!(pause(9, Some(Duration::from_secs(7)), 0.3), Duration::from_secs(7));
        assert_eq!(
            pause(1, Some(Duration::from_secs(1 << 40)), 0.3),
            Duration::from_secs(24 * HOUR)
        );
        assert_eq!(pause(1, Some(Duration::ZERO), 0.3), Duration::from_secs(1));
    }
}
