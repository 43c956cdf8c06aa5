//! How reading other topics stands, readable from any thread.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{InputPartition, owned::Owned};

/// How long nothing must go wrong for all to be well again after an error: some come only now and then.
const WELL_AFTER: Duration = Duration::from_secs(15);

/// How one topic stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputStanding {
    /// Partitions that this member has.
    pub partitions: u64,
    /// Records of these that are still to be bridged, as far as known.
    pub lag: u64,
    /// Partitions of these that are paused until somebody goes on with them.
    pub waiting: u64,
}

/// How the member stands.
#[derive(Debug, Default)]
pub struct InputsStatus {
    topics: Mutex<BTreeMap<String, InputStanding>>,
    rebalances: AtomicU64,
    trouble: Mutex<Option<Trouble>>,
}

#[derive(Debug)]
struct Trouble {
    why: String,
    /// The last time that it was met.
    met: Instant,
    /// Seen in the statistics, which come every second and so tell as well that it is over.
    is_measured: bool,
}

impl InputsStatus {
    /// Each topic that this member has had a part of.
    pub fn topics(&self) -> Vec<(String, InputStanding)> {
        self.topics.lock().iter().map(|(topic, standing)| (topic.clone(), *standing)).collect()
    }

    /// How often partitions came or went.
    pub fn rebalances(&self) -> u64 {
        self.rebalances.load(Ordering::Relaxed)
    }

    /// Why nothing comes at the moment; none while all is well.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().as_ref().map(|trouble| trouble.why.clone())
    }

    pub(super) fn rebalanced(&self, owned: &BTreeMap<InputPartition, Owned>) {
        self.rebalances.fetch_add(1, Ordering::Relaxed);
        self.count(owned);
    }

    /// Which partitions there are, and how many wait.
    pub(super) fn count(&self, owned: &BTreeMap<InputPartition, Owned>) {
        let mut topics = self.topics.lock();
        for standing in topics.values_mut() {
            (standing.partitions, standing.waiting) = (0, 0);
        }
        for (from, owned) in owned {
            let standing = topics.entry(from.topic.to_string()).or_default();
            standing.partitions += 1;
            standing.waiting += u64::from(owned.waits());
        }
        for standing in topics.values_mut().filter(|standing| standing.partitions == 0) {
            standing.lag = 0;
        }
    }

    /// What the statistics say of every partition that this member has.
    pub(super) fn measured<'a>(
        &self,
        lags: impl Iterator<Item = (&'a str, Option<u64>)>,
        trouble: Option<String>,
    ) {
        {
            let mut topics = self.topics.lock();
            for standing in topics.values_mut() {
                standing.lag = 0;
            }
            for (topic, lag) in lags {
                if let Some(standing) = topics.get_mut(topic) {
                    standing.lag += lag.unwrap_or(0);
                }
            }
        }
        match trouble {
            Some(why) => self.begin(why, true),
            None => self.well(),
        }
    }

    /// Something is wrong; one line when it begins.
    pub(super) fn in_trouble(&self, why: String) {
        self.begin(why, false);
    }

    fn begin(&self, why: String, is_measured: bool) {
        let mut trouble = self.trouble.lock();
        if trouble.is_none() {
            tracing::warn!(why, "the bridge's inputs don't come");
        }
        *trouble = Some(Trouble { why, met: Instant::now(), is_measured });
    }

    fn well(&self) {
        let mut trouble = self.trouble.lock();
        let is_over =
            |trouble: &Trouble| trouble.is_measured || trouble.met.elapsed() >= WELL_AFTER;
        if trouble.as_ref().is_some_and(is_over) {
            tracing::info!("the bridge's inputs come again");
            *trouble = None;
        }
    }
}
