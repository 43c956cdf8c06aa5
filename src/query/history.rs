//! What happened to one contact, newest first.

use crate::store::{ChangeRef, HistoryEntry, Reader};

use super::error::QueryError;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryQuery {
    /// The contact.
    pub id: String,
    /// Changes at most.
    pub limit: usize,
    /// The place of the change before which to go on; none: at the newest.
    pub before: Option<u64>,
}

/// One page of changes.
#[derive(Clone, Debug)]
pub struct HistoryPage {
    /// Newest first.
    pub entries: Vec<HistoryEntry>,
    /// The place of the last one, where there are older ones.
    pub next: Option<u64>,
}

pub(super) fn history(
    reader: &Reader,
    query: &HistoryQuery,
) -> Result<Option<HistoryPage>, QueryError> {
    if reader.contact(query.id.as_bytes())?.is_none() {
        return Ok(None);
    }
    // One more than is shown tells whether there is more.
    let before = query.before.map(ChangeRef);
    let mut entries = reader.history(query.id.as_bytes(), query.limit + 1, before)?;
    let has_more = entries.len() > query.limit;
    entries.truncate(query.limit);
    let next = entries.last().filter(|_| has_more).map(|oldest| oldest.change.0);
    Ok(Some(HistoryPage { entries, next }))
}
