//! Pages of contacts in an order.

use crate::domain::contact::Status;
use crate::store::{Page, PageKey, PageRequest, Reader, SortOrder};

use super::contact::FoundContact;
use super::cursor::{Cursor, CursorError, Direction};
use super::error::QueryError;

/// Contacts on a page when the client names no limit.
pub const PAGE_LIMIT_DEFAULT: usize = 50;
/// Contacts on a page at most.
pub const PAGE_LIMIT_MAX: usize = 200;

/// What contacts are sorted by; the id decides between equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortBy {
    /// Time of the last accepted event.
    UpdatedAt,
    /// Time of the first accepted event.
    CreatedAt,
    /// Last name, then first name.
    Name,
    /// Company.
    Company,
    /// Id.
    Id,
}

impl SortBy {
    /// Every one.
    pub const ALL: [Self; 5] =
        [Self::UpdatedAt, Self::CreatedAt, Self::Name, Self::Company, Self::Id];

    /// As it stands in a query.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UpdatedAt => "updatedAt",
            Self::CreatedAt => "createdAt",
            Self::Name => "name",
            Self::Company => "company",
            Self::Id => "id",
        }
    }

    /// Newest first for times, A to Z for texts.
    pub fn descends_by_default(self) -> bool {
        match self {
            Self::UpdatedAt | Self::CreatedAt => true,
            Self::Name | Self::Company | Self::Id => false,
        }
    }

    fn index(self) -> SortOrder {
        match self {
            Self::UpdatedAt => SortOrder::UpdatedAt,
            Self::CreatedAt => SortOrder::CreatedAt,
            Self::Name => SortOrder::Name,
            Self::Company => SortOrder::Company,
            Self::Id => SortOrder::Id,
        }
    }
}

/// Which contacts are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFilter {
    /// ACTIVE ones.
    Active,
    /// DELETED ones.
    Deleted,
    /// Both.
    Any,
}

impl StatusFilter {
    fn status(self) -> Option<Status> {
        match self {
            Self::Active => Some(Status::Active),
            Self::Deleted => Some(Status::Deleted),
            Self::Any => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deleted => "deleted",
            Self::Any => "any",
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery {
    /// The order.
    pub sort: SortBy,
    /// Greatest first.
    pub descending: bool,
    /// The filter.
    pub status: StatusFilter,
    /// Contacts at most, 1 to [`PAGE_LIMIT_MAX`].
    pub limit: usize,
    /// Where to begin; none: at the beginning.
    pub cursor: Option<String>,
}

impl ListQuery {
    /// Names order and filters in full; what a cursor is bound to.
    fn name(&self) -> String {
        let direction = if self.descending { "desc" } else { "asc" };
        format!("contacts {} {direction} {}", self.sort.as_str(), self.status.as_str())
    }
}

/// One page.
pub struct ContactPage {
    /// `[…]`, one JSON object a contact.
    pub contacts_json: Vec<u8>,
    /// How many they are.
    pub count: usize,
    /// For the page after this one.
    pub next_cursor: Option<String>,
    /// For the page before this one.
    pub previous_cursor: Option<String>,
    /// All contacts that the filter lets through.
    pub total: u64,
}

pub(super) fn page(reader: &Reader, query: &ListQuery) -> Result<ContactPage, QueryError> {
    let name = query.name();
    let cursor = query.cursor.as_deref().map(|text| Cursor::decode(text, &name)).transpose()?;
    let backwards = cursor.as_ref().is_some_and(|from| from.direction == Direction::Previous);
    let after = match &cursor {
        None => None,
        Some(from) => Some(PageKey::from_bytes(&from.key).ok_or(CursorError::Malformed)?),
    };
    let request = PageRequest {
        order: query.sort.index(),
        descending: query.descending != backwards,
        status: query.status.status(),
        after,
        // One more than is shown tells whether there is more.
        limit: query.limit + 1,
    };
    let found = reader.page(&request)?;
    let has_more = found.contacts.len() > query.limit || goes_on(reader, &request, &found)?;
    let mut shown: Vec<_> = found.contacts.into_iter().take(query.limit).collect();
    if backwards {
        shown.reverse();
    }
    let at = |direction, key: &PageKey| Cursor { direction, key: key.to_bytes() }.encode(&name);
    let has_next = backwards || has_more;
    let has_previous = if backwards { has_more } else { cursor.is_some() };
    let last = shown.last().filter(|_| has_next);
    let first = shown.first().filter(|_| has_previous);
    let mut page = ContactPage {
        contacts_json: Vec::with_capacity(2 + shown.len() * 384),
        count: shown.len(),
        next_cursor: last.map(|entry| at(Direction::Next, &entry.key)),
        previous_cursor: first.map(|entry| at(Direction::Previous, &entry.key)),
        total: reader.total(query.status.status()),
    };
    page.contacts_json.push(b'[');
    for (index, entry) in shown.into_iter().enumerate() {
        if index > 0 {
            page.contacts_json.push(b',');
        }
        FoundContact::new(&entry.id, entry.value).read()?.write_json(&mut page.contacts_json);
    }
    page.contacts_json.push(b']');
    Ok(page)
}

/// A page is also short where a status changed while it was put together: ask once more before
/// saying that it was the last.
fn goes_on(reader: &Reader, asked: &PageRequest, found: &Page) -> Result<bool, QueryError> {
    let Some(last) = found.contacts.last() else {
        return Ok(false);
    };
    let rest = PageRequest { after: Some(last.key.clone()), limit: 1, ..asked.clone() };
    Ok(!reader.page(&rest)?.contacts.is_empty())
}
