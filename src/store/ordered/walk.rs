//! Walks over stretches of the lists, several merged into one.

use std::cmp::Ordering;

use super::probe::Probe;
use super::rows::Rows;
use super::sorted::{ListPosition, Prefix, Sorted};
use super::{Index, PageKey};

/// A stretch of one list.
#[derive(Clone, Debug)]
pub(super) struct Run<'a> {
    pub(super) index: Index,
    list: &'a Sorted,
    from: ListPosition,
    to: ListPosition,
}

impl<'a> Run<'a> {
    /// The part of a list between two points, or its ends.
    pub(super) fn of(
        rows: &Rows,
        list: &'a Sorted,
        index: Index,
        low: Option<&Probe<'_>>,
        high: Option<&Probe<'_>>,
    ) -> Self {
        let (start, end) = list.ends();
        let place = |probe: &Probe<'_>| list.lower(probe.prefix, |slot| probe.against(rows, slot));
        Self { index, list, from: low.map_or(start, place), to: high.map_or(end, place) }
    }

    pub(super) fn len(&self) -> usize {
        self.list.between(self.from, self.to)
    }

    /// Leaves out what does not come strictly after a place.
    fn start_after(&mut self, rows: &Rows, key: &PageKey, descending: bool) {
        let probe = Probe::of_key(self.index, key, descending);
        let against = |slot| probe.against(rows, slot);
        if descending {
            self.to = self.to.min(self.list.lower(probe.prefix, against));
        } else {
            self.from = self.from.max(self.list.upper(probe.prefix, against));
        }
    }

    fn next(&mut self, descending: bool) -> Option<Head> {
        if self.from >= self.to {
            return None;
        }
        if descending {
            let (slot, to) = self.list.before(self.to)?;
            self.to = to;
            Some((slot, self.list.prefix(to)))
        } else {
            let (slot, next) = self.list.after(self.from)?;
            let from = std::mem::replace(&mut self.from, next);
            Some((slot, self.list.prefix(from)))
        }
    }

    fn skip(&mut self, count: usize, descending: bool) -> usize {
        let skipped = count.min(self.len());
        if descending {
            self.to = self.list.receded(self.to, skipped);
        } else {
            self.from = self.list.advanced(self.from, skipped);
        }
        skipped
    }

    /// Its slots, in ascending order.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> + use<'a> {
        let (mut place, to, list) = (self.from, self.to, self.list);
        std::iter::from_fn(move || {
            let (slot, next) = list.after(place).filter(|_| place < to)?;
            place = next;
            Some(slot)
        })
    }
}

/// A slot, and what it is sorted by begins with, as far as the list keeps that.
type Head = (u32, Prefix);

/// A slot, and by which index it was met.
pub(super) type RowMatch = (Index, u32);

/// How two slots compare, each by its index; those are the same, or both of texts.
pub(super) fn compare(rows: &Rows, a: RowMatch, b: RowMatch) -> Ordering {
    let key = |(index, slot): RowMatch| {
        let row = rows.get(slot)?;
        Some((row.number(index), row.text(index), row.id(), index))
    };
    key(a).cmp(&key(b))
}

/// Stretches merged in order.
pub(super) struct Walk<'a> {
    rows: &'a Rows,
    runs: Vec<Run<'a>>,
    /// What comes next of each run, where there are several.
    heads: Vec<Option<Head>>,
    descending: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        rows: &'a Rows,
        mut runs: Vec<Run<'a>>,
        after: Option<&PageKey>,
        descending: bool,
    ) -> Self {
        if let Some(after) = after {
            runs.iter_mut().for_each(|run| run.start_after(rows, after, descending));
        }
        // One that is empty only costs comparisons.
        runs.retain(|run| run.len() > 0);
        let heads = if runs.len() > 1 {
            runs.iter_mut().map(|run| run.next(descending)).collect()
        } else {
            Vec::new()
        };
        Self { rows, runs, heads, descending }
    }

    /// Leaves out as many as can be without looking at them; how many that were.
    pub(super) fn skip(&mut self, count: usize) -> usize {
        match self.runs.as_mut_slice() {
            [only] => only.skip(count, self.descending),
            [] | [_, _, ..] => 0,
        }
    }

    pub(super) fn next(&mut self) -> Option<RowMatch> {
        self.next_with_prefix().map(|(met, _)| met)
    }

    /// With what it is sorted by begins with: where that differs, so does the whole. Nothing can be
    /// told from it in a list that keeps none.
    pub(super) fn next_with_prefix(&mut self) -> Option<(RowMatch, Prefix)> {
        if let [only] = self.runs.as_mut_slice() {
            let (slot, prefix) = only.next(self.descending)?;
            return Some(((only.index, slot), prefix));
        }
        let mut first: Option<(usize, RowMatch, Prefix)> = None;
        for (at, (run, head)) in self.runs.iter().zip(&self.heads).enumerate() {
            let Some((slot, prefix)) = *head else {
                continue;
            };
            let met = (run.index, slot);
            let comes_first = first.is_none_or(|(_, known, _)| {
                let ascending = compare(self.rows, met, known);
                ascending == if self.descending { Ordering::Greater } else { Ordering::Less }
            });
            if comes_first {
                first = Some((at, met, prefix));
            }
        }
        let (at, met, prefix) = first?;
        let next = self.runs.get_mut(at)?.next(self.descending);
        *self.heads.get_mut(at)? = next;
        Some((met, prefix))
    }
}
