//! The indexes in which lists are answered, in memory: id, updatedAt, createdAt, name, company,
//! e-mail, source.
//!
//! Built by one bulk sort from the scan at open. After that the applier does nothing for them: each
//! contact in the dirty set has a mark whether its value was taken, and [`OrderedIndexes::catch_up`]
//! takes the rest, before a list is answered and before a generation is dropped. So a contact that
//! changed a hundred times in between is moved once.
//!
//! ACTIVE and DELETED contacts are in lists of their own, so a filter by status skips nothing; a list
//! of both is the two merged. Texts are lowercased (the source is not) and cut (see [`keys`]); what
//! is equal goes by id, so every order is total and a page can be continued from any key.

mod duplicates;
mod keys;
mod lists;
mod pages;
mod probe;
mod request;
mod rows;
mod sorted;
mod walk;
mod wanted;

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::domain::contact::CorruptContact;

use super::codec::StoredContact;
use super::dirty::DirtySet;
use keys::SortKeys;
use lists::Lists;
use rows::Rows;

pub use keys::fold;
pub(crate) use request::Places;
pub use request::{Cut, Filters, PageKey, PageRequest, SortOrder, Total};

/// Changes taken under one hold of the lock, so that pages don't wait for a whole generation.
const CHANGES_A_HOLD: usize = 256;

/// What there is a list by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Index {
    Id,
    UpdatedAt,
    CreatedAt,
    /// Last name, then first name.
    Name,
    /// First name, then last name, of those who have both.
    FirstName,
    Email,
    Company,
    Source,
}

impl Index {
    const ALL: [Self; 8] = [
        Self::Id,
        Self::UpdatedAt,
        Self::CreatedAt,
        Self::Name,
        Self::FirstName,
        Self::Email,
        Self::Company,
        Self::Source,
    ];

    fn of(order: SortOrder) -> Self {
        match order {
            SortOrder::Id | SortOrder::Match => Self::Id,
            SortOrder::UpdatedAt => Self::UpdatedAt,
            SortOrder::CreatedAt => Self::CreatedAt,
            SortOrder::Name => Self::Name,
            SortOrder::Company => Self::Company,
        }
    }

    /// Whether it is an order, which needs every contact; the others hold those that have the text.
    fn holds_all(self) -> bool {
        match self {
            Self::Id | Self::UpdatedAt | Self::CreatedAt | Self::Name | Self::Company => true,
            Self::FirstName | Self::Email | Self::Source => false,
        }
    }

    /// Whether its list keeps prefixes: those that change often, and by something that differs.
    fn has_prefixes(self) -> bool {
        match self {
            Self::UpdatedAt | Self::Name | Self::FirstName | Self::Email => true,
            Self::Id | Self::CreatedAt | Self::Company | Self::Source => false,
        }
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
    pub(crate) fn page(&self, request: &PageRequest) -> Places {
        self.lists.read().page(request)
    }

    /// How many contacts a request is about; counted, where no list knows, only if told to.
    pub(crate) fn total(&self, request: &PageRequest, by_counting: bool) -> Total {
        self.lists.read().total(request, by_counting)
    }

    /// Ids, sorted, of contacts that have an e-mail as far as changes were taken: at most `limit` of
    /// those after `after`.
    pub(crate) fn ids_with_email(
        &self,
        email: &str,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Vec<Box<[u8]>> {
        self.lists.read().ids_with_email(&keys::fold_cut(email, keys::TEXT_BYTES_MAX), after, limit)
    }

    /// Contacts that have an e-mail.
    pub(crate) fn emails(&self) -> u64 {
        self.lists.read().emails() as u64
    }

    /// Contacts that are ACTIVE, and DELETED.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (u64, u64) {
        let lists = self.lists.read();
        let [active, deleted] = lists.of(Index::Id);
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
