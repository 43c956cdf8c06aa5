//! Opening: checkpoint → engine → redo of the journal after it → one scan that proves the result.
//!
//! After-images make redo right whatever subset of the later ones reached the engine. The scan adds
//! up the digest, with what redo put into memory in front of it, and feeds the ordered indexes; a
//! difference means that the engine hides damage, and it is filled again (see `refill`).

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::domain::control::ControlState;
use crate::domain::position::LogIdentity;
use crate::domain::rules::LaneRules;
use crate::segments::{FrameNo, OpenReport, SegmentKind, SegmentOptions, SegmentWriter};
use crate::telemetry::fault;

use super::announced::Announced;
use super::attempts::{self, LaneAttempts};
use super::cache::ReadCache;
use super::checkpoint::{Checkpoint, StoreIdentity};
use super::checkpointer::{CheckpointThread, Plan};
use super::codec::{self, StoredContact};
use super::control::{self, Controls};
use super::dead_letters::{DeadLetters, DeadLettersThread};
use super::dirty::DirtySet;
use super::disk::{Ballast, DiskGuard};
use super::engine::Engine;
use super::events::{Rolling, TablesThread};
use super::heap::Heap;
use super::journal::{Frame, Journal, Outcome};
use super::options::{OpenProgress, Opened, RecoveryReport, StoreOptions, lock};
use super::ordered::OrderedIndexes;
use super::overlay::facts_of;
use super::refill;
use super::scan::{Differs, Scanned, scan};
use super::shared::{Cut, Figures, Shared};
use super::snapshot::{self, Snapshot};
use super::{Reader, StoreError, Writer, identity, rules};

/// Frames between two reports of progress.
const REPORT_FRAMES: u64 = 256;

/// What there is to recover from.
pub(crate) struct Ground<'a> {
    pub(crate) options: &'a StoreOptions,
    pub(crate) store: u64,
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) journal: &'a Journal,
    pub(crate) journal_first: FrameNo,
    pub(crate) journal_next: FrameNo,
    /// Opened to be looked at, by nobody who follows a log.
    pub(crate) is_offline: bool,
    pub(crate) progress: &'a dyn Fn(OpenProgress),
}

impl Ground<'_> {
    pub(crate) fn heap(&self) -> Heap {
        let reserve_bytes = self.options.min_free_bytes.saturating_add(self.options.ballast_bytes);
        if self.is_offline {
            Heap::off()
        } else {
            Heap::new(self.options.heap_dir(), reserve_bytes)
        }
    }
}

/// A state that was proved whole.
pub(crate) struct Recovered {
    pub(crate) engine: Engine,
    pub(crate) dirty: DirtySet,
    pub(crate) ordered: OrderedIndexes,
    pub(crate) heap: Heap,
    pub(crate) controls: ControlState,
    pub(crate) attempts: LaneAttempts,
    pub(crate) cut: Cut,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) frames_redone: u64,
}

impl Recovered {
    /// What was redone, once a scan has shown that all of it is there.
    pub(crate) fn proved(
        ground: &Ground<'_>,
        (engine, dirty): (Engine, DirtySet),
        (cut, frames_redone): (Cut, u64),
        checkpoint: Checkpoint,
    ) -> Result<Self, Differs> {
        let Scanned { ordered, heap, controls, attempts } = scan(ground, &engine, &dirty, &cut)?;
        Ok(Self {
            engine,
            dirty,
            ordered,
            heap,
            controls,
            attempts,
            cut,
            checkpoint,
            frames_redone,
        })
    }
}

/// Opens the store in a data directory, which is made if need be. `log` is the log that it is to
/// follow; none for offline tools, which take the store as it is.
///
/// # Errors
/// Everything is fatal. [`StoreError::is_about_data`] tells data from machine.
pub fn open(
    options: StoreOptions,
    log: Option<&LogIdentity>,
    progress: &dyn Fn(OpenProgress),
) -> Result<Opened, StoreError> {
    let started = Instant::now();
    let dir = options.path.clone();
    if log.is_some() {
        std::fs::create_dir_all(&dir).map_err(StoreError::io("making", &dir))?;
    } else if !dir.is_dir() {
        return Err(StoreError::NoStore { path: dir });
    }
    let lock = lock(&dir)?;
    Heap::remove_left(&options.heap_dir());
    let ballast = Ballast::new(&dir, options.ballast_bytes);
    let mut report = RecoveryReport {
        ballast_released: ballast.release_if_short(&dir)?,
        ..RecoveryReport::default()
    };
    let checkpoint = read_checkpoint(&options)?;
    let cache = ReadCache::new(options.cache_bytes, options.cache_ttl);
    let journal = Journal::cached(&options.journal_dir(), Arc::new(cache))?;
    let is_new = checkpoint.is_none() && journal.is_empty()?;
    let (identity, restored) = settle(&options, log, is_new)?;
    let (segments, opened) = open_segments(&options, checkpoint.as_ref(), restored)?;
    report.journal_truncated_bytes = opened.truncated_bytes;
    let recovered = recover(
        &Ground {
            options: &options,
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
    let opened = assemble(options, identity, journal, segments, recovered, lock)?;
    report.took = started.elapsed();
    Ok(Opened { report, ..opened })
}

/// A checkpoint that can't be read is none: the journal and a snapshot hold all that it says.
fn read_checkpoint(options: &StoreOptions) -> Result<Option<Checkpoint>, StoreError> {
    match Checkpoint::read(&options.path) {
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
    options: &StoreOptions,
    log: Option<&LogIdentity>,
    is_new: bool,
) -> Result<(StoreIdentity, Option<FrameNo>), StoreError> {
    let newest = if is_new { snapshot::list(&options.path)?.pop() } else { None };
    let Some((path, next)) = newest else {
        return Ok((identity::settle(&options.path, log, is_new)?, None));
    };
    let image = Snapshot::open(&path)?;
    let followed = image.log.as_ref().or(log);
    let settled = identity::settle(&options.path, followed, true)?;
    match (log, &settled.log) {
        (Some(given), Some(stored)) if given != stored => Err(StoreError::AnotherLog {
            path: options.path.clone(),
            stored: stored.to_string(),
            given: given.to_string(),
        }),
        (Some(_) | None, Some(_) | None) => {
            if let Some(founding) = &image.founding {
                identity::settle_founding(&options.path, founding)?;
            }
            Ok((settled, Some(next)))
        }
    }
}

fn open_segments(
    options: &StoreOptions,
    checkpoint: Option<&Checkpoint>,
    restored: Option<FrameNo>,
) -> Result<(SegmentWriter, OpenReport), StoreError> {
    let dir = options.journal_dir();
    let segment_options = SegmentOptions {
        kind: SegmentKind::Journal,
        segment_bytes_max: options.journal_segment_bytes,
    };
    if let Some(first) = restored {
        // Dropped and opened as any other, so that there is one way to begin.
        drop(SegmentWriter::create(&dir, segment_options, first)?);
    }
    let proven = checkpoint.map(|at| at.cut.next_frame);
    Ok(SegmentWriter::open(&dir, segment_options, proven)?)
}

fn recover(ground: &Ground<'_>, report: &mut RecoveryReport) -> Result<Recovered, StoreError> {
    let recovered = match redo_on_engine(ground) {
        Ok(recovered) => recovered,
        Err(Differs::Fatal(error)) => return Err(error),
        Err(Differs::Damage(why)) => {
            tracing::error!(%why, "the engine is moved aside and filled again");
            (ground.progress)(OpenProgress::Refilling { why: why.clone() });
            report.refilled = Some(why);
            refill::refill(ground)?
        }
    };
    report.frames_redone = recovered.frames_redone;
    Ok(recovered)
}

/// The usual way: the engine as the checkpoint left it, or later, and the journal after it.
fn redo_on_engine(ground: &Ground<'_>) -> Result<Recovered, Differs> {
    let checkpoint = ground.checkpoint.clone().unwrap_or_else(|| Checkpoint {
        number: 0,
        store: ground.store,
        cut: Cut::empty(),
    });
    if checkpoint.store != ground.store {
        return Err(Differs::damage("the checkpoint is another store's"));
    }
    let from = checkpoint.cut.next_frame;
    if ground.journal_first > from {
        return Err(Differs::damage("the journal no longer reaches back to the checkpoint"));
    }
    let engine = open_engine(ground)?;
    let stamp = engine.get(codec::STAMP_KEY)?;
    let number = match stamp.as_deref().map(codec::parse_stamp) {
        None => 0,
        Some(Some((number, store))) if store == ground.store => number,
        Some(_) => return Err(Differs::damage("the engine is another store's")),
    };
    if number < checkpoint.number {
        return Err(Differs::damage("the engine is older than the checkpoint"));
    }
    let dirty = DirtySet::new();
    let (cut, frames_redone) = redo(ground, checkpoint.cut.clone(), &dirty, &mut |_| Ok(()))?;
    Recovered::proved(ground, (engine, dirty), (cut, frames_redone), checkpoint)
}

pub(crate) fn open_engine(ground: &Ground<'_>) -> Result<Engine, Differs> {
    let options = ground.options;
    if options.engine_in_memory {
        return Ok(Engine::memory());
    }
    Ok(Engine::open(&options.engine_dir(), options.sled_cache_bytes)?)
}

/// Redoes all frames from a cut on into the dirty set; `after_frame` may take it from there.
pub(crate) fn redo(
    ground: &Ground<'_>,
    from: Cut,
    dirty: &DirtySet,
    after_frame: &mut dyn FnMut(&DirtySet) -> Result<(), StoreError>,
) -> Result<(Cut, u64), StoreError> {
    let total = ground.journal_next.0.saturating_sub(from.next_frame.0);
    let (mut cut, mut done) = (from, 0);
    let mut room = Room::default();
    for frame in ground.journal.frames_from(cut.next_frame) {
        let frame = frame?;
        if frame.head.no != cut.next_frame {
            let detail =
                format!("frame {} came where {} was expected", frame.head.no, cut.next_frame);
            return Err(StoreError::damaged("journal", detail));
        }
        let mut rules = Arc::clone(&cut.rules);
        redo_frame(&frame, dirty, &mut rules, &mut room)?;
        cut = Cut { rules, ..frame.head.after };
        fault::point("redoing");
        after_frame(dirty)?;
        done += 1;
        if done % REPORT_FRAMES == 0 {
            (ground.progress)(OpenProgress::Redoing { done, total });
        }
    }
    if cut.next_frame != ground.journal_next {
        let detail = format!("it ends at {} instead of {}", cut.next_frame, ground.journal_next);
        return Err(StoreError::damaged("journal", detail));
    }
    Ok((cut, done))
}

/// Buffers kept from frame to frame.
#[derive(Default)]
struct Room {
    block: Vec<u8>,
    value: Vec<u8>,
    hash: Vec<u8>,
}

fn redo_frame(
    frame: &Frame,
    dirty: &DirtySet,
    in_force: &mut Arc<LaneRules>,
    room: &mut Room,
) -> Result<(), StoreError> {
    let generation = dirty.current();
    let Room { block, value, hash } = room;
    frame.for_each(block, |entry| {
        if let Some(attempt) = entry.attempt {
            attempts::redo(&generation, entry.lane, entry.offset, attempt);
        }
        let applied = match &entry.outcome {
            Outcome::Applied(applied) | Outcome::Noted(applied) => applied,
            Outcome::Control(change) => {
                control::redo(&generation, change);
                return Ok(());
            }
            Outcome::Rules(_) | Outcome::Settled => return rules::redo(in_force, entry),
            Outcome::DeadLettered(_) | Outcome::Rehomed(_) => return Ok(()),
        };
        let facts = facts_of(applied.id, applied.body, hash)?;
        let stored = StoredContact::build(applied.links(entry), applied.body, value);
        generation.put(codec::id_hash(applied.id), applied.id, stored, facts);
        Ok(())
    })
}

fn assemble(
    options: StoreOptions,
    identity: StoreIdentity,
    journal: Journal,
    segments: SegmentWriter,
    recovered: Recovered,
    lock: std::fs::File,
) -> Result<Opened, StoreError> {
    let figures = figures(&options, &recovered, &segments)?;
    let (limits, cut) = (options.dead_letters, &recovered.cut);
    let dead_letters = DeadLetters::new(&options.path, limits, identity.store, cut)?;
    let shared = Arc::new(Shared {
        dirty: recovered.dirty,
        engine: recovered.engine,
        cache: Arc::clone(&journal.cache),
        ordered: recovered.ordered,
        heap: recovered.heap,
        controls: Controls::new(recovered.controls),
        attempts: recovered.attempts,
        events: Rolling::new(segments.segment_base(), segments.next()),
        dead_letters,
        brought_home: Default::default(),
        followers: Default::default(),
        journal,
        announced: Announced::new(&recovered.cut),
        committed: watch::Sender::new(recovered.cut.next_frame.0),
        checkpointed: watch::Sender::new(Arc::<BTreeMap<_, _>>::new(
            recovered.checkpoint.cut.next_offsets(),
        )),
        snapshotted: watch::Sender::default(),
        rules: RwLock::new(Arc::clone(&recovered.cut.rules)),
        cut: Mutex::new(recovered.cut),
        outcomes: Default::default(),
        failure: OnceLock::new(),
        waiting: Mutex::new(None),
        figures,
        identity: identity.log,
        path: options.path.clone(),
        opened: Instant::now(),
        lock,
    });
    let plan = plan(&options, identity.store);
    let (is_recovering, sync) = (recovered.frames_redone > 0, segments.sync_handle());
    let last = recovered.checkpoint;
    let checkpoints =
        CheckpointThread::start(Arc::clone(&shared), sync, plan, last, is_recovering)?;
    if is_recovering {
        checkpoints.control().request();
    }
    let followers = followers(&options, &shared, &segments)?;
    let disk = DiskGuard::new(&options.path, options.min_free_bytes);
    Ok(Opened {
        reader: Reader::new(Arc::clone(&shared)),
        writer: Writer::new(
            shared,
            segments,
            checkpoints,
            followers,
            disk,
            options.dirty_bytes_max,
        ),
        report: RecoveryReport::default(),
    })
}

fn plan(options: &StoreOptions, store: u64) -> Plan {
    Plan {
        dir: options.path.clone(),
        store,
        checkpoint_interval: options.checkpoint_interval,
        snapshot_interval: options.snapshot_interval,
        journal_segment_bytes: options.journal_segment_bytes,
        dirty_bytes_max: options.dirty_bytes_max,
        retention: options.retention(),
    }
}

/// The threads that follow the journal, ended with the writer.
fn followers(
    options: &StoreOptions,
    shared: &Arc<Shared>,
    segments: &SegmentWriter,
) -> Result<(TablesThread, DeadLettersThread), StoreError> {
    let sealed = segments.sealed().map(|segment| segment.base).collect();
    let tables = TablesThread::start(Arc::clone(shared), sealed)?;
    let (sync, min_free_bytes) = (segments.sync_handle(), options.min_free_bytes);
    Ok((tables, DeadLettersThread::start(Arc::clone(shared), sync, min_free_bytes)?))
}

/// Where the figures stand after an opening.
fn figures(
    options: &StoreOptions,
    recovered: &Recovered,
    segments: &SegmentWriter,
) -> Result<Figures, StoreError> {
    let snapshot = snapshot::list(&options.path)?.pop();
    let next_frame = snapshot.as_ref().map_or(snapshot::NONE.0, |at| at.1.0);
    let bytes = snapshot.map_or(0, |(path, _)| path.metadata().map_or(0, |at| at.len()));
    Ok(Figures {
        checkpoint_number: AtomicU64::new(recovered.checkpoint.number),
        journal_bytes: AtomicU64::new(segments.bytes()),
        journal_synced_next: AtomicU64::new(segments.next().0),
        snapshot_next_frame: AtomicU64::new(next_frame),
        snapshot_bytes: AtomicU64::new(bytes),
        ..Figures::default()
    })
}
