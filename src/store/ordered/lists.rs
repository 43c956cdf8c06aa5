//! The lists of every index over the rows.

use std::cmp::Ordering;

use crate::domain::contact::CorruptContact;

use super::keys::SortKeys;
use super::probe::Probe;
use super::rows::{Row, Rows};
use super::sorted::{Entry, Sorted};
use super::walk::compare;
use super::{CHANGES_A_HOLD, Changed, Index};

/// Rows from which on building is worth a second thread.
const ROWS_FOR_TWO: usize = 50_000;

/// All lists over all rows.
#[derive(Debug)]
pub(super) struct Lists {
    pub(super) rows: Rows,
    /// ACTIVE and DELETED of each index, as they stand in [`Index`].
    lists: [[Sorted; 2]; Index::ALL.len()],
}

impl Default for Lists {
    fn default() -> Self {
        let none = |index: Index| Sorted::from_sorted(&[], index.has_prefixes());
        Self { rows: Rows::default(), lists: Index::ALL.map(|index| [none(index), none(index)]) }
    }
}

impl Lists {
    pub(super) fn of_rows(rows: Rows) -> Self {
        let mut lists = Self { rows, ..Self::default() };
        lists.build_all();
        lists
    }

    pub(super) fn of(&self, index: Index) -> &[Sorted; 2] {
        let [id, updated_at, created_at, name, first_name, email, company, source] = &self.lists;
        match index {
            Index::Id => id,
            Index::UpdatedAt => updated_at,
            Index::CreatedAt => created_at,
            Index::Name => name,
            Index::FirstName => first_name,
            Index::Email => email,
            Index::Company => company,
            Index::Source => source,
        }
    }

    fn list_mut(&mut self, index: Index, active: bool) -> (&Rows, &mut Sorted) {
        let [id, updated_at, created_at, name, first_name, email, company, source] =
            &mut self.lists;
        let [active_list, deleted_list] = match index {
            Index::Id => id,
            Index::UpdatedAt => updated_at,
            Index::CreatedAt => created_at,
            Index::Name => name,
            Index::FirstName => first_name,
            Index::Email => email,
            Index::Company => company,
            Index::Source => source,
        };
        (&self.rows, if active { active_list } else { deleted_list })
    }

    fn build_all(&mut self) {
        let rows = &self.rows;
        let mut by_id: Vec<Entry> = (0..)
            .zip(&rows.rows)
            .map(|(slot, row)| Entry { prefix: row.prefix(Index::Id), slot })
            .collect();
        // Stable, since the scan brings them by id: runs that are sorted already cost little.
        by_id.sort_by(|a, b| {
            a.prefix.cmp(&b.prefix).then_with(|| rows.id(a.slot).cmp(rows.id(b.slot)))
        });
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

    /// Takes so many changes that sorting everything anew is less work than one by one; false when
    /// they are too few for that.
    pub(super) fn build_with(&mut self, changes: &[Changed]) -> Result<bool, CorruptContact> {
        if changes.len() <= self.rows.rows.len().max(CHANGES_A_HOLD) {
            return Ok(false);
        }
        let mut keys = SortKeys::default();
        for (id, value) in changes {
            keys.read(value.body())?;
            self.rows.put(id, &keys);
        }
        self.build_all();
        Ok(true)
    }

    /// Takes a contact's new values.
    pub(super) fn put(&mut self, id: &[u8], keys: &SortKeys) {
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

    /// Ids, sorted, of those with an e-mail address, folded: at most `limit` of those after `after`.
    pub(super) fn ids_with_email(
        &self,
        email: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Vec<Box<[u8]>> {
        let (low, high) = (Probe::first(Index::Email, email), Probe::last(Index::Email, email));
        let runs = self.runs(Index::Email, None, Some(&low), Some(&high));
        let mut ids: Vec<&[u8]> = runs
            .iter()
            .flat_map(|run| run.slots())
            .map(|slot| self.rows.id(slot))
            .filter(|id| after.is_none_or(|after| *id > after))
            .collect();
        ids.sort_unstable();
        ids.into_iter().take(limit).map(Into::into).collect()
    }

    pub(super) fn emails(&self) -> usize {
        self.of(Index::Email).iter().map(Sorted::len).sum()
    }

    pub(super) fn bytes(&self) -> usize {
        let lists: usize = self.lists.iter().flatten().map(Sorted::bytes).sum();
        lists + self.rows.bytes()
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

    pub(super) fn list_differences(&self, contacts: u64) -> Vec<String> {
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
    let text = |slot| rows.get(slot).map(|row| row.text(index));
    match index {
        Index::Id => {}
        Index::UpdatedAt | Index::CreatedAt => entries.sort_by_key(|at| at.prefix),
        Index::Name | Index::FirstName | Index::Email | Index::Company | Index::Source => {
            entries.sort_by(|a, b| {
                a.prefix.cmp(&b.prefix).then_with(|| text(a.slot).cmp(&text(b.slot)))
            });
        }
    }
    Sorted::from_sorted(&entries, index.has_prefixes())
}
