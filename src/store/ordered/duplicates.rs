//! Contacts that share an e-mail address: found by walking along the e-mail index, kept nowhere.

use super::super::bounds::Bounds;
use super::lists::Lists;
use super::pages::COUNT_SCANS;
use super::request::{PageBoundary, Places, Total};
use super::walk::{RowMatch, Walk};
use super::{Index, PageKey, PageRequest};

impl Lists {
    /// A page of them, by address and then by id. A group that began on the page before goes on
    /// with the contacts that are left of it.
    pub(super) fn duplicates(&self, request: &PageRequest) -> Places {
        let (keys, given_up) =
            self.shared_emails(request, request.limit, self.bounds.page_scan_max);
        Places { keys, cut: given_up.map(|key| PageBoundary { key, skip: 0 }) }
    }

    pub(super) fn count_duplicates(&self, request: &PageRequest) -> Total {
        let request = PageRequest { after: None, descending: false, ..request.clone() };
        let Bounds { page_scan_max, page_count_max, .. } = self.bounds;
        let looks_max = COUNT_SCANS * page_scan_max;
        let (keys, given_up) = self.shared_emails(&request, page_count_max as usize, looks_max);
        let count = keys.len() as u64;
        if given_up.is_some() || count == page_count_max {
            Total::AtLeast(count)
        } else {
            Total::Exact(count)
        }
    }

    /// At most `limit` places, and where it was given up after looking at `scan_max` contacts.
    fn shared_emails(
        &self,
        request: &PageRequest,
        limit: usize,
        scan_max: usize,
    ) -> (Vec<PageKey>, Option<PageKey>) {
        let runs = self.runs(Index::Email, request.status, None, None);
        let after = request.after.as_ref();
        let mut walk = Walk::new(&self.rows, runs, after, request.descending);
        let before = after.filter(|key| !key.id.is_empty()).map(|key| key.sort.as_slice());
        // The contact met last, and the group in hand's first one while that is not shown.
        let (mut last, mut waiting) = (None, None);
        let (mut keys, mut looked_at) = (Vec::new(), 0);
        while keys.len() < limit
            && let Some((met, prefix)) = walk.next_with_prefix()
        {
            looked_at += 1;
            let shares = match last.replace((met, prefix)) {
                // Most differ in what the list itself holds; the rest is looked up.
                Some((last, before)) => before == prefix && self.email(last) == self.email(met),
                None => before == Some(self.email(met)),
            };
            if shares {
                keys.extend(waiting.take().and_then(|first| self.email_key(first)));
                keys.extend(self.email_key(met));
            } else {
                waiting = Some(met);
            }
            if looked_at >= scan_max && keys.len() < limit {
                // The group in hand is begun again, unless some of it is shown.
                let at = self.email_key(met).map(|key| PageKey {
                    id: if waiting.is_some() { Vec::new() } else { key.id },
                    ..key
                });
                return (keys, at);
            }
        }
        keys.truncate(limit);
        (keys, None)
    }

    fn email(&self, (_, slot): RowMatch) -> &[u8] {
        self.rows.get(slot).map_or(&[], |row| row.text(Index::Email))
    }

    fn email_key(&self, (index, slot): RowMatch) -> Option<PageKey> {
        let row = self.rows.get(slot)?;
        Some(PageKey { sort: row.sort(index), id: row.id().to_vec() })
    }
}
