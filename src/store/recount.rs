//! How contacts are spread, counted from one after the other; for verification.

use std::collections::BTreeMap;

use crate::domain::contact::{CorruptContact, Status};

use super::ordered::{GroupBy, Lists, SortKeys};

const HOUR_US: u64 = 3_600 * 1_000_000;

/// ACTIVE and DELETED contacts by a text.
type Counts = BTreeMap<Vec<u8>, [u64; 2]>;

/// What was counted.
#[derive(Default)]
pub(super) struct Recount {
    companies: Counts,
    sources: Counts,
    /// By hour since 1970: that came to be in it, and whose newest event is of it.
    hours: BTreeMap<u64, [u64; 2]>,
    keys: SortKeys,
}

impl Recount {
    pub(super) fn take(&mut self, body: &[u8]) -> Result<(), CorruptContact> {
        self.keys.read(body)?;
        let of_status = usize::from(!self.keys.active);
        for (counts, text) in
            [(&mut self.companies, &self.keys.company), (&mut self.sources, &self.keys.source)]
        {
            add(counts.entry(text.clone()).or_default(), of_status);
        }
        let times = [self.keys.created_at_us, self.keys.updated_at_us];
        for (what, us) in times.into_iter().enumerate() {
            add(self.hours.entry(us / HOUR_US).or_default(), what);
        }
        Ok(())
    }

    /// What the lists say otherwise.
    pub(super) fn differences(&self, lists: &Lists) -> Vec<String> {
        let mut found = Vec::new();
        for (by, counts) in [(GroupBy::Company, &self.companies), (GroupBy::Source, &self.sources)]
        {
            // Of no source nothing is listed.
            let named = counts.iter().filter(|(text, _)| !text.is_empty());
            let differ = named.filter(|(text, [active, deleted])| {
                let count = |status| lists.count_of(by, text, status);
                (count(Status::Active), count(Status::Deleted)) != (*active, *deleted)
            });
            let differ = differ.count();
            if differ > 0 {
                found.push(format!("by {by:?} {differ} groups have other sizes than are counted"));
            }
        }
        let differ = self.hours.iter().filter(|(hour, [created, changed])| {
            let bounds = [*hour * HOUR_US, (*hour + 1) * HOUR_US];
            let count = lists.by_time(&bounds).into_iter().next().unwrap_or_default();
            (count.created, count.changed) != (*created, *changed)
        });
        let differ = differ.count();
        if differ > 0 {
            found.push(format!("of {differ} hours other contacts are listed than are counted"));
        }
        found
    }
}

fn add(counts: &mut [u64; 2], place: usize) {
    if let Some(count) = counts.get_mut(place) {
        *count += 1;
    }
}
