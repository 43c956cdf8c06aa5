//! How contacts are spread over companies and sources, remembered for a moment: all of them are looked at
//! for it.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::store::{GroupBy, Groups, Reader};

use super::error::QueryError;

/// The greatest that can be asked for.
pub const GROUPS_MAX: usize = 100;
/// How old an answer may be while contacts change.
const AGE_MAX: Duration = Duration::from_secs(5);

/// How they were found to be spread last.
struct RecentGroups {
    /// The commit that it began with.
    commit: u64,
    at: Instant,
    groups: Groups,
}

/// By company, and by source.
#[derive(Default)]
pub(super) struct Spread([Mutex<Option<RecentGroups>>; 2]);

impl Spread {
    /// By the `top` that have the most. One counts, others wait for that; `is_present`: what was read
    /// before the call must be in it.
    pub(super) fn groups(
        &self,
        reader: &Reader,
        by: GroupBy,
        top: usize,
        is_present: bool,
    ) -> Result<Groups, QueryError> {
        let [company, source] = &self.0;
        let place = match by {
            GroupBy::Company => company,
            GroupBy::Source => source,
        };
        let commit = reader.commit_announced();
        let mut counted = place.lock();
        let is_fit = |counted: &&RecentGroups| {
            counted.commit >= commit || (!is_present && counted.at.elapsed() < AGE_MAX)
        };
        if let Some(counted) = counted.as_ref().filter(is_fit) {
            return Ok(counted.groups.truncated(top));
        }
        let commit = reader.commit_announced();
        let groups = reader.groups(by, GROUPS_MAX)?;
        let shown = groups.truncated(top);
        *counted = Some(RecentGroups { commit, at: Instant::now(), groups });
        Ok(shown)
    }
}
