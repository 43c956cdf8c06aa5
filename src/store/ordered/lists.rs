//! The lists of every index over the rows.

use std::cmp::Ordering;

use crate::domain::contact::CorruptContact;

use super::super::bounds::Bounds;
use super::keys::SortKeys;
use super::probe::Probe;
use super::rows::{Row, Rows};
use super::sorted::{Entry, Sorted};
use super::sorting::sort_by_text;
use super::walk::compare;
use super::{CHANGES_A_HOLD, Index};

/// Rows from which on building is worth a second thread.
const ROWS_FOR_TWO: usize = 50_000;
/// Rows that are sorted anew in the time in which one is moved in every list.
const ROWS_A_MOVE: usize = 8;
/// Of which a load is expected to have so many.
const GENERATIONS_A_LOAD: usize = 8;

/// All lists over all rows.
#[derive(Debug)]
pub(crate) struct Lists {
    pub(super) rows: Rows,
    /// ACTIVE and DELETED of each index, as they stand in [`Index`].
    lists: [[Sorted; 2]; Index::ALL.len()],
    are_put_off: bool,
    pub(super) bounds: Bounds,
}

impl Lists {
    pub(super) fn of_rows(rows: Rows, bounds: Bounds) -> Self {
        let mut lists = Self::empty(rows, bounds);
        lists.build_all();
        lists
    }

    fn empty(rows: Rows, bounds: Bounds) -> Self {
        let none = |index: Index| Sorted::from_sorted(&[], index.has_prefixes());
        let lists = Index::ALL.map(|index| [none(index), none(index)]);
        Self { rows, lists, are_put_off: false, bounds }
    }

    pub(super) fn of(&self, index: Index) -> &[Sorted; 2] {
        let Self { lists: [first, rest @ ..], .. } = self;
        rest.get((index as usize).wrapping_sub(1)).unwrap_or(first)
    }

    fn list_mut(&mut self, index: Index, active: bool) -> (&Rows, &mut Sorted) {
        let Self { rows, lists: [first, rest @ ..], .. } = self;
        let both = rest.get_mut((index as usize).wrapping_sub(1)).unwrap_or(first);
        let [active_list, deleted_list] = both;
        (rows, if active { active_list } else { deleted_list })
    }

    fn build_all(&mut self) {
        let rows = &self.rows;
        let mut by_id: Vec<Entry> = (0..)
            .zip(&rows.rows)
            .map(|(slot, row)| Entry { prefix: row.prefix(Index::Id), slot })
            .collect();
        // Stable, since the scan brings them by id: runs that are sorted already cost little.
        sort_by_text(&mut by_id, |slot| rows.id(slot));
        let threads = if by_id.len() < ROWS_FOR_TWO { 1 } else { 2 };
        let half = self.lists.len().div_ceil(threads);
        let indexes = Index::ALL.chunks(half);
        std::thread::scope(|scope| {
            for (lists, indexes) in self.lists.chunks_mut(half).zip(indexes) {
                let by_id = by_id.as_slice();
                let mut build = move || {
                    for (both, index) in lists.iter_mut().zip(indexes) {
                        *both = [true, false].map(|active| build(rows, *index, active, by_id));
                    }
                };
                let is_last = indexes.last() == Index::ALL.last();
                if is_last { build() } else { drop(scope.spawn(build)) }
            }
        });
    }

    /// Whether so many changes are less work when everything is sorted anew.
    pub(super) fn is_less_work_anew(&self, changes: usize) -> bool {
        changes > (self.rows.rows.len() / ROWS_A_MOVE).max(CHANGES_A_HOLD)
    }

    /// Whether some generations of so many changes take longer to move than all to sort anew.
    pub(super) fn is_worth_putting_off(&self, changes: usize) -> bool {
        changes > self.rows.rows.len() / (ROWS_A_MOVE * GENERATIONS_A_LOAD)
    }

    /// Empties the lists; until they are made, changes go to the rows alone.
    pub(super) fn put_off(&mut self) {
        let empty = Self::empty(std::mem::take(&mut self.rows), self.bounds);
        *self = Self { are_put_off: true, ..empty };
    }

    /// Whether they are empty until they are made.
    pub(super) fn are_put_off(&self) -> bool {
        self.are_put_off
    }

    /// Makes them of the rows.
    pub(super) fn make(&mut self) {
        self.build_all();
        self.are_put_off = false;
    }

    /// Takes a contact's new values.
    pub(super) fn put(&mut self, id: &[u8], keys: &SortKeys) {
        if self.are_put_off {
            self.rows.put(id, keys);
            return;
        }
        let Some(slot) = self.rows.find(id) else {
            let slot = self.rows.add(Row::new(id, keys));
            for index in Index::ALL {
                self.link(index, slot);
            }
            return;
        };
        let Some(row) = self.rows.get(slot) else {
            return;
        };
        let moves = Index::ALL.map(|index| row.moves(index, keys));
        let moved = || Index::ALL.into_iter().zip(moves).filter(|(_, moves)| *moves);
        for (index, _) in moved() {
            self.unlink(index, slot);
        }
        self.rows.replace(slot, keys);
        for (index, _) in moved() {
            self.link(index, slot);
        }
    }

    fn link(&mut self, index: Index, slot: u32) {
        let Some(active) = self.rows.get(slot).map(|row| row.active) else {
            return;
        };
        let (rows, list) = self.list_mut(index, active);
        if let Some(row) = rows.get(slot).filter(|row| row.is_in(index)) {
            let probe = Probe::of_row(row, index);
            let prefix = probe.prefix;
            list.insert(Entry { prefix, slot }, |at| probe.against(rows, at));
        }
    }

    pub(super) fn unlink(&mut self, index: Index, slot: u32) {
        let Some(active) = self.rows.get(slot).map(|row| row.active) else {
            return;
        };
        let (rows, list) = self.list_mut(index, active);
        if let Some(row) = rows.get(slot).filter(|row| row.is_in(index)) {
            let probe = Probe::of_row(row, index);
            let prefix = probe.prefix;
            let removed = list.remove(Entry { prefix, slot }, |at| probe.against(rows, at));
            debug_assert!(removed, "{index:?} had no entry of slot {slot}");
        }
    }

    /// Contacts that have an e-mail.
    pub(crate) fn emails(&self) -> usize {
        self.of(Index::Email).iter().map(Sorted::len).sum()
    }

    pub(super) fn bytes(&self) -> usize {
        let lists: usize = self.lists.iter().flatten().map(Sorted::bytes).sum();
        lists + self.rows.bytes()
    }

    /// How a contact's place differs from what its body says; for verification.
    pub(crate) fn difference_of(
        &self,
        id: &[u8],
        body: &[u8],
    ) -> Result<Option<&'static str>, CorruptContact> {
        let mut keys = SortKeys::default();
        keys.read(body)?;
        Ok(self.difference(id, &keys))
    }

    pub(super) fn difference(&self, id: &[u8], keys: &SortKeys) -> Option<&'static str> {
        let Some(row) = self.rows.find(id).and_then(|slot| self.rows.get(slot)) else {
            return Some("is in no order");
        };
        if row.moves(Index::Email, keys) && row.active == keys.active {
            return Some("is found by another e-mail than its own");
        }
        Index::ALL
            .into_iter()
            .any(|index| row.moves(index, keys))
            .then_some("is ordered by other values than its own")
    }

    /// What is wrong with the lists among themselves, given how many contacts there are.
    pub(crate) fn list_differences(&self, contacts: u64) -> Vec<String> {
        let mut found = Vec::new();
        let rows = self.rows.rows.len();
        if rows as u64 != contacts {
            found.push(format!("{rows} contacts are ordered, {contacts} are stored"));
        }
        for index in Index::ALL {
            self.index_differences(index, &mut found);
        }
        found
    }

    /// Whether a list holds what it should, in order.
    fn index_differences(&self, index: Index, found: &mut Vec<String>) {
        for (list, active) in self.of(index).iter().zip([true, false]) {
            let belongs = |row: &&Row| row.active == active && row.is_in(index);
            let expected = self.rows.rows.iter().filter(belongs).count();
            let slots: Vec<u32> = list.slots().collect();
            if slots.len() != expected || list.len() != expected {
                let len = slots.len();
                found.push(format!("{index:?} has {len} entries for {expected} contacts"));
            }
            let is_before =
                |a: &u32, b: &u32| compare(&self.rows, (index, *a), (index, *b)) == Ordering::Less;
            if !slots.is_sorted_by(is_before) {
                found.push(format!("{index:?} is not in order"));
            }
        }
    }
}

/// From entries by id: what is equal stays in that order.
fn build(rows: &Rows, index: Index, active: bool, by_id: &[Entry]) -> Sorted {
    let row_of = |entry: &Entry| Some((rows.get(entry.slot)?, entry.slot));
    let mut entries: Vec<Entry> = by_id
        .iter()
        .filter_map(row_of)
        .filter(|(row, _)| row.active == active && row.is_in(index))
        .map(|(row, slot)| Entry { prefix: row.prefix(index), slot })
        .collect();
    let text = |slot| rows.get(slot).map_or(&[][..], |row| row.text(index));
    match index {
        Index::Id => {}
        Index::UpdatedAt | Index::CreatedAt | Index::ChangedAt => {
            entries.sort_by_key(|at| at.prefix)
        }
        Index::Name | Index::FirstName | Index::Email | Index::Company | Index::Source => {
            sort_by_text(&mut entries, text);
        }
    }
    Sorted::from_sorted(&entries, index.has_prefixes())
}
