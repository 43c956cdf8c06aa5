//! Who has which e-mail: one more list over the rows, by the address's hash and then by id.

use super::SortOrder;
use super::lists::{Lists, Probe, compare};
use super::rows::Rows;
use super::sorted::{Entry, Prefix, Sorted};

impl Lists {
    /// From entries by id: what is equal stays in that order.
    pub(super) fn build_emails(&mut self, by_id: &[Entry]) {
        let rows = &self.rows;
        let mut entries: Vec<Entry> = by_id
            .iter()
            .filter_map(|entry| Some((rows.get(entry.slot)?, entry.slot)))
            .filter(|(row, _)| row.email != 0)
            .map(|(row, slot)| Entry { prefix: Prefix::of_number(row.email), slot })
            .collect();
        entries.sort_by_key(|at| at.prefix);
        self.emails = Sorted::from_sorted(&entries);
    }

    pub(super) fn link_email(&mut self, slot: u32) {
        let (rows, list) = (&self.rows, &mut self.emails);
        if let Some((entry, probe)) = entry_of(rows, slot) {
            list.insert(entry, |at| compare(rows, SortOrder::Id, at, probe));
        }
    }

    pub(super) fn unlink_email(&mut self, slot: u32) {
        let (rows, list) = (&self.rows, &mut self.emails);
        if let Some((entry, probe)) = entry_of(rows, slot) {
            let removed = list.remove(entry, |at| compare(rows, SortOrder::Id, at, probe));
            debug_assert!(removed, "slot {slot} was not found by its e-mail");
        }
    }

    /// Ids, sorted: at most `limit` of those after `after`.
    pub(super) fn ids_with_email(
        &self,
        email: u64,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Vec<Box<[u8]>> {
        let probe = Probe::of_email(email, after.unwrap_or_default());
        let against = |at| compare(&self.rows, SortOrder::Id, at, probe);
        // No id is empty, so without `after` this is before the first.
        let from = self.emails.upper(probe.prefix, against);
        self.emails
            .forward(from)
            .filter_map(|slot| self.rows.get(slot))
            .take_while(|row| row.email == email)
            .take(limit)
            .map(|row| row.id().into())
            .collect()
    }

    pub(super) fn emails(&self) -> usize {
        self.emails.len()
    }

    /// Whether the list holds every row that has an e-mail, in order.
    pub(super) fn email_differences(&self, found: &mut Vec<String>) {
        let expected = self.rows.rows.iter().filter(|row| row.email != 0).count();
        let slots: Vec<u32> = self.emails.forward(self.emails.ends().0).collect();
        if slots.len() != expected || self.emails.len() != expected {
            let len = slots.len();
            found.push(format!("the e-mail index has {len} entries for {expected} contacts"));
        }
        let key = |slot| self.rows.get(slot).map(|row| (row.email, row.id()));
        if !slots.is_sorted_by(|a, b| key(*a) < key(*b)) {
            found.push("the e-mail index is not in order".to_owned());
        }
    }
}

/// A row's entry, if it has an e-mail, and what to compare it by.
fn entry_of(rows: &Rows, slot: u32) -> Option<(Entry, Probe<'_>)> {
    let row = rows.get(slot).filter(|row| row.email != 0)?;
    let probe = Probe::of_email(row.email, row.id());
    let prefix = probe.prefix;
    Some((Entry { prefix, slot }, probe))
}
