//! The backups that an instance keeps, each a directory, or a prefix of a bucket, named by when it was made.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::{BackupConfig, BackupPlace};
use crate::ingest::now_ms;

use super::manifest::{MANIFEST, Manifest};
use super::names::{folders, is_ours, made_ms, name_of};
use super::pack::pack;
use super::sink::make_dir;
use super::unpack::Files;
use super::{BackupError, Bucket, Held, Pace, keep};

/// What is in a bucket without a manifest for so long is nobody's any more.
const GIVEN_UP_MS: u64 = 24 * 60 * 60 * 1000;

/// A backup that is kept.
#[derive(Clone, Debug)]
pub struct KeptBackup {
    /// Its own, as in 20261201T091011123Z.
    pub name: String,
    /// What it is of; why it can't be read, where it can't.
    pub manifest: Result<Manifest, String>,
}

/// Where an instance keeps its backups, each below a name of its own.
#[derive(Clone, Debug)]
pub(super) enum Shelf {
    Directory(PathBuf),
    Bucket(Bucket),
}

impl Shelf {
    /// # Errors
    /// Where it leads nowhere.
    pub(super) fn open(config: &BackupConfig) -> Result<Option<Self>, BackupError> {
        match &config.to {
            None => Ok(None),
            Some(BackupPlace::Directory(path)) => Ok(Some(Self::Directory(path.clone()))),
            Some(BackupPlace::Bucket(url)) => {
                Bucket::open(&config.bucket, url).map(|bucket| Some(Self::Bucket(bucket)))
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Directory(dir) => dir,
            Self::Bucket(bucket) => bucket.url(),
        }
    }

    /// Names of all that are ours, oldest first, and whether each is whole.
    fn found(&self) -> Result<Vec<(String, bool)>, BackupError> {
        let listing = || BackupError::io("listing", self.path());
        let names = match self {
            Self::Directory(dir) => folders(dir),
            Self::Bucket(bucket) => bucket.folders(),
        };
        let mut found = Vec::new();
        for name in names.map_err(listing())?.into_iter().filter(|name| is_ours(name)) {
            let is_whole = match self {
                Self::Directory(dir) => Ok(dir.join(&name).join(MANIFEST).exists()),
                Self::Bucket(bucket) => bucket.below(&name).has(MANIFEST),
            };
            found.push((name, is_whole.map_err(listing())?));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Names of all that are whole, oldest first.
    fn names(&self) -> Result<Vec<String>, BackupError> {
        let found = self.found()?.into_iter();
        Ok(found.filter(|(_, is_whole)| *is_whole).map(|(name, _)| name).collect())
    }

    /// All that are whole, newest first, but for those that are removed meanwhile.
    pub(super) fn list(&self) -> Result<Vec<KeptBackup>, BackupError> {
        let read = |name: String| {
            let path = self.path().join(&name);
            let bytes = match self {
                Self::Directory(_) => Files::Directory(&path).manifest(),
                Self::Bucket(bucket) => Files::Bucket(&bucket.below(&name)).manifest(),
            };
            let manifest = match bytes.and_then(|bytes| Manifest::read(&bytes)) {
                Err(BackupError::Incomplete { .. }) => return None,
                read => read.map_err(|error| error.to_string()),
            };
            Some(KeptBackup { name, manifest })
        };
        Ok(self.names()?.into_iter().rev().filter_map(read).collect())
    }

    /// Makes one more, which gets its name, or its manifest, when it is whole.
    pub(super) fn add(&self, held: &Held, pace: &mut Pace) -> Result<KeptBackup, BackupError> {
        let name = name_of(now_ms());
        let manifest = match self {
            Self::Directory(dir) => {
                make_dir(dir)?;
                self.remove_partial()?;
                keep::to_directory(&dir.join(&name), |sink| pack(held, sink, pace))
            }
            Self::Bucket(bucket) => {
                self.remove_partial()?;
                keep::to_bucket(&bucket.below(&name), |sink| pack(held, sink, pace))
            }
        };
        Ok(KeptBackup { name, manifest: Ok(manifest?) })
    }

    /// Removes the oldest, so that so many are left.
    pub(super) fn retain(&self, keep: usize) -> Result<(), BackupError> {
        let names = self.names()?;
        let surplus = names.len().saturating_sub(keep);
        names.into_iter().take(surplus).try_for_each(|name| self.remove(&name))
    }

    /// Without its manifest it counts no more, whatever becomes of the rest.
    fn remove(&self, name: &str) -> Result<(), BackupError> {
        let path = self.path().join(name);
        let removed = match self {
            Self::Directory(_) => {
                fs::remove_file(path.join(MANIFEST)).and_then(|()| fs::remove_dir_all(&path))
            }
            Self::Bucket(bucket) => bucket.below(name).remove(MANIFEST),
        };
        removed.map_err(BackupError::io("removing", &path))
    }

    /// When the newest was made, in ms since 1970.
    pub(super) fn newest_ms(&self) -> Option<u64> {
        made_ms(&self.names().ok()?.pop()?)
    }

    /// What a kill left of others. In a bucket another instance may be at it, so only what is old goes.
    fn remove_partial(&self) -> Result<(), BackupError> {
        if let Self::Directory(dir) = self {
            for name in folders(dir).map_err(BackupError::io("listing", dir))? {
                if name.strip_suffix(keep::PARTIAL).is_some_and(is_ours) {
                    let path = dir.join(name);
                    fs::remove_dir_all(&path).map_err(BackupError::io("removing", &path))?;
                }
            }
        }
        for (name, _) in self.found()?.into_iter().filter(|(_, is_whole)| !is_whole) {
            let path = self.path().join(&name);
            let is_old = made_ms(&name).is_some_and(|ms| now_ms().saturating_sub(ms) > GIVEN_UP_MS);
            let removed = match self {
                Self::Directory(_) => fs::remove_dir_all(&path),
                Self::Bucket(bucket) if is_old => bucket.below(&name).remove(MANIFEST),
                Self::Bucket(_) => Ok(()),
            };
            removed.map_err(BackupError::io("removing", &path))?;
        }
        Ok(())
    }
}
