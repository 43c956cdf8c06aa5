//! Looks at the room on the disk before anything is written, and keeps a reserve to open with.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

use super::StoreError;

/// Watches the file system of the data directory.
#[derive(Debug)]
pub(crate) struct DiskGuard {
    path: PathBuf,
    min_free_bytes: u64,
}

impl DiskGuard {
    pub(crate) fn new(path: &Path, min_free_bytes: u64) -> Self {
        Self { path: path.to_path_buf(), min_free_bytes }
    }

    /// Refuses while less than the reserve would be left after so many bytes.
    pub(crate) fn check(&self, bytes: u64) -> Result<(), StoreError> {
        if self.min_free_bytes == 0 {
            return Ok(());
        }
        let free = free_bytes(&self.path)?;
        let needed = self.min_free_bytes.saturating_add(bytes);
        if free < needed {
            return Err(StoreError::NoSpace { path: self.path.clone(), free, needed });
        }
        Ok(())
    }
}

/// Bytes that may still be written under a path.
pub(crate) fn free_bytes(path: &Path) -> Result<u64, StoreError> {
    let stat = rustix::fs::statvfs(path)
        .map_err(io::Error::from)
        .map_err(StoreError::io("looking at the room for", path))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The size of the file system under a path, in bytes.
pub(crate) fn total_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_blocks.saturating_mul(stat.f_frsize))
}

/// A file of allotted blocks, given up so that a full disk can be opened: sled needs room for that.
#[derive(Debug)]
pub(crate) struct Ballast {
    path: PathBuf,
    bytes: u64,
}

impl Ballast {
    pub(crate) fn new(dir: &Path, bytes: u64) -> Self {
        Self { path: dir.join("ballast"), bytes }
    }

    /// Gives the file up when the disk has less free than it holds. True: it was given up.
    pub(crate) fn release_if_short(&self, dir: &Path) -> Result<bool, StoreError> {
        if free_bytes(dir)? >= self.bytes || !self.path.exists() {
            return Ok(false);
        }
        fs::remove_file(&self.path).map_err(StoreError::io("removing", &self.path))?;
        Ok(true)
    }

    /// Makes the file anew where there is room for it thrice; quietly goes without otherwise.
    pub(crate) fn restore(&self, dir: &Path) -> Result<(), StoreError> {
        if self.bytes == 0 || self.path.exists() || free_bytes(dir)? < self.bytes.saturating_mul(3)
        {
            return Ok(());
        }
        let file = File::create(&self.path).map_err(StoreError::io("making", &self.path))?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, self.bytes) {
            Ok(()) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "no ballast file: blocks can't be allotted here");
                fs::remove_file(&self.path).map_err(StoreError::io("removing", &self.path))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_room_is_a_retry_with_nothing_changed() {
        let dir = tempfile::tempdir().unwrap();
        let error = DiskGuard::new(dir.path(), u64::MAX / 2).check(1).unwrap_err();
        assert!(matches!(error, StoreError::NoSpace { .. }));
        assert_eq!(error.class(), crate::domain::Class::Retry);
        DiskGuard::new(dir.path(), 1).check(1).unwrap();
    }

    #[test]
    fn ballast_takes_its_room_and_is_kept_while_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::new(dir.path(), 1 << 20);
        ballast.restore(dir.path()).unwrap();
        assert_eq!(fs::metadata(&ballast.path).unwrap().len(), 1 << 20);
        assert!(!ballast.release_if_short(dir.path()).unwrap());
        let huge = Ballast { bytes: u64::MAX, ..ballast };
        assert!(huge.release_if_short(dir.path()).unwrap());
    }
}
