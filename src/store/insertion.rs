//! How a generation gets into the engine: key by key, sorted, by a second thread too where someone
//! waits for it.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::telemetry::fault;

use super::StoreError;
use super::codec;
use super::dirty::{Generation, SortedContacts};
use super::engine::Engine;

/// Contacts that a thread takes on at a time: so many that two threads seldom meet on a page.
const RUN: usize = 1024;
/// A generation of fewer contacts is not worth a second thread.
const HELPED_MIN: usize = 4 * RUN;

/// Puts a generation into the engine.
pub(crate) fn insert(engine: &Engine, generation: &Generation) -> Result<(), StoreError> {
    Runs::of(generation).insert(engine)?;
    Ok(generation.insert_entries(engine)?)
}

/// The same, with a second thread that does `meanwhile` first and then helps. What `meanwhile` does
/// is left undone where there is no such thread.
pub(crate) fn insert_helped(
    engine: &Engine,
    generation: &Generation,
    meanwhile: impl FnOnce() -> Result<(), StoreError> + Send,
) -> Result<(), StoreError> {
    if generation.len() < HELPED_MIN {
        return insert(engine, generation);
    }
    let runs = Runs::of(generation);
    std::thread::scope(|scope| {
        let help = || meanwhile().and_then(|()| runs.insert(engine));
        let helper =
            std::thread::Builder::new().name("checkpoint-2".into()).spawn_scoped(scope, help);
        let inserted = runs.insert(engine);
        let helped = match helper {
            Ok(helper) => helper.join().unwrap_or_else(|_| {
                Err(StoreError::damaged("the checkpoint's second thread", "it panicked"))
            }),
            Err(_) => Ok(()),
        };
        inserted.and(helped)
    })?;
    Ok(generation.insert_entries(engine)?)
}

/// Writes the engine's own note of the checkpoint, after all that belongs to it.
pub(crate) fn stamp(engine: &Engine, number: u64, store: u64) -> Result<(), StoreError> {
    let stamp = codec::stamp(number, store);
    engine.insert_sorted([(codec::STAMP_KEY, Some(stamp.as_slice()))])?;
    Ok(())
}

/// A generation's contacts in runs, each for the thread that takes it first.
struct Runs {
    contacts: SortedContacts,
    contacts_a_run: usize,
    next: AtomicUsize,
}

impl Runs {
    fn of(generation: &Generation) -> Self {
        let contacts = generation.sorted_contacts();
        // Two at least, so that a kill between them is one in the middle.
        let contacts_a_run = contacts.len().div_ceil(2).clamp(1, RUN);
        Self { contacts, contacts_a_run, next: AtomicUsize::new(0) }
    }

    /// Takes runs until there are no more.
    fn insert(&self, engine: &Engine) -> Result<(), StoreError> {
        let runs = self.contacts.len().div_ceil(self.contacts_a_run);
        loop {
            let run = self.next.fetch_add(1, Ordering::Relaxed);
            if run >= runs {
                return Ok(());
            }
            if run == runs / 2 {
                fault::point("sled_half");
            }
            let start = run * self.contacts_a_run;
            engine.insert_sorted(self.contacts.changes(start..start + self.contacts_a_run))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::codec::{CONTACT, ChangeRef, StoredContact, id_hash};
    use crate::store::dirty::Facts;

    fn generation(contacts: usize) -> Generation {
        let generation = Generation::with_capacity(contacts);
        for number in 0..contacts {
            let id = format!("contact-{number}");
            let value = StoredContact::build(ChangeRef(1), id.as_bytes(), &mut Vec::new());
            generation.put(id_hash(id.as_bytes()), id.as_bytes(), value, Facts::default());
        }
        generation
    }

    #[test]
    fn two_threads_insert_what_one_would() {
        for contacts in [0, 1, 3, RUN + 1, HELPED_MIN, HELPED_MIN + RUN + 7] {
            let generation = generation(contacts);
            let (one, two) = (Engine::memory(), Engine::memory());
            insert(&one, &generation).unwrap();
            insert_helped(&two, &generation, || Ok(())).unwrap();
            let all = |engine: &Engine| -> Vec<_> {
                let entries = engine.scan(&[CONTACT], None).map(Result::unwrap);
                entries.map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
            };
            assert_eq!(all(&one).len(), contacts);
            assert_eq!(all(&one), all(&two));
        }
    }

    #[test]
    fn what_fails_meanwhile_fails_the_insertion() {
        let fails = || Err(StoreError::damaged("an index", "it is"));
        insert_helped(&Engine::memory(), &generation(HELPED_MIN), fails).unwrap_err();
    }
}
