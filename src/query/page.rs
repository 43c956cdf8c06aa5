//! Pages of contacts in an order.

use crate::store::{Page, PageBoundary, PageKey, PageRequest, Total};

use super::contact::FoundContact;
use super::cursor::{Cursor, CursorError, CursorKeys, Direction};
use super::error::QueryError;
use super::list::{ListQuery, OFFSET_MAX, PageStart};

/// One page.
pub struct ContactPage {
    /// `[…]`, one JSON object a contact.
    pub contacts_json: Vec<u8>,
    /// How many they are.
    pub count: usize,
    /// For the page after this one; also where the page is short because enough was looked at.
    pub next_cursor: Option<String>,
    /// For the page before this one.
    pub previous_cursor: Option<String>,
    /// The offset of the page after this one, for who pages by offset and may go on so.
    pub next_offset: Option<usize>,
    /// All contacts that the filters let through, as far as that is known.
    pub total: Option<u64>,
    /// Whether there are no more than `total`.
    pub total_is_exact: bool,
}

/// Where a page begins, read.
#[derive(Default)]
struct Start {
    after: Option<PageKey>,
    skip: usize,
    backwards: bool,
    is_first: bool,
    offset: Option<usize>,
}

impl Start {
    fn of(query: &ListQuery, name: &str, keys: &CursorKeys) -> Result<Self, CursorError> {
        match &query.start {
            PageStart::Offset(offset) => Ok(Self {
                skip: *offset,
                is_first: *offset == 0,
                offset: Some(*offset),
                ..Self::default()
            }),
            PageStart::Cursor(text) => {
                let cursor = Cursor::decode(text, name, keys)?;
                Ok(Self {
                    after: Some(PageKey::from_bytes(&cursor.key).ok_or(CursorError::Malformed)?),
                    skip: usize::from(cursor.skip),
                    backwards: cursor.direction == Direction::Previous,
                    ..Self::default()
                })
            }
        }
    }
}

/// A page that is asked for.
pub(super) struct PageQuery {
    /// What the store is asked.
    pub(super) request: PageRequest,
    name: String,
    backwards: bool,
    is_first: bool,
    offset: Option<usize>,
}

impl PageQuery {
    pub(super) fn of(query: &ListQuery, keys: &CursorKeys) -> Result<Self, CursorError> {
        let name = query.name();
        let Start { after, skip, backwards, is_first, offset } = Start::of(query, &name, keys)?;
        let (order, descending) = query.order();
        let request = PageRequest {
            order,
            descending: descending != backwards,
            status: query.status.status(),
            filters: query.filters.clone(),
            duplicates: query.duplicates,
            after,
            skip,
            limit: query.limit,
            counting: query.count,
        };
        Ok(Self { request, name, backwards, is_first, offset })
    }
}

/// What was found, as it is shown.
pub(super) fn shown(
    asked: PageQuery,
    mut found: Page,
    keys: &CursorKeys,
) -> Result<ContactPage, QueryError> {
    let PageQuery { request, name, backwards, is_first, offset } = asked;
    let limit = request.limit;
    let is_whole = found.contacts.len() == limit;
    let at = |direction, PageBoundary { key, skip }: PageBoundary| {
        // No more than an offset was to be skipped.
        let skip = u16::try_from(skip).unwrap_or(u16::MAX);
        Cursor { direction, skip, key: key.to_bytes() }.encode(&name, keys)
    };
    let rest = found.rest;
    let back = found.first.filter(|_| !is_first).map(|key| PageBoundary { key, skip: 0 });
    let next_offset = offset.map(|offset| offset + limit);
    let next_offset = next_offset.filter(|next| rest.is_some() && is_whole && *next <= OFFSET_MAX);
    let (next, previous) = if backwards { (back, rest) } else { (rest, back) };
    if backwards {
        found.contacts.reverse();
    }
    let (total, total_is_exact) = match found.total {
        Total::Exact(total) => (Some(total), true),
        Total::AtLeast(total) => (Some(total), false),
        Total::Unknown => (None, false),
    };
    let mut page = ContactPage {
        contacts_json: Vec::with_capacity(2 + found.contacts.len() * 384),
        count: found.contacts.len(),
        next_cursor: next.map(|cut| at(Direction::Next, cut)),
        previous_cursor: previous.map(|cut| at(Direction::Previous, cut)),
        next_offset,
        total,
        total_is_exact,
    };
    page.contacts_json.push(b'[');
    for (index, entry) in found.contacts.into_iter().enumerate() {
        if index > 0 {
            page.contacts_json.push(b',');
        }
        FoundContact::new(entry.value).read(&entry.id)?.write_json(&mut page.contacts_json);
    }
    page.contacts_json.push(b']');
    Ok(page)
}
