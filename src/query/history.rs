//! What happened to one contact, newest first.

use crate::store::{ChangeRef, HistoryEntry, Reader};

use super::cursor::{Cursor, CursorError, CursorKeys, Direction};
use super::error::QueryError;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryQuery {
    /// The contact.
    pub id: String,
    /// Changes at most, 1 to [`super::PAGE_LIMIT_MAX`].
    pub limit: usize,
    /// Where to go on; none: at the newest.
    pub cursor: Option<String>,
}

/// One page of changes.
#[derive(Clone, Debug)]
pub struct HistoryPage {
    /// Newest first.
    pub entries: Vec<HistoryEntry>,
    /// For the older ones.
    pub next_cursor: Option<String>,
}

pub(super) fn history(
    reader: &Reader,
    query: &HistoryQuery,
    keys: &CursorKeys,
) -> Result<Option<HistoryPage>, QueryError> {
    let name = format!("history {}", query.id);
    let before = match &query.cursor {
        None => None,
        Some(text) => Some(change_of(&Cursor::decode(text, &name, keys)?)?),
    };
    if reader.contact(query.id.as_bytes())?.is_none() {
        return Ok(None);
    }
    // One more than is shown tells whether there is more.
    let mut entries = reader.history(query.id.as_bytes(), query.limit + 1, before)?;
    let has_more = entries.len() > query.limit;
    entries.truncate(query.limit);
    let next_cursor = entries.last().filter(|_| has_more).map(|oldest| {
        let key = oldest.change.0.to_be_bytes().to_vec();
        Cursor { direction: Direction::Next, skip: 0, key }.encode(&name, keys)
    });
    Ok(Some(HistoryPage { entries, next_cursor }))
}

fn change_of(cursor: &Cursor) -> Result<ChangeRef, CursorError> {
    let key: [u8; 8] = cursor.key.as_slice().try_into().map_err(|_| CursorError::Malformed)?;
    Ok(ChangeRef(u64::from_be_bytes(key)))
}
