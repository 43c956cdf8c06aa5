//! The backups that an instance keeps, each a directory named by when it was made.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::BackupError;
use super::manifest::{MANIFEST, Manifest, now_ms};
use super::pack::pack;
use super::sink::{make_dir, sync_parent};
use super::{Held, Pace, Sink};
use crate::domain::timestamp::format_rfc3339;

/// What one is called meanwhile, behind its name.
const PARTIAL: &str = ".partial";

/// A backup in the directory.
#[derive(Clone, Debug)]
pub struct KeptBackup {
    /// Of its directory, as in 20261201T091011123Z.
    pub name: String,
    /// What it is of; why it can't be read, where it can't.
    pub manifest: Result<Manifest, String>,
}

/// Names of all that are whole, oldest first.
pub(super) fn names(dir: &Path) -> Result<Vec<String>, BackupError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(BackupError::io("listing", dir)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(BackupError::io("listing", dir))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_ours(&name) && entry.path().join(MANIFEST).exists() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// All that are whole, newest first.
pub(super) fn list(dir: &Path) -> Result<Vec<KeptBackup>, BackupError> {
    let read = |name: String| {
        let bytes = fs::read(dir.join(&name).join(MANIFEST)).map_err(|error| error.to_string());
        let manifest =
            bytes.and_then(|bytes| Manifest::read(&bytes).map_err(|error| error.to_string()));
        KeptBackup { name, manifest }
    };
    Ok(names(dir)?.into_iter().rev().map(read).collect())
}

/// Makes one more, which gets its name when it is whole.
pub(super) fn add(held: &Held, dir: &Path, pace: &mut Pace) -> Result<KeptBackup, BackupError> {
    make_dir(dir)?;
    remove_partial(dir)?;
    let name = name_of(now_ms());
    let (path, partial) = (dir.join(&name), dir.join(format!("{name}{PARTIAL}")));
    let manifest = pack(held, Sink::directory(&partial)?, pace);
    if manifest.is_err() {
        let _ = fs::remove_dir_all(&partial);
    }
    let manifest = manifest?;
    let named = fs::rename(&partial, &path).and_then(|()| sync_parent(&path));
    named.map_err(BackupError::io("naming", &path))?;
    Ok(KeptBackup { name, manifest: Ok(manifest) })
}

/// Removes the oldest, so that so many are left.
pub(super) fn retain(dir: &Path, keep: usize) -> Result<(), BackupError> {
    let names = names(dir)?;
    let surplus = names.len().saturating_sub(keep);
    for name in names.into_iter().take(surplus) {
        let path = dir.join(&name);
        // Without its manifest it counts no more, whatever becomes of the rest.
        let removed = fs::remove_file(path.join(MANIFEST)).and_then(|()| fs::remove_dir_all(&path));
        removed.map_err(BackupError::io("removing", &path))?;
    }
    Ok(())
}

/// When the newest was made, in ms since 1970.
pub(super) fn newest_ms(dir: &Path) -> Option<u64> {
    let newest = names(dir).ok()?.pop()?;
    made_ms(&newest)
}

/// What a kill left of others.
fn remove_partial(dir: &Path) -> Result<(), BackupError> {
    for entry in fs::read_dir(dir).map_err(BackupError::io("listing", dir))? {
        let path: PathBuf = entry.map_err(BackupError::io("listing", dir))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let is_left = name.as_deref().is_some_and(|name| {
            name.strip_suffix(PARTIAL).is_some_and(is_ours)
                || (is_ours(name) && !path.join(MANIFEST).exists())
        });
        if is_left {
            fs::remove_dir_all(&path).map_err(BackupError::io("removing", &path))?;
        }
    }
    Ok(())
}

fn name_of(ms: u64) -> String {
    format_rfc3339(ms).chars().filter(|c| !matches!(c, '-' | ':' | '.')).collect()
}

fn is_ours(name: &str) -> bool {
    made_ms(name).is_some_and(|ms| name_of(ms) == name)
}

fn made_ms(name: &str) -> Option<u64> {
    let part = |from: usize, to: usize| name.get(from..to);
    let text = format!(
        "{}-{}-{}T{}:{}:{}.{}Z",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(9, 11)?,
        part(11, 13)?,
        part(13, 15)?,
        part(15, 18)?
    );
    Some(crate::domain::timestamp::parse_rfc3339_us(text.as_bytes())? / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_when_and_nothing_else_is_one() {
        let name = name_of(1_796_116_211_123);
        assert_eq!((name.len(), made_ms(&name)), (19, Some(1_796_116_211_123)), "{name}");
        assert!(is_ours(&name));
        for other in ["", "20261201", "20261201T091011123Z.partial", "20269901T091011123Z"] {
            assert!(!is_ours(other), "{other}");
        }
    }
}
