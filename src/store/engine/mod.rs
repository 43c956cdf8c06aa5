//! The ordered key-value engine under the store: sled, or a model of it in memory.
//!
//! Below the dirty set and the cache, above the disk. It knows nothing of contacts: keys and values
//! are bytes. There are no batches and no transactions, because what makes a checkpoint whole is the
//! journal in front of it; every insert may therefore be there or not after a crash.

mod memory;
mod sled;

use std::io;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::Class;

pub use memory::MemoryEngine;
pub use sled::SledEngine;

/// Longest value an engine takes, in bytes: the format's head and a contact with 64 KiB of values, each
/// as short as can be and with a clock of its own, and with full rings.
pub const VALUE_BYTES_MAX: usize = 320 * 1024;

/// What can go wrong below the store.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Another process holds the directory.
    #[error("the engine's directory {path} is in use by another process")]
    Locked {
        /// The engine's directory.
        path: PathBuf,
    },
    /// What is on disk can't be read as the engine's own, or the engine panicked on it.
    #[error("the engine at {path} is damaged: {detail}")]
    Damaged {
        /// The engine's directory.
        path: PathBuf,
        /// What it said.
        detail: String,
    },
    /// The disk refused.
    #[error("the engine at {path} failed: {source}")]
    Io {
        /// The engine's directory.
        path: PathBuf,
        /// The refusal.
        #[source]
        source: io::Error,
    },
    /// A value past what the engine keeps in its pages.
    #[error("a value of {bytes} bytes is past the engine's {VALUE_BYTES_MAX}")]
    ValueTooLarge {
        /// The value's size.
        bytes: usize,
    },
}

impl EngineError {
    /// What to do about it: always stop, since a later try may claim a success that isn't.
    pub fn class(&self) -> Class {
        match self {
            Self::Locked { .. }
            | Self::Damaged { .. }
            | Self::Io { .. }
            | Self::ValueTooLarge { .. } => Class::Fatal,
        }
    }

    /// Whether moving the engine aside and refilling it is the remedy.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Locked { .. } | Self::Io { .. } | Self::ValueTooLarge { .. } => false,
        }
    }
}

/// Bytes that an engine lent out. Copy what is to be kept: they may hold a whole page alive.
#[derive(Clone, Debug)]
pub enum StoredBytes {
    /// Out of sled's page cache.
    Sled(::sled::IVec),
    /// Out of the model.
    Memory(Arc<[u8]>),
}

impl Deref for StoredBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Sled(bytes) => bytes,
            Self::Memory(bytes) => bytes,
        }
    }
}

/// One change of a sorted run: a key and its new value, or none to remove it.
pub type Change<'a> = (&'a [u8], Option<&'a [u8]>);

/// What an engine takes up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Bytes allotted to it on disk.
    pub disk_bytes: u64,
}

/// The engine of a store.
#[derive(Clone, Debug)]
pub enum Engine {
    /// On disk.
    Sled(SledEngine),
    /// The model, for tests and for stores that leave nothing behind.
    Memory(MemoryEngine),
}

impl Engine {
    /// Opens sled in its directory, making it where it is absent. A panic of sled is an error here.
    pub fn open(dir: &Path, cache_bytes: u64) -> Result<Self, EngineError> {
        SledEngine::open(dir, cache_bytes).map(Self::Sled)
    }

    /// An empty model.
    pub fn memory() -> Self {
        Self::Memory(MemoryEngine::default())
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<StoredBytes>, EngineError> {
        match self {
            Self::Sled(engine) => engine.get(key),
            Self::Memory(engine) => Ok(engine.get(key)),
        }
    }

    /// The entries whose keys begin with `prefix`, sorted, after the key `after` if one is given.
    /// Live: what changes behind the scan isn't seen, what changes ahead of it is.
    pub fn scan(&self, prefix: &[u8], after: Option<&[u8]>) -> Scan {
        match self {
            Self::Sled(engine) => Scan::Sled(engine.scan(prefix, after)),
            Self::Memory(engine) => Scan::Memory(engine.scan(prefix, after)),
        }
    }

    /// Inserts and removes one by one, in the order given, which should be sorted: each page is
    /// then met once. A kill may leave any part of it done. Returns how many changes there were.
    pub fn insert_sorted<'c>(
        &self,
        changes: impl IntoIterator<Item = Change<'c>>,
    ) -> Result<u64, EngineError> {
        let mut count = 0;
        for (key, value) in changes {
            if let Some(bytes) = value.map(<[u8]>::len).filter(|len| *len > VALUE_BYTES_MAX) {
                return Err(EngineError::ValueTooLarge { bytes });
            }
            match self {
                Self::Sled(engine) => engine.put(key, value)?,
                Self::Memory(engine) => engine.put(key, value),
            }
            count += 1;
        }
        Ok(count)
    }

    /// Returns once all that was inserted before is on the disk itself.
    pub fn flush(&self) -> Result<(), EngineError> {
        match self {
            Self::Sled(engine) => engine.flush(),
            Self::Memory(_) => Ok(()),
        }
    }

    /// What it takes up now. Walks the engine's directory: for metrics, not for requests.
    pub fn stats(&self) -> Result<EngineStats, EngineError> {
        match self {
            Self::Sled(engine) => engine.stats(),
            Self::Memory(_) => Ok(EngineStats::default()),
        }
    }
}

/// A running scan.
#[derive(Debug)]
pub enum Scan {
    /// Over sled.
    Sled(sled::SledScan),
    /// Over the model.
    Memory(memory::MemoryScan),
}

impl Iterator for Scan {
    type Item = Result<(StoredBytes, StoredBytes), EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Sled(scan) => scan.next(),
            Self::Memory(scan) => scan.next().map(Ok),
        }
    }
}

/// Renames an engine's directory out of the way and returns its new place. One earlier copy at most
/// is kept: it is the last one's evidence, not a backup.
pub fn move_aside(dir: &Path) -> io::Result<PathBuf> {
    let mut name = dir.file_name().unwrap_or_default().to_os_string();
    name.push(".damaged");
    let aside = dir.with_file_name(name);
    match std::fs::remove_dir_all(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    std::fs::rename(dir, &aside)?;
    if let Some(parent) = dir.parent() {
        std::fs::File::open(parent)?.sync_all()?;
    }
    Ok(aside)
}

/// Runs something that may meet a damaged page, which sled answers with a panic.
fn guarded<T>(path: &Path, run: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let detail = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "it panicked".to_owned());
        Err(EngineError::Damaged { path: path.to_owned(), detail })
    })
}

#[cfg(test)]
mod tests;
