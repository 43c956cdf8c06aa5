//! The generic cell rate algorithm: one time a key says how much of its limit is in use.
//!
//! The *arrival* is when the next request would be due if all came evenly. A request moves it by one
//! interval, and is granted while it lies less than a full burst ahead of now (ITU-T I.371, annex A).

use crate::config::RateLimit;

/// A limit in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gcra {
    /// Between two requests at the limit's rate.
    pub(super) interval_us: u64,
    /// How far ahead of now the arrival may lie: a full burst.
    pub(super) capacity_us: u64,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Of those wanted.
    pub(super) granted: u64,
    /// The new arrival.
    pub(super) arrival_us: u64,
}

impl Gcra {
    /// One of `instances` equal parts of a limit; rounded so that it is never more.
    pub(super) fn new(limit: &RateLimit, instances: u64) -> Self {
        let period_us = limit.period.as_micros().saturating_mul(u128::from(instances));
        let interval_us = u64::try_from(period_us.div_ceil(u128::from(limit.requests.max(1))));
        let interval_us = interval_us.unwrap_or(u64::MAX).max(1);
        let burst = (limit.burst / instances.max(1)).max(1);
        Self { interval_us, capacity_us: interval_us.saturating_mul(burst) }
    }

    /// Takes as many as there are, up to `wanted`.
    pub(super) fn take(&self, arrival_us: u64, now_us: u64, wanted: u64) -> Taken {
        let ends_us = now_us.saturating_add(self.capacity_us);
        let arrival_us = arrival_us.clamp(now_us, ends_us);
        let granted = wanted.min((ends_us - arrival_us) / self.interval_us);
        Taken { granted, arrival_us: arrival_us + granted * self.interval_us }
    }

    /// Counts what was granted elsewhere, however much that is.
    pub(super) fn follow(&self, arrival_us: u64, now_us: u64) -> u64 {
        let moved = arrival_us.max(now_us).saturating_add(self.interval_us);
        moved.min(now_us.saturating_add(self.capacity_us))
    }

    /// Requests that are left with so much in use.
    pub(super) fn left(&self, used_us: u64) -> u64 {
        self.capacity_us.saturating_sub(used_us) / self.interval_us
    }

    /// Until one more is granted, with so much in use.
    pub(super) fn wait_us(&self, used_us: u64) -> u64 {
        used_us.saturating_add(self.interval_us).saturating_sub(self.capacity_us)
    }
}
