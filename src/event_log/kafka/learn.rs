//! Which partitioner the topic's producers use, learned from where their keys lie.

use std::collections::BTreeSet;

use crate::domain::partitioner::Partitioner;

use super::brokers::Sample;

/// What was learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learned {
    /// Which.
    pub partitioner: Partitioner,
    /// Distinct keys that were looked at.
    pub keys: usize,
    /// How many of them lie where the partitioner puts them.
    pub fitting: usize,
}

/// The partitioner that most keys agree with; murmur2 where there are none.
pub(super) fn learn(samples: &[Sample], lanes: u16) -> Learned {
    let keys: BTreeSet<_> =
        samples.iter().map(|sample| (sample.key.as_slice(), sample.lane)).collect();
    let mut best = Learned { partitioner: Partitioner::Murmur2, keys: keys.len(), fitting: 0 };
    // Java's stands first, so it wins a tie.
    for partitioner in Partitioner::ALL {
        let fitting =
            keys.iter().filter(|(key, lane)| partitioner.lane(key, lanes) == *lane).count();
        if fitting > best.fitting {
            best = Learned { partitioner, keys: keys.len(), fitting };
        }
    }
    best
}

impl Learned {
    /// Whether most keys lie by it.
    pub fn is_most(&self) -> bool {
        self.fitting * 2 > self.keys
    }
}
