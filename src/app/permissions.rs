//! Whether others on this machine can get at the data.

use std::fs::{self, Metadata};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Files that are looked at; a store has some thousands.
const LOOKED_AT_MAX: usize = 100_000;

/// Names in one line what others can reach. What is made from now on they can't.
pub(super) fn warn_of_open_files(directories: &[&Path]) {
    for directory in directories {
        let open = open_to_others(directory);
        if let Some(first) = open.first() {
            tracing::warn!(
                directory = %directory.display(),
                files = open.len(),
                first = %first.display(),
                "others on this machine can read or write the data; `chmod -R go= DIRECTORY` takes that away"
            );
        }
    }
}

/// Everything in a directory, and itself, that others than its owner may read, write or enter. What
/// nobody can enter is not looked into.
pub(crate) fn open_to_others(directory: &Path) -> Vec<PathBuf> {
    let is_open = |at: &Metadata| at.permissions().mode() & 0o077 != 0;
    let mut open = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    let mut looked_at = 0;
    while let Some(path) = waiting.pop() {
        let Ok(at) = fs::symlink_metadata(&path) else {
            continue;
        };
        looked_at += 1;
        // A link's own mode says nothing.
        if looked_at > LOOKED_AT_MAX || at.is_symlink() {
            continue;
        }
        if is_open(&at) {
            open.push(path.clone());
        }
        if at.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            waiting.extend(entries.map(|entry| entry.path()));
        }
    }
    open
}
