//! What each batch did and how far the log was read: one frame a batch, the commit itself.
//!
//! ```text
//! frame payload (v = varint LEB128, z = zigzag varint, integers little endian)
//! u8 format | u32 length of the head | u32 CRC-32 of frame number u64 and head | head | blocks, LZ4 where shorter
//! head: z base time | z greatest record time
//! v lanes  (v lane | v next | u8 has last (v back from next | z epoch + 1, 0 none | u64 hash))*
//! v verdict total * 9 | v active | v deleted | u128 digest                absolute, after the batch
//! u128 control digest | v control verdict total * 9 | u128 digest of attempts
//! (v raw length | v stored length | v entries | u32 CRC-32 of what is stored)*   a block each, in their order
//! entry: u32 length of the rest | u8 verdict + 16 * record kind + 64 if an attempt + 128 if with an image
//!        though not applied | v lane | v offset | z record time - base | [attempt as stored] | ...
//!   applied, or with an image: u8 kind | v this ref - previous image, 0 none | v previous image - previous
//!                  change, 0 where that is it or there is none | v event time + 1 | v len event id |
//!                  v len source | v len principal + 1 | v len request id + 1 | bytes of those |
//!                  v len id | id | 0x00 | body
//!   marker, applied: v number | v founding + 1 where it is the beginning of all lanes |
//!                  v len rules | v len principal + 1 | bytes of those
//!   dead-lettered: u64 event id hash | v len source | source | u8 reason | v len detail | v key len + 1 | v value kept + 1 |
//!                  v value length | u64 value hash | v len headers | the bytes
//!   rehomed:       v len source | source | v event time + 1 | v len event id | v len contact id | v key len + 1 |
//!                  v value len + 1 | v len headers | the bytes
//!   others:        u64 event id hash | v len source | source
//!   control, not dead-lettered: v len event id | v len key | v len principal + 1 |
//!                  v len request id + 1 | v len entry + 1 | bytes of those | (v len | key dropped)*
//! ```

mod blocks;
mod decode;
mod encode;
mod entry;
pub(crate) mod varint;

pub use blocks::FrameHead;
pub use decode::{Frame, Journal, JournalEntry};
pub(crate) use encode::{FrameBuilder, FrameRange};
pub(crate) use entry::event_hash;
pub use entry::{
    Applied, AwayRecord, ControlChange, Counters, DeadLetter, Entry, EntryMeta, LaneProgress,
    LastRecord, Letter, Outcome, Rehomed, RulesChange,
};

/// The format of frames.
pub(crate) const FORMAT: u8 = 1;
/// Beside verdict and record kind: the entry holds an attempt at a command.
pub(crate) const ATTEMPTED: u8 = 1 << 6;
/// Set beside verdict and kind of an entry that is not applied and holds an image all the same.
pub(crate) const WITH_IMAGE: u8 = 1 << 7;
/// A value above this is kept as its head, length and hash.
pub(crate) const VALUE_KEPT_MAX: usize = 64 << 10;
/// How much of such a value is kept.
pub(crate) const VALUE_HEAD: usize = 4 << 10;

#[cfg(test)]
mod tests;
