//! How a page is cut out of the lists, and how many contacts a request is about.
//!
//! A single filter in its own order, and each order, is a stretch of one list (or several, merged).
//! Anything else looks at the filter's stretch where that is short, and sorts what it finds; or it
//! goes along the order and leaves out what does not pass, until it has looked at enough.

use std::cmp::Ordering;

use crate::domain::contact::Status;

use super::filter_keys::{FilterKeys, Part};
use super::lists::Lists;
use super::probe::Probe;
use super::request::{PageBoundary, Places, Total};
use super::walk::{RowMatch, Run, Walk, compare};
use super::{Index, PageKey, PageRequest, SortOrder};

/// Counting looks at so many times the contacts that a page looks at.
pub(super) const COUNT_SCANS: usize = 5;

/// Where the contacts of a page are looked for.
struct Plan<'l> {
    runs: Vec<Run<'l>>,
    how: How,
}

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// The runs hold the contacts asked for and no others, in the order asked for.
    AsTheyLie,
    /// In the order asked for, but not all that lie there pass.
    Filtered,
    /// They are short: what passes is sorted. A contact may lie in several of a prefix's.
    Sorted { is_prefix: bool },
}

impl Lists {
    /// The stretch of an index between two points, of one status or both.
    pub(super) fn runs(
        &self,
        index: Index,
        status: Option<Status>,
        low: Option<&Probe<'_>>,
        high: Option<&Probe<'_>>,
    ) -> Vec<Run<'_>> {
        let [active, deleted] = self.of(index);
        let lists = match status {
            Some(Status::Active) => [Some(active), None],
            Some(Status::Deleted) => [Some(deleted), None],
            None => [Some(active), Some(deleted)],
        };
        let run = |list| Run::of(&self.rows, list, index, low, high);
        lists.into_iter().flatten().map(run).collect()
    }

    /// The places of a page, without the contacts.
    pub(crate) fn page(&self, request: &PageRequest) -> Places {
        if request.duplicates {
            return self.duplicates(request);
        }
        let wanted = FilterKeys::of(&request.filters);
        let plan = self.plan(request, &wanted);
        let places = self.page_by(plan, request, &wanted, usize::MAX);
        places.unwrap_or_default()
    }

    /// The same, if that takes looking at no more than a few contacts that are not on the page.
    pub(crate) fn page_of_few(&self, request: &PageRequest) -> Option<Places> {
        if request.duplicates || request.counting {
            return None;
        }
        let wanted = FilterKeys::of(&request.filters);
        let plan = self.plan(request, &wanted);
        self.page_by(plan, request, &wanted, request.limit + self.bounds.page_few)
    }

    /// None: more than `looks_max` contacts would have to be looked at.
    fn page_by(
        &self,
        plan: Plan<'_>,
        request: &PageRequest,
        wanted: &FilterKeys,
        looks_max: usize,
    ) -> Option<Places> {
        match plan.how {
            How::AsTheyLie => self.along(request, wanted, plan.runs, false, looks_max),
            How::Filtered => self.along(request, wanted, plan.runs, true, looks_max),
            How::Sorted { is_prefix } => {
                let looks = plan.runs.iter().map(Run::len).sum::<usize>();
                (looks <= looks_max).then(|| self.sorted(request, wanted, &plan.runs, is_prefix))
            }
        }
    }

    fn plan<'l>(&'l self, request: &PageRequest, wanted: &FilterKeys) -> Plan<'l> {
        let mut parts: Vec<(usize, Part, Vec<Run<'l>>)> = wanted
            .parts()
            .into_iter()
            .map(|part| {
                let runs = wanted.runs(part, self, request.status);
                (runs.iter().map(Run::len).sum(), part, runs)
            })
            .collect();
        parts.sort_by_key(|(len, ..)| *len);
        let is_alone = parts.len() == 1;
        let in_order = parts.iter().position(|(_, part, _)| part.is_in_order(request.order));
        let shortest = parts.first().map(|(len, ..)| *len);
        match (in_order, shortest) {
            (Some(at), _) if is_alone => {
                Plan { runs: parts.swap_remove(at).2, how: How::AsTheyLie }
            }
            (_, Some(len)) if len <= self.bounds.page_scan_max => {
                let (_, part, runs) = parts.swap_remove(0);
                Plan { runs, how: How::Sorted { is_prefix: part == Part::Query } }
            }
            (Some(at), _) => Plan { runs: parts.swap_remove(at).2, how: How::Filtered },
            (None, shortest) => {
                let runs = self.runs(Index::of(request.order), request.status, None, None);
                let how = if shortest.is_some() { How::Filtered } else { How::AsTheyLie };
                Plan { runs, how }
            }
        }
    }

    /// Along the runs until the page is full.
    fn along(
        &self,
        request: &PageRequest,
        wanted: &FilterKeys,
        runs: Vec<Run<'_>>,
        is_filtered: bool,
        looks_max: usize,
    ) -> Option<Places> {
        let by_match = request.order == SortOrder::Match;
        let after = request.after.as_ref().map(|key| self.key_in(&runs, request.order, key));
        let mut walk = Walk::new(&self.rows, runs, after.as_ref(), request.descending);
        let mut skip = request.skip;
        let leaves_out = is_filtered || by_match;
        if !leaves_out {
            skip -= walk.skip(skip);
        }
        let mut places = Places::default();
        let mut looked_at = 0;
        while places.keys.len() < request.limit
            && let Some(met) = walk.next()
        {
            looked_at += 1;
            if looked_at > looks_max {
                return None;
            }
            if !leaves_out || self.is_shown(wanted, met, is_filtered, by_match) {
                if skip > 0 {
                    skip -= 1;
                } else {
                    places.keys.extend(self.key(request.order, met));
                }
            }
            // A cut between two places of one text would leave the contact out.
            let is_copy = by_match && self.is_copy(wanted, met);
            let is_enough = looked_at >= self.bounds.page_scan_max && !is_copy;
            if leaves_out && is_enough && places.keys.len() < request.limit {
                places.cut = self.key(request.order, met).map(|key| PageBoundary { key, skip });
                break;
            }
        }
        Some(places)
    }

    /// Whether a contact is shown where it was met; one that lies in several runs, in the first.
    fn is_shown(
        &self,
        wanted: &FilterKeys,
        (index, slot): RowMatch,
        is_filtered: bool,
        once: bool,
    ) -> bool {
        self.rows.get(slot).is_some_and(|row| {
            (!is_filtered || wanted.passes(row))
                && (!once || wanted.first_match(row) == Some(index))
        })
    }

    /// Whether the contact is shown at another place of the same text.
    fn is_copy(&self, wanted: &FilterKeys, (index, slot): RowMatch) -> bool {
        self.rows.get(slot).is_some_and(|row| {
            let first = wanted.first_match(row);
            first.is_some_and(|first| first != index && row.text(first) == row.text(index))
        })
    }

    /// All of the runs that passes, sorted.
    fn sorted(
        &self,
        request: &PageRequest,
        wanted: &FilterKeys,
        runs: &[Run<'_>],
        is_prefix: bool,
    ) -> Places {
        let met = runs.iter().flat_map(|run| run.slots().map(|slot| (run.index, slot)));
        let mut found: Vec<RowMatch> = met
            .filter(|met| self.is_shown(wanted, *met, true, is_prefix))
            .filter_map(|(_, slot)| {
                let index = match request.order {
                    SortOrder::Match => wanted.first_match(self.rows.get(slot)?)?,
                    order => Index::of(order),
                };
                Some((index, slot))
            })
            .filter(|met| self.is_after(request, *met))
            .collect();
        let in_order = |a: &RowMatch, b: &RowMatch| {
            let ascending = compare(&self.rows, *a, *b);
            if request.descending { ascending.reverse() } else { ascending }
        };
        let end = request.skip.saturating_add(request.limit);
        if end < found.len() {
            found.select_nth_unstable_by(end, in_order);
            found.truncate(end);
        }
        found.sort_unstable_by(in_order);
        let shown = found.into_iter().skip(request.skip);
        Places { keys: shown.filter_map(|met| self.key(request.order, met)).collect(), cut: None }
    }

    fn is_after(&self, request: &PageRequest, (index, slot): RowMatch) -> bool {
        request.after.as_ref().is_none_or(|after| {
            let place = Probe::of_key(index, after, request.descending).against(&self.rows, slot);
            place == if request.descending { Ordering::Less } else { Ordering::Greater }
        })
    }

    /// A contact's place in an order, wherever it was met.
    fn key(&self, order: SortOrder, (index, slot): RowMatch) -> Option<PageKey> {
        let row = self.rows.get(slot)?;
        let index = if order == SortOrder::Match { index } else { Index::of(order) };
        Some(PageKey { sort: row.sort(index), id: row.id().to_vec() })
    }

    /// A place of the order as the runs know it: those of one text lie by id, after that text.
    fn key_in(&self, runs: &[Run<'_>], order: SortOrder, key: &PageKey) -> PageKey {
        let of_one_text = |run: &&Run<'_>| order == SortOrder::Id && run.index != Index::Id;
        let text = runs.iter().filter(of_one_text).find_map(|run| {
            let row = self.rows.get(run.slots().next()?)?;
            Some(row.text(run.index).to_vec())
        });
        PageKey { sort: text.unwrap_or_else(|| key.sort.clone()), id: key.id.clone() }
    }

    /// How many contacts a request is about. Where no list knows, they are counted up to a bound, if
    /// that is asked for.
    pub(crate) fn total(&self, request: &PageRequest) -> Total {
        if request.duplicates {
            return if request.counting { self.count_duplicates(request) } else { Total::Unknown };
        }
        let wanted = FilterKeys::of(&request.filters);
        let parts = wanted.parts();
        let lengths = |runs: &[Run<'_>]| runs.iter().map(Run::len).sum::<usize>();
        let runs_of = |part| (wanted.runs(part, self, request.status), part);
        let shortest = parts.iter().copied().map(runs_of).min_by_key(|(runs, _)| lengths(runs));
        let Some((runs, part)) = shortest else {
            let all = self.runs(Index::Id, request.status, None, None);
            return Total::Exact(lengths(&all) as u64);
        };
        match (parts.as_slice(), wanted.is_cut()) {
            (_, true) => Total::Unknown,
            ([Part::Query] | [_, _, ..], false) if request.counting => {
                self.counted(&wanted, &runs, part == Part::Query)
            }
            ([Part::Query] | [_, _, ..], false) => Total::Unknown,
            ([] | [_], false) => Total::Exact(lengths(&runs) as u64),
        }
    }

    fn counted(&self, wanted: &FilterKeys, runs: &[Run<'_>], once: bool) -> Total {
        let (mut looked_at, mut count) = (0, 0);
        let looks_max = COUNT_SCANS * self.bounds.page_scan_max;
        for (index, slot) in runs.iter().flat_map(|run| run.slots().map(|slot| (run.index, slot))) {
            if looked_at == looks_max || count == self.bounds.page_count_max {
                return Total::AtLeast(count);
            }
            looked_at += 1;
            count += u64::from(self.is_shown(wanted, (index, slot), true, once));
        }
        Total::Exact(count)
    }
}
