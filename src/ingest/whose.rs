//! Whose an event is, by the id that it names: a source's own id, or that of a contact that was merged into
//! another.
//!
//! It is found out before the append and never in apply: what is appended names our contact and carries
//! their id, so it means the same to everybody and for ever. Without a tie an id of a source's own says
//! itself whose it is, so that no two instances come to different contacts.

use crate::domain::contact::{ContactView, Status};
use crate::domain::event::EventKind;
use crate::domain::external_ids::{contact_id_of, erased_form};
use crate::domain::headers::{CONTACT_ID, EXTERNAL_ID, NAMED_ID};
use crate::event_log::NewRecord;
use crate::store::{Reader, StoreError, StoredContact};

use super::PresentRules;
use super::merged::survivor;

/// Merges that are followed one after the other.
const MERGES_MAX: usize = 8;

/// Why it can't be said whose events are.
#[derive(Debug, thiserror::Error)]
pub enum WhoseError {
    /// What ids are tied to is not known before the store is open.
    #[error("the store is still opening, and says whose the ids of {source_name} are")]
    NotOpen {
        /// The source.
        source_name: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The contact that an id leads to.
struct Meant {
    contact_id: String,
    /// None: it is not there.
    value: Option<StoredContact>,
    /// It is the survivor of the one that the id leads to.
    was_followed: bool,
}

fn has_own_ids(rules: &PresentRules, source: &str) -> bool {
    rules.decoder().sources().has_own_ids(source.as_bytes())
}

/// None: the source names our contacts, and nobody has merged any that this instance could know of.
fn reader<'r>(
    rules: &'r PresentRules,
    source: &str,
    are_own: bool,
) -> Result<Option<&'r Reader>, WhoseError> {
    match rules.store() {
        None if are_own => Err(WhoseError::NotOpen { source_name: source.to_owned() }),
        store => Ok(store),
    }
}

/// Gives each record, whose key is the id that its event names, the contact that is meant. `kinds`: what
/// happened, and whether it is the echo of a write of our own, which is of that contact whatever it was merged
/// into: only there it is known as done.
pub(super) async fn find_all(
    rules: &PresentRules,
    source: &str,
    mut records: Vec<NewRecord>,
    kinds: Vec<(EventKind, bool)>,
) -> Result<Vec<NewRecord>, WhoseError> {
    let are_own = has_own_ids(rules, source);
    let Some(reader) = reader(rules, source, are_own)?.cloned() else {
        return Ok(records);
    };
    if !are_own && records.iter().all(|record| is_itself_at_once(&reader, &record.key)) {
        return Ok(records);
    }
    let source = source.to_owned();
    let looked = tokio::task::spawn_blocking(move || {
        for (record, (kind, is_echo)) in records.iter_mut().zip(kinds) {
            if are_own || !is_echo {
                find_by(&reader, (&source, are_own), record, kind)?;
            }
        }
        Ok::<_, StoreError>(records)
    });
    let found = looked.await;
    Ok(found.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))?)
}

/// The same with one record. May wait for the disk.
pub(super) fn find(
    rules: &PresentRules,
    source: &str,
    record: &mut NewRecord,
    kind: EventKind,
) -> Result<(), WhoseError> {
    let are_own = has_own_ids(rules, source);
    match reader(rules, source, are_own)? {
        Some(reader) => Ok(find_by(reader, (source, are_own), record, kind)?),
        None => Ok(()),
    }
}

fn find_by(
    reader: &Reader,
    (source, are_own): (&str, bool),
    record: &mut NewRecord,
    kind: EventKind,
) -> Result<(), StoreError> {
    // A payment stays with whoever made it, or what is told of it later would be another one's. The survivor
    // lists it all the same.
    if kind.is_of_payment() && !are_own {
        return Ok(());
    }
    // Only texts are ids.
    let Ok(named) = std::str::from_utf8(&record.key) else {
        return Ok(());
    };
    let alone = match are_own {
        true => contact_id_of(source.as_bytes(), named.as_bytes()),
        false => named.to_owned(),
    };
    let meant = match are_own {
        true => active_or(reader, source, named, |_| true)?,
        false => None,
    };
    let meant = match meant {
        Some(meant) => meant,
        None => follow(reader, alone.clone())?,
    };
    // A contact that has taken another one in keeps its own id of the source.
    let erased = || erased_form(source.as_bytes(), named.as_bytes());
    let is_kept = match meant.external_id(source) {
        Some(id) => are_own && (id == named || id == erased()),
        // From a survivor it was taken by hand.
        None => are_own && !meant.was_followed,
    };
    // What is deleted where two were made one here is not the survivor.
    let stays = kind == EventKind::Deleted && !is_kept;
    let contact_id = if stays { alone } else { meant.contact_id };
    if !are_own && contact_id == named {
        return Ok(());
    }
    let header = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
    let named = header(if is_kept { EXTERNAL_ID } else { NAMED_ID }, named);
    record.headers.extend([header(CONTACT_ID, &contact_id), named]);
    record.key = contact_id.into_bytes();
    Ok(())
}

/// The contact that an id of a source's own leads to, if it is active, or else one that was erased, and
/// whether it is that. What was deleted may come back, but holds no id that somebody ties elsewhere.
pub(super) fn holder(
    reader: &Reader,
    source: &str,
    id: &str,
) -> Result<Option<(String, Status)>, StoreError> {
    let is_erased = |meant: &Meant| meant.view().is_some_and(|view| view.is_erased());
    let held = active_or(reader, source, id, is_erased)?;
    Ok(held.map(|meant| {
        let status = if meant.is_active() { Status::Active } else { Status::Deleted };
        (meant.contact_id, status)
    }))
}

/// Whom a row of a file names.
#[derive(Clone, Copy, Debug)]
pub enum Named<'n> {
    /// By our own id.
    Ours(&'n str),
    /// By the id that a source has.
    Theirs {
        /// The source.
        source: &'n str,
        /// Its id.
        id: &'n str,
    },
}

/// The contact that is meant, or the survivor of its merges, with its id; none: there is none yet, and that is
/// the id that it gets. May wait for the disk.
///
/// # Errors
/// When the store has failed.
pub fn named_contact(
    reader: &Reader,
    named: Named<'_>,
) -> Result<(String, Option<StoredContact>), StoreError> {
    let meant = match named {
        Named::Ours(id) => follow(reader, id.to_owned())?,
        Named::Theirs { source, id } => match active_or(reader, source, id, |_| true)? {
            Some(meant) => meant,
            None => follow(reader, contact_id_of(source.as_bytes(), id.as_bytes()))?,
        },
    };
    Ok((meant.contact_id, meant.value))
}

/// The ACTIVE contact that an id leads to, one that it was tied to before the one that it says itself; or else
/// the first that may stand for it.
fn active_or(
    reader: &Reader,
    source: &str,
    id: &str,
    may_be: impl Fn(&Meant) -> bool,
) -> Result<Option<Meant>, StoreError> {
    let mut other = None;
    for (contact_id, _) in reader.contacts_of(source, id)? {
        let meant = follow(reader, contact_id)?;
        if meant.is_active() {
            return Ok(Some(meant));
        }
        other = other.or(Some(meant).filter(&may_be));
    }
    Ok(other)
}

/// The contact, or the survivor of its merges.
fn follow(reader: &Reader, mut contact_id: String) -> Result<Meant, StoreError> {
    let mut value = reader.contact(contact_id.as_bytes())?;
    let mut was_followed = false;
    for _ in 0..MERGES_MAX {
        let view = value.as_ref().and_then(|value| value.view().ok());
        let Some(into) = view.as_ref().and_then(survivor) else {
            break;
        };
        let Some(survivor) = reader.contact(into.as_bytes())? else {
            break;
        };
        (contact_id, value, was_followed) = (into, Some(survivor), true);
    }
    Ok(Meant { contact_id, value, was_followed })
}

impl Meant {
    fn view(&self) -> Option<ContactView<'_>> {
        self.value.as_ref()?.view().ok()
    }

    fn is_active(&self) -> bool {
        self.view().is_some_and(|view| view.status() == Status::Active)
    }

    /// What a source calls it.
    fn external_id(&self, source: &str) -> Option<&str> {
        let (_, id) = self.view()?.external_ids().find(|(of, _)| *of == source)?;
        Some(id)
    }
}

/// Whether the contact of an id is known to be no other, without waiting for the disk.
fn is_itself_at_once(reader: &Reader, id: &[u8]) -> bool {
    match reader.contact_at_once(id) {
        Some(Some(value)) => value.view().is_ok_and(|view| survivor(&view).is_none()),
        Some(None) => true,
        None => false,
    }
}
