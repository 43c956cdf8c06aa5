//! What happened to one contact, newest first.

use serde::Serialize;

use crate::domain::contact::Contact;
use crate::domain::timestamp::format_rfc3339;
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
    pub changes: Vec<ChangeShown>,
    /// For the older ones.
    pub next_cursor: Option<String>,
}

/// One change as it is shown.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeShown {
    /// The contact's version after it.
    version: u64,
    event_type: &'static str,
    event_id: String,
    source: String,
    timestamp: Option<String>,
    /// The record's own time.
    recorded_at: String,
    partition: u16,
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// The whole contact after it.
    contact: Contact,
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
    let changes =
        entries.iter().map(|entry| ChangeShown::of(&query.id, entry)).collect::<Result<_, _>>()?;
    Ok(Some(HistoryPage { changes, next_cursor }))
}

fn change_of(cursor: &Cursor) -> Result<ChangeRef, CursorError> {
    let key: [u8; 8] = cursor.key.as_slice().try_into().map_err(|_| CursorError::Malformed)?;
    Ok(ChangeRef(u64::from_be_bytes(key)))
}

impl ChangeShown {
    fn of(id: &str, entry: &HistoryEntry) -> Result<Self, QueryError> {
        let view =
            entry.view().map_err(|source| QueryError::Corrupt { id: id.to_owned(), source })?;
        Ok(Self {
            version: view.version(),
            event_type: entry.kind.as_str(),
            event_id: entry.event_id.clone(),
            source: entry.source.clone(),
            timestamp: entry.timestamp.clone(),
            recorded_at: format_rfc3339(u64::try_from(entry.record_time_ms).unwrap_or(0)),
            partition: entry.lane.0,
            offset: entry.offset.0,
            principal: entry.principal.clone(),
            request_id: entry.request_id.clone(),
            contact: Contact::from_view(id, &view),
        })
    }
}
