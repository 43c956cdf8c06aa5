//! How a contact lies in a segment.
//!
//! ```text
//! xxh3_64 of what follows u64 | id bytes u16 | value bytes u32 | id | value | 0 to 7 zeros
//! ```
//!
//! All little endian; each begins at a multiple of 8 bytes.

use xxhash_rust::xxh3::xxh3_64;

use super::super::engine::VALUE_BYTES_MAX;
use crate::domain::limits::ROW_ID_BYTES_MAX;

/// What records begin at multiples of, in bytes.
pub(super) const UNIT: usize = 8;
const CHECKSUM_BYTES: usize = 8;
const HEAD_BYTES: usize = CHECKSUM_BYTES + 2 + 4;
/// Longest record, in bytes.
pub(super) const RECORD_BYTES_MAX: usize = padded(HEAD_BYTES + ROW_ID_BYTES_MAX + VALUE_BYTES_MAX);

/// A contact as it lies there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) id: &'a [u8],
    pub(crate) value: &'a [u8],
}

impl<'a> Record<'a> {
    /// None: those are no such record.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (checksum, rest) = bytes.split_first_chunk::<CHECKSUM_BYTES>()?;
        let (id_len, tail) = rest.split_first_chunk::<2>()?;
        let (value_len, tail) = tail.split_first_chunk::<4>()?;
        let id_len = usize::from(u16::from_le_bytes(*id_len));
        let value_len = u32::from_le_bytes(*value_len) as usize;
        let (id, tail) = tail.split_at_checked(id_len)?;
        let value = tail.get(..value_len)?;
        let covered = rest.get(..HEAD_BYTES - CHECKSUM_BYTES + id_len + value_len)?;
        (xxh3_64(covered) == u64::from_le_bytes(*checksum)).then_some(Self { id, value })
    }

    /// Its bytes in a segment.
    pub(super) fn len(&self) -> usize {
        padded(HEAD_BYTES + self.id.len() + self.value.len())
    }

    pub(crate) fn append_to(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; CHECKSUM_BYTES]);
        out.extend_from_slice(&(self.id.len() as u16).to_le_bytes());
        out.extend_from_slice(&(self.value.len() as u32).to_le_bytes());
        out.extend_from_slice(self.id);
        out.extend_from_slice(self.value);
        let checksum = out.get(start + CHECKSUM_BYTES..).map_or(0, xxh3_64);
        if let Some(room) = out.get_mut(start..start + CHECKSUM_BYTES) {
            room.copy_from_slice(&checksum.to_le_bytes());
        }
        out.resize(start + self.len(), 0);
    }
}

const fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(UNIT)
}
