//! The scan at open: proves the engine against the digest and feeds the ordered indexes.

use std::iter::Peekable;

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::StoreError;
use super::codec;
use super::digest::Digest;
use super::dirty::DirtySet;
use super::engine::{Engine, EngineError};
use super::options::OpenProgress;
use super::ordered::{OrderedBuilder, OrderedIndexes};
use super::overlay::facts_of;
use super::shared::Cut;

/// Contacts between two reports of progress.
const REPORT_CONTACTS: u64 = 50_000;

/// Why an engine's content is not taken.
#[derive(Debug)]
pub(crate) enum Differs {
    /// It is not what it should be, and can be filled again.
    Damage(String),
    /// Filling it again would not help.
    Fatal(StoreError),
}

impl Differs {
    pub(crate) fn damage(why: &str) -> Self {
        Self::Damage(why.to_owned())
    }
}

impl From<StoreError> for Differs {
    fn from(error: StoreError) -> Self {
        Self::Fatal(error)
    }
}

impl From<EngineError> for Differs {
    fn from(error: EngineError) -> Self {
        if error.is_damage() { Self::Damage(error.to_string()) } else { Self::Fatal(error.into()) }
    }
}

/// What is added up on the way.
#[derive(Default)]
struct Sums {
    digest: Digest,
    /// Over what the contacts say of e-mails.
    emails: Digest,
    active: u64,
    deleted: u64,
    scratch: Vec<u8>,
}

impl Sums {
    fn add(&mut self, id: &[u8], body: &[u8], ordered: &mut OrderedBuilder) -> Result<(), Differs> {
        let facts = facts_of(id, body, &mut self.scratch).map_err(unreadable)?;
        self.digest.add(facts.digest);
        if facts.email != 0 {
            self.emails.add(email_hash(facts.email, id));
        }
        *(if facts.active { &mut self.active } else { &mut self.deleted }) += 1;
        ordered.push(id, body).map_err(unreadable)
    }
}

/// Reads every contact and e-mail key of the engine, with the dirty set in front of it, and compares
/// with the cut.
pub(crate) fn scan(
    engine: &Engine,
    dirty: &DirtySet,
    cut: &Cut,
    progress: &dyn Fn(OpenProgress),
) -> Result<OrderedIndexes, Differs> {
    let total = cut.counters.active + cut.counters.deleted;
    let mut ordered = OrderedBuilder::default();
    let mut sums = Sums::default();
    let is_clean = dirty.current().is_empty();
    let mut done = 0;
    for found in engine.scan(&[codec::CONTACT], None) {
        let (key, value) = found?;
        let id = key.get(1..).unwrap_or_default();
        if is_clean || dirty.get(codec::id_hash(id), id).is_none() {
            let Some((_, body)) = codec::parse_contact(&value) else {
                return Err(Differs::damage("a contact's value can't be read"));
            };
            sums.add(id, body, &mut ordered)?;
        }
        done += 1;
        if done % REPORT_CONTACTS == 0 {
            progress(OpenProgress::Scanning { done, total });
        }
    }
    // What redo brought is in front of the engine; the indexes take it here and not from the feed.
    let mut added = Ok(());
    dirty.drain_changed(|at| {
        if added.is_ok() {
            added = sums.add(&at.id, at.value.body(), &mut ordered);
        }
    });
    added?;
    let counters = (cut.counters.active, cut.counters.deleted);
    if (sums.active, sums.deleted) != counters {
        return Err(Differs::Damage(format!(
            "it holds {} active and {} deleted contacts instead of {} and {}",
            sums.active, sums.deleted, counters.0, counters.1
        )));
    }
    if sums.digest != cut.digest {
        return Err(Differs::Damage(format!(
            "its digest is {} instead of {}",
            sums.digest, cut.digest
        )));
    }
    if scan_emails(engine, dirty)? != sums.emails {
        return Err(Differs::damage("its e-mail keys are not those of its contacts"));
    }
    Ok(ordered.finish())
}

/// Sum over the e-mail keys that hold: the engine's, with the dirty set's changes put in.
fn scan_emails(engine: &Engine, dirty: &DirtySet) -> Result<Digest, Differs> {
    let mut sum = Digest::default();
    let mut add = |key: &[u8]| match codec::parse_email_key(key) {
        Some((email, id)) => {
            sum.add(email_hash(email, id));
            Ok(())
        }
        None => Err(Differs::damage("an e-mail key can't be read")),
    };
    let changes = dirty.current().sorted_emails();
    let mut changes = changes.iter().peekable();
    for found in engine.scan(&[codec::EMAIL], None) {
        let (key, _) = found?;
        add_before(&mut changes, &key, &mut add)?;
        match changes.peek() {
            Some((at, _)) if **at == *key => {}
            Some(_) | None => add(&key)?,
        }
    }
    for (key, _) in changes.filter(|at| at.1) {
        add(key)?;
    }
    Ok(sum)
}

/// Adds the changes whose keys come before the engine's next one, and that are to be there.
fn add_before<'a>(
    changes: &mut Peekable<impl Iterator<Item = &'a (Vec<u8>, bool)>>,
    key: &[u8],
    add: &mut impl FnMut(&[u8]) -> Result<(), Differs>,
) -> Result<(), Differs> {
    while let Some((at, present)) = changes.next_if(|at| *at.0 < *key) {
        if *present {
            add(at)?;
        }
    }
    Ok(())
}

fn email_hash(email: u64, id: &[u8]) -> u128 {
    xxh3_128_with_seed(id, email)
}

fn unreadable(error: impl std::fmt::Display) -> Differs {
    Differs::Damage(error.to_string())
}
