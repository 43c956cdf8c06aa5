//! The heap file: a copy of every contact that left the dirty set, in no order, each found by its
//! place, which is kept in memory.
//!
//! For one contact sled puts a whole leaf together from the pieces in which that lies on the disk;
//! here it is one read of as many bytes as the contact has, most often out of the system's page
//! cache. So sled is written and scanned, in order, and this is what single reads go to.
//!
//! Nothing that is kept depends on it: it is made anew at each opening, never synced, and the engine
//! answers for what could not be written here or not be read. Its places say which contacts there are.
//!
//! Segments of a file each are appended to by one thread at a time. No place is written twice, so
//! what is read at one is the same for ever. A segment of which the smaller part still counts is
//! emptied: that part is appended anew, and the file removed.

mod addresses;
mod filler;
mod record;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::bounds::Bounds;
use super::codec::StoredContact;
use addresses::Addresses;
use filler::Filling;

pub(crate) use addresses::HeapAddress;
pub(crate) use filler::Filler;
pub(crate) use record::Record;

/// Most contacts are read without an allocation for it.
const CONTACT_BYTES_TYPICAL: usize = 1024;

/// The heap file of an open store.
#[derive(Debug)]
pub(crate) struct Heap {
    dir: PathBuf,
    reserve_bytes: u64,
    bounds: Bounds,
    is_off: bool,
    places: Addresses,
    files: RwLock<BTreeMap<u32, Arc<File>>>,
    filling: Mutex<Filling>,
    figures: Figures,
    /// As if the page cache never held anything.
    #[cfg(test)]
    pub(crate) waits_for_all: std::sync::atomic::AtomicBool,
}

#[derive(Debug, Default)]
struct Figures {
    bytes: AtomicU64,
    failures: AtomicU64,
}

/// Figures for statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapStats {
    /// Bytes of its files.
    pub bytes: u64,
    /// Writes and reads that failed since the opening; the engine answers instead.
    pub failures: u64,
}

/// Where a contact lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// There is none of this id, except in the dirty set.
    Nowhere,
    /// In the engine alone.
    InEngine,
    /// Here.
    At(HeapAddress),
}

impl Heap {
    /// An empty one, in a directory below the store's. It leaves `reserve_bytes` of the disk to others.
    pub(crate) fn new(dir: PathBuf, reserve_bytes: u64, bounds: Bounds) -> Self {
        Self {
            dir,
            reserve_bytes,
            bounds,
            is_off: false,
            places: Addresses::default(),
            files: RwLock::default(),
            filling: Mutex::default(),
            figures: Figures::default(),
            #[cfg(test)]
            waits_for_all: Default::default(),
        }
    }

    /// None: the engine answers everything. For stores that are opened to be looked at.
    pub(crate) fn off() -> Self {
        let mut off = Self::new(PathBuf::new(), 0, Bounds::SHIPPED);
        off.is_off = true;
        off
    }

    /// Removes what an earlier process left, which nobody reads again.
    pub(crate) fn remove_left(dir: &Path) {
        if let Err(error) = remove(dir) {
            tracing::warn!(%error, "{} of an earlier process can't be removed", dir.display());
        }
    }

    /// Where a contact lies, by its id's hash. Another one of the same hash may lie there.
    pub(crate) fn find(&self, hash: u64) -> Location {
        match self.places.get(hash) {
            None if self.is_off => Location::InEngine,
            None => Location::Nowhere,
            Some(HeapAddress::ENGINE) => Location::InEngine,
            Some(place) => Location::At(place),
        }
    }

    /// What lies at a place, if that can be said without waiting for the disk.
    pub(crate) fn read_at_once(&self, place: HeapAddress, id: &[u8]) -> Option<StoredContact> {
        #[cfg(test)]
        if self.waits_for_all.load(Ordering::Relaxed) {
            return None;
        }
        // Locked meanwhile, which is short: nothing is waited for.
        let files = self.files.read();
        read(files.get(&place.segment())?, place, id, read_cached).ok()?
    }

    /// What lies at a place; none: the engine knows. Damage is met once for each place.
    pub(crate) fn read_whole(
        &self,
        place: HeapAddress,
        hash: u64,
        id: &[u8],
    ) -> Option<StoredContact> {
        // Emptied since the place was found; the engine has what it held.
        let file = self.files.read().get(&place.segment()).cloned()?;
        let found = read(&file, place, id, |file, bytes, offset| file.read_exact_at(bytes, offset));
        found.unwrap_or_else(|error| {
            self.places.replace(hash, place, HeapAddress::ENGINE);
            self.failed("reading", &error);
            None
        })
    }

    /// Appends what `put_all` puts, which is found here at the latest when this returns; one thread at
    /// a time.
    pub(crate) fn fill<T>(&self, put_all: impl FnOnce(&mut Filler<'_>) -> T) -> T {
        let mut filler = Filler::new(self);
        let done = put_all(&mut filler);
        filler.write();
        filler.clean();
        done
    }

    /// Figures for statistics.
    pub(crate) fn stats(&self) -> HeapStats {
        HeapStats {
            bytes: self.figures.bytes.load(Ordering::Relaxed),
            failures: self.figures.failures.load(Ordering::Relaxed),
        }
    }

    fn failed(&self, doing: &str, error: &io::Error) {
        let failures = self.figures.failures.fetch_add(1, Ordering::Relaxed) + 1;
        // Each contact can fail once: a line for each would be a flood.
        if failures.is_power_of_two() {
            let dir = self.dir.display();
            tracing::warn!(%error, failures, "{doing} {dir} failed: sled answers instead, more slowly");
        }
    }

    fn parent(&self) -> &Path {
        self.dir.parent().unwrap_or(&self.dir)
    }

    fn segment_path(&self, segment: u32) -> PathBuf {
        self.dir.join(format!("{segment:08}.heap"))
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        // Whatever stays is removed at the next opening.
        let _ = if self.is_off { Ok(()) } else { remove(&self.dir) };
    }
}

/// What lies at a place of its file; none: another contact.
fn read(
    file: &File,
    place: HeapAddress,
    id: &[u8],
    read: impl FnOnce(&File, &mut [u8], u64) -> io::Result<()>,
) -> io::Result<Option<StoredContact>> {
    let (mut typical, mut large) = ([0; CONTACT_BYTES_TYPICAL], Vec::new());
    let bytes = typical.get_mut(..place.len()).unwrap_or_else(|| {
        large.resize(place.len(), 0);
        &mut large
    });
    read(file, bytes, place.offset())?;
    let record = Record::parse(bytes).ok_or(io::ErrorKind::InvalidData)?;
    Ok((record.id == id).then(|| StoredContact::from_bytes(record.value.into())).flatten())
}

fn remove(dir: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Reads only what the system's page cache holds.
fn read_cached(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    use rustix::io::{ReadWriteFlags, preadv2};
    let len = bytes.len();
    let read = preadv2(file, &mut [io::IoSliceMut::new(bytes)], offset, ReadWriteFlags::NOWAIT)?;
    if read < len { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
