//! Numbered, checksummed frames in append-only files: what the journal, the embedded log, the
//! outbox and the dead letters are made of.
//!
//! ```text
//! dir/00000000000000000000.seg   64-byte header, then frames 0, 1, 2 …   (sealed: synced, never written again)
//!     00000000000000000000.ids   sorted id table of a sealed segment, optional
//!     00000000000000000417.seg   frames from 417 on                      (active: appended to)
//! ```
//!
//! Header: magic, format version u32, segment id u64 (random), base frame u64, id and byte length of
//! the segment before, CRC-32. Frame: length u32 (never 0), CRC-32, frame number u64, `synced_to`
//! u64, payload; the CRC covers the segment id, number, length, `synced_to` and payload. All little
//! endian.
//!
//! What holds:
//! - Frame numbers are consecutive over the directory. A segment is synced before the next exists.
//! - `synced_to` says that every frame below it was synced when this one was written. A bad frame
//!   below a position proved in this way, by the caller or by a later segment is damage and is
//!   named. Any other bad frame is the torn end of what was never promised: it and all behind it
//!   are cut.
//! - A segment that was cut is not appended to again, so bytes of the cut frames that a disk brings
//!   back never carry a valid CRC.
//! - After a failed fsync nothing succeeds any more: retrying it would lie.

mod error;
mod file;
mod frame;
mod id_table;
mod lock;
mod pin;
mod reader;
mod recover;
mod sync;
mod window;
mod writer;

pub use error::{SegmentError, is_passing};
pub use frame::FRAME_BYTES_MAX;
pub use id_table::IdTable;
pub use lock::FileLock;
pub use pin::{check, extents, link, pin};
pub use reader::{Cursor, Frame, SegmentExtent, SegmentReader};
pub use sync::SegmentSync;
pub use writer::{OpenReport, SegmentInfo, SegmentWriter};

/// A frame's number, consecutive over all segments of a directory, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameNo(pub u64);

impl FrameNo {
    /// The frame after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl std::fmt::Display for FrameNo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What the frames are for. Files of one kind are not taken for another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentKind {
    /// The store's journal.
    Journal,
    /// The embedded log.
    Log,
    /// Records that can't be applied.
    DeadLetters,
}

/// The names under which a kind's faults are armed in tests.
pub(crate) struct FaultNames {
    /// Making a segment.
    make: &'static str,
    append: &'static str,
    append_half: &'static str,
    sync: &'static str,
    rolled: &'static str,
}

impl SegmentKind {
    fn magic(self) -> [u8; 4] {
        match self {
            Self::Journal => *b"CDJ1",
            Self::Log => *b"CDL1",
            Self::DeadLetters => *b"CDD1",
        }
    }

    fn faults(self) -> FaultNames {
        let names = |make, append, append_half, sync, rolled| FaultNames {
            make,
            append,
            append_half,
            sync,
            rolled,
        };
        match self {
            Self::Journal => names(
                "journal_make",
                "journal_append",
                "journal_append_half",
                "journal_sync",
                "segment_rolled",
            ),
            Self::Log => {
                names("log_make", "log_append", "log_append_half", "log_sync", "log_segment_rolled")
            }
            Self::DeadLetters => {
                names("dlq_make", "dlq_append", "dlq_append_half", "dlq_sync", "dlq_segment_rolled")
            }
        }
    }
}

/// How a directory of segments is written.
#[derive(Clone, Copy, Debug)]
pub struct SegmentOptions {
    /// What the frames are for.
    pub kind: SegmentKind,
    /// A segment that would grow past this many bytes is sealed first; a single larger frame gets a
    /// segment of its own.
    pub segment_bytes_max: u64,
}

#[cfg(test)]
mod tests;
