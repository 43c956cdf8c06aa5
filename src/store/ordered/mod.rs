//! The indexes in which lists are answered, in memory: id, updatedAt, createdAt, changedAt, name, company,
//! e-mail, source.
//!
//! Built by one bulk sort from the scan at open. After that the applier does nothing for them: each
//! contact in the dirty set has a mark whether its value was taken, and the rest is taken before a
//! list is answered and before a generation is dropped. So a contact that changed a hundred times in
//! between is moved once.
//!
//! Moving a contact in every list takes longer than applying its event. In a load, while nobody asks
//! for a list, the lists are emptied and only the rows kept; they are made anew once little is
//! committed between two checkpoints, or nothing for a while, or when someone asks.
//!
//! ACTIVE and DELETED contacts are in lists of their own, so a filter by status skips nothing; a list
//! of both is the two merged. Texts are lowercased (the source is not) and cut (see [`keys`]); what
//! is equal goes by id, so every order is total and a page can be continued from any key.

mod duplicates;
mod filter_keys;
mod groups;
mod keys;
mod lists;
mod pages;
mod probe;
mod request;
mod rows;
mod sorted;
mod sorting;
mod walk;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use crate::domain::contact::CorruptContact;

use super::bounds::Bounds;
use super::codec::StoredContact;
use super::dirty::{DirtyContact, DirtySet};
use super::rows::RowClass;
pub(crate) use keys::COMPANY;
pub(crate) use keys::SortKeys;
pub(crate) use lists::Lists;
pub(crate) use request::Places;
use rows::Rows;

pub use groups::{GroupBy, TimeCounts};
pub use keys::fold;
pub use request::{Filters, PageBoundary, PageKey, PageRequest, SortOrder, Total};

/// Changes taken under one hold of the lock, so that pages don't wait for a whole generation.
const CHANGES_A_HOLD: usize = 256;

/// What there is a list by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Index {
    Id,
    UpdatedAt,
    CreatedAt,
    ChangedAt,
    /// Last name, then first name.
    Name,
    /// First name, then last name, of those who have both.
    FirstName,
    Email,
    Company,
    Source,
}

impl Index {
    const ALL: [Self; 9] = [
        Self::Id,
        Self::UpdatedAt,
        Self::CreatedAt,
        Self::ChangedAt,
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
            SortOrder::ChangedAt => Self::ChangedAt,
            SortOrder::Name => Self::Name,
            SortOrder::Company => Self::Company,
        }
    }

    /// Whether it is an order, which needs every contact; the others hold those that have the text.
    fn holds_all(self) -> bool {
        match self {
            Self::Id
            | Self::UpdatedAt
            | Self::CreatedAt
            | Self::ChangedAt
            | Self::Name
            | Self::Company => true,
            Self::FirstName | Self::Email | Self::Source => false,
        }
    }

    /// Whether its list keeps prefixes: those that change often, and by something that differs.
    fn has_prefixes(self) -> bool {
        match self {
            Self::UpdatedAt | Self::Name | Self::FirstName | Self::Email => true,
            Self::Id | Self::CreatedAt | Self::ChangedAt | Self::Company | Self::Source => false,
        }
    }
}

/// A contact's id and new value.
type Changed = (Box<[u8]>, StoredContact);

/// The indexes behind their lock.
#[derive(Debug)]
pub(crate) struct OrderedIndexes {
    lists: RwLock<Lists>,
    /// Held while changes are taken: they must go in in the order they came out.
    feed: Mutex<Vec<Changed>>,
    /// Commits that were visible when changes were last taken for someone, plus 1; 0: never.
    taken: AtomicU64,
    /// Whether someone asked for a list since a generation was last dropped.
    is_asked: AtomicBool,
    /// As the lists have it.
    are_put_off: AtomicBool,
    /// Kept here, since whoever asks must not wait until lists are made.
    bytes: AtomicUsize,
    /// A generation of more bytes is one of a load.
    load_bytes: u64,
}

impl OrderedIndexes {
    /// Takes what the flushing generation has, before that is dropped, or that there is none. Of a
    /// load, in which nobody asks for a list, only the rows are kept; what comes after it, or
    /// nothing, has the lists made again.
    pub(crate) fn take(&self, dirty: &DirtySet) -> Result<(), CorruptContact> {
        let is_load = dirty.bytes().1 > self.load_bytes;
        let mut changes = self.feed.lock();
        // Collected first: the dirty set's locks, which the applier needs, are held for less.
        dirty.drain_flushing(|at| note(&mut changes, at));
        if !changes.is_empty() {
            let is_asked = self.is_asked.swap(false, Ordering::Relaxed);
            let mut lists = self.lists.write();
            if is_load && !is_asked && lists.is_worth_putting_off(changes.len()) {
                self.put_off(&mut lists);
            }
            drop(lists);
            self.put(&mut changes)?;
            self.note_bytes();
        }
        if !is_load {
            self.make();
        }
        Ok(())
    }

    /// The lists, with every change that the dirty set has. `committed` is the number of commits
    /// visible before the call.
    pub(crate) fn lists(
        &self,
        dirty: &DirtySet,
        committed: u64,
    ) -> Result<RwLockReadGuard<'_, Lists>, CorruptContact> {
        loop {
            self.is_asked.store(true, Ordering::Relaxed);
            if self.taken.load(Ordering::Acquire) > committed {
                let lists = self.lists.read();
                if !lists.are_put_off() {
                    return Ok(lists);
                }
            }
            self.catch_up(dirty)?;
            self.taken.fetch_max(committed.saturating_add(1), Ordering::AcqRel);
        }
    }

    /// The same, if every change is in them and nobody is putting more in.
    pub(crate) fn lists_at_once(&self, committed: u64) -> Option<RwLockReadGuard<'_, Lists>> {
        self.is_asked.store(true, Ordering::Relaxed);
        let is_taken = self.taken.load(Ordering::Acquire) > committed;
        self.lists.try_read().filter(|lists| is_taken && !lists.are_put_off())
    }

    /// Takes every change that the dirty set has and the indexes have not.
    fn catch_up(&self, dirty: &DirtySet) -> Result<(), CorruptContact> {
        let mut changes = self.feed.lock();
        dirty.drain_changed(|at| note(&mut changes, at));
        let mut lists = self.lists.write();
        if lists.is_less_work_anew(changes.len()) {
            self.put_off(&mut lists);
        }
        drop(lists);
        self.put(&mut changes)?;
        self.make();
        Ok(())
    }

    /// Makes the lists, if they were put off.
    fn make(&self) {
        if self.are_put_off() {
            self.lists.write().make();
            self.are_put_off.store(false, Ordering::Relaxed);
            self.note_bytes();
        }
    }

    fn put(&self, changes: &mut Vec<Changed>) -> Result<(), CorruptContact> {
        let mut keys = SortKeys::default();
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

    fn put_off(&self, lists: &mut Lists) {
        lists.put_off();
        self.are_put_off.store(true, Ordering::Relaxed);
    }

    /// Whether the next one who asks for the lists waits until they are made.
    pub(crate) fn are_put_off(&self) -> bool {
        self.are_put_off.load(Ordering::Relaxed)
    }

    /// Bytes of memory they took when a generation was last dropped, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn note_bytes(&self) {
        self.bytes.store(self.lists.read().bytes(), Ordering::Relaxed);
    }
}

/// Notes a change of a contact; payments have lists of their own.
fn note(changes: &mut Vec<Changed>, at: &DirtyContact) {
    if at.facts.class != RowClass::Payment {
        changes.push((at.id.clone(), at.value.clone()));
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

    /// Sorts. A generation of more than `load_bytes` will be one of a load.
    pub(crate) fn finish(self, load_bytes: u64, bounds: Bounds) -> OrderedIndexes {
        let indexes = OrderedIndexes {
            lists: RwLock::new(Lists::of_rows(self.rows, bounds)),
            feed: Mutex::default(),
            taken: AtomicU64::default(),
            is_asked: AtomicBool::default(),
            are_put_off: AtomicBool::default(),
            bytes: AtomicUsize::default(),
            load_bytes,
        };
        indexes.note_bytes();
        indexes
    }
}

#[cfg(test)]
mod tests;
