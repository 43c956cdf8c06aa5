//! A sorted, compressed, checksummed image of all contacts and control entries at one position.
//!
//! ```text
//! snapshots/<first frame not in it, 20 digits>.snapshot
//!   head     sealed "CDSN": checkpoint, log identity, founding          (see checkpoint.rs for the envelope)
//!   blocks   u32 raw length | u32 stored length | u32 contacts | u32 crc32 of those and the bytes |
//!            LZ4 bytes of (v id length | v body length | u64 image | u64 change | id | body)*, ids ascending
//!   end      u32 0 | u64 contacts | u128 digest | u32 crc32 of those
//!   blocks and end once more, of control entries (no links)
//! ```
//!
//! It is written between two checkpoints, when the engine holds exactly the last one, to a file
//! aside, which is synced, read back and compared with the checkpoint's digest before it is named.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use bincode::{Decode, Encode};
use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};

use crate::domain::founding::Founding;
use crate::domain::position::LogIdentity;
use crate::segments::FrameNo;
use crate::telemetry::fault;

use super::StoreError;
use super::checkpoint::{Checkpoint, CutRecord, HEAD, seal, sealed_bytes, sync_dir, unseal};
use super::codec::{self, ChangeRef, Links};
use super::cut::Cut;
use super::digest::{Digest, contact_hash};
use super::engine::Engine;
use super::identity;
use super::journal::varint::{self, Cursor};
use super::rows::is_payment;

const MAGIC: [u8; 4] = *b"CDSN";
const DIR: &str = "snapshots";
const SUFFIX: &str = ".snapshot";
/// Raw bytes after which a block is closed.
const BLOCK_BYTES: usize = 256 << 10;
/// No block that was written is longer.
const BLOCK_BYTES_MAX: usize = 4 << 20;
/// Verified snapshots that are kept.
const KEPT: usize = 2;

/// Stands for "there is no snapshot" where a snapshot's first unheld frame is kept.
pub(crate) const NONE: FrameNo = FrameNo(u64::MAX);

const FORMAT: u32 = 1;

/// What stands in front of the contacts.
#[derive(Encode, Decode)]
struct HeadRecord {
    number: u64,
    store: u64,
    log: Option<LogIdentity>,
    founding: Option<Founding>,
    cut: CutRecord,
}

/// A snapshot that was read back whole after it was written.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

/// An open snapshot: its head read, its contacts to come.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) log: Option<LogIdentity>,
    /// What contacts' homes follow from, where the store was told.
    pub(crate) founding: Option<Founding>,
    pub(crate) cut: Cut,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    file: BufReader<File>,
}

/// One contact, control entry or attempt of a snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Image<'a> {
    /// Which of them: the prefix of its key in the engine.
    pub(crate) prefix: u8,
    pub(crate) id: &'a [u8],
    pub(crate) links: Links,
    pub(crate) body: &'a [u8],
}

/// Writes what the engine holds, which is the checkpoint, and verifies it.
pub(crate) fn write(
    dir: &Path,
    log: Option<&LogIdentity>,
    checkpoint: &Checkpoint,
    engine: &Engine,
) -> Result<Written, StoreError> {
    let folder = dir.join(DIR);
    fs::create_dir_all(&folder).map_err(StoreError::not_made(&folder))?;
    let new = folder.join("new");
    let head = HeadRecord {
        number: checkpoint.number,
        store: checkpoint.store,
        log: log.cloned(),
        founding: identity::founding(dir)?,
        cut: CutRecord::from(&checkpoint.cut),
    };
    let head = seal(MAGIC, FORMAT, "snapshot", &head)?;
    write_image(&new, &head, &checkpoint.cut, engine)?;
    let bytes = Snapshot::open(&new)?.verify()?;
    let path = folder.join(format!("{:020}{SUFFIX}", checkpoint.cut.next_frame.0));
    fs::rename(&new, &path).map_err(StoreError::not_made(&path))?;
    sync_dir(&folder)?;
    for (old, _) in list(dir)?.into_iter().rev().skip(KEPT) {
        fs::remove_file(&old).map_err(StoreError::io("removing", &old))?;
    }
    Ok(Written { path, bytes })
}

/// When it was written, in seconds since 1970; 0: nobody knows.
pub(crate) fn written_at_seconds(path: &Path) -> u64 {
    let written = path.metadata().and_then(|at| at.modified()).ok();
    let since = written.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs())
}

/// Snapshots in a data directory with the first frame that each does not hold, oldest first.
pub(crate) fn list(dir: &Path) -> Result<Vec<(PathBuf, FrameNo)>, StoreError> {
    let folder = dir.join(DIR);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("listing", &folder)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(StoreError::io("listing", &folder))?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
        if let Some(Ok(number)) = number.map(str::parse) {
            found.push((entry.path(), FrameNo(number)));
        }
    }
    found.sort_unstable_by_key(|at| at.1);
    Ok(found)
}

fn write_image(new: &Path, head: &[u8], cut: &Cut, engine: &Engine) -> Result<(), StoreError> {
    let made = fault::io("snapshot_make").and_then(|()| File::create(new));
    let file = made.map_err(StoreError::not_made(new))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    out.write_all(head).map_err(StoreError::not_made(new))?;
    let half = (cut.counters.active + cut.counters.deleted) / 2;
    write_section(new, &mut out, engine, codec::CONTACT, Some(half))?;
    write_section(new, &mut out, engine, codec::CONTROL, None)?;
    write_section(new, &mut out, engine, codec::ATTEMPT, None)?;
    out.flush().map_err(StoreError::not_made(new))?;
    let synced = fault::io("snapshot_sync").and_then(|()| out.get_ref().sync_all());
    synced.map_err(StoreError::io("syncing", new))
}

/// All that the engine has under a prefix; `half` is the contact after which it may be killed.
fn write_section(
    new: &Path,
    out: &mut BufWriter<File>,
    engine: &Engine,
    prefix: u8,
    half: Option<u64>,
) -> Result<(), StoreError> {
    let (mut count, mut digest) = (0_u64, Digest::default());
    let mut block = BlockWriter::default();
    for found in engine.scan(&[prefix], None) {
        let (key, value) = found?;
        let id = key.get(1..).unwrap_or_default();
        let parsed = match prefix {
            codec::CONTROL | codec::ATTEMPT => {
                codec::entry_body(&value).map(|body| (Links::NONE, body))
            }
            _ => codec::parse_contact(&value),
        };
        let (links, body) =
            parsed.ok_or_else(|| StoreError::damaged("engine", "a value can't be read"))?;
        digest.add(block.push(&Image { prefix, id, links, body }));
        if block.raw.len() >= BLOCK_BYTES {
            block.write(out).map_err(StoreError::not_made(new))?;
        }
        if half == Some(count) {
            out.flush().map_err(StoreError::not_made(new))?;
            fault::point("snapshot_half");
        }
        count += 1;
    }
    let mut finish = || -> io::Result<()> {
        block.write(out)?;
        let mut end = 0_u32.to_le_bytes().to_vec();
        end.extend_from_slice(&count.to_le_bytes());
        end.extend_from_slice(&digest.0.to_le_bytes());
        end.extend_from_slice(&crc32fast::hash(&end).to_le_bytes());
        out.write_all(&end)
    };
    finish().map_err(StoreError::not_made(new))
}

/// Contacts on their way into a block.
#[derive(Default)]
struct BlockWriter {
    raw: Vec<u8>,
    contacts: u32,
    scratch: Vec<u8>,
    stored: Vec<u8>,
}

impl BlockWriter {
    /// Takes a contact in and returns its summand in the digest.
    fn push(&mut self, image: &Image<'_>) -> u128 {
        varint::put(&mut self.raw, image.id.len() as u64);
        varint::put(&mut self.raw, image.body.len() as u64);
        self.raw.extend_from_slice(&image.links.image.0.to_le_bytes());
        self.raw.extend_from_slice(&image.links.change.0.to_le_bytes());
        self.raw.extend_from_slice(image.id);
        self.raw.extend_from_slice(image.body);
        self.contacts += 1;
        contact_hash(image.id, image.body, &mut self.scratch)
    }

    fn write(&mut self, out: &mut impl io::Write) -> io::Result<()> {
        if self.raw.is_empty() {
            return Ok(());
        }
        self.stored.resize(get_maximum_output_size(self.raw.len()), 0);
        let len = compress_into(&self.raw, &mut self.stored).map_err(io::Error::other)?;
        self.stored.truncate(len);
        let mut head = Vec::with_capacity(16);
        head.extend_from_slice(&(self.raw.len() as u32).to_le_bytes());
        head.extend_from_slice(&(len as u32).to_le_bytes());
        head.extend_from_slice(&self.contacts.to_le_bytes());
        let mut crc = crc32fast::Hasher::new();
        crc.update(&head);
        crc.update(&self.stored);
        head.extend_from_slice(&crc.finalize().to_le_bytes());
        out.write_all(&head)?;
        out.write_all(&self.stored)?;
        self.raw.clear();
        self.contacts = 0;
        Ok(())
    }
}

impl Snapshot {
    /// Opens a file and reads its head.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let mut file = File::open(path).map_err(StoreError::io("opening", path))?;
        let bytes = file.metadata().map_err(StoreError::io("reading", path))?.len();
        let mut start = Vec::new();
        let mut read = |bytes: u64, start: &mut Vec<u8>| {
            (&mut file).take(bytes).read_to_end(start).map_err(StoreError::io("reading", path))
        };
        read(HEAD as u64, &mut start)?;
        read(sealed_bytes(&start).saturating_sub(HEAD as u64), &mut start)?;
        let what = path.display().to_string();
        let head = unseal(MAGIC, &what, FORMAT, &start)?;
        let HeadRecord { log, founding, cut, .. } = head.decode()?;
        io::Seek::seek(&mut file, io::SeekFrom::Start(head.len as u64))
            .map_err(StoreError::io("reading", path))?;
        Ok(Self {
            log,
            founding,
            cut: cut.try_into()?,
            path: path.to_path_buf(),
            bytes,
            file: BufReader::with_capacity(1 << 20, file),
        })
    }

    /// Reads all of it and compares count and digest with the head's. Returns its size in bytes.
    pub(crate) fn verify(self) -> Result<u64, StoreError> {
        let bytes = self.bytes;
        self.for_each(|_| Ok(()))?;
        Ok(bytes)
    }

    /// Shows every contact, ids ascending, then control entries and attempts, keys ascending. An error may come after some were shown: all that were
    /// shown are to be dropped then.
    pub(crate) fn for_each(
        mut self,
        mut each: impl FnMut(&Image<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let counters = self.cut.counters;
        let counted = Some(counters.active + counters.deleted);
        self.section(codec::CONTACT, counted, self.cut.digest, &mut each)?;
        self.section(codec::CONTROL, None, self.cut.control.digest, &mut each)?;
        self.section(codec::ATTEMPT, None, self.cut.attempts, &mut each)
    }

    fn section(
        &mut self,
        prefix: u8,
        counted: Option<u64>,
        expected: Digest,
        each: &mut impl FnMut(&Image<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let (mut rows, mut contacts, mut digest) = (0_u64, 0_u64, Digest::default());
        let (mut stored, mut raw) = (Vec::new(), Vec::new());
        let (mut last, mut scratch) = (Vec::new(), Vec::new());
        while let Some(count) = self.block(&mut stored, &mut raw)? {
            let mut rest = Cursor(&raw);
            for _ in 0..count {
                let image =
                    parse_image(&mut rest, prefix).ok_or_else(|| self.damaged("a contact"))?;
                if rows > 0 && image.id <= last.as_slice() {
                    return Err(self.damaged("the order"));
                }
                last.clear();
                last.extend_from_slice(image.id);
                digest.add(contact_hash(image.id, image.body, &mut scratch));
                rows += 1;
                contacts += u64::from(!is_payment(image.id));
                each(&image)?;
            }
            if !rest.0.is_empty() {
                return Err(self.damaged("a block holds more than it says"));
            }
        }
        let is_whole = counted.is_none_or(|counted| counted == contacts) && digest == expected;
        if !is_whole || !self.ends_with(rows, digest)? {
            return Err(self.damaged("count or digest"));
        }
        Ok(())
    }

    fn block(
        &mut self,
        stored: &mut Vec<u8>,
        raw: &mut Vec<u8>,
    ) -> Result<Option<u32>, StoreError> {
        let raw_len = self.u32()?;
        if raw_len == 0 {
            return Ok(None);
        }
        let (stored_len, contacts, crc) = (self.u32()?, self.u32()?, self.u32()?);
        if raw_len as usize > BLOCK_BYTES_MAX || stored_len as usize > BLOCK_BYTES_MAX {
            return Err(self.damaged("a block's length"));
        }
        stored.resize(stored_len as usize, 0);
        self.fill(stored)?;
        let mut hasher = crc32fast::Hasher::new();
        for part in [raw_len, stored_len, contacts] {
            hasher.update(&part.to_le_bytes());
        }
        hasher.update(stored);
        if hasher.finalize() != crc {
            return Err(self.damaged("a block's checksum"));
        }
        raw.resize(raw_len as usize, 0);
        match decompress_into(stored, raw) {
            Ok(len) if len == raw_len as usize => Ok(Some(contacts)),
            Ok(_) | Err(_) => Err(self.damaged("a block")),
        }
    }

    fn ends_with(&mut self, contacts: u64, digest: Digest) -> Result<bool, StoreError> {
        let mut expected = 0_u32.to_le_bytes().to_vec();
        expected.extend_from_slice(&contacts.to_le_bytes());
        expected.extend_from_slice(&digest.0.to_le_bytes());
        expected.extend_from_slice(&crc32fast::hash(&expected).to_le_bytes());
        let mut end = [0; 28];
        self.fill(&mut end)?;
        Ok(expected.get(4..) == Some(&end))
    }

    fn u32(&mut self) -> Result<u32, StoreError> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), StoreError> {
        match self.file.read_exact(bytes) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.damaged("the end is missing"))
            }
            Err(error) => Err(StoreError::io("reading", &self.path)(error)),
        }
    }

    fn damaged(&self, detail: &str) -> StoreError {
        StoreError::damaged(format!("snapshot {}", self.path.display()), detail)
    }
}

fn parse_image<'a>(rest: &mut Cursor<'a>, prefix: u8) -> Option<Image<'a>> {
    let (id, body) = (rest.len()?, rest.len()?);
    let links = Links { image: ChangeRef(rest.u64()?), change: ChangeRef(rest.u64()?) };
    Some(Image { prefix, id: rest.bytes(id)?, links, body: rest.bytes(body)? })
}
