//! The scan at open: proves the engine against the digest and feeds the ordered indexes.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::domain::control::ControlState;

use super::StoreError;
use super::attempts::{self, LaneAttempts};
use super::checkpoint::Checkpoint;
use super::codec;
use super::control;
use super::cut::Cut;
use super::digest::{Digest, contact_hash};
use super::dirty::DirtySet;
use super::engine::{Engine, StoredBytes};
use super::erased::Erased;
use super::error::EngineMismatch;
use super::external_ids::ExternalIds;
use super::heap::{Filler, Heap};
use super::journal::Counters;
use super::options::OpenProgress;
use super::ordered::{OrderedBuilder, OrderedIndexes};
use super::payments::Payments;
use super::redo::RecoveryInput;
use super::rows::RowClass;

/// Contacts between two reports of progress.
const REPORT_CONTACTS: u64 = 50_000;
/// Contacts that the reading thread hands over together.
const RUN_CONTACTS: usize = 256;
/// Runs that may wait.
const RUNS_AHEAD: usize = 4;

/// What a scan makes in memory.
pub(crate) struct Scanned {
    pub(crate) ordered: OrderedIndexes,
    pub(crate) external_ids: ExternalIds,
    pub(crate) erased: Erased,
    pub(crate) payments: Payments,
    pub(crate) heap: Heap,
    pub(crate) controls: ControlState,
    /// Attempts at commands.
    pub(crate) attempts: LaneAttempts,
}

/// Keys and values as the engine has them.
type Run = Vec<(StoredBytes, StoredBytes)>;

/// A state that was proved whole.
pub(crate) struct Recovered {
    pub(crate) engine: Engine,
    pub(crate) dirty: DirtySet,
    pub(crate) scanned: Scanned,
    pub(crate) cut: Cut,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) frames_redone: u64,
}

impl Recovered {
    /// What was redone, once a scan has shown that all of it is there.
    pub(crate) fn proved(
        input: &RecoveryInput<'_>,
        (engine, dirty): (Engine, DirtySet),
        (cut, frames_redone): (Cut, u64),
        checkpoint: Checkpoint,
    ) -> Result<Self, EngineMismatch> {
        let scanned = scan(input, &engine, &dirty, &cut)?;
        Ok(Self { engine, dirty, scanned, cut, checkpoint, frames_redone })
    }
}

/// What is added up on the way.
#[derive(Default)]
struct Sums {
    digest: Digest,
    counters: Counters,
    payments: Payments,
    external_ids: ExternalIds,
    erased: Erased,
    scratch: Vec<u8>,
}

impl Sums {
    fn add(
        &mut self,
        id: &[u8],
        body: &[u8],
        ordered: &mut OrderedBuilder,
    ) -> Result<(), EngineMismatch> {
        self.digest.add(contact_hash(id, body, &mut self.scratch));
        let class = RowClass::of(id, body).map_err(unreadable)?;
        self.counters.of_class(class).into_iter().for_each(|count| *count += 1);
        match class {
            RowClass::Active | RowClass::Deleted => {
                ordered.push(id, body).map_err(unreadable)?;
                self.external_ids.take(id, None, body);
                self.erased.take(id, body);
            }
            RowClass::Payment => self.payments.take(id, None, body).map_err(unreadable)?,
        }
        Ok(())
    }

    fn check_counts(&self, counted: &Counters) -> Result<(), EngineMismatch> {
        let found = &self.counters;
        if (found.active, found.deleted) == (counted.active, counted.deleted) {
            return Ok(());
        }
        Err(EngineMismatch::Damage(format!(
            "it holds {} active and {} deleted contacts instead of {} and {}",
            found.active, found.deleted, counted.active, counted.deleted
        )))
    }
}

/// Reads every contact of the engine, with the dirty set in front of it, and compares with the cut.
/// The engine's go into the heap file on the way.
/// One thread reads, this one adds up: each is about half of the work.
fn scan(
    input: &RecoveryInput<'_>,
    engine: &Engine,
    dirty: &DirtySet,
    cut: &Cut,
) -> Result<Scanned, EngineMismatch> {
    let total = cut.counters.active + cut.counters.deleted;
    let heap = input.heap();
    let mut ordered = OrderedBuilder::default();
    let mut sums = Sums::default();
    std::thread::scope(|scope| {
        let (to_sums, found) = sync_channel(RUNS_AHEAD);
        let reading = std::thread::Builder::new()
            .name("scan".into())
            .spawn_scoped(scope, move || read(engine, &to_sums))
            .map_err(|error| {
                EngineMismatch::Fatal(StoreError::io("starting", Path::new("scan"))(error))
            })?;
        // Ends when the engine was read; dropped early, it ends the reading.
        let added = heap.fill(|filler| {
            add(found, dirty, filler, &mut sums, &mut ordered, total, input.progress)
        });
        let read =
            reading.join().unwrap_or_else(|_| Err(EngineMismatch::damage("reading it panicked")));
        read.and(added)
    })?;
    // What redo brought is in front of the engine; the indexes take it here and not from the feed.
    let mut added = Ok(());
    dirty.drain_changed(|at| {
        if added.is_ok() {
            added = sums.add(&at.id, at.value.body(), &mut ordered);
        }
    });
    added?;
    sums.check_counts(&cut.counters)?;
    if sums.digest != cut.digest {
        return Err(EngineMismatch::Damage(format!(
            "its digest is {} instead of {}",
            sums.digest, cut.digest
        )));
    }
    let controls = control::load(engine, dirty)?;
    let digest = control::digest_of(&controls);
    if digest != cut.control.digest {
        return Err(EngineMismatch::Damage(format!(
            "its control entries' digest is {digest} instead of {}",
            cut.control.digest
        )));
    }
    let attempts = attempts::load(engine, dirty)?;
    let digest = attempts::digest_of(&attempts);
    if digest != cut.attempts {
        return Err(EngineMismatch::Damage(format!(
            "the digest of its attempts at commands is {digest} instead of {}",
            cut.attempts
        )));
    }
    Ok(Scanned {
        ordered: ordered.finish(input.config.load_bytes(), input.bounds),
        external_ids: sums.external_ids,
        erased: sums.erased,
        payments: sums.payments,
        heap,
        controls,
        attempts,
    })
}

/// Reads the engine's contacts in runs, until its end or nobody wants more.
fn read(engine: &Engine, to_sums: &SyncSender<Run>) -> Result<(), EngineMismatch> {
    let mut run = Run::with_capacity(RUN_CONTACTS);
    for found in engine.scan(&[codec::CONTACT], None) {
        run.push(found?);
        if run.len() == RUN_CONTACTS {
            let full = std::mem::replace(&mut run, Run::with_capacity(RUN_CONTACTS));
            if to_sums.send(full).is_err() {
                return Ok(());
            }
        }
    }
    // Nobody wants it any more: what was found says why.
    let _ = to_sums.send(run);
    Ok(())
}

/// Adds up the engine's contacts that the dirty set does not have.
fn add(
    found: Receiver<Run>,
    dirty: &DirtySet,
    filler: &mut Filler<'_>,
    sums: &mut Sums,
    ordered: &mut OrderedBuilder,
    total: u64,
    progress: &dyn Fn(OpenProgress),
) -> Result<(), EngineMismatch> {
    let is_clean = dirty.current().is_empty();
    let mut done = 0;
    for (key, value) in found.into_iter().flatten() {
        let id = key.get(1..).unwrap_or_default();
        let hash = codec::id_hash(id);
        if is_clean || dirty.get(hash, id).is_none() {
            let Some((_, body)) = codec::parse_contact(&value) else {
                return Err(EngineMismatch::damage("a contact's value can't be read"));
            };
            sums.add(id, body, ordered)?;
            filler.put(hash, id, &value);
            filler.write_much();
        }
        done += 1;
        if done % REPORT_CONTACTS == 0 {
            progress(OpenProgress::Scanning { done, total });
        }
    }
    Ok(())
}

fn unreadable(error: impl std::fmt::Display) -> EngineMismatch {
    EngineMismatch::Damage(error.to_string())
}
