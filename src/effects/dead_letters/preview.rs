//! What a job would do, without doing it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::position::{Lane, NextOffset};
use crate::store::{DeadLetters, LetterRow};

use super::decisions::Decisions;
use super::job::{Counts, Job};

/// Letters that are looked at under one lock.
const ROWS: usize = 4096;
/// Letters that are named.
const SHOWN_MAX: usize = 20;

/// What a job would do.
#[derive(Clone, Debug, Default)]
pub struct Preview {
    /// How many letters would go which way.
    pub counts: Counts,
    /// Some that would be redriven or discarded.
    pub first: Vec<LetterRow>,
    /// Behind the last letter that it is about, by lane.
    pub(super) up_to: BTreeMap<Lane, NextOffset>,
}

/// Goes through all letters. `job` need not say up to which.
pub(super) fn preview(
    letters: &DeadLetters,
    decisions: &Decisions,
    under_way: &BTreeMap<String, Arc<Job>>,
    job: &Job,
) -> Preview {
    let mut preview = Preview::default();
    let mut frame = letters.range().0;
    loop {
        let rows = letters.rows_from(frame, ROWS);
        let Some((last, _)) = rows.last() else {
            return preview;
        };
        frame = last + 1;
        for (_, row) in rows.iter().filter(|(_, row)| job.selection.has(row)) {
            if job.limit.is_some_and(|limit| preview.counts.done >= limit) {
                return preview;
            }
            preview.up_to.insert(row.lane, row.offset.next());
            match job.decide(row, &decisions.fate_with(row, under_way)) {
                Ok(()) => {
                    preview.counts.done += 1;
                    if preview.first.len() < SHOWN_MAX {
                        preview.first.push(*row);
                    }
                }
                Err(why) => preview.counts.left_out(why),
            }
        }
    }
}
