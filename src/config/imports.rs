//! Files that are imported: how many, how large, and how long they are kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fields::{Fields, seconds};

/// Files in.
#[derive(Clone, Debug)]
pub struct ImportsConfig {
    /// Where they are kept: `imports` in the store's directory, where none is configured.
    pub path: PathBuf,
    /// Bytes of one file.
    pub file_bytes_max: u64,
    /// Bytes of all of them together.
    pub bytes_max: u64,
    /// Files that are kept at once.
    pub files_max: usize,
    /// Imports under way at once.
    pub running_max: usize,
    /// How long a file is kept once its import has ended.
    pub keep: Duration,
}

pub(super) fn imports(fields: &mut Fields<'_>, store: &Path) -> ImportsConfig {
    let path = fields.optional_path("imports.path").unwrap_or_else(|| store.join("imports"));
    let file_bytes_max = fields.size("imports.file_bytes_max", 1 << 10..=1 << 40);
    let bytes_max = fields.size("imports.bytes_max", 1 << 10..=1 << 44);
    if bytes_max / 2 < file_bytes_max {
        let problem =
            "must be twice imports.file_bytes_max or more: nobody has more than half of it";
        fields.refuse("imports.bytes_max", problem);
    }
    ImportsConfig {
        path,
        file_bytes_max,
        bytes_max,
        files_max: fields.count("imports.files_max", 1..=10_000),
        running_max: fields.count("imports.running_max", 1..=64),
        keep: fields.duration("imports.keep", seconds(60, 365 * 24 * 60 * 60)),
    }
}
