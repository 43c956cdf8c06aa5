//! What contacts say of their merges, in attributes that no source can write.

/// The survivor's attribute that lists whom it has taken in.
pub const MERGED_FROM: &str = "mergedFrom";
/// The other's attribute that names the survivor.
pub const MERGED_INTO: &str = "mergedInto";
/// Both.
pub const MERGE_NOTES: [&str; 2] = [MERGED_FROM, MERGED_INTO];
