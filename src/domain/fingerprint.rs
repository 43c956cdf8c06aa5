//! What applying depends on besides the log, in one number.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::limits::{ATTRIBUTE_KEY_BYTES_MAX, DEPTH_MAX, ID_BYTES_MAX, Limits};
use super::mapping::Mapping;

/// Version of what decode, merge and control decisions do. Raise it with any change of their results.
pub const APPLY_VERSION: u64 = 2;

/// Hash of the rules that events are applied under; stands in checkpoint and snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// Of mapping, limits and [`APPLY_VERSION`].
    pub fn new(mapping: &Mapping, limits: &Limits) -> Self {
        let bounds = [
            limits.contact_bytes_max,
            limits.record_bytes_max,
            ID_BYTES_MAX,
            DEPTH_MAX,
            ATTRIBUTE_KEY_BYTES_MAX,
        ];
        bounds
            .iter()
            .fold(Self(APPLY_VERSION), |all, bound| all.with(*bound as u64))
            .with(mapping.hash())
    }

    /// With one more rule in it; order counts.
    #[must_use]
    pub fn with(self, rule: u64) -> Self {
        Self(xxh3_64_with_seed(&rule.to_le_bytes(), self.0))
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_counts() {
        let (mapping, limits) = (Mapping::built_in(), Limits::default());
        let one = Fingerprint::new(&mapping, &limits);
        assert_eq!(one, Fingerprint::new(&Mapping::built_in(), &limits));
        assert_ne!(one, Fingerprint::new(&Mapping::default(), &limits));
        assert_ne!(one, Fingerprint::new(&mapping, &Limits { contact_bytes_max: 1, ..limits }));
        assert_ne!(one.with(1).with(2), one.with(2).with(1));
    }
}
