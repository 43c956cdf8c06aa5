//! Small files that are whole or not there: an envelope with format and checksum, renamed into place.
//!
//! ```text
//! magic [u8; 4] | format u32 | length u32 | bincode | crc32 of all before          little endian
//! checkpoint  "CDCP": the state up to which the engine holds the journal
//! identity    "CDID": which store this is and which log it follows
//! ```

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use bincode::error::DecodeError;
use bincode::{Decode, Encode};

use crate::domain::founding::Founding;
use crate::domain::position::{Lane, LogIdentity, NextOffset, Offset};
use crate::domain::verdict::Verdict;
use crate::segments::FrameNo;
use crate::telemetry::fault;

use super::StoreError;
use super::cut::{ControlSums, Cut};
use super::digest::Digest;
use super::journal::{Counters, LaneProgress, LastRecord};
use super::rules::RulesRecord;
use super::source_verdicts::{SourceVerdicts, Verdicts};

/// The format of the envelope's content.
pub(crate) const FORMAT: u32 = 1;
/// Files of this sort are far smaller, whatever the rules of each lane; a longer one is no such file.
const BYTES_MAX: usize = 1 << 30;
/// Nearly all files of this sort are shorter.
const SHORT_BYTES: usize = 64 << 10;
/// Bytes of memory that a byte can stand for, and more.
const IN_MEMORY: usize = 64;
/// Bytes before the content.
pub(crate) const HEAD: usize = 12;

/// A kind of small file.
pub(crate) struct FileKind {
    pub(crate) name: &'static str,
    pub(crate) magic: [u8; 4],
    /// Written in.
    format: u32,
    /// Kill point between the two halves of the write.
    half: &'static str,
    /// The fault of making it.
    make: &'static str,
}

pub(crate) const CHECKPOINT: FileKind = FileKind {
    name: "checkpoint",
    magic: *b"CDCP",
    format: FORMAT,
    half: "checkpoint_half",
    make: "checkpoint_make",
};

pub(crate) const IDENTITY: FileKind = FileKind {
    name: "identity",
    magic: *b"CDID",
    format: FORMAT,
    half: "identity_half",
    make: "identity_make",
};

/// Up to where the engine holds the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Counts up by one; the engine's own copy is written after all contacts of the checkpoint.
    pub(crate) number: u64,
    /// Which store it belongs to.
    pub(crate) store: u64,
    pub(crate) cut: Cut,
}

/// Which store this is.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct StoreIdentity {
    /// Random, so that parts of two stores are not mixed up.
    pub(crate) store: u64,
    /// The log that it follows, once it is known.
    pub(crate) log: Option<LogIdentity>,
    /// What a contact's home lane follows from, from the first record on.
    pub(crate) founding: Option<Founding>,
    /// Id of the log's base, where it has one, and whether this store comes from it.
    pub(crate) base: Option<(String, bool)>,
}

/// [`Cut`] as bincode has it.
#[derive(Encode, Decode)]
pub(crate) struct CutRecord {
    next_frame: u64,
    lanes: Vec<LaneRecord>,
    verdicts: [u64; Verdict::COUNT],
    active: u64,
    deleted: u64,
    sources: (Vec<(Vec<u8>, Verdicts)>, Verdicts),
    digest: u128,
    control_digest: u128,
    control_verdicts: [u64; Verdict::COUNT],
    rules: RulesRecord,
    attempts: u128,
    record_time_ms: i64,
}

#[derive(Encode, Decode)]
struct LaneRecord {
    lane: u16,
    next: u64,
    last: Option<(u64, Option<i32>, u64)>,
}

#[derive(Encode, Decode)]
struct CheckpointRecord {
    number: u64,
    store: u64,
    cut: CutRecord,
}

impl From<&Cut> for CutRecord {
    fn from(cut: &Cut) -> Self {
        let lanes = cut.lanes.iter().map(|(lane, at)| LaneRecord {
            lane: lane.0,
            next: at.next.0,
            last: at.last.map(|at| (at.offset.0, at.leader_epoch, at.hash)),
        });
        Self {
            next_frame: cut.next_frame.0,
            lanes: lanes.collect(),
            verdicts: cut.counters.verdicts,
            active: cut.counters.active,
            deleted: cut.counters.deleted,
            sources: cut.sources.to_record(),
            digest: cut.digest.0,
            control_digest: cut.control.digest.0,
            control_verdicts: cut.control.verdicts,
            rules: RulesRecord::from(&*cut.rules),
            attempts: cut.attempts.0,
            record_time_ms: cut.record_time_ms,
        }
    }
}

impl TryFrom<CutRecord> for Cut {
    type Error = StoreError;

    fn try_from(record: CutRecord) -> Result<Self, StoreError> {
        let lanes = record.lanes.into_iter().map(|at| {
            let last = at.last.map(|(offset, leader_epoch, hash)| LastRecord {
                offset: Offset(offset),
                leader_epoch,
                hash,
            });
            let next = NextOffset(at.next);
            (Lane(at.lane), LaneProgress { next, last })
        });
        Ok(Self {
            next_frame: FrameNo(record.next_frame),
            lanes: lanes.collect(),
            counters: Counters {
                verdicts: record.verdicts,
                active: record.active,
                deleted: record.deleted,
            },
            sources: Arc::new(SourceVerdicts::from_record(record.sources)),
            digest: Digest(record.digest),
            control: ControlSums {
                digest: Digest(record.control_digest),
                verdicts: record.control_verdicts,
            },
            rules: Arc::new(record.rules.read()?),
            attempts: Digest(record.attempts),
            record_time_ms: record.record_time_ms,
        })
    }
}

impl From<&Checkpoint> for CheckpointRecord {
    fn from(checkpoint: &Checkpoint) -> Self {
        let Checkpoint { number, store, cut } = checkpoint;
        Self { number: *number, store: *store, cut: CutRecord::from(cut) }
    }
}

impl TryFrom<CheckpointRecord> for Checkpoint {
    type Error = StoreError;

    fn try_from(record: CheckpointRecord) -> Result<Self, StoreError> {
        let CheckpointRecord { number, store, cut } = record;
        Ok(Self { number, store, cut: cut.try_into()? })
    }
}

impl Checkpoint {
    pub(crate) fn write(&self, dir: &Path) -> Result<(), StoreError> {
        write_file(dir, &CHECKPOINT, &CheckpointRecord::from(self))
    }

    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, StoreError> {
        read_file::<CheckpointRecord>(dir, &CHECKPOINT)?.map(Self::try_from).transpose()
    }

    /// Its file's bytes, read and written again.
    pub(crate) fn again(bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
        let FileKind { name, magic, format, .. } = CHECKPOINT;
        let record = unseal(magic, name, format, bytes)?.decode::<CheckpointRecord>()?;
        seal(magic, format, name, &CheckpointRecord::from(&Self::try_from(record)?))
    }
}

impl StoreIdentity {
    /// Its file's bytes, read and written again.
    pub(crate) fn again(bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
        let FileKind { name, magic, format, .. } = IDENTITY;
        seal(magic, format, name, &unseal(magic, name, format, bytes)?.decode::<Self>()?)
    }
}

/// Wraps a value: magic, format, length, bincode, checksum.
pub(crate) fn seal<T: Encode>(
    magic: [u8; 4],
    format: u32,
    what: &str,
    value: &T,
) -> Result<Vec<u8>, StoreError> {
    let config = bincode::config::standard();
    let content = bincode::encode_to_vec(value, config)
        .map_err(|error| StoreError::damaged(what, error.to_string()))?;
    let mut bytes = Vec::with_capacity(HEAD + content.len() + 4);
    bytes.extend_from_slice(&magic);
    bytes.extend_from_slice(&format.to_le_bytes());
    bytes.extend_from_slice(&(content.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&content);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    Ok(bytes)
}

/// Bytes of what [`seal`] wrapped, by its first ones.
pub(crate) fn sealed_bytes(start: &[u8]) -> u64 {
    let len = start.get(8..HEAD).and_then(|len| len.try_into().ok()).map_or(0, u32::from_le_bytes);
    HEAD as u64 + u64::from(len) + 4
}

/// What [`seal`] wrapped, its checksum found right.
pub(crate) struct Sealed<'a> {
    /// Bytes of all of it.
    pub(crate) len: usize,
    content: &'a [u8],
    what: &'a str,
}

impl Sealed<'_> {
    pub(crate) fn decode<T: Decode<()>>(&self) -> Result<T, StoreError> {
        decoded::<T, BYTES_MAX>(self.content)
            .map_err(|error| StoreError::damaged(self.what, error.to_string()))
    }
}

/// From bincode of `MAX` bytes at most. Of few bytes not much is made: room for a length that they claim
/// is taken before what has it is read.
pub(crate) fn decoded<T: Decode<()>, const MAX: usize>(content: &[u8]) -> Result<T, DecodeError> {
    let config = bincode::config::standard();
    let decoded = if content.len() <= SHORT_BYTES {
        bincode::decode_from_slice(content, config.with_limit::<{ SHORT_BYTES * IN_MEMORY }>())
    } else {
        bincode::decode_from_slice(content, config.with_limit::<MAX>())
    };
    decoded.map(|(value, _)| value)
}

/// Opens what [`seal`] wrapped.
pub(crate) fn unseal<'a>(
    magic: [u8; 4],
    what: &'a str,
    known: u32,
    bytes: &'a [u8],
) -> Result<Sealed<'a>, StoreError> {
    let torn = || StoreError::damaged(what, "it is cut short");
    let (head, rest) = bytes.split_first_chunk::<HEAD>().ok_or_else(torn)?;
    let [m0, m1, m2, m3, f0, f1, f2, f3, l0, l1, l2, l3] = *head;
    if [m0, m1, m2, m3] != magic {
        return Err(StoreError::damaged(what, "it is no such file"));
    }
    let format = u32::from_le_bytes([f0, f1, f2, f3]);
    if format != known {
        return Err(StoreError::UnknownFormat { what: what.to_owned(), found: format, known });
    }
    let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let (content, rest) = rest.split_at_checked(len).ok_or_else(torn)?;
    let (crc, _) = rest.split_first_chunk::<4>().ok_or_else(torn)?;
    let summed = bytes.get(..HEAD + len).unwrap_or_default();
    if crc32fast::hash(summed) != u32::from_le_bytes(*crc) {
        return Err(StoreError::damaged(what, "its checksum differs"));
    }
    Ok(Sealed { len: HEAD + len + 4, content, what })
}

/// Writes a small file: new file, fsync, rename, fsync of the directory.
///
/// # Errors
/// Of class Retry: the file is as it was.
pub(crate) fn write_file<T: Encode>(
    dir: &Path,
    kind: &FileKind,
    value: &T,
) -> Result<(), StoreError> {
    let bytes = seal(kind.magic, kind.format, kind.name, value)?;
    let path = dir.join(kind.name);
    let new = dir.join(format!("{}.new", kind.name));
    let write = || -> io::Result<(File, File)> {
        fault::io(kind.make)?;
        // Before anything has its name: descriptors may be short.
        let folder = File::open(dir)?;
        let mut file = File::create(&new)?;
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        file.write_all(head)?;
        fault::point(kind.half);
        file.write_all(tail)?;
        Ok((folder, file))
    };
    let (folder, file) = write().map_err(StoreError::not_made(&new))?;
    let synced = fault::io("checkpoint_sync").and_then(|()| file.sync_all());
    synced.map_err(StoreError::io("writing", &new))?;
    fs::rename(&new, &path).map_err(StoreError::not_made(&path))?;
    folder.sync_all().map_err(StoreError::io("syncing", dir))
}

/// Reads a small file; none where there is none.
pub(crate) fn read_file<T: Decode<()>>(
    dir: &Path,
    kind: &FileKind,
) -> Result<Option<T>, StoreError> {
    match read_bytes(dir, kind)? {
        Some(bytes) => unseal(kind.magic, kind.name, kind.format, &bytes)?.decode().map(Some),
        None => Ok(None),
    }
}

fn read_bytes(dir: &Path, kind: &FileKind) -> Result<Option<Vec<u8>>, StoreError> {
    let path = dir.join(kind.name);
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("reading", &path)(error)),
    }
}

/// Makes renames and removals in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(StoreError::io("syncing", dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_and_any_cut_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint { number: 3, store: 9, cut: Cut::default() };
        checkpoint.write(dir.path()).unwrap();
        assert_eq!(Checkpoint::read(dir.path()).unwrap(), Some(checkpoint));
        let path = dir.path().join("checkpoint");
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            fs::write(&path, &bad).unwrap();
            Checkpoint::read(dir.path()).unwrap_err();
            fs::write(&path, &good[..at]).unwrap();
            Checkpoint::read(dir.path()).unwrap_err();
        }
    }

    #[test]
    fn a_newer_format_is_named_with_what_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        Checkpoint { number: 3, store: 9, cut: Cut::default() }.write(dir.path()).unwrap();
        let path = dir.path().join("checkpoint");
        let mut bytes = fs::read(&path).unwrap();
        bytes[4] = 9;
        fs::write(&path, &bytes).unwrap();
        let error = Checkpoint::read(dir.path()).unwrap_err();
        assert!(matches!(error, StoreError::UnknownFormat { found: 9, known: FORMAT, .. }));
        let told = error.to_string();
        assert!(told.contains("checkpoint has format 9") && told.contains("or newer"), "{told}");
    }

    #[test]
    fn of_few_bytes_not_much_is_made_whatever_they_claim() {
        let few = (u32::MAX >> 2).to_le_bytes();
        let claimed = [&[252], few.as_slice(), b"and so on"].concat();
        let error = decoded::<Vec<u64>, BYTES_MAX>(&claimed).unwrap_err();
        assert!(matches!(error, DecodeError::LimitExceeded), "{error}");
        let long: Vec<u64> = (0..SHORT_BYTES as u64).collect();
        let bytes = bincode::encode_to_vec(&long, bincode::config::standard()).unwrap();
        assert_eq!(decoded::<Vec<u64>, BYTES_MAX>(&bytes).unwrap(), long);
        let short = vec![0_u64; SHORT_BYTES - 9];
        let bytes = bincode::encode_to_vec(&short, bincode::config::standard()).unwrap();
        assert_eq!(decoded::<Vec<u64>, BYTES_MAX>(&bytes).unwrap(), short);
    }

    #[test]
    fn a_half_written_new_file_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Checkpoint::read(dir.path()).unwrap(), None);
        let store = StoreIdentity { store: 5, log: None, founding: None, base: None };
        write_file(dir.path(), &IDENTITY, &store).unwrap();
        fs::write(dir.path().join("identity.new"), b"torn").unwrap();
        assert_eq!(read_file(dir.path(), &IDENTITY).unwrap(), Some(store));
    }
}
