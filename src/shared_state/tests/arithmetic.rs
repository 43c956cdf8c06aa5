//! One step of GCRA: against a bucket that counts every token, and against governor.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::FakeRelativeClock;
use governor::{Quota, RateLimiter};
use proptest::prelude::*;

use crate::config::RateLimit;
use crate::shared_state::gcra::Gcra;

fn limit(requests: u64, period_us: u64, burst: u64) -> RateLimit {
    RateLimit { requests, period: Duration::from_micros(period_us), burst }
}

/// A bucket of `burst` tokens that gets one back every interval, looked at in microseconds.
struct Bucket {
    interval_us: u64,
    full_us: u64,
    held_us: u64,
    now_us: u64,
}

impl Bucket {
    fn take(&mut self, now_us: u64, wanted: u64) -> u64 {
        self.held_us = (self.held_us + (now_us - self.now_us)).min(self.full_us);
        self.now_us = now_us;
        let granted = wanted.min(self.held_us / self.interval_us);
        self.held_us -= granted * self.interval_us;
        granted
    }
}

proptest! {
    #[test]
    fn it_grants_what_a_bucket_of_tokens_holds(
        interval_us in 1_u64..5_000,
        burst in 1_u64..50,
        steps in proptest::collection::vec((0_u64..20_000, 1_u64..20), 1..200),
    ) {
        let gcra = Gcra::new(&limit(1, interval_us, burst), 1);
        let full_us = interval_us * burst;
        let mut bucket = Bucket { interval_us, full_us, held_us: full_us, now_us: 1_000_000 };
        let (mut arrival_us, mut now_us) = (0, 1_000_000);
        for (pause_us, wanted) in steps {
            now_us += pause_us;
            let taken = gcra.take(arrival_us, now_us, wanted);
            arrival_us = taken.arrival_us;
            prop_assert_eq!(taken.granted, bucket.take(now_us, wanted));
            let used_us = arrival_us - now_us;
            prop_assert_eq!(gcra.left(used_us), bucket.held_us / interval_us);
            // What it says of the next request is true.
            let wait_us = gcra.wait_us(used_us);
            prop_assert_eq!(gcra.take(arrival_us, now_us + wait_us, 1).granted, 1);
            if wait_us > 0 {
                prop_assert_eq!(gcra.take(arrival_us, now_us + wait_us - 1, 1).granted, 0);
            }
        }
    }

    #[test]
    fn it_decides_as_governor_does(
        interval_ms in 1_u64..500,
        burst in 1_u32..50,
        steps in proptest::collection::vec(0_u64..1_000, 1..200),
    ) {
        let interval = Duration::from_millis(interval_ms);
        let burst_size = NonZeroU32::new(burst).unwrap();
        let clock = FakeRelativeClock::default();
        let quota = Quota::with_period(interval).unwrap().allow_burst(burst_size);
        let governor = RateLimiter::direct_with_clock(quota, clock.clone());
        let gcra = Gcra::new(&limit(1, interval_ms * 1000, u64::from(burst)), 1);
        let (mut arrival_us, mut now_us) = (0, 1_000_000_000);
        for pause_ms in steps {
            clock.advance(Duration::from_millis(pause_ms));
            now_us += pause_ms * 1000;
            let taken = gcra.take(arrival_us, now_us, 1);
            arrival_us = taken.arrival_us;
            prop_assert_eq!(taken.granted == 1, governor.check().is_ok());
        }
    }

    #[test]
    fn the_parts_of_a_limit_are_never_more_than_the_limit(
        requests in 1_u64..1_000_000,
        seconds in 1_u64..3600,
        instances in 1_u64..50,
    ) {
        let whole = limit(requests, seconds * 1_000_000, requests);
        let part = Gcra::new(&whole, instances);
        // Requests an hour of all instances, at their rate.
        let hour_us = 3_600_000_000_u64;
        let all = instances * (hour_us / part.interval_us);
        prop_assert!(u128::from(all) <= u128::from(requests) * 3600 / u128::from(seconds) + 1);
        let burst = part.capacity_us / part.interval_us;
        prop_assert!(burst == 1 || burst * instances <= requests);
    }
}

#[test]
fn a_clock_that_was_set_back_locks_nobody_out() {
    let gcra = Gcra::new(&limit(10, 1_000_000, 10), 1);
    let taken = gcra.take(9_000_000_000, 1_000_000, 1);
    assert_eq!(taken.granted, 0);
    assert_eq!(gcra.take(taken.arrival_us, 1_100_000, 1).granted, 1);
}
