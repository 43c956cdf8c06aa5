//! Questions about contacts: between the HTTP routes and the store's reader.
//!
//! ```text
//! http ─► Queries ─► store::Reader (dirty → flushing → heap file → cache → sled; ordered indexes; journal)
//!           └─ cursors: where a page begins, opaque to clients
//! ```
//!
//! Everything here may block on the disk, except what ends in `at_once`; only [`Queries::wait_for`] is
//! a future.

mod contact;
mod cursor;
mod error;
mod events;
mod history;
mod list;
mod page;
mod payments;
mod spread;

use std::sync::Arc;
use std::time::Duration;

use crate::domain::position::{LogIdentity, Position};
use crate::store::{Past, Reader};

use page::PageQuery;
use spread::Spread;

pub use crate::domain::contact::StateTag;
pub use crate::store::{
    ContactCounts, CurrencyTotals, EventFilter, EventRecord, Filters, GroupBy, Groups,
    HistoryEntry, Moment, NewestEvents, PaymentGroup, PaymentGrouping, PaymentKey, SourceVerdicts,
    StoreStats, StoredPayment, TimeCounts, fold,
};

pub use contact::{FoundContact, PastContact, ReadContact};
pub use cursor::{Cursor, CursorError, CursorKeys, Direction};
pub use error::QueryError;
pub use events::{EventDecision, EventFound};
pub use history::{HistoryPage, HistoryQuery};
pub use list::{
    ListQuery, OFFSET_MAX, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, PageStart, SortBy, StatusFilter,
};
pub use page::ContactPage;
pub use payments::{FoundPayments, PaymentHistory};
pub use spread::GROUPS_MAX;

/// Answers questions from one open store; cheap to clone.
#[derive(Clone)]
pub struct Queries {
    reader: Reader,
    cursor_keys: CursorKeys,
    spread: Arc<Spread>,
}

impl Queries {
    /// Over an open store; its cursors end with the process.
    pub fn new(reader: Reader) -> Self {
        Self { reader, cursor_keys: CursorKeys::random(), spread: Arc::default() }
    }

    /// With cursors that other instances, and later ones, take too.
    #[must_use]
    pub fn with_cursor_keys(self, cursor_keys: CursorKeys) -> Self {
        Self { cursor_keys, ..self }
    }

    /// What cursors are signed with, for lists that are not made here.
    pub fn cursor_keys(&self) -> &CursorKeys {
        &self.cursor_keys
    }

    /// The contact of this id, deleted ones too.
    ///
    /// # Errors
    /// When the store fails.
    pub fn contact(&self, id: &str) -> Result<Option<FoundContact>, QueryError> {
        Ok(self.reader.contact(id.as_bytes())?.map(FoundContact::new))
    }

    /// The same, if that takes no waiting for the disk; none: ask [`Self::contact`] where it may
    /// block.
    pub fn contact_at_once(&self, id: &str) -> Option<Option<FoundContact>> {
        Some(self.reader.contact_at_once(id.as_bytes())?.map(FoundContact::new))
    }

    /// The contact of this id as it was, deleted then or not; none: there never was such a contact.
    ///
    /// # Errors
    /// When the store fails.
    pub fn contact_at(&self, id: &str, moment: Moment) -> Result<Option<PastContact>, QueryError> {
        let past = self.reader.contact_at(id.as_bytes(), moment)?;
        Ok(past.map(|past| match past {
            Past::Contact(value) => PastContact::Found(FoundContact::new(value)),
            Past::NotYet => PastContact::NotYet,
            Past::Gone { version, since_ms } => PastContact::Gone { version, since_ms },
        }))
    }

    /// One page of contacts in an order.
    ///
    /// # Errors
    /// When the cursor is none of this query, or the store fails.
    pub fn page(&self, query: &ListQuery) -> Result<ContactPage, QueryError> {
        let asked = PageQuery::of(query, &self.cursor_keys)?;
        let found = match &query.external_id {
            Some((source, id)) => self.reader.page_of_id(source, id, &asked.request)?,
            None => self.reader.page(&asked.request)?,
        };
        page::shown(asked, found, &self.cursor_keys)
    }

    /// The same, if that takes neither waiting nor much work; none: ask [`Self::page`] where it may
    /// block.
    ///
    /// # Errors
    /// As there.
    pub fn page_at_once(&self, query: &ListQuery) -> Result<Option<ContactPage>, QueryError> {
        if query.external_id.is_some() {
            return Ok(None);
        }
        let asked = PageQuery::of(query, &self.cursor_keys)?;
        let found = self.reader.page_at_once(&asked.request)?;
        found.map(|found| page::shown(asked, found, &self.cursor_keys)).transpose()
    }

    /// One page of what happened to a contact, newest first; none: there never was such a contact.
    ///
    /// # Errors
    /// When the store fails.
    pub fn history(&self, query: &HistoryQuery) -> Result<Option<HistoryPage>, QueryError> {
        history::history(&self.reader, query)
    }

    /// What became of an event, by its id or its place on the log: `3:1042`, `topic:3:1042`.
    ///
    /// # Errors
    /// When the store fails.
    pub fn event(&self, log: Option<&LogIdentity>, name: &str) -> Result<EventFound, QueryError> {
        events::event(&self.reader, log, name)
    }

    /// What came in and what became of it, newest first, from where a page before ended.
    ///
    /// # Errors
    /// When the store fails, or the place is another log's.
    pub fn newest_events(
        &self,
        before: Option<Position>,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<NewestEvents, QueryError> {
        if before.as_ref().is_some_and(|before| before.log != self.reader.position().log) {
            return Err(QueryError::AnotherLog);
        }
        Ok(self.reader.newest_events(before, filter, limit)?)
    }

    /// What the store says of itself.
    ///
    /// # Errors
    /// When the store fails.
    pub fn stats(&self) -> Result<StoreStats, QueryError> {
        Ok(self.reader.stats()?)
    }

    /// How contacts are spread over companies or sources, by the `top` that have the most, [`GROUPS_MAX`]
    /// at most. While contacts change it may be some seconds old, unless `is_present`.
    ///
    /// # Errors
    /// When the store fails.
    pub fn groups(&self, by: GroupBy, top: usize, is_present: bool) -> Result<Groups, QueryError> {
        self.spread.groups(&self.reader, by, top, is_present)
    }

    /// How many contacts came to be and were changed from each of these times, in µs since 1970, until
    /// the next.
    ///
    /// # Errors
    /// When the store fails.
    pub fn contacts_by_time(&self, bounds: &[u64]) -> Result<Vec<TimeCounts>, QueryError> {
        Ok(self.reader.contacts_by_time(bounds)?)
    }

    /// Up to where everything that can be read is applied.
    pub fn position(&self) -> Position {
        self.reader.position()
    }

    /// Moves before [`Self::position_seen`] does.
    pub fn commit_seen(&self) -> u64 {
        self.reader.commit_announced()
    }

    /// A position that covers all that answers so far can have shown, and its commit.
    pub fn position_seen(&self) -> (u64, Position) {
        self.reader.position_announced()
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
