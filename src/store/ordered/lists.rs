//! The lists of every order over the rows, and how a page is cut out of them.

use std::cmp::Ordering;

use crate::domain::contact::{CorruptContact, Status};

use super::rows::{Row, Rows};
use super::sorted::{Entry, Place, Prefix, Sorted};
use super::{CHANGES_A_HOLD, Changed, PageKey, PageRequest, SortKeys, SortOrder};

/// A full sort key to compare rows with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe<'a> {
    pub(super) prefix: Prefix,
    text: &'a [u8],
    id: &'a [u8],
}

impl<'a> Probe<'a> {
    fn of_row(row: &'a Row, order: SortOrder) -> Self {
        Self { prefix: row.prefix(order), text: row.text(order), id: row.id() }
    }

    pub(super) fn of_email(email: u64, id: &'a [u8]) -> Self {
        Self { prefix: Prefix::of_number(email), text: &[], id }
    }

    fn of_key(key: &'a PageKey, order: SortOrder) -> Self {
        let number = key.sort.first_chunk::<8>().map_or(0, |n| u64::from_be_bytes(*n));
        let (prefix, text): (_, &[u8]) = match order {
            SortOrder::UpdatedAt | SortOrder::CreatedAt => (Prefix::of_number(number), &[]),
            SortOrder::Name | SortOrder::Company => (Prefix::of_text(&key.sort), &key.sort),
            SortOrder::Id => (Prefix::of_text(&key.id), &[]),
        };
        Self { prefix, text, id: &key.id }
    }
}

/// All lists over all rows.
#[derive(Debug, Default)]
pub(super) struct Lists {
    pub(super) rows: Rows,
    /// ACTIVE and DELETED of each order, as they stand in [`SortOrder`].
    orders: [[Sorted; 2]; SortOrder::ALL.len()],
    /// Contacts that have an e-mail, by its hash and then by id.
    pub(super) emails: Sorted,
}

impl Lists {
    pub(super) fn of_rows(rows: Rows) -> Self {
        let mut lists = Self { rows, ..Self::default() };
        lists.build_all();
        lists
    }

    pub(super) fn of(&self, order: SortOrder) -> &[Sorted; 2] {
        let [id, updated_at, created_at, name, company] = &self.orders;
        match order {
            SortOrder::Id => id,
            SortOrder::UpdatedAt => updated_at,
            SortOrder::CreatedAt => created_at,
            SortOrder::Name => name,
            SortOrder::Company => company,
        }
    }

    fn list_mut(&mut self, order: SortOrder, active: bool) -> (&Rows, &mut Sorted) {
        let [id, updated_at, created_at, name, company] = &mut self.orders;
        let [active_list, deleted_list] = match order {
            SortOrder::Id => id,
            SortOrder::UpdatedAt => updated_at,
            SortOrder::CreatedAt => created_at,
            SortOrder::Name => name,
            SortOrder::Company => company,
        };
        let list = if active { active_list } else { deleted_list };
        (&self.rows, list)
    }

    fn build_all(&mut self) {
        let rows = &self.rows;
        let mut by_id: Vec<Entry> = (0..)
            .zip(&rows.rows)
            .map(|(slot, row)| Entry { prefix: row.prefix(SortOrder::Id), slot })
            .collect();
        // Stable, since the scan brings them by id: runs that are sorted already cost little.
        by_id.sort_by(|a, b| {
            a.prefix.cmp(&b.prefix).then_with(|| rows.id(a.slot).cmp(rows.id(b.slot)))
        });
        for order in SortOrder::ALL {
            self.build(order, &by_id);
        }
        self.build_emails(&by_id);
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

    /// From entries by id: what is equal stays in that order.
    fn build(&mut self, order: SortOrder, by_id: &[Entry]) {
        for active in [true, false] {
            let (rows, list) = self.list_mut(order, active);
            let row_of = |entry: &Entry| Some((rows.get(entry.slot)?, entry.slot));
            let mut entries: Vec<Entry> = by_id
                .iter()
                .filter_map(row_of)
                .filter(|(row, _)| row.active == active)
                .map(|(row, slot)| Entry { prefix: row.prefix(order), slot })
                .collect();
            let text = |slot| rows.get(slot).map(|row| row.text(order));
            match order {
                SortOrder::Id => {}
                SortOrder::UpdatedAt | SortOrder::CreatedAt => entries.sort_by_key(|at| at.prefix),
                SortOrder::Name | SortOrder::Company => entries.sort_by(|a, b| {
                    a.prefix.cmp(&b.prefix).then_with(|| text(a.slot).cmp(&text(b.slot)))
                }),
            }
            *list = Sorted::from_sorted(&entries);
        }
    }

    /// Takes a contact's new values.
    pub(super) fn put(&mut self, id: &[u8], keys: &SortKeys) {
        let Some(slot) = self.rows.find(id) else {
            let slot = self.rows.add(Row::new(id, keys));
            for order in SortOrder::ALL {
                self.link(order, slot);
            }
            self.link_email(slot);
            return;
        };
        let Some(row) = self.rows.get(slot) else {
            return;
        };
        let changes_email = row.email != keys.email;
        let moves = SortOrder::ALL.map(|order| row.moves(order, keys));
        let moved = || SortOrder::ALL.into_iter().zip(moves).filter(|(_, moves)| *moves);
        for (order, _) in moved() {
            self.unlink(order, slot);
        }
        if changes_email {
            self.unlink_email(slot);
        }
        self.rows.replace(slot, keys);
        for (order, _) in moved() {
            self.link(order, slot);
        }
        if changes_email {
            self.link_email(slot);
        }
    }

    fn link(&mut self, order: SortOrder, slot: u32) {
        let Some(active) = self.rows.get(slot).map(|row| row.active) else {
            return;
        };
        let (rows, list) = self.list_mut(order, active);
        if let Some(row) = rows.get(slot) {
            let probe = Probe::of_row(row, order);
            let prefix = probe.prefix;
            list.insert(Entry { prefix, slot }, |at| compare(rows, order, at, probe));
        }
    }

    pub(super) fn unlink(&mut self, order: SortOrder, slot: u32) {
        let Some(active) = self.rows.get(slot).map(|row| row.active) else {
            return;
        };
        let (rows, list) = self.list_mut(order, active);
        if let Some(row) = rows.get(slot) {
            let probe = Probe::of_row(row, order);
            let prefix = probe.prefix;
            let removed = list.remove(Entry { prefix, slot }, |at| compare(rows, order, at, probe));
            debug_assert!(removed, "{order:?} had no entry of slot {slot}");
        }
    }

    pub(super) fn page(&self, request: &PageRequest) -> Vec<PageKey> {
        let order = request.order;
        let [active, deleted] = self.of(order);
        let slots = match request.status {
            Some(Status::Active) => self.slots(active, request),
            Some(Status::Deleted) => self.slots(deleted, request),
            None => {
                let (a, b) = (self.slots(active, request), self.slots(deleted, request));
                self.merged(&a, &b, request)
            }
        };
        slots
            .into_iter()
            .filter_map(|slot| self.rows.get(slot))
            .map(|row| PageKey { sort: row.sort(order), id: row.id().to_vec() })
            .collect()
    }

    /// The slots of one list that the page may show.
    fn slots(&self, list: &Sorted, request: &PageRequest) -> Vec<u32> {
        let from = self.start(list, request);
        if request.descending {
            list.backward(from).take(request.limit).collect()
        } else {
            list.forward(from).take(request.limit).collect()
        }
    }

    fn start(&self, list: &Sorted, request: &PageRequest) -> Place {
        let (begin, end) = list.ends();
        let order = request.order;
        match (&request.after, request.descending) {
            (None, false) => begin,
            (None, true) => end,
            (Some(after), descending) => {
                let probe = Probe::of_key(after, order);
                let against = |at| compare(&self.rows, order, at, probe);
                if descending {
                    list.lower(probe.prefix, against)
                } else {
                    list.upper(probe.prefix, against)
                }
            }
        }
    }

    fn merged(&self, a: &[u32], b: &[u32], request: &PageRequest) -> Vec<u32> {
        let mut merged: Vec<u32> = a.iter().chain(b).copied().collect();
        merged.sort_by(|a, b| {
            let ascending = self.compare_rows(request.order, *a, *b);
            if request.descending { ascending.reverse() } else { ascending }
        });
        merged.truncate(request.limit);
        merged
    }

    fn compare_rows(&self, order: SortOrder, a: u32, b: u32) -> Ordering {
        let prefix = |slot| self.rows.get(slot).map(|row| row.prefix(order));
        prefix(a).cmp(&prefix(b)).then_with(|| compare_slots(&self.rows, order, a, b))
    }

    pub(super) fn bytes(&self) -> usize {
        let lists: usize = self.orders.iter().flatten().map(Sorted::bytes).sum();
        lists + self.emails.bytes() + self.rows.bytes()
    }

    pub(super) fn difference(&self, id: &[u8], keys: &SortKeys) -> Option<&'static str> {
        let Some(row) = self.rows.find(id).and_then(|slot| self.rows.get(slot)) else {
            return Some("is in no order");
        };
        if row.email != keys.email {
            return Some("is found by another e-mail than its own");
        }
        SortOrder::ALL
            .into_iter()
            .any(|order| row.moves(order, keys))
            .then_some("is ordered by other values than its own")
    }

    pub(super) fn list_differences(&self, contacts: u64) -> Vec<String> {
        let mut found = Vec::new();
        let rows = self.rows.rows.len();
        if rows as u64 != contacts {
            found.push(format!("{rows} contacts are ordered, {contacts} are stored"));
        }
        for order in SortOrder::ALL {
            self.order_differences(order, &mut found);
        }
        self.email_differences(&mut found);
        found
    }

    /// Whether a list holds what it should, in order.
    fn order_differences(&self, order: SortOrder, found: &mut Vec<String>) {
        for (list, active) in self.of(order).iter().zip([true, false]) {
            let expected = self.rows.rows.iter().filter(|row| row.active == active).count();
            let slots: Vec<u32> = list.forward(list.ends().0).collect();
            if slots.len() != expected || list.len() != expected {
                let len = slots.len();
                found.push(format!("{order:?} has {len} entries for {expected} contacts"));
            }
            let is_before = |a: &u32, b: &u32| self.compare_rows(order, *a, *b) == Ordering::Less;
            if !slots.is_sorted_by(is_before) {
                found.push(format!("{order:?} is not in order"));
            }
        }
    }
}

/// Compares a row with a key, their prefixes being equal.
pub(super) fn compare(rows: &Rows, order: SortOrder, slot: u32, probe: Probe<'_>) -> Ordering {
    let Some(row) = rows.get(slot) else {
        return Ordering::Less;
    };
    row.text(order).cmp(probe.text).then_with(|| row.id().cmp(probe.id))
}

/// Compares two rows, their prefixes being equal.
fn compare_slots(rows: &Rows, order: SortOrder, a: u32, b: u32) -> Ordering {
    let key = |slot| rows.get(slot).map(|row: &Row| (row.text(order), row.id()));
    key(a).cmp(&key(b))
}
