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
use super::merged::merged_into;

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
}

/// What is known of a source's ids.
struct Ids<'s> {
    source: &'s str,
    /// They are its own.
    are_own: bool,
}

impl<'s> Ids<'s> {
    fn of(rules: &PresentRules, source: &'s str) -> Self {
        let are_own = rules.decoder().sources().has_own_ids(source.as_bytes());
        Self { source, are_own }
    }

    /// None: the source names our contacts, and nobody has merged any that this instance could know of.
    fn reader<'r>(&self, rules: &'r PresentRules) -> Result<Option<&'r Reader>, WhoseError> {
        match rules.store() {
            None if self.are_own => {
                Err(WhoseError::NotOpen { source_name: self.source.to_owned() })
            }
            store => Ok(store),
        }
    }
}

/// Gives each record, whose key is the id that its event names, the contact that is meant.
pub(super) async fn find_all(
    rules: &PresentRules,
    source: &str,
    mut records: Vec<NewRecord>,
    kinds: Vec<EventKind>,
) -> Result<Vec<NewRecord>, WhoseError> {
    let Ids { are_own, .. } = Ids::of(rules, source);
    let Some(reader) = Ids { source, are_own }.reader(rules)?.cloned() else {
        return Ok(records);
    };
    if !are_own && records.iter().all(|record| is_itself_at_once(&reader, &record.key)) {
        return Ok(records);
    }
    let source = source.to_owned();
    let looked = tokio::task::spawn_blocking(move || {
        let ids = Ids { source: &source, are_own };
        let mut pairs = records.iter_mut().zip(kinds);
        pairs.try_for_each(|(record, kind)| find_by(&reader, &ids, record, kind))?;
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
    let ids = Ids::of(rules, source);
    match ids.reader(rules)? {
        Some(reader) => Ok(find_by(reader, &ids, record, kind)?),
        None => Ok(()),
    }
}

fn find_by(
    reader: &Reader,
    ids: &Ids<'_>,
    record: &mut NewRecord,
    kind: EventKind,
) -> Result<(), StoreError> {
    // Only texts are ids.
    let Ok(named) = std::str::from_utf8(&record.key) else {
        return Ok(());
    };
    let alone = match ids.are_own {
        true => contact_id_of(ids.source.as_bytes(), named.as_bytes()),
        false => named.to_owned(),
    };
    let meant = match ids.are_own {
        true => of_holders(reader, ids.source, named)?,
        false => None,
    };
    let meant = match meant {
        Some(meant) => meant,
        None => follow(reader, alone.clone())?,
    };
    // A contact that has taken another one in keeps its own id of the source.
    let is_this =
        |id: &str| id == named || id == erased_form(ids.source.as_bytes(), named.as_bytes());
    let is_kept = ids.are_own && meant.external_id(ids.source).is_none_or(is_this);
    // What is deleted where two were made one here is not the survivor.
    let stays = kind == EventKind::Deleted && !is_kept;
    let contact_id = if stays { alone } else { meant.contact_id };
    if !ids.are_own && contact_id == named {
        return Ok(());
    }
    let header = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
    let named = header(if is_kept { EXTERNAL_ID } else { NAMED_ID }, named);
    record.headers.extend([header(CONTACT_ID, &contact_id), named]);
    record.key = contact_id.into_bytes();
    Ok(())
}

/// The contact that an id of a source's own leads to; none: no contact has it.
pub(super) fn holder(
    reader: &Reader,
    source: &str,
    id: &str,
) -> Result<Option<String>, StoreError> {
    Ok(of_holders(reader, source, id)?.map(|meant| meant.contact_id))
}

/// An ACTIVE contact before others, one that the id was tied to before the one that it says itself.
fn of_holders(reader: &Reader, source: &str, id: &str) -> Result<Option<Meant>, StoreError> {
    let mut first = None;
    for (contact_id, _) in reader.contacts_of(source, id)? {
        let meant = follow(reader, contact_id)?;
        if meant.is_active() {
            return Ok(Some(meant));
        }
        first = first.or(Some(meant));
    }
    Ok(first)
}

/// The contact, or the survivor of its merges.
fn follow(reader: &Reader, mut contact_id: String) -> Result<Meant, StoreError> {
    let mut value = reader.contact(contact_id.as_bytes())?;
    for _ in 0..MERGES_MAX {
        let view = value.as_ref().and_then(|value| value.view().ok());
        let Some(into) = view.as_ref().and_then(survivor) else {
            break;
        };
        value = reader.contact(into.as_bytes())?;
        contact_id = into;
    }
    Ok(Meant { contact_id, value })
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

/// Into whom a contact was merged, if it is only there for that.
fn survivor(contact: &ContactView<'_>) -> Option<String> {
    let is_over = contact.status() == Status::Deleted && contact.merging_into().is_none();
    merged_into(contact).filter(|_| is_over)
}

/// Whether the contact of an id is known to be no other, without waiting for the disk.
fn is_itself_at_once(reader: &Reader, id: &[u8]) -> bool {
    match reader.contact_at_once(id) {
        Some(Some(value)) => value.view().is_ok_and(|view| survivor(&view).is_none()),
        Some(None) => true,
        None => false,
    }
}
