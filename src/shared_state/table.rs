//! What this instance knows of each key's limit, bounded.

use std::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashMap;
use parking_lot::Mutex;

/// Enough that threads rarely meet.
const SHARDS: usize = 64;
/// Keys in one of them; with all full 10 MB.
const SHARD_KEYS_MAX: usize = 2048;

/// One key's state. Times are microseconds of the limiter's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    /// Where this instance's own part of the limit stands; follows what Redis granted, so that a
    /// client is not given a fresh burst when Redis goes away.
    pub(super) arrival_us: u64,
    /// Requests that Redis granted ahead.
    pub(super) lease: u64,
    /// When what is left of them is forgotten.
    pub(super) lease_ends_us: u64,
    /// What was left in Redis when it was last asked.
    pub(super) beyond_lease: u64,
    /// When the limit will be unused again, as Redis last said.
    pub(super) full_us: u64,
    /// Refused by Redis until then: it need not be asked again.
    pub(super) refused_until_us: u64,
    /// Somebody is asking for a lease until then; others ask for what they need only.
    pub(super) asking_until_us: u64,
}

impl Entry {
    /// Whether it says no more than no entry would.
    fn is_idle(&self, now_us: u64) -> bool {
        self.arrival_us <= now_us
            && self.refused_until_us <= now_us
            && self.asking_until_us <= now_us
            && (self.lease == 0 || self.lease_ends_us <= now_us)
    }
}

/// The key is a hash already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

type Shard = HashMap<u64, Entry, BuildHasherDefault<AsItIs>>;

/// All keys.
pub(super) struct Table {
    shards: Vec<Mutex<Shard>>,
}

impl Default for Table {
    fn default() -> Self {
        Self { shards: std::iter::repeat_with(Mutex::default).take(SHARDS).collect() }
    }
}

impl Table {
    /// Looks at, and changes, one key's state; none only where there are no shards.
    pub(super) fn with<T>(
        &self,
        place: u64,
        now_us: u64,
        change: impl FnOnce(&mut Entry) -> T,
    ) -> Option<T> {
        // Other bits than those that the map itself uses.
        let shard_no = (place >> 32) as usize % SHARDS;
        let mut shard = self.shards.get(shard_no)?.lock();
        if let Some(entry) = shard.get_mut(&place) {
            return Some(change(entry));
        }
        if shard.len() >= SHARD_KEYS_MAX {
            make_room(&mut shard, now_us);
        }
        Some(change(shard.entry(place).or_default()))
    }

    /// Forgets the keys that say nothing.
    pub(super) fn sweep(&self, now_us: u64) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.retain(|_, entry| !entry.is_idle(now_us));
            shard.shrink_to(SHARD_KEYS_MAX / 8);
        }
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

/// Idle keys first; where there is none, those with the least in use.
fn make_room(shard: &mut Shard, now_us: u64) {
    shard.retain(|_, entry| !entry.is_idle(now_us));
    if shard.len() < SHARD_KEYS_MAX {
        return;
    }
    let mut arrivals: Vec<u64> = shard.values().map(|entry| entry.arrival_us).collect();
    let (_, median, _) = arrivals.select_nth_unstable(SHARD_KEYS_MAX / 2);
    let median = *median;
    shard.retain(|_, entry| entry.arrival_us > median);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bounded_and_the_busiest_are_kept() {
        let table = Table::default();
        table.with(u64::MAX, 0, |entry| entry.arrival_us = 1_000_000);
        for number in 0..1_000_000_u64 {
            // Spread as a hash is.
            let place = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            table.with(place, 10, |entry| entry.arrival_us = 11 + number % 100);
        }
        assert!(table.keys() <= SHARDS * SHARD_KEYS_MAX, "{}", table.keys());
        assert_eq!(table.with(u64::MAX, 10, |entry| entry.arrival_us), Some(1_000_000));
    }

    #[test]
    fn what_says_nothing_is_swept() {
        let table = Table::default();
        table.with(1, 0, |entry| entry.arrival_us = 50);
        table.with(2, 0, |entry| entry.refused_until_us = 70);
        table.sweep(40);
        assert_eq!(table.keys(), 2);
        table.sweep(60);
        assert_eq!(table.keys(), 1);
        table.sweep(70);
        assert_eq!(table.keys(), 0);
    }
}
