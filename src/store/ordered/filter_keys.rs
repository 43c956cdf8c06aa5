//! Filters as the indexes know them, and the stretches of lists that they name.

use crate::domain::contact::Status;

use super::keys::{NAME_BYTES_MAX, TEXT_BYTES_MAX, cut, fold_cut};
use super::lists::Lists;
use super::probe::Probe;
use super::rows::Row;
use super::walk::Run;
use super::{Filters, Index, SortOrder};

/// What a prefix is looked for in.
const MATCHED: [Index; 4] = [Index::Name, Index::FirstName, Index::Email, Index::Company];

/// One of the filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Email,
    Company,
    Source,
    Query,
    UpdatedSince,
    ChangedSince,
}

/// The filters with their texts folded and cut.
#[derive(Debug, Default)]
pub(super) struct FilterKeys {
    email: Option<Vec<u8>>,
    company: Option<Vec<u8>>,
    source: Option<Vec<u8>>,
    query: Option<Vec<u8>>,
    updated_since: Option<u64>,
    changed_since: Option<u64>,
}

impl Part {
    /// Whether the part's stretch lies in that order as it is.
    pub(super) fn is_in_order(self, order: SortOrder) -> bool {
        match self {
            Self::Email | Self::Source => order == SortOrder::Id,
            Self::Company => matches!(order, SortOrder::Id | SortOrder::Company),
            Self::Query => order == SortOrder::Match,
            Self::UpdatedSince => order == SortOrder::UpdatedAt,
            Self::ChangedSince => order == SortOrder::ChangedAt,
        }
    }
}

impl FilterKeys {
    pub(super) fn of(filters: &Filters) -> Self {
        let fold = |text: &Option<String>, max| text.as_deref().map(|text| fold_cut(text, max));
        Self {
            email: fold(&filters.email, TEXT_BYTES_MAX),
            company: fold(&filters.company, TEXT_BYTES_MAX),
            source: filters.source.as_deref().map(|source| cut(source).as_bytes().to_vec()),
            // Names are cut to this.
            query: fold(&filters.q, NAME_BYTES_MAX),
            updated_since: filters.updated_since_us,
            changed_since: filters.changed_since_us,
        }
    }

    pub(super) fn parts(&self) -> Vec<Part> {
        let all = [
            self.email.is_some().then_some(Part::Email),
            self.company.is_some().then_some(Part::Company),
            self.source.is_some().then_some(Part::Source),
            self.query.is_some().then_some(Part::Query),
            self.updated_since.is_some().then_some(Part::UpdatedSince),
            self.changed_since.is_some().then_some(Part::ChangedSince),
        ];
        all.into_iter().flatten().collect()
    }

    /// Whether the indexes may know too little of some text to decide.
    pub(super) fn is_cut(&self) -> bool {
        let texts = [&self.email, &self.company, &self.source];
        // A character has up to four bytes, so the cut may be that much shorter.
        texts.into_iter().flatten().any(|text| text.len() + 4 > TEXT_BYTES_MAX)
            || self.query.as_ref().is_some_and(|text| text.len() + 4 > NAME_BYTES_MAX)
    }

    /// Whether a row passes all filters, as far as the indexes know.
    pub(super) fn passes(&self, row: &Row) -> bool {
        let is = |index, wanted: &Option<Vec<u8>>| {
            wanted.as_ref().is_none_or(|wanted| row.text(index) == *wanted)
        };
        is(Index::Source, &self.source)
            && is(Index::Company, &self.company)
            && is(Index::Email, &self.email)
            && self.updated_since.is_none_or(|since| row.updated_at_us >= since)
            && self.changed_since.is_none_or(|since| row.changed_at_us >= since)
            && (self.query.is_none() || self.first_match(row).is_some())
    }

    /// The index of the row's least text that begins with what is looked for.
    pub(super) fn first_match(&self, row: &Row) -> Option<Index> {
        let query = self.query.as_deref()?;
        let texts = MATCHED.into_iter().map(|index| (row.text(index), index));
        Some(texts.filter(|(text, _)| text.starts_with(query)).min()?.1)
    }

    /// The stretches of the lists in which all contacts that pass a part lie, and no others (but,
    /// looking for a prefix, a contact may lie in several).
    pub(super) fn runs<'l>(
        &self,
        part: Part,
        lists: &'l Lists,
        status: Option<Status>,
    ) -> Vec<Run<'l>> {
        let equal = |index, text: &Option<Vec<u8>>| {
            let text = text.as_deref().unwrap_or_default();
            let (low, high) = (Probe::first(index, text), Probe::last(index, text));
            lists.runs(index, status, Some(&low), Some(&high))
        };
        let since = |index, since: Option<u64>| {
            let low = Probe::from_number(index, since.unwrap_or(0));
            lists.runs(index, status, Some(&low), None)
        };
        match part {
            Part::Email => equal(Index::Email, &self.email),
            Part::Company => equal(Index::Company, &self.company),
            Part::Source => equal(Index::Source, &self.source),
            Part::UpdatedSince => since(Index::UpdatedAt, self.updated_since),
            Part::ChangedSince => since(Index::ChangedAt, self.changed_since),
            Part::Query => {
                let query = self.query.as_deref().unwrap_or_default();
                let runs = MATCHED.into_iter().flat_map(|index| {
                    let low = Probe::first(index, query);
                    let high = Probe::after_beginning(index, query);
                    lists.runs(index, status, Some(&low), Some(&high))
                });
                runs.collect()
            }
        }
    }
}
