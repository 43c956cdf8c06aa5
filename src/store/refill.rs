//! Filling the engine again from the newest usable snapshot and the journal after it.

use crate::segments::FrameNo;

use super::StoreError;
use super::checkpoint::Checkpoint;
use super::codec::{self, StoredContact};
use super::cut::Cut;
use super::dirty::DirtySet;
use super::engine::{self, Engine};
use super::insertion::{insert, stamp};
use super::options::OpenProgress;
use super::redo::{RecoveryInput, open_engine, redo};
use super::scan::Recovered;
use super::snapshot::{self, Snapshot};

/// Contacts that are put into the engine together.
const RUN: usize = 8_192;

/// Moves the engine aside and fills a new one.
pub(crate) fn refill(input: &RecoveryInput<'_>) -> Result<Recovered, StoreError> {
    let (engine, from) = start(input)?;
    let bytes_max = input.config.dirty_bytes_max;
    let dirty = DirtySet::new();
    let (cut, frames_redone) = redo(input, from, &dirty, &mut |dirty| {
        if dirty.bytes().0 < bytes_max {
            return Ok(());
        }
        empty(&engine, dirty)
    })?;
    empty(&engine, &dirty)?;
    let checkpoint = Checkpoint {
        number: input.checkpoint.as_ref().map_or(0, |at| at.number) + 1,
        store: input.store,
        cut: cut.clone(),
    };
    stamp(&engine, checkpoint.number, input.store)?;
    engine.flush()?;
    let proved = Recovered::proved(input, (engine, dirty), (cut, frames_redone), checkpoint);
    let what = "the store, filled again from snapshot and journal,";
    let recovered = proved.map_err(|mismatch| mismatch.into_error(what))?;
    // Proving found what is forgotten: the checkpoint is of the engine without it.
    empty(&recovered.engine, &recovered.dirty)?;
    recovered.engine.flush()?;
    recovered.checkpoint.write(&input.config.path)?;
    Ok(recovered)
}

/// Takes all of the dirty set into the engine. The journal was synced when it was opened.
fn empty(engine: &Engine, dirty: &DirtySet) -> Result<(), StoreError> {
    if let Some(generation) = dirty.swap() {
        insert(engine, &generation)?;
        dirty.retire();
    }
    Ok(())
}

/// An engine filled from the newest snapshot that is whole and that the journal goes on from.
fn start(input: &RecoveryInput<'_>) -> Result<(Engine, Cut), StoreError> {
    let mut why = String::from("there is no snapshot that the journal goes on from");
    for (path, next) in snapshot::list(&input.config.path)?.into_iter().rev() {
        if next < input.journal_first || next > input.journal_next {
            continue;
        }
        let image = match Snapshot::open(&path) {
            Ok(image) => image,
            Err(error) => {
                why = error.to_string();
                continue;
            }
        };
        let engine = new_engine(input)?;
        let cut = image.cut.clone();
        match fill(&engine, image, input.progress) {
            Ok(()) => return Ok((engine, cut)),
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::warn!(%error, "trying an older snapshot");
                why = error.to_string();
            }
            Err(error) => return Err(error),
        }
    }
    if input.journal_first == FrameNo(0) {
        return Ok((new_engine(input)?, Cut::default()));
    }
    Err(StoreError::damaged("the store", why))
}

fn new_engine(input: &RecoveryInput<'_>) -> Result<Engine, StoreError> {
    let dir = input.config.engine_dir();
    if dir.exists() {
        engine::move_aside(&dir).map_err(StoreError::io("moving aside", &dir))?;
    }
    open_engine(input).map_err(|mismatch| mismatch.into_error("a new engine"))
}

fn fill(
    engine: &Engine,
    image: Snapshot,
    progress: &dyn Fn(OpenProgress),
) -> Result<(), StoreError> {
    let total = image.cut.counters.active + image.cut.counters.deleted;
    let mut done = 0;
    let mut run = Run::default();
    image.for_each(|image| {
        let value = match image.prefix {
            codec::CONTROL | codec::ATTEMPT => codec::entry_value(image.body),
            _ => {
                let value = StoredContact::build(image.links, image.body, &mut run.scratch);
                value.bytes().into()
            }
        };
        let key = [&[image.prefix], image.id].concat();
        run.values.push((key, value));
        done += 1;
        if run.values.len() >= RUN {
            run.insert(engine)?;
            progress(OpenProgress::Restoring { done, total });
        }
        Ok(())
    })?;
    run.insert(engine)
}

/// Keys and values on their way into the engine.
#[derive(Default)]
struct Run {
    values: Vec<(Vec<u8>, Box<[u8]>)>,
    scratch: Vec<u8>,
}

impl Run {
    fn insert(&mut self, engine: &Engine) -> Result<(), StoreError> {
        let values = self.values.iter();
        engine.insert_sorted(values.map(|(key, value)| (key.as_slice(), Some(&**value))))?;
        self.values.clear();
        Ok(())
    }
}
