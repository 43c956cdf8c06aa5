//! How many contacts share a company or a source, and in which times they came to be and changed: of the
//! lists as they are, so nothing is kept for it.

use crate::domain::contact::Status;

use super::lists::Lists;
use super::probe::Probe;
use super::walk::{Run, Walk};
use super::{Index, PageKey};

/// Rows that are looked at under one hold of the lists.
const ROWS_A_HOLD: usize = 8_192;

/// What contacts are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// Their company, as it is found by: in any case, and by its first 254 bytes.
    Company,
    /// The source of their newest event.
    Source,
}

impl GroupBy {
    fn index(self) -> Index {
        match self {
            Self::Company => Index::Company,
            Self::Source => Index::Source,
        }
    }
}

/// Contacts in a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeCounts {
    /// That came to be in it.
    pub created: u64,
    /// Whose newest event is of it.
    pub changed: u64,
}

impl Lists {
    /// Shows the text and id of ACTIVE contacts by what they are counted by, some of them from a place on;
    /// where it goes on, if there are more.
    pub(crate) fn some_by(
        &self,
        by: GroupBy,
        after: Option<&PageKey>,
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Option<PageKey> {
        let index = by.index();
        let runs = self.runs(index, Some(Status::Active), None, None);
        let mut walk = Walk::new(&self.rows, runs, after, false);
        let mut last = None;
        for _ in 0..ROWS_A_HOLD {
            let (_, slot) = walk.next()?;
            let Some(row) = self.rows.get(slot) else {
                continue;
            };
            each(row.text(index), row.id());
            last = Some(row);
        }
        last.map(|row| PageKey { sort: row.text(index).to_vec(), id: row.id().to_vec() })
    }

    /// How many of a status have this text.
    pub(crate) fn count_of(&self, by: GroupBy, text: &[u8], status: Status) -> u64 {
        let index = by.index();
        let (low, high) = (Probe::first(index, text), Probe::last(index, text));
        entries(&self.runs(index, Some(status), Some(&low), Some(&high)))
    }

    /// How many of a status have any.
    pub(crate) fn count_with(&self, by: GroupBy, status: Status) -> u64 {
        let all = entries(&self.runs(by.index(), Some(status), None, None));
        all.saturating_sub(self.count_of(by, b"", status))
    }

    /// How many came to be and were changed from each of these times, in µs, until the next.
    pub(crate) fn by_time(&self, bounds: &[u64]) -> Vec<TimeCounts> {
        let count = |index, from, until| {
            let low = Probe::from_number(index, from);
            let high = Probe::from_number(index, until);
            entries(&self.runs(index, None, Some(&low), Some(&high)))
        };
        let stretches = bounds.iter().zip(bounds.iter().skip(1));
        let counts = stretches.map(|(from, until)| TimeCounts {
            created: count(Index::CreatedAt, *from, *until),
            changed: count(Index::UpdatedAt, *from, *until),
        });
        counts.collect()
    }
}

fn entries(runs: &[Run<'_>]) -> u64 {
    runs.iter().map(Run::len).sum::<usize>() as u64
}
