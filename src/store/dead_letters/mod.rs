//! Dead letters kept on their own: an archive beside the journal that outlives it.
//!
//! ```text
//! Writer ─commit─► journal ─(fsync)─► thread `dead-letters` ─► dead-letters/*.seg (a frame each)
//!                                                         └─► Index (24 bytes each, in memory) ─► Reader
//! ```
//!
//! What holds:
//! - The journal is the truth: a letter is archived from a frame that was synced, in the journal's
//!   order, once; by lane and offset it is known which ones are there.
//! - The journal is not trimmed past what the archive has synced.
//! - Every frame of the journal says how many letters there were up to it, so those that hold some are
//!   found by bisection, and nothing is read while there are none.
//! - A directory that is missing is filled again from what the journal still holds. One of another log
//!   is set aside.
//! - Bounds are its own: bytes, age, and letters, by whole segments.

mod archive;
mod entry;
mod index;
mod shared;
mod thread;

use std::time::Duration;

pub use entry::KeptLetter;
pub use index::LetterRow;
pub use shared::{DeadLetters, LetterFigures};
pub(crate) use thread::DeadLettersThread;

/// The archive's folder in the data directory.
pub(crate) const FOLDER: &str = "dead-letters";
/// Where an archive that belongs to another log goes.
const FOLDER_BEFORE: &str = "dead-letters.before";
/// Letters kept at most: what the index may hold in memory.
const LETTERS_MAX: usize = 1_000_000;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LetterLimits {
    /// Bytes on the disk.
    pub(crate) bytes_max: u64,
    /// How long one is kept; none: for ever.
    pub(crate) age_max: Option<Duration>,
}

#[cfg(test)]
mod tests;
