//! Appending to the heap file, and emptying segments of which little still counts.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;

use crate::telemetry::fault;

use super::super::bounds::Bounds;
use super::super::codec::id_hash;
use super::super::disk::free_bytes;
use super::Heap;
use super::addresses::{HeapAddress, SEGMENT_BYTES_MAX, SEGMENT_NUMBERS};
use super::record::{RECORD_BYTES_MAX, Record};

/// No segment gets smaller than this part of all that counts: each is an open file.
const SEGMENTS_WANTED: u64 = 32;
/// So many runs are written together at most.
const RUNS_MAX: usize = 16;
const _: () = {
    let bytes = RUNS_MAX * Bounds::SHIPPED.heap_run_bytes + RECORD_BYTES_MAX;
    assert!(bytes as u64 <= SEGMENT_BYTES_MAX);
};

/// What appending goes by.
#[derive(Debug, Default)]
pub(super) struct Filling {
    segments: BTreeMap<u32, Extent>,
    /// The one that is appended to.
    current: Option<Current>,
    /// Of the next segment.
    next: u32,
    /// Records that are not written yet; of each, its id's hash and its length.
    run: Vec<u8>,
    staged: Vec<(u64, usize)>,
}

/// The segment in hand.
#[derive(Debug)]
struct Current {
    segment: u32,
    file: Arc<File>,
    bytes_max: u64,
}

/// What a segment holds, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Extent {
    written: u64,
    /// Of those, what is some contact's latest.
    live: u64,
}

impl Filling {
    fn sum(&self, of: fn(&Extent) -> u64) -> u64 {
        self.segments.values().map(of).sum()
    }

    /// Size of the next segment: larger as there is more, so that there are not too many.
    fn segment_bytes(&self, bounds: Bounds) -> u64 {
        let bytes = self.sum(|at| at.live) / SEGMENTS_WANTED;
        bytes.next_power_of_two().clamp(bounds.heap_segment_bytes_min, SEGMENT_BYTES_MAX)
    }
}

/// Appends; see [`Heap::fill`].
pub(crate) struct Filler<'h> {
    heap: &'h Heap,
    filling: MutexGuard<'h, Filling>,
    has_failed: bool,
}

impl<'h> Filler<'h> {
    pub(super) fn new(heap: &'h Heap) -> Self {
        Self { heap, filling: heap.filling.lock(), has_failed: false }
    }

    /// Takes a contact. It is found here once it is written, and until then must be found elsewhere.
    pub(crate) fn put(&mut self, hash: u64, id: &[u8], value: &[u8]) {
        let record = Record { id, value };
        if self.heap.is_off {
            return;
        }
        if record.len() > RECORD_BYTES_MAX {
            return self.set(hash, HeapAddress::ENGINE);
        }
        record.append_to(&mut self.filling.run);
        self.filling.staged.push((hash, record.len()));
        if self.filling.run.len() >= RUNS_MAX * self.heap.bounds.heap_run_bytes {
            self.write();
        }
    }

    /// Writes what was taken, if it is much.
    pub(crate) fn write_much(&mut self) {
        if self.filling.run.len() >= self.heap.bounds.heap_run_bytes {
            self.write();
        }
    }

    /// Writes what was taken, and lets it be found: what can't be written, in the engine.
    pub(super) fn write(&mut self) {
        let run = std::mem::take(&mut self.filling.run);
        let staged = std::mem::take(&mut self.filling.staged);
        let written = if run.is_empty() { Ok(None) } else { self.append(&run).map(Some) };
        let mut place = written.as_ref().ok().copied().flatten();
        for (hash, len) in &staged {
            match &mut place {
                Some((segment, offset)) => {
                    self.set(*hash, HeapAddress::new(*segment, *offset, *len));
                    *offset += *len as u64;
                }
                None => self.set(*hash, HeapAddress::ENGINE),
            }
        }
        if let Err(error) = written {
            self.has_failed = true;
            self.heap.failed("writing", &error);
        }
        // Their room is used again.
        (self.filling.run, self.filling.staged) = (run, staged);
        self.filling.run.clear();
        self.filling.staged.clear();
    }

    /// Where it begins.
    fn append(&mut self, run: &[u8]) -> io::Result<(u32, u64)> {
        let len = run.len() as u64;
        let has_room = |filling: &Filling, at: &Current| {
            let written = filling.segments.get(&at.segment).map_or(0, |extent| extent.written);
            written + len <= at.bytes_max
        };
        // Not put back where writing fails: what of it was written is not known.
        let current = match self.filling.current.take() {
            Some(at) if has_room(&self.filling, &at) => at,
            Some(_) | None => self.open_segment(len)?,
        };
        let segment = current.segment;
        let extent = self.filling.segments.entry(segment).or_default();
        let offset = extent.written;
        current.file.write_all_at(run, offset)?;
        extent.written += len;
        self.heap.figures.bytes.fetch_add(len, Ordering::Relaxed);
        self.filling.current = Some(current);
        Ok((segment, offset))
    }

    fn open_segment(&mut self, bytes_min: u64) -> io::Result<Current> {
        let bytes_max = self.filling.segment_bytes(self.heap.bounds).max(bytes_min);
        let free = free_bytes(self.heap.parent()).map_err(io::Error::other)?;
        if free < self.heap.reserve_bytes.saturating_add(bytes_max) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let segment = self.filling.next;
        if segment >= SEGMENT_NUMBERS {
            return Err(io::Error::other("it has named all its segments; start this process anew"));
        }
        self.filling.next += 1;
        fault::io("heap_make")?;
        std::fs::create_dir_all(&self.heap.dir)?;
        let path = self.heap.segment_path(segment);
        let file = OpenOptions::new().create_new(true).read(true).write(true).open(path)?;
        let file = Arc::new(file);
        self.heap.files.write().insert(segment, Arc::clone(&file));
        Ok(Current { segment, file, bytes_max })
    }

    fn set(&mut self, hash: u64, place: HeapAddress) {
        let old = self.heap.places.set(hash, place);
        let segments = &mut self.filling.segments;
        let mut live = |place: HeapAddress, change: fn(u64, u64) -> u64| {
            let at = segments.get_mut(&place.segment()).filter(|_| place != HeapAddress::ENGINE);
            if let Some(at) = at {
                at.live = change(at.live, place.len() as u64);
            }
        };
        live(place, u64::saturating_add);
        if let Some(old) = old {
            live(old, u64::saturating_sub);
        }
    }

    /// Empties segments until no more than half of all bytes is of no use, and two segments' worth.
    /// Where writing fails, only those of which nothing counts.
    pub(super) fn clean(&mut self) {
        loop {
            let filling = &*self.filling;
            let most = 2 * filling.sum(|at| at.live) + 2 * filling.segment_bytes(self.heap.bounds);
            let is_too_much = filling.sum(|at| at.written) > most && !self.has_failed;
            let current = filling.current.as_ref().map(|at| at.segment);
            let sealed = filling.segments.iter().filter(|(segment, _)| Some(**segment) != current);
            match sealed.min_by_key(|(_, at)| at.live).map(|(segment, at)| (*segment, *at)) {
                Some((segment, at)) if at.live == 0 || is_too_much => self.empty(segment, at),
                Some(_) | None => return,
            }
        }
    }

    /// Appends anew what still counts of a segment, and removes it.
    fn empty(&mut self, segment: u32, extent: Extent) {
        let file = self.heap.files.read().get(&segment).cloned();
        if let Some(file) = file.filter(|_| extent.live > 0) {
            if let Err(error) = self.copy(segment, &file, extent.written) {
                self.heap.failed("reading", &error);
            }
            self.write();
        }
        let left = self.filling.segments.remove(&segment);
        if left.is_some_and(|left| left.live > 0) {
            // Some of it was not read.
            self.heap.places.forget(segment);
        }
        self.heap.files.write().remove(&segment);
        self.heap.figures.bytes.fetch_sub(extent.written, Ordering::Relaxed);
        // What can't be removed now is removed at the next opening.
        let _ = std::fs::remove_file(self.heap.segment_path(segment));
    }

    fn copy(&mut self, segment: u32, file: &File, written: u64) -> io::Result<()> {
        let run_bytes = self.heap.bounds.heap_run_bytes;
        let mut run = vec![0; run_bytes.max(RECORD_BYTES_MAX)];
        let (mut offset, mut len) = (0, run_bytes);
        while offset < written {
            let run = run.get_mut(..len.min((written - offset) as usize)).unwrap_or_default();
            file.read_exact_at(run, offset)?;
            let mut done = 0;
            while let Some(record) = run.get(done..).and_then(Record::parse) {
                let place = HeapAddress::new(segment, offset + done as u64, record.len());
                let hash = id_hash(record.id);
                if self.heap.places.get(hash) == Some(place) {
                    self.put(hash, record.id, record.value);
                }
                done += record.len();
            }
            match (done, len >= RECORD_BYTES_MAX) {
                // It may be longer than what was read.
                (0, false) => len = RECORD_BYTES_MAX,
                (0, true) => {
                    let text = format!("segment {segment} is damaged at {offset}");
                    return Err(io::Error::other(text));
                }
                _ => (offset, len) = (offset + done as u64, run_bytes),
            }
            self.write_much();
        }
        Ok(())
    }
}
