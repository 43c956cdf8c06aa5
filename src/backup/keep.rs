//! A backup made where somebody says: a directory or a file, which get their names when they are whole, or a bucket.

use std::fs;
use std::path::{Path, PathBuf};

use super::restore::require_empty;
use super::sink::sync_parent;
use super::{BackupError, Bucket, MANIFEST, Manifest, Sink};

/// What it is called meanwhile, behind its name.
pub(super) const PARTIAL: &str = ".partial";

/// Fills a directory, which must be empty or not there yet.
///
/// # Errors
/// Where it holds something, and what `fill` says; nothing is left then.
pub fn to_directory(
    path: &Path,
    fill: impl FnOnce(Sink) -> Result<Manifest, BackupError>,
) -> Result<Manifest, BackupError> {
    require_empty(path, "a backup")?;
    let partial = partial(path);
    // What a kill left of an earlier try has no manifest; what has one is somebody's.
    if partial.join(MANIFEST).exists() {
        return Err(BackupError::NotEmpty { path: partial, what: "a backup" });
    }
    remove(&partial)?;
    let filled = Sink::directory(&partial).and_then(fill);
    if filled.is_err() {
        let _ = fs::remove_dir_all(&partial);
    }
    named(&partial, path, filled?)
}

/// Fills a new file, compressed.
///
/// # Errors
/// Where there is one already, and what `fill` says; nothing is left then.
pub fn to_file(
    path: &Path,
    fill: impl FnOnce(Sink) -> Result<Manifest, BackupError>,
) -> Result<Manifest, BackupError> {
    if path.exists() {
        return Err(BackupError::NotEmpty { path: path.to_owned(), what: "a backup" });
    }
    let partial = partial(path);
    remove(&partial)?;
    let filled = Sink::compressed(&partial).and_then(fill);
    if filled.is_err() {
        let _ = fs::remove_file(&partial);
    }
    named(&partial, path, filled?)
}

/// Fills what lies below a prefix of a bucket, which must hold nothing yet.
///
/// # Errors
/// Where there is something, and what `fill` says; nothing is left then, if the storage lets it be removed.
pub fn to_bucket(
    bucket: &Bucket,
    fill: impl FnOnce(Sink) -> Result<Manifest, BackupError>,
) -> Result<Manifest, BackupError> {
    if !bucket.is_empty().map_err(BackupError::io("listing", bucket.url()))? {
        return Err(BackupError::NotEmpty { path: bucket.url().to_owned(), what: "a backup" });
    }
    let filled = fill(Sink::Bucket(bucket.clone()));
    if filled.is_err() {
        let _ = bucket.remove(MANIFEST);
    }
    filled
}

fn named(partial: &Path, path: &Path, manifest: Manifest) -> Result<Manifest, BackupError> {
    let named = fs::rename(partial, path).and_then(|()| sync_parent(path));
    named.map_err(BackupError::io("naming", path))?;
    Ok(manifest)
}

fn partial(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(PARTIAL);
    path.with_file_name(name)
}

fn remove(path: &Path) -> Result<(), BackupError> {
    let removed = match fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    removed.map_err(BackupError::io("removing", path))
}
