//! The last ids of untimed events, whose repeats no clock can tell.
//!
//! Count u8 ‖ id hash u64 each. Oldest first.

use super::wire::{Wire, put_u64};

/// Ids that a ring holds.
pub(crate) const RING_LEN: usize = 16;
const UNTIMED_BYTES: usize = 8;

/// The ring, in place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rings<'a> {
    untimed: &'a [[u8; UNTIMED_BYTES]],
}

impl<'a> Rings<'a> {
    pub(crate) fn read(wire: &mut Wire<'a>) -> Option<Self> {
        Some(Self { untimed: entries(wire)? })
    }

    pub(crate) fn has_untimed(&self, id_hash: u64) -> bool {
        self.untimed.iter().any(|entry| u64::from_le_bytes(*entry) == id_hash)
    }

    /// Writes them with what is new at the end, the oldest dropped when full.
    pub(crate) fn write_with(&self, untimed: Option<u64>, out: &mut Vec<u8>) {
        put_entries(out, self.untimed, untimed.is_some());
        if let Some(id_hash) = untimed {
            put_u64(out, id_hash);
        }
    }
}

fn entries<'a, const N: usize>(wire: &mut Wire<'a>) -> Option<&'a [[u8; N]]> {
    let count = usize::from(wire.u8()?);
    let bytes = wire.bytes(count * N)?;
    (count <= RING_LEN).then_some(bytes.as_chunks().0)
}

fn put_entries<const N: usize>(out: &mut Vec<u8>, entries: &[[u8; N]], one_more: bool) {
    let count = (entries.len() + usize::from(one_more)).min(RING_LEN);
    let kept = count - usize::from(one_more);
    out.push(count as u8);
    let (_, kept) = entries.split_at(entries.len() - kept);
    out.extend_from_slice(kept.as_flattened());
}
