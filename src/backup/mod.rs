//! A data directory kept elsewhere, taken while it is in use, and brought back.
//!
//! ```text
//! store, log, outbox, users ─► hold (links, at one place) ─► pack (paced, SHA-256 of each) ─┬─► directory
//!                                                                                          ├─► s3://bucket/prefix
//!                                                                                          ├─► FILE.tar.zst
//!                                                                                          └─► HTTP ─► relay ─► any of them
//! any of them ─► unpack (each file against the manifest) ─► TARGET.partial ─► opened, redone, cross-checked ─► TARGET
//! ```
//!
//! The manifest is written last: what has none is no backup. A restore gets its name last. Verifying is a restore into
//! a directory that is removed again.

mod bucket;
mod desk;
mod error;
mod hold;
mod keep;
mod kept;
mod manifest;
mod names;
mod pace;
mod pack;
mod restore;
mod sink;
mod storage_error;
mod unpack;

pub use bucket::Bucket;
pub use desk::{Backups, LastRun, Stream};
pub use error::BackupError;
pub use hold::{Held, Place, hold, remove_left};
pub use keep::{to_bucket, to_directory, to_file};
pub use kept::KeptBackup;
pub use manifest::{ContactCount, MANIFEST, Manifest, PackedFile};
pub use pace::Pace;
pub use pack::pack;
pub use restore::{
    ConfiguredLog, Origin, Restore, Restored, is_half_restored, is_restored, settled,
};
pub use sink::{Archive, Sink};
pub use unpack::{relay, unpack};

#[cfg(test)]
mod tests;
