//! What the targets share: bytes cut into parts, damage, signatures, and a router with a store.

pub mod imported;
pub mod keyed;
pub mod records;
pub mod seeds;
pub mod world;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use contactd::backup::{Archive, Sink, unpack};

/// More than anything here needs at once: a length was believed that nobody held against the input.
const ALLOCATED_MAX: usize = 64 << 20;

/// The system's allocator, up to that.
struct Bounded;

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

fn check(size: usize) {
    if size > ALLOCATED_MAX {
        eprintln!("{size} bytes are to be allocated at once");
        std::process::abort();
    }
}

// SAFETY: all of it is the system's.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check(size);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// 2026-11-21T10:00:00Z
pub const NOW_MS: u64 = 1_795_255_200_000;

/// Bytes as so many parts, each but the last behind its length in two bytes. All bytes are some parts.
pub fn parts<const N: usize>(mut rest: &[u8]) -> [&[u8]; N] {
    std::array::from_fn(|number| {
        if number + 1 == N {
            return rest;
        }
        let (len, after) = match rest.split_first_chunk() {
            Some((len, after)) => (usize::from(u16::from_le_bytes(*len)), after),
            None => (0, rest),
        };
        let (part, after) = after.split_at(len.min(after.len()));
        rest = after;
        part
    })
}

/// The bytes that [`parts`] cuts into these.
pub fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let (last, before) = parts.split_last().expect("a part");
    let framed = before.iter().flat_map(|part| {
        let len = u16::try_from(part.len()).expect("a short part").to_le_bytes();
        len.into_iter().chain(part.iter().copied())
    });
    framed.chain(last.iter().copied()).collect()
}

/// Cuts off the end, puts something behind it, or changes one run of four bytes: what a CRC-32 always
/// notices. `how`: the place (u32), the kind, and the bytes.
pub fn damage(bytes: &mut Vec<u8>, how: &[u8]) {
    let Some((place, [kind, change @ ..])) = how.split_first_chunk::<4>() else {
        return;
    };
    let place = u32::from_le_bytes(*place) as usize % (bytes.len() + 1);
    match kind % 4 {
        0 => bytes.truncate(place),
        1 => bytes.extend_from_slice(change),
        _ => bytes[place..].iter_mut().zip(change).take(4).for_each(|(byte, with)| *byte ^= with),
    }
}

/// A directory of this process, below `TMPDIR`, where `run` makes room in memory and takes it back.
pub fn directory() -> &'static Path {
    static DIRECTORY: LazyLock<PathBuf> =
        LazyLock::new(|| tempfile::tempdir().expect("a directory").keep());
    &DIRECTORY
}

/// A file of the repository's `tests/fixtures`.
pub fn fixture(path: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The newest snapshot of a directory of the fixtures.
pub fn snapshot_in(folder: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(folder);
    let files = std::fs::read_dir(&folder).expect("a directory");
    files.map(|file| file.expect("a file").path()).max().expect("a snapshot")
}

/// The backup of the fixtures as a plain archive.
pub fn archive() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/backup-1.tar.zst");
    let to = directory().join("archive");
    let file = std::fs::File::create(&to).expect("a file");
    unpack(&path, Sink::archive(Box::new(Plain(file)))).expect("a whole backup");
    std::fs::read(&to).expect("what was written")
}

struct Plain(std::fs::File);

impl Write for Plain {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Archive for Plain {
    fn end(mut self: Box<Self>) -> std::io::Result<()> {
        self.0.flush()
    }
}
