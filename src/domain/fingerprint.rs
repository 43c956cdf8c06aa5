//! Which program judges, and by which rules, in one number each.

/// Version of what decode, merge and control decisions do. Raise it with any change of their results,
/// and go on doing what the versions before it did. It stays 1 until there is a release to be told from.
pub const APPLY_VERSION: u64 = 1;

/// Every version that records can be judged by.
pub const APPLY_VERSIONS: [u64; 1] = [APPLY_VERSION];

/// Hash of the rules that records are judged by; stands in checkpoint and snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub u64);

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
