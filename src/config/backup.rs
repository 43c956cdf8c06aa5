//! `[backup]`: when an instance backs itself up, and where to.

use std::path::PathBuf;
use std::time::Duration;

use super::fields::{Fields, seconds};

const MIB: u64 = 1 << 20;
const DAY: u64 = 86_400;

/// The backups of a running instance.
#[derive(Clone, Debug)]
pub struct BackupConfig {
    /// Where they are kept; none: nowhere.
    pub path: Option<PathBuf>,
    /// How often one is made; none: when it is asked for.
    pub every: Option<Duration>,
    /// How many are kept.
    pub keep: usize,
    /// Bytes that are copied a second at most.
    pub bytes_per_second: u64,
}

pub(super) fn backup(fields: &mut Fields<'_>) -> BackupConfig {
    let path = fields.optional_path("backup.path");
    let every = fields.duration_or_empty("backup.every", seconds(1, 365 * DAY));
    if every.is_some() && path.is_none() {
        fields.refuse("backup.every", "needs backup.path: the directory to keep the backups in");
    }
    BackupConfig {
        path,
        every,
        keep: fields.count("backup.keep", 1..=1_000),
        bytes_per_second: fields.size("backup.bytes_per_second", MIB..=1024 * 1024 * MIB),
    }
}
