//! Pools of which nobody has more than a part: what one credential or one address takes never keeps
//! all others out.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::telemetry::PoolMetrics;

/// Nobody has more than this part of a pool, where nothing else is set.
pub const PART: usize = 8;

/// What one may have of a pool of `max`: as it is set; 0: an eighth, and one at least.
pub fn part_of(max: usize, set: usize) -> usize {
    if set == 0 { (max / PART).max(1) } else { set }
}

/// Locks of one pool: nobody waits for all others.
const SHARDS: usize = 64;

/// Whose part it is: a kind and a hash, so that no name passes for another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// A user or an API key.
    Principal(u64),
    /// A client that is not known.
    Address(IpAddr),
}

impl Who {
    /// By the name that a credential proves.
    pub fn principal(name: &str) -> Self {
        Self::Principal(xxh3_64_with_seed(name.as_bytes(), 0))
    }

    /// By where it comes from; IPv6 by its /64, which one subscriber has.
    pub fn address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let network = u128::from(v6) & (u128::from(u64::MAX) << 64);
                IpAddr::V6(network.into())
            }
            v4 @ IpAddr::V4(_) => v4,
        })
    }

    fn shard_no(self) -> usize {
        let hash = match self {
            Self::Principal(hash) => hash,
            Self::Address(IpAddr::V4(v4)) => v4.to_bits().into(),
            Self::Address(IpAddr::V6(v6)) => (v6.to_bits() >> 64) as u64,
        };
        (hash % SHARDS as u64) as usize
    }
}

/// Why there is nothing left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Others have it all.
    All,
    /// Who asks has its whole part.
    Part,
}

/// So much of something; cheap to clone.
#[derive(Clone, Debug)]
pub struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max: usize,
    part_max: usize,
    metrics: PoolMetrics,
    all: AtomicUsize,
    parts: [Mutex<BTreeMap<Who, usize>>; SHARDS],
}

impl Shared {
    #[expect(clippy::indexing_slicing, reason = "a remainder of their number")]
    fn parts(&self, who: Who) -> MutexGuard<'_, BTreeMap<Who, usize>> {
        self.parts[who.shard_no()].lock()
    }
}

impl Pool {
    /// A pool of `max`, of which nobody gets more than `part_max`.
    pub fn new(max: usize, part_max: usize, metrics: PoolMetrics) -> Self {
        metrics.set_bounds(max, part_max);
        let parts = std::array::from_fn(|_| Mutex::default());
        Self(Arc::new(Shared { max, part_max, metrics, all: AtomicUsize::new(0), parts }))
    }

    /// A pool of `max`, an eighth of it for each at most, and one at least.
    pub fn in_eighths(max: usize, metrics: PoolMetrics) -> Self {
        Self::new(max, part_of(max, 0), metrics)
    }

    /// What there is of what is full.
    pub fn bound(&self, full: Full) -> usize {
        match full {
            Full::All => self.0.max,
            Full::Part => self.0.part_max,
        }
    }

    /// Some of it, given back when it is dropped.
    ///
    /// # Errors
    /// When there is not so much left.
    pub fn take(&self, who: Who, amount: usize) -> Result<Part, Full> {
        Part::of(self.clone(), who, amount)
    }

    /// The same while the pool is at hand, so that nothing counts the uses of the pool itself.
    ///
    /// # Errors
    /// When there is not so much left.
    pub fn lend(&self, who: Who, amount: usize) -> Result<Part<&Self>, Full> {
        Part::of(self, who, amount)
    }
}

/// What somebody has of a pool.
#[derive(Debug)]
pub struct Part<P: Borrow<Pool> = Pool> {
    pool: P,
    who: Who,
    amount: usize,
}

impl Part {
    /// Nothing of the same pool yet.
    pub fn none(&self) -> Self {
        Self { pool: self.pool.clone(), who: self.who, amount: 0 }
    }
}

impl<P: Borrow<Pool>> Part<P> {
    fn of(pool: P, who: Who, amount: usize) -> Result<Self, Full> {
        let mut part = Self { pool, who, amount: 0 };
        part.grow(amount)?;
        Ok(part)
    }

    /// Takes more.
    ///
    /// # Errors
    /// When there is not so much left; what was taken before stays.
    pub fn grow(&mut self, more: usize) -> Result<(), Full> {
        let shared = &*self.pool.borrow().0;
        let mut parts = shared.parts(self.who);
        let own = parts.get(&self.who).copied().unwrap_or(0);
        let within = |taken: usize| Some(taken + more).filter(|taken| *taken <= shared.max);
        let full = if own + more > shared.part_max {
            Full::Part
        } else if shared.all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).is_err() {
            Full::All
        } else {
            parts.insert(self.who, own + more);
            self.amount += more;
            shared.metrics.taken(more);
            return Ok(());
        };
        shared.metrics.refused(full == Full::Part);
        Err(full)
    }
}

impl<P: Borrow<Pool>> Drop for Part<P> {
    fn drop(&mut self) {
        if self.amount == 0 {
            return;
        }
        let shared = &*self.pool.borrow().0;
        let mut parts = shared.parts(self.who);
        shared.all.fetch_sub(self.amount, Ordering::Relaxed);
        shared.metrics.given_back(self.amount);
        if let Some(own) = parts.get_mut(&self.who) {
            *own -= self.amount;
            if *own == 0 {
                parts.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::Metrics;

    use super::*;

    fn pool(max: usize) -> Pool {
        Pool::in_eighths(max, Metrics::new().unwrap().pool("bodies"))
    }

    #[test]
    fn nobody_has_more_than_an_eighth_and_all_have_no_more_than_there_is() {
        let pool = pool(64);
        let address = |last| Who::address([10, 0, 0, last].into());
        let mut held: Vec<Part> = (0..8).map(|last| pool.take(address(last), 8).unwrap()).collect();
        assert_eq!(pool.take(address(0), 1).unwrap_err(), Full::Part);
        assert_eq!(pool.take(Who::principal("user:ada"), 1).unwrap_err(), Full::All);
        held.pop();
        let mut part = pool.take(Who::principal("user:ada"), 3).unwrap();
        part.grow(5).unwrap();
        assert_eq!(part.grow(1).unwrap_err(), Full::Part);
        drop((part, held));
        assert_eq!(pool.0.all.load(Ordering::Relaxed), 0);
        assert!(pool.0.parts.iter().all(|parts| parts.lock().is_empty()));
    }

    #[test]
    fn a_small_pool_has_one_for_each() {
        let pool = pool(4);
        let one = pool.take(Who::principal("user:ada"), 1).unwrap();
        assert_eq!(pool.take(Who::principal("user:ada"), 1).unwrap_err(), Full::Part);
        pool.take(Who::principal("user:grace"), 1).unwrap();
        drop(one);
        pool.take(Who::principal("user:ada"), 1).unwrap();
    }

    #[test]
    fn a_subscribers_network_is_one_and_names_are_no_addresses() {
        let of = |text: &str| Who::address(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), Who::principal("10.0.0.1"));
    }
}
