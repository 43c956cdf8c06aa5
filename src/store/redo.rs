//! Redoing the journal: what it did after a cut is done to a dirty set once more.

use std::sync::Arc;

use crate::config::StoreConfig;
use crate::domain::rules::LaneRules;
use crate::segments::FrameNo;
use crate::telemetry::fault;

use super::StoreError;
use super::bounds::Bounds;
use super::checkpoint::Checkpoint;
use super::codec::{self, StoredContact};
use super::cut::Cut;
use super::dirty::DirtySet;
use super::engine::Engine;
use super::error::EngineMismatch;
use super::heap::Heap;
use super::journal::{Frame, Journal, Outcome};
use super::options::OpenProgress;
use super::overlay::facts_of;
use super::source_verdicts::SourceVerdicts;
use super::{attempts, control, rules};

/// Frames between two reports of progress.
const REPORT_FRAMES: u64 = 256;

/// What there is to recover from.
pub(crate) struct RecoveryInput<'a> {
    pub(crate) config: &'a StoreConfig,
    pub(crate) bounds: Bounds,
    pub(crate) store: u64,
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) journal: &'a Journal,
    pub(crate) journal_first: FrameNo,
    pub(crate) journal_next: FrameNo,
    /// Opened to be looked at, by nobody who follows a log.
    pub(crate) is_offline: bool,
    pub(crate) progress: &'a dyn Fn(OpenProgress),
}

impl RecoveryInput<'_> {
    pub(crate) fn heap(&self) -> Heap {
        let reserve_bytes = self.config.min_free_bytes.saturating_add(self.config.ballast_bytes);
        if self.is_offline {
            Heap::off()
        } else {
            Heap::new(self.config.heap_dir(), reserve_bytes, self.bounds)
        }
    }
}

pub(crate) fn open_engine(input: &RecoveryInput<'_>) -> Result<Engine, EngineMismatch> {
    let config = input.config;
    Ok(Engine::open(&config.engine_dir(), config.sled_cache_bytes)?)
}

/// Redoes all frames from a cut on into the dirty set; `after_frame` may take it from there.
pub(crate) fn redo(
    input: &RecoveryInput<'_>,
    from: Cut,
    dirty: &DirtySet,
    after_frame: &mut dyn FnMut(&DirtySet) -> Result<(), StoreError>,
) -> Result<(Cut, u64), StoreError> {
    let total = input.journal_next.0.saturating_sub(from.next_frame.0);
    let (mut cut, mut done) = (from, 0);
    let mut room = Room::default();
    for frame in input.journal.frames_from(cut.next_frame) {
        let frame = frame?;
        if frame.head.no != cut.next_frame {
            let detail =
                format!("frame {} came where {} was expected", frame.head.no, cut.next_frame);
            return Err(StoreError::damaged("journal", detail));
        }
        let Cut { mut rules, mut sources, .. } = cut;
        redo_frame(&frame, dirty, (&mut rules, &mut sources), &mut room)?;
        cut = Cut { rules, sources, ..frame.head.after };
        fault::point("redoing");
        after_frame(dirty)?;
        done += 1;
        if done % REPORT_FRAMES == 0 {
            (input.progress)(OpenProgress::Redoing { done, total });
        }
    }
    if cut.next_frame != input.journal_next {
        let detail = format!("it ends at {} instead of {}", cut.next_frame, input.journal_next);
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
    (in_force, sources): (&mut Arc<LaneRules>, &mut Arc<SourceVerdicts>),
    room: &mut Room,
) -> Result<(), StoreError> {
    let generation = dirty.current();
    let Room { block, value, hash } = room;
    frame.for_each(block, |entry| {
        SourceVerdicts::redo(sources, entry.record_kind, entry.source, entry.verdict);
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
