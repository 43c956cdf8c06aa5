//! Questions about contacts: between the HTTP routes and the store's reader.
//!
//! ```text
//! http ─► Queries ─► store::Reader (dirty → flushing → cache → sled; ordered indexes; journal)
//!           └─ cursors: where a page begins, opaque to clients
//! ```
//!
//! Everything here blocks at most on the disk; only [`Queries::wait_for`] is a future.

mod base64url;
mod contact;
mod cursor;
mod error;
mod history;
mod page;
mod stats;

use std::time::Duration;

use crate::domain::position::Position;
use crate::store::Reader;

pub use contact::{FoundContact, ReadContact, StateTag};
pub use cursor::{Cursor, CursorError, Direction};
pub use error::QueryError;
pub use history::{ChangeShown, HistoryPage, HistoryQuery};
pub use page::{ContactPage, ListQuery, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, SortBy, StatusFilter};
pub use stats::StatsReport;

/// Answers questions from one open store; cheap to clone.
#[derive(Clone)]
pub struct Queries {
    reader: Reader,
}

impl Queries {
    /// Over an open store.
    pub fn new(reader: Reader) -> Self {
        Self { reader }
    }

    /// The contact of this id, deleted ones too.
    ///
    /// # Errors
    /// When the store fails.
    pub fn contact<'i>(&self, id: &'i str) -> Result<Option<FoundContact<'i>>, QueryError> {
        let value = self.reader.contact(id.as_bytes())?;
        Ok(value.map(|value| FoundContact::new(id, value)))
    }

    /// One page of contacts in an order.
    ///
    /// # Errors
    /// When the cursor is none of this query, or the store fails.
    pub fn page(&self, query: &ListQuery) -> Result<ContactPage, QueryError> {
        page::page(&self.reader, query)
    }

    /// One page of what happened to a contact, newest first; none: there never was such a contact.
    ///
    /// # Errors
    /// When the cursor is none of this contact, or the store fails.
    pub fn history(&self, query: &HistoryQuery) -> Result<Option<HistoryPage>, QueryError> {
        history::history(&self.reader, query)
    }

    /// What the store says of itself.
    ///
    /// # Errors
    /// When the store fails.
    pub fn stats(&self) -> Result<StatsReport, QueryError> {
        Ok(StatsReport::of(&self.reader.stats()?))
    }

    /// Up to where everything that can be read is applied.
    pub fn position(&self) -> Position {
        self.reader.position()
    }

    /// Ends when everything up to `position` can be read.
    ///
    /// # Errors
    /// [`QueryError::AnotherLog`] for a position of another log, [`QueryError::NotInTime`] when
    /// `wait` is over.
    pub async fn wait_for(&self, position: &Position, wait: Duration) -> Result<(), QueryError> {
        let now = self.reader.position();
        if now.log != position.log {
            return Err(QueryError::AnotherLog);
        }
        if now.covers(position) {
            return Ok(());
        }
        match tokio::time::timeout(wait, self.reader.wait_for(position)).await {
            Ok(reached) => Ok(reached?),
            Err(_elapsed) => Err(QueryError::NotInTime { wait }),
        }
    }
}
