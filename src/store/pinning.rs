//! What a backup is made of: the store's files held together at one place while applying goes on.
//!
//! The order is what makes them fit: checkpoint and snapshot first, which later frames of the journal go on from;
//! then the journal, so that nothing of it goes; the dead letters, which hold what the journal need not keep any
//! more; and last what the journal has had since, so that no dead letter is of a frame that is not there.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::position::{LogIdentity, Position};
use crate::segments::{FrameNo, SegmentKind, link, pin};

use super::StoreError;
use super::checkpoint::{CHECKPOINT, IDENTITY};
use super::checkpointer::Control;
use super::cut::Cut;
use super::dead_letters::FOLDER;
use super::digest::Digest;
use super::journal::Journal;
use super::shared::Shared;
use super::snapshot::{self, Snapshot};

const JOURNAL: &str = "journal";

/// Holds the files of an open store for a copy.
#[derive(Clone, Debug)]
pub struct Pinning {
    shared: Arc<Shared>,
    control: Arc<Control>,
}

/// What the files of a store, redone to their end, come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredState {
    /// The log that it follows.
    pub log: Option<LogIdentity>,
    /// Up to where that is applied.
    pub position: Position,
    /// Active contacts.
    pub active: u64,
    /// Deleted contacts.
    pub deleted: u64,
    /// Over all contacts.
    pub digest: Digest,
    /// Over all control entries.
    pub control_digest: Digest,
    /// Over all attempts at commands that are remembered.
    pub attempts_digest: Digest,
    /// Greatest record timestamp, in ms.
    pub record_time_ms: i64,
}

impl StoredState {
    fn new(log: Option<LogIdentity>, cut: &Cut) -> Self {
        let fingerprint = log.as_ref().map_or(0, LogIdentity::fingerprint);
        Self {
            position: Position::of_lanes(fingerprint, cut.next_offsets()),
            log,
            active: cut.counters.active,
            deleted: cut.counters.deleted,
            digest: cut.digest,
            control_digest: cut.control.digest,
            attempts_digest: cut.attempts,
            record_time_ms: cut.record_time_ms,
        }
    }
}

/// A directory of segments that is part of a store.
pub const SEGMENT_FOLDERS: [(&str, SegmentKind); 2] =
    [(JOURNAL, SegmentKind::Journal), (FOLDER, SegmentKind::DeadLetters)];

impl Pinning {
    pub(super) fn new(shared: Arc<Shared>, control: Arc<Control>) -> Self {
        Self { shared, control }
    }

    /// Writes a snapshot and holds it, with all that goes on from it, in the directory `to`. The files' paths
    /// there are those in the data directory.
    ///
    /// # Errors
    /// When there is no snapshot, as the disk is full for instance, or a file can't be held.
    pub fn pin(&self, to: &Path) -> Result<(StoredState, FrameNo), StoreError> {
        self.control.snapshot_now(&self.shared)?;
        let from = &self.shared.path;
        hold(&from.join(IDENTITY.name), &to.join(IDENTITY.name))?;
        match hold(&from.join(CHECKPOINT.name), &to.join(CHECKPOINT.name)) {
            // There is none before the first commit.
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            held => held?,
        }
        let Some((snapshot, _)) = snapshot::list(from)?.pop() else {
            return Err(StoreError::damaged("the backup", "no snapshot could be written"));
        };
        let path = to.join(snapshot.strip_prefix(from).unwrap_or(&snapshot));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(StoreError::not_made(folder))?;
        }
        hold(&snapshot, &path)?;
        for folder in [JOURNAL, FOLDER, JOURNAL] {
            pin(&from.join(folder), &to.join(folder))?;
        }
        state_of(to)
    }

    /// The data directory.
    pub fn path(&self) -> PathBuf {
        self.shared.path.clone()
    }
}

fn hold(from: &Path, to: &Path) -> Result<(), StoreError> {
    link(from, to).map_err(StoreError::io("linking", from))
}

/// What the snapshot and journal of a directory come to, by what they say themselves.
///
/// # Errors
/// When they don't fit together, or can't be read.
fn state_of(dir: &Path) -> Result<(StoredState, FrameNo), StoreError> {
    let Some((path, next)) = snapshot::list(dir)?.pop() else {
        return Err(StoreError::damaged(dir.display().to_string(), "it has no snapshot"));
    };
    let image = Snapshot::open(&path)?;
    let journal = Journal::open(&dir.join(JOURNAL))?;
    let end = journal.end()?;
    if end < next || journal.first()? > next {
        let detail = format!("it does not go on from the snapshot at frame {next}");
        return Err(StoreError::damaged("the journal", detail));
    }
    if end == next {
        return Ok((StoredState::new(image.log, &image.cut), end));
    }
    match journal.head(FrameNo(end.0 - 1))? {
        Some(head) => Ok((StoredState::new(image.log, &head.after), end)),
        None => Err(StoreError::damaged("the journal", "its last frame is not there")),
    }
}
