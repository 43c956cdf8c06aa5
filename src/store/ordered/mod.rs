//! The orders in which lists are answered, in memory: updatedAt, createdAt, name, company and id;
//! and who has which e-mail.
//!
//! Built by one bulk sort from the scan at open. After that the applier does nothing for them: each
//! contact in the dirty set has a mark whether its value was taken, and [`OrderedIndexes::catch_up`]
//! takes the rest, before a list is answered and before a generation is dropped. So a contact that
//! changed a hundred times in between is moved once.
//!
//! ACTIVE and DELETED contacts are in lists of their own, so a filter skips nothing; a list of both
//! is the two merged. Names and companies are lowercased and cut to their first 64 bytes; what is
//! equal goes by id, so every order is total and a page can be continued from any key.

mod emails;
mod lists;
mod rows;
mod sorted;

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::domain::contact::{ContactView, CorruptContact, Status};
use crate::domain::event::EMAIL;

use super::codec::{StoredContact, email_hash};
use super::dirty::DirtySet;
use lists::Lists;
use rows::{Rows, TEXT_BYTES_MAX};

/// Changes taken under one hold of the lock, so that pages don't wait for a whole generation.
const CHANGES_A_HOLD: usize = 256;
// Places of the fields that are sorted by.
const FIRST_NAME: usize = 0;
const LAST_NAME: usize = 1;
const COMPANY: usize = 4;

/// What a list may be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SortOrder {
    /// By id, bytewise.
    Id,
    /// By the latest accepted timestamp; none counts as 0.
    UpdatedAt,
    /// By the earliest accepted timestamp; none counts as 0.
    CreatedAt,
    /// By last name, then first name, lowercased.
    Name,
    /// By company, lowercased.
    Company,
}

impl SortOrder {
    /// Every order.
    pub const ALL: [Self; 5] =
        [Self::Id, Self::UpdatedAt, Self::CreatedAt, Self::Name, Self::Company];
}

/// A contact's place in an order; a page continues strictly after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageKey {
    /// What it is sorted by: eight bytes big-endian of milliseconds, a text, or nothing (by id).
    pub sort: Vec<u8>,
    /// The contact's id.
    pub id: Vec<u8>,
}

impl PageKey {
    /// For a cursor; length of the sort key (u16, big-endian), sort key, id.
    pub fn to_bytes(&self) -> Vec<u8> {
        let len = self.sort.len() as u16;
        let mut bytes = Vec::with_capacity(2 + self.sort.len() + self.id.len());
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(&self.sort);
        bytes.extend_from_slice(&self.id);
        bytes
    }

    /// Back from a cursor; none when it is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (len, rest) = bytes.split_first_chunk::<2>()?;
        let (sort, id) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        Some(Self { sort: sort.to_vec(), id: id.to_vec() })
    }
}

/// What to list.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// Sorted by what.
    pub order: SortOrder,
    /// Greatest first.
    pub descending: bool,
    /// Only contacts of this status.
    pub status: Option<Status>,
    /// Strictly after this place, in the direction of the list.
    pub after: Option<PageKey>,
    /// Contacts at most.
    pub limit: usize,
}

/// What a contact is sorted by, as it stands in the indexes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SortKeys {
    pub(crate) active: bool,
    pub(crate) updated_at_ms: u64,
    pub(crate) created_at_ms: u64,
    /// Hash of the e-mail; 0: none.
    pub(crate) email: u64,
    pub(crate) name: Vec<u8>,
    pub(crate) company: Vec<u8>,
}

impl SortKeys {
    /// Works them out of a body, into the buffers that are there.
    pub(crate) fn read(&mut self, body: &[u8]) -> Result<(), CorruptContact> {
        let view = ContactView::parse_trusted(body)?;
        self.active = view.status() == Status::Active;
        self.updated_at_ms = view.updated_at_ms().unwrap_or(0);
        self.created_at_ms = view.created_at_ms().unwrap_or(0);
        self.email = view.field(EMAIL).map_or(0, email_hash);
        self.name.clear();
        self.company.clear();
        for field in [LAST_NAME, FIRST_NAME] {
            if let Some(name) = view.field(field).filter(|name| !name.is_empty()) {
                if !self.name.is_empty() {
                    self.name.push(b' ');
                }
                fold(name, &mut self.name);
            }
        }
        fold(view.field(COMPANY).unwrap_or_default(), &mut self.company);
        Ok(())
    }
}

/// Appends the lowercased text, up to the bound and never half a character.
fn fold(text: &str, out: &mut Vec<u8>) {
    let room = TEXT_BYTES_MAX.saturating_sub(out.len());
    if text.is_ascii() {
        let kept = text.as_bytes().iter().take(room);
        out.extend(kept.map(u8::to_ascii_lowercase));
        return;
    }
    let mut utf8 = [0; 4];
    for lower in text.chars().flat_map(char::to_lowercase) {
        let bytes = lower.encode_utf8(&mut utf8).as_bytes();
        if out.len() + bytes.len() > TEXT_BYTES_MAX {
            break;
        }
        out.extend_from_slice(bytes);
    }
}

/// A contact's id and new value.
type Changed = (Box<[u8]>, StoredContact);

/// The indexes behind their lock.
#[derive(Debug, Default)]
pub(crate) struct OrderedIndexes {
    lists: RwLock<Lists>,
    /// Held while changes are taken: they must go in in the order they came out.
    feed: Mutex<Vec<Changed>>,
    /// Commits that were visible when changes were last taken, plus 1; 0: never.
    taken: AtomicU64,
}

impl OrderedIndexes {
    /// Takes every change that the dirty set has and the indexes have not.
    pub(crate) fn catch_up(&self, dirty: &DirtySet) -> Result<(), CorruptContact> {
        let mut changes = self.feed.lock();
        // Collected first: the dirty set's locks, which the applier needs, are held for less.
        dirty.drain_changed(|at| changes.push((at.id.clone(), at.value.clone())));
        let mut keys = SortKeys::default();
        if self.lists.write().build_with(&changes)? {
            changes.clear();
        }
        for some in changes.chunks(CHANGES_A_HOLD) {
            let mut lists = self.lists.write();
            for (id, value) in some {
                keys.read(value.body())?;
                lists.put(id, &keys);
            }
        }
        changes.clear();
        // A drain's worth of room is not kept for the rare next one.
        changes.shrink_to(CHANGES_A_HOLD);
        Ok(())
    }

    /// The same, unless nothing was committed since the last time. `committed` is the number of
    /// commits visible before the call.
    pub(crate) fn catch_up_to(
        &self,
        dirty: &DirtySet,
        committed: u64,
    ) -> Result<(), CorruptContact> {
        if self.taken.load(Ordering::Acquire) == committed.wrapping_add(1) {
            return Ok(());
        }
        self.catch_up(dirty)?;
        self.taken.store(committed.wrapping_add(1), Ordering::Release);
        Ok(())
    }

    /// The places of a page, without the contacts.
    pub(crate) fn page(&self, request: &PageRequest) -> Vec<PageKey> {
        self.lists.read().page(request)
    }

    /// Ids, sorted, of contacts that have an e-mail as far as changes were taken: at most `limit` of
    /// those after `after`.
    pub(crate) fn ids_with_email(
        &self,
        email: u64,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Vec<Box<[u8]>> {
        self.lists.read().ids_with_email(email, after, limit)
    }

    /// Contacts that have an e-mail.
    pub(crate) fn emails(&self) -> u64 {
        self.lists.read().emails() as u64
    }

    /// Contacts that are ACTIVE, and DELETED.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (u64, u64) {
        let lists = self.lists.read();
        let [active, deleted] = lists.of(SortOrder::Id);
        (active.len() as u64, deleted.len() as u64)
    }

    /// Bytes of memory they take, about.
    pub(crate) fn bytes(&self) -> usize {
        self.lists.read().bytes()
    }

    /// How a contact's place differs from what its body says; for verification.
    pub(crate) fn difference(
        &self,
        id: &[u8],
        body: &[u8],
    ) -> Result<Option<&'static str>, CorruptContact> {
        let mut keys = SortKeys::default();
        keys.read(body)?;
        Ok(self.lists.read().difference(id, &keys))
    }

    /// What is wrong with the lists among themselves, given how many contacts there are.
    pub(crate) fn list_differences(&self, contacts: u64) -> Vec<String> {
        self.lists.read().list_differences(contacts)
    }
}

/// Takes contacts one by one, then sorts them all at once.
#[derive(Debug, Default)]
pub(crate) struct OrderedBuilder {
    rows: Rows,
    keys: SortKeys,
}

impl OrderedBuilder {
    /// Adds a contact; an id that was there before takes the later body. True: it is ACTIVE.
    pub(crate) fn push(&mut self, id: &[u8], body: &[u8]) -> Result<bool, CorruptContact> {
        self.keys.read(body)?;
        self.push_keys(id);
        Ok(self.keys.active)
    }

    fn push_keys(&mut self, id: &[u8]) {
        self.rows.put(id, &self.keys);
    }

    /// Sorts.
    pub(crate) fn finish(self) -> OrderedIndexes {
        OrderedIndexes {
            lists: RwLock::new(Lists::of_rows(self.rows)),
            ..OrderedIndexes::default()
        }
    }
}

#[cfg(test)]
mod tests;
