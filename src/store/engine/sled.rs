//! sled, kept to what has proved sound: one tree, single inserts, no batches (their process-wide
//! lock stops every reader), no subscribers, no `generate_id`.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::telemetry::fault;

use super::{EngineError, EngineStats, StoredBytes, guarded};

/// How often an open is tried while the lock is held: a closed engine's threads let go of it late.
const LOCK_TRIES: u32 = 40;
/// How long to wait between those tries.
const LOCK_PAUSE: Duration = Duration::from_millis(25);
/// Size of a block as `stat` counts them, in bytes.
const STAT_BLOCK_BYTES: u64 = 512;

/// An open sled.
#[derive(Clone, Debug)]
pub struct SledEngine {
    tree: ::sled::Db,
    /// Held since before sled opened, so that no write error can be reported to another descriptor
    /// and be forgotten: sled's own flush is `sync_file_range`, which asks no device for anything.
    file: Arc<File>,
    dir: Arc<Path>,
}

impl SledEngine {
    pub(super) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, EngineError> {
        let io = |source| EngineError::Io { path: dir.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(io)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(dir.join("db"))
            .map_err(io)?;
        let config = ::sled::Config::new()
            .path(dir)
            .cache_capacity(cache_bytes)
            .flush_every_ms(Some(500))
            .use_compression(false);
        for attempt in 1.. {
            let opened = guarded(dir, || config.open().map_err(|error| classify(dir, error)));
            match opened {
                Err(EngineError::Locked { .. }) if attempt < LOCK_TRIES => {
                    std::thread::park_timeout(LOCK_PAUSE);
                }
                Err(error) => return Err(error),
                Ok(tree) => {
                    return Ok(Self { tree, file: Arc::new(file), dir: dir.into() });
                }
            }
        }
        Err(EngineError::Locked { path: dir.to_owned() })
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<StoredBytes>, EngineError> {
        self.run(|tree| tree.get(key)).map(|value| value.map(StoredBytes::Sled))
    }

    pub(super) fn put(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), EngineError> {
        self.run(|tree| match value {
            Some(value) => tree.insert(key, value),
            None => tree.remove(key),
        })
        .map(drop)
    }

    pub(super) fn scan(&self, prefix: &[u8], after: Option<&[u8]>) -> SledScan {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after.to_vec()),
            Some(_) | None => Bound::Included(prefix.to_vec()),
        };
        SledScan {
            entries: Some(Box::new(self.tree.range::<Vec<u8>, _>((from, Bound::Unbounded)))),
            prefix: prefix.into(),
            dir: Arc::clone(&self.dir),
        }
    }

    pub(super) fn flush(&self) -> Result<(), EngineError> {
        self.run(|tree| tree.flush())?;
        fault::point("sled_written");
        fault::synced(&self.file, || self.file.sync_data())
            .map_err(|source| EngineError::Io { path: self.dir.to_path_buf(), source })
    }

    pub(super) fn stats(&self) -> Result<EngineStats, EngineError> {
        let disk_bytes = allotted_bytes(&self.dir)
            .map_err(|source| EngineError::Io { path: self.dir.to_path_buf(), source })?;
        Ok(EngineStats { disk_bytes })
    }

    fn run<T>(
        &self,
        run: impl FnOnce(&::sled::Db) -> Result<T, ::sled::Error>,
    ) -> Result<T, EngineError> {
        guarded(&self.dir, || run(&self.tree).map_err(|error| classify(&self.dir, error)))
    }
}

/// A running scan of sled.
pub struct SledScan {
    /// None once it has failed.
    entries: Option<Box<::sled::Iter>>,
    prefix: Box<[u8]>,
    dir: Arc<Path>,
}

impl std::fmt::Debug for SledScan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SledScan").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Iterator for SledScan {
    type Item = Result<(StoredBytes, StoredBytes), EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entries = self.entries.as_mut()?;
        let next = guarded(&self.dir, || {
            entries.next().transpose().map_err(|error| classify(&self.dir, error))
        });
        match next {
            Ok(Some((key, value))) if key.starts_with(&self.prefix) => {
                Some(Ok((StoredBytes::Sled(key), StoredBytes::Sled(value))))
            }
            Ok(_) => None,
            Err(error) => {
                self.entries = None;
                Some(Err(error))
            }
        }
    }
}

fn classify(dir: &Path, error: ::sled::Error) -> EngineError {
    let path: PathBuf = dir.to_owned();
    match error {
        ::sled::Error::Io(source) if source.to_string().contains("could not acquire lock") => {
            EngineError::Locked { path }
        }
        // sled reads past the end of a file that was cut.
        ::sled::Error::Io(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
            EngineError::Damaged { path, detail: source.to_string() }
        }
        ::sled::Error::Io(source) => EngineError::Io { path, source },
        error @ (::sled::Error::Corruption { .. }
        | ::sled::Error::ReportableBug(_)
        | ::sled::Error::Unsupported(_)
        | ::sled::Error::CollectionNotFound(_)) => {
            EngineError::Damaged { path, detail: error.to_string() }
        }
    }
}

/// Bytes allotted to the files under a directory. Files that go while it looks count nothing.
fn allotted_bytes(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        bytes += match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => allotted_bytes(&entry.path())?,
            Ok(metadata) => metadata.blocks() * STAT_BLOCK_BYTES,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(bytes)
}
