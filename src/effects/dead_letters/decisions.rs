//! All jobs as they stand in the control entries, and what they make of a letter.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::position::{Lane, Offset};
use crate::store::{LetterRow, Reader};

use super::job::{Fate, Job, PREFIX};

/// Jobs that are kept; the oldest that has ended makes room for a new one.
pub(super) const JOBS_MAX: usize = 1_000;

/// A job with its id and its entry's revision.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) revision: u64,
    pub(super) job: Arc<Job>,
}

/// Every job, oldest first: ids begin with their time.
#[derive(Clone, Debug, Default)]
pub(super) struct Decisions {
    version: Option<u64>,
    jobs: BTreeMap<String, (u64, Arc<Job>)>,
    /// Of single letters, which are many.
    ones: BTreeMap<(Lane, Offset), Vec<String>>,
    /// The others.
    ranges: Vec<String>,
}

impl Decisions {
    /// What the control entries say now; only what has changed is read.
    pub(super) fn refresh(&mut self, reader: &Reader) {
        let version = reader.control_version();
        if self.version == Some(version) {
            return;
        }
        let mut before = std::mem::take(&mut self.jobs);
        (self.ones, self.ranges) = (BTreeMap::new(), Vec::new());
        // Some more than there may be: two instances may have added one at once.
        for (key, entry) in reader.controls(PREFIX, None, 2 * JOBS_MAX) {
            let Some(id) = key.strip_prefix(PREFIX) else {
                continue;
            };
            let known = before.remove(id).filter(|(revision, _)| *revision == entry.revision);
            let read = || serde_json::from_slice(&entry.value).ok().map(Arc::new);
            let job: Option<Arc<Job>> = known.map(|(_, job)| job).or_else(read);
            let Some(job) = job else {
                tracing::debug!(id, "a redrive of a later version is not understood");
                continue;
            };
            match job.selection.one {
                Some(place) => self.ones.entry(place).or_default().push(id.to_owned()),
                None => self.ranges.push(id.to_owned()),
            }
            self.jobs.insert(id.to_owned(), (entry.revision, job));
        }
        self.version = Some(version);
    }

    /// What became of a letter.
    pub(super) fn fate(&self, row: &LetterRow) -> Fate {
        self.fate_with(row, &BTreeMap::new())
    }

    /// The same with jobs as they are further than is written down.
    pub(super) fn fate_with(
        &self,
        row: &LetterRow,
        under_way: &BTreeMap<String, Arc<Job>>,
    ) -> Fate {
        let mut fate = Fate::default();
        let ones = self.ones.get(&(row.lane, row.offset));
        let mut ids: Vec<&String> = self.ranges.iter().chain(ones.into_iter().flatten()).collect();
        if ones.is_some() {
            ids.sort_unstable();
        }
        for id in ids {
            let job = under_way.get(id).or_else(|| self.jobs.get(id).map(|(_, job)| job));
            if let Some(job) = job {
                fate.take(id, job, row);
            }
        }
        fate
    }

    /// All, oldest first.
    pub(super) fn jobs(&self) -> impl DoubleEndedIterator<Item = Listed> {
        self.jobs.iter().map(|(id, (revision, job))| Listed {
            id: id.clone(),
            revision: *revision,
            job: Arc::clone(job),
        })
    }

    pub(super) fn job(&self, id: &str) -> Option<Listed> {
        let (revision, job) = self.jobs.get(id)?;
        Some(Listed { id: id.to_owned(), revision: *revision, job: Arc::clone(job) })
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }
}
