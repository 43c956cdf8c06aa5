//! How fast things are sent: redrives as they were ordered and all together as configured, followers as
//! their rows say.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio_util::sync::CancellationToken;

/// Letters that are appended together at most.
const LETTERS_AT_ONCE: u32 = 100;

/// How many letters are appended together, of so many a second: some times a second at least, so that
/// who may no longer redrive, or wants to stop it, is heard.
pub(super) fn at_once(per_second: u32) -> u32 {
    (per_second / 5).clamp(1, LETTERS_AT_ONCE)
}

/// So many in a time.
pub(super) struct Pace<C: Clock = DefaultClock> {
    limiter: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
    clock: C,
}

impl Pace {
    /// So many a second, and so many at once where none came before.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        Self::every(Duration::from_secs(1) / per_second.max(1), burst)
    }

    /// One each time, and so many at once where none came before.
    pub(super) fn every(time: Duration, burst: u32) -> Self {
        Self::by(DefaultClock::default(), time, burst)
    }

    /// Counts letters, and waits until their time has come or it is told to stop.
    pub(super) async fn wait(&self, letters: usize, stop: &CancellationToken) {
        let letters = u32::try_from(letters).ok().and_then(NonZeroU32::new);
        let Some(letters) = letters else {
            return;
        };
        while let Some(rest) = self.take(letters) {
            if stop.run_until_cancelled(tokio::time::sleep(rest)).await.is_none() {
                return;
            }
        }
    }
}

impl<C: Clock + Clone> Pace<C> {
    fn by(clock: C, time: Duration, burst: u32) -> Self {
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(time).unwrap_or(Quota::per_second(NonZeroU32::MAX));
        let limiter = RateLimiter::direct_with_clock(quota.allow_burst(burst), clock.clone());
        Self { limiter, clock }
    }

    /// Takes so many, or says how long that has to wait. More than a burst are none's to take, and are
    /// let through: no redrive may stand still.
    fn take(&self, letters: NonZeroU32) -> Option<Duration> {
        let not_yet = self.limiter.check_n(letters).ok()?.err()?;
        Some(not_yet.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    /// Seconds that so many letters take.
    fn seconds(per_second: u32, burst: u32, letters: u32) -> f64 {
        let clock = FakeRelativeClock::default();
        let pace = Pace::by(clock.clone(), Duration::from_secs(1) / per_second, burst);
        let mut waited = Duration::ZERO;
        let some = NonZeroU32::new(at_once(per_second)).unwrap();
        for _ in 0..letters / some {
            while let Some(rest) = pace.take(some) {
                clock.advance(rest);
                waited += rest;
            }
        }
        waited.as_secs_f64()
    }

    #[test]
    fn letters_go_as_fast_as_is_said_and_a_few_at_once() {
        assert_eq!(seconds(10_000, 10_000, 10_000), 0.0);
        let all = seconds(10_000, 10_000, 50_000);
        assert!((4.0..4.1).contains(&all), "{all}");
        let one_by_one = seconds(1, 1, 10);
        assert!((9.0..9.1).contains(&one_by_one), "{one_by_one}");
        let ordered = seconds(1_000, at_once(1_000), 1_000);
        assert!((0.9..1.0).contains(&ordered), "{ordered}");
    }
}
