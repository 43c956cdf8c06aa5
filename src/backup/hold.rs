//! All that an instance has, held together for a copy: links in a directory beside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::event_log::embedded;
use crate::ingest::{OUTBOX_FILES, STAMP_FILE};
use crate::segments::{FrameNo, SegmentExtent, SegmentKind, extents, link};
use crate::store::{Pinning, SEGMENT_FOLDERS, StoredState};

use super::BackupError;
use super::sink::make_dir;

/// What a data directory's links are kept in meanwhile.
const FOLDER: &str = "backup.staging";
/// As they are called in a backup, and in a data directory unless it is configured otherwise.
const LOG: &str = "log";
const OUTBOX: &str = "outbox";
const USERS: &str = "users.toml";

/// Where an instance keeps what is its own.
#[derive(Clone, Debug)]
pub struct Place {
    /// The embedded log, where that is followed.
    log: Option<PathBuf>,
    /// What waits for the brokers, where there are some.
    outbox: Option<PathBuf>,
    users: PathBuf,
}

impl Place {
    /// As configured.
    pub fn of(config: &Config) -> Self {
        let is_kafka = config.follows_kafka();
        Self {
            log: (!is_kafka).then(|| config.embedded_log.path.clone()),
            outbox: is_kafka.then(|| config.outbox.path.clone()),
            users: config.auth.users_file.clone(),
        }
    }
}

/// Files that stay what they are until it is dropped.
#[derive(Debug)]
pub struct Held {
    dir: PathBuf,
    pub(super) files: Vec<HeldFile>,
    pub(super) state: StoredState,
    /// Behind the last frame of the journal that the state is of; it may have grown since.
    journal_end: FrameNo,
}

/// What of a file is copied, and what it is called.
#[derive(Debug)]
pub(super) struct HeldFile {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Err(error) = remove_dir(&self.dir) {
            tracing::warn!(path = %self.dir.display(), %error, "the links of a backup stay until the next one");
        }
    }
}

impl Held {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    fn segments(&mut self, folder: &str, extents: Vec<SegmentExtent>) {
        self.files.extend(extents.into_iter().map(|SegmentExtent { path, bytes, .. }| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            HeldFile { name: format!("{folder}/{file}"), path, bytes }
        }));
    }

    /// A file that is there as a whole, if it is there.
    fn whole(&mut self, name: &str) -> Result<(), BackupError> {
        let path = self.dir.join(name);
        match fs::metadata(&path) {
            Ok(found) => {
                self.files.push(HeldFile { name: name.to_owned(), path, bytes: found.len() });
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(BackupError::io("reading", &path)(error)),
        }
    }
}

/// What a kill left of a backup.
///
/// # Errors
/// When it can't be removed.
pub fn remove_left(data: &Path) -> Result<(), BackupError> {
    let dir = data.join(FOLDER);
    remove_dir(&dir).map_err(BackupError::io("removing", &dir))
}

fn remove_dir(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Holds everything, as of one place: the log last, which then has all that the store has applied.
///
/// # Errors
/// When a snapshot can't be written, or files not be held.
pub fn hold(place: &Place, pinning: &Pinning) -> Result<Held, BackupError> {
    let data = pinning.path();
    remove_left(&data)?;
    let dir = data.join(FOLDER);
    make_dir(&dir)?;
    let outbox = place.outbox.as_deref().filter(|path| path.is_dir());
    if let Some(from) = outbox {
        hold_outbox(from, &dir.join(OUTBOX))?;
    }
    let (state, journal_end) = pinning.pin(&dir).inspect_err(|_| drop(remove_dir(&dir)))?;
    let mut held = Held { dir, files: Vec::new(), state, journal_end };
    if let Some(from) = &place.log {
        embedded::pin(from, &held.dir.join(LOG))?;
    }
    hold_file(&data.join(STAMP_FILE), &held.dir.join(STAMP_FILE))?;
    hold_file(&place.users, &held.dir.join(USERS))?;
    list(&mut held, place.log.is_some(), outbox.is_some())?;
    Ok(held)
}

fn list(held: &mut Held, has_log: bool, has_outbox: bool) -> Result<(), BackupError> {
    let snapshots = held.dir.join("snapshots");
    for entry in fs::read_dir(&snapshots).map_err(BackupError::io("listing", &snapshots))? {
        let name = entry.map_err(BackupError::io("listing", &snapshots))?.file_name();
        held.whole(&format!("snapshots/{}", name.to_string_lossy()))?;
    }
    for (folder, kind) in SEGMENT_FOLDERS {
        let to = match kind {
            SegmentKind::Journal => held.journal_end,
            SegmentKind::DeadLetters | SegmentKind::Log => FrameNo(u64::MAX),
        };
        let found = extents(&held.dir.join(folder), kind, to)?;
        held.segments(folder, found);
    }
    for (has_it, folder) in [(has_log, LOG), (has_outbox, OUTBOX)] {
        if has_it {
            let found = embedded::extents(&held.dir.join(folder))?;
            held.segments(&format!("{folder}/{}", embedded::SEGMENTS), found);
            held.whole(&format!("{folder}/{}", embedded::META))?;
        }
    }
    for name in OUTBOX_FILES {
        held.whole(&format!("{OUTBOX}/{name}"))?;
    }
    for name in ["checkpoint", "identity", STAMP_FILE, USERS] {
        held.whole(name)?;
    }
    Ok(())
}

/// Where the cursor stands goes first: what was forwarded since may be forwarded again, and never not at all.
fn hold_outbox(from: &Path, to: &Path) -> Result<(), BackupError> {
    make_dir(to)?;
    for name in OUTBOX_FILES {
        hold_file(&from.join(name), &to.join(name))?;
    }
    Ok(embedded::pin(from, to)?)
}

/// One that is there; what is replaced as a whole stays what it is under its second name.
fn hold_file(from: &Path, to: &Path) -> Result<(), BackupError> {
    match link(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(BackupError::io("linking", from)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
