//! Opening: checkpoint → engine → redo of the journal after it → one scan that proves the result.
//!
//! After-images make redo right whatever subset of the later ones reached the engine. The scan adds
//! up the digest, with what redo put into memory in front of it, and feeds the ordered indexes; a
//! difference means that the engine hides damage, and it is filled again (see `refill`).

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use crate::config::StoreConfig;
use crate::domain::position::LogIdentity;
use crate::segments::{FrameNo, OpenReport, SegmentKind, SegmentOptions, SegmentWriter};

use super::bounds::Bounds;
use super::cache::ReadCache;
use super::checkpoint::{Checkpoint, StoreIdentity};
use super::checkpointer::CheckpointThread;
use super::codec;
use super::commits::Commits;
use super::contacts::Contacts;
use super::control::Controls;
use super::cut::Cut;
use super::dead_letters::{DeadLetters, DeadLettersThread};
use super::dirty::DirtySet;
use super::disk::{Ballast, DiskGuard};
use super::error::EngineMismatch;
use super::events::{Rolling, TablesThread};
use super::heap::Heap;
use super::journal::Journal;
use super::options::{OpenProgress, lock};
use super::redo::{RecoveryInput, open_engine, redo};
use super::scan::Recovered;
use super::shared::{Figures, Shared};
use super::snapshot::{self, Snapshot};
use super::{Reader, StoreError, Writer, identity, refill};

/// An open store.
#[derive(Debug)]
pub struct Opened {
    /// For apply alone.
    pub writer: Writer,
    /// For everyone.
    pub reader: Reader,
    /// What opening found and did.
    pub report: RecoveryReport,
}

/// What opening found and did.
#[derive(Clone, Debug, Default)]
pub struct RecoveryReport {
    /// Journal frames redone after the checkpoint or snapshot.
    pub frames_redone: u64,
    /// Contacts found.
    pub contacts: u64,
    /// Bytes of a torn frame cut off the journal's end.
    pub journal_truncated_bytes: u64,
    /// Why the engine was moved aside and filled again, if it was.
    pub refilled: Option<String>,
    /// Whether the ballast was given up because the disk was full.
    pub ballast_released: bool,
    /// How long it took.
    pub took: Duration,
}

/// Opens the store in a data directory, which is made if need be. `log` is the log that it is to
/// follow; none for offline tools, which take the store as it is.
///
/// # Errors
/// Everything is fatal. [`StoreError::is_about_data`] tells data from machine.
pub fn open(
    config: StoreConfig,
    log: Option<&LogIdentity>,
    progress: &dyn Fn(OpenProgress),
) -> Result<Opened, StoreError> {
    open_within(Bounds::SHIPPED, config, log, progress)
}

pub(super) fn open_within(
    bounds: Bounds,
    config: StoreConfig,
    log: Option<&LogIdentity>,
    progress: &dyn Fn(OpenProgress),
) -> Result<Opened, StoreError> {
    let started = Instant::now();
    let dir = config.path.clone();
    if log.is_some() {
        std::fs::create_dir_all(&dir).map_err(StoreError::io("making", &dir))?;
    } else if !dir.is_dir() {
        return Err(StoreError::NoStore { path: dir });
    }
    let lock = lock(&dir)?;
    Heap::remove_left(&config.heap_dir());
    let ballast = Ballast::new(&dir, config.ballast_bytes);
    let mut report = RecoveryReport {
        ballast_released: ballast.release_if_short(&dir)?,
        ..RecoveryReport::default()
    };
    let checkpoint = read_checkpoint(&config)?;
    let cache = ReadCache::new(config.cache_bytes, config.cache_ttl);
    let journal = Journal::cached(&config.journal_dir(), Arc::new(cache))?;
    let is_new = checkpoint.is_none() && journal.is_empty()?;
    let (identity, restored) = settle(&config, log, is_new)?;
    let (segments, opened) = open_segments(&config, checkpoint.as_ref(), restored)?;
    report.journal_truncated_bytes = opened.truncated_bytes;
    let recovered = recover(
        &RecoveryInput {
            config: &config,
            bounds,
            store: identity.store,
            checkpoint,
            journal: &journal,
            journal_first: opened.first,
            journal_next: opened.next,
            is_offline: log.is_none(),
            progress,
        },
        &mut report,
    )?;
    ballast.restore(&dir)?;
    report.contacts = recovered.cut.counters.active + recovered.cut.counters.deleted;
    let opened = assemble((config, bounds), identity, journal, segments, recovered, lock)?;
    report.took = started.elapsed();
    Ok(Opened { report, ..opened })
}

/// A checkpoint that can't be read is none: the journal and a snapshot hold all that it says.
fn read_checkpoint(config: &StoreConfig) -> Result<Option<Checkpoint>, StoreError> {
    match Checkpoint::read(&config.path) {
        Err(error @ StoreError::Damaged { .. }) => {
            tracing::warn!(%error, "going on without the checkpoint");
            Ok(None)
        }
        other => other,
    }
}

/// Who the store is. A directory with nothing but a snapshot is a restore: the second part is then
/// the frame at which its journal begins.
fn settle(
    config: &StoreConfig,
    log: Option<&LogIdentity>,
    is_new: bool,
) -> Result<(StoreIdentity, Option<FrameNo>), StoreError> {
    let newest = if is_new { snapshot::list(&config.path)?.pop() } else { None };
    let Some((path, next)) = newest else {
        return Ok((identity::settle(&config.path, log, is_new)?, None));
    };
    let image = Snapshot::open(&path)?;
    let followed = image.log.as_ref().or(log);
    let settled = identity::settle(&config.path, followed, true)?;
    match (log, &settled.log) {
        (Some(given), Some(stored)) if given != stored => Err(StoreError::AnotherLog {
            path: config.path.clone(),
            stored: stored.to_string(),
            given: given.to_string(),
        }),
        (Some(_) | None, Some(_) | None) => {
            if let Some(founding) = &image.founding {
                identity::settle_founding(&config.path, founding)?;
            }
            Ok((settled, Some(next)))
        }
    }
}

fn open_segments(
    config: &StoreConfig,
    checkpoint: Option<&Checkpoint>,
    restored: Option<FrameNo>,
) -> Result<(SegmentWriter, OpenReport), StoreError> {
    let dir = config.journal_dir();
    let segment_options = SegmentOptions {
        kind: SegmentKind::Journal,
        segment_bytes_max: config.journal_segment_bytes,
    };
    if let Some(first) = restored {
        // Dropped and opened as any other, so that there is one way to begin.
        drop(SegmentWriter::create(&dir, segment_options, first)?);
    }
    let proven = checkpoint.map(|at| at.cut.next_frame);
    Ok(SegmentWriter::open(&dir, segment_options, proven)?)
}

fn recover(
    input: &RecoveryInput<'_>,
    report: &mut RecoveryReport,
) -> Result<Recovered, StoreError> {
    let recovered = match redo_on_engine(input) {
        Ok(recovered) => recovered,
        Err(EngineMismatch::Fatal(error)) => return Err(error),
        Err(EngineMismatch::Damage(why)) => {
            tracing::error!(%why, "the engine is moved aside and filled again");
            (input.progress)(OpenProgress::Refilling { why: why.clone() });
            report.refilled = Some(why);
            refill::refill(input)?
        }
    };
    report.frames_redone = recovered.frames_redone;
    Ok(recovered)
}

/// The usual way: the engine as the checkpoint left it, or later, and the journal after it.
fn redo_on_engine(input: &RecoveryInput<'_>) -> Result<Recovered, EngineMismatch> {
    let checkpoint = input.checkpoint.clone().unwrap_or_else(|| Checkpoint {
        number: 0,
        store: input.store,
        cut: Cut::default(),
    });
    if checkpoint.store != input.store {
        return Err(EngineMismatch::damage("the checkpoint is another store's"));
    }
    let from = checkpoint.cut.next_frame;
    if input.journal_first > from {
        return Err(EngineMismatch::damage("the journal no longer reaches back to the checkpoint"));
    }
    let engine = open_engine(input)?;
    let stamp = engine.get(codec::STAMP_KEY)?;
    let number = match stamp.as_deref().map(codec::parse_stamp) {
        None => 0,
        Some(Some((number, store))) if store == input.store => number,
        Some(_) => return Err(EngineMismatch::damage("the engine is another store's")),
    };
    if number < checkpoint.number {
        return Err(EngineMismatch::damage("the engine is older than the checkpoint"));
    }
    let dirty = DirtySet::new();
    let (cut, frames_redone) = redo(input, checkpoint.cut.clone(), &dirty, &mut |_| Ok(()))?;
    Recovered::proved(input, (engine, dirty), (cut, frames_redone), checkpoint)
}

fn assemble(
    (config, bounds): (StoreConfig, Bounds),
    identity: StoreIdentity,
    journal: Journal,
    segments: SegmentWriter,
    recovered: Recovered,
    lock: crate::segments::FileLock,
) -> Result<Opened, StoreError> {
    let figures = figures(&config, &recovered, &segments)?;
    let (limits, cut) = (config.dead_letters(), &recovered.cut);
    let dead_letters = DeadLetters::new(&config.path, limits, identity.store, cut)?;
    let Recovered { engine, dirty, scanned, cut, checkpoint: last, frames_redone } = recovered;
    let is_recovering = frames_redone > 0;
    let commits = Arc::new(Commits::new(cut, &last.cut, identity.log));
    let (cache, at) = (Arc::clone(&journal.cache), Arc::clone(&commits));
    let shared = Arc::new(Shared {
        contacts: Contacts::new((dirty, engine, scanned.heap), cache, at),
        commits,
        ordered: scanned.ordered,
        external_ids: scanned.external_ids,
        erased: scanned.erased,
        payments: scanned.payments,
        controls: Controls::new(scanned.controls),
        attempts: scanned.attempts,
        events: Rolling::new(segments.segment_base(), segments.next()),
        dead_letters,
        followers: Default::default(),
        journal,
        figures,
        path: config.path.clone(),
        opened: Instant::now(),
        bounds,
        lock,
    });
    let (at, sync, settings) = (Arc::clone(&shared), segments.sync_handle(), config.clone());
    let checkpoints = CheckpointThread::start(at, sync, settings, last, is_recovering)?;
    if is_recovering {
        checkpoints.control().request();
    }
    let followers = followers(&config, &shared, &segments)?;
    let disk = DiskGuard::new(&config.path, config.min_free_bytes);
    Ok(Opened {
        reader: Reader::new(Arc::clone(&shared)),
        writer: Writer::new(shared, segments, checkpoints, followers, disk, config.dirty_bytes_max),
        report: RecoveryReport::default(),
    })
}

/// The threads that follow the journal, ended with the writer.
fn followers(
    config: &StoreConfig,
    shared: &Arc<Shared>,
    segments: &SegmentWriter,
) -> Result<(TablesThread, DeadLettersThread), StoreError> {
    let sealed = segments.sealed().map(|segment| segment.base).collect();
    let tables = TablesThread::start(Arc::clone(shared), sealed)?;
    let (sync, min_free_bytes) = (segments.sync_handle(), config.min_free_bytes);
    Ok((tables, DeadLettersThread::start(Arc::clone(shared), sync, min_free_bytes)?))
}

/// Where the figures stand after an opening.
fn figures(
    config: &StoreConfig,
    recovered: &Recovered,
    segments: &SegmentWriter,
) -> Result<Figures, StoreError> {
    let snapshot = snapshot::list(&config.path)?.pop();
    let next_frame = snapshot.as_ref().map_or(snapshot::NONE.0, |at| at.1.0);
    let at = snapshot.as_ref().map_or(0, |(path, _)| snapshot::written_at_seconds(path));
    let bytes = snapshot.map_or(0, |(path, _)| path.metadata().map_or(0, |at| at.len()));
    Ok(Figures {
        checkpoint_number: AtomicU64::new(recovered.checkpoint.number),
        journal_bytes: AtomicU64::new(segments.bytes()),
        journal_synced_next: AtomicU64::new(segments.next().0),
        snapshot_next_frame: AtomicU64::new(next_frame),
        snapshot_bytes: AtomicU64::new(bytes),
        snapshot_at_seconds: AtomicU64::new(at),
        ..Figures::default()
    })
}
