//! The last ids whose repeats no clock can tell: untimed events, and commands with their outcome.
//!
//! Count u8 ‖ untimed: id hash u64 each ‖ count u8 ‖ commands: id hash u64, body hash 16, verdict u8,
//! version u64 each. Oldest first.

use super::CommandOutcome;
use super::wire::{Wire, put_u64};
use crate::domain::verdict::Verdict;

/// Ids that a ring holds.
pub(crate) const RING_LEN: usize = 16;
const UNTIMED_BYTES: usize = 8;
const COMMAND_BYTES: usize = 33;

/// Both rings, in place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rings<'a> {
    untimed: &'a [[u8; UNTIMED_BYTES]],
    commands: &'a [[u8; COMMAND_BYTES]],
}

impl<'a> Rings<'a> {
    pub(crate) fn read(wire: &mut Wire<'a>) -> Option<Self> {
        Some(Self { untimed: entries(wire)?, commands: entries(wire)? })
    }

    pub(crate) fn has_untimed(&self, id_hash: u64) -> bool {
        self.untimed.iter().any(|entry| u64::from_le_bytes(*entry) == id_hash)
    }

    /// The latest outcome under this id.
    pub(crate) fn command(&self, id_hash: u64) -> Option<CommandOutcome> {
        let entries = self.commands.iter().rev();
        entries.filter_map(read_command).find(|(id, _)| *id == id_hash).map(|(_, outcome)| outcome)
    }

    /// Whether any command is remembered.
    pub(crate) fn has_commands(&self) -> bool {
        !self.commands.is_empty()
    }

    /// Writes them with what is new at the end, the oldest dropped when full.
    pub(crate) fn write_with(
        &self,
        untimed: Option<u64>,
        command: Option<(u64, CommandOutcome)>,
        out: &mut Vec<u8>,
    ) {
        put_entries(out, self.untimed, untimed.is_some());
        if let Some(id_hash) = untimed {
            put_u64(out, id_hash);
        }
        put_entries(out, self.commands, command.is_some());
        if let Some((id_hash, outcome)) = command {
            put_u64(out, id_hash);
            out.extend_from_slice(&outcome.body_hash);
            out.push(outcome.verdict as u8);
            put_u64(out, outcome.version);
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

fn read_command(entry: &[u8; COMMAND_BYTES]) -> Option<(u64, CommandOutcome)> {
    let mut wire = Wire::new(entry);
    let id_hash = wire.u64()?;
    let body_hash = *wire.array()?;
    let verdict = Verdict::from_u8(wire.u8()?)?;
    Some((id_hash, CommandOutcome { body_hash, verdict, version: wire.u64()? }))
}
