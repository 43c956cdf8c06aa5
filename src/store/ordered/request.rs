//! What a list is asked for, and what it is answered: places, without the contacts.

use crate::domain::contact::{ContactView, Status};
use crate::domain::event::EMAIL;

use super::keys::{COMPANY, FIRST_NAME, LAST_NAME, fold};

/// What a list may be sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SortOrder {
    /// By id, bytewise.
    #[default]
    Id,
    /// By the latest accepted timestamp; none counts as 0.
    UpdatedAt,
    /// By the earliest accepted timestamp; none counts as 0.
    CreatedAt,
    /// By the time of the record that made the present version; none counts as 0.
    ChangedAt,
    /// By last name, then first name, folded.
    Name,
    /// By company, folded.
    Company,
    /// By the least text of it that begins with [`Filters::q`], which must be there.
    Match,
}

impl SortOrder {
    /// Every order that needs no filter.
    pub const ALL: [Self; 6] =
        [Self::Id, Self::UpdatedAt, Self::CreatedAt, Self::ChangedAt, Self::Name, Self::Company];
}

/// A contact's place in an order; a page continues strictly after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageKey {
    /// What it is sorted by: eight bytes big-endian of microseconds, a text, or nothing (by id).
    pub sort: Vec<u8>,
    /// The contact's id; empty: the nearer end of all that are sorted by the same.
    pub id: Vec<u8>,
}

impl PageKey {
    /// For a cursor; length of the sort key (u16, big-endian), sort key, id.
    pub fn to_bytes(&self) -> Vec<u8> {
        let len = self.sort.len() as u16;
        let mut bytes = Vec::with_capacity(2 + self.sort.len() + self.id.len());
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(&self.sort);
        bytes.extend_from_slice(&self.id);
        bytes
    }

    /// Back from a cursor; none when it is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (len, rest) = bytes.split_first_chunk::<2>()?;
        let (sort, id) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        Some(Self { sort: sort.to_vec(), id: id.to_vec() })
    }
}

/// What a contact must be to be listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// Its e-mail address, in any case and Unicode form; so are company and `q`.
    pub email: Option<String>,
    /// Its company.
    pub company: Option<String>,
    /// The source of its newest event.
    pub source: Option<String>,
    /// What its name (first name or last name first), e-mail address or company begins with.
    pub q: Option<String>,
    /// Its newest event is of then or later, in µs.
    pub updated_since_us: Option<u64>,
    /// Its present version came then or later, in µs.
    pub changed_since_us: Option<u64>,
}

impl Filters {
    /// Whether every contact passes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a contact passes, by all of its texts. The indexes know only their beginnings, and
    /// the contact may have changed since it was found there.
    pub fn pass(&self, view: &ContactView<'_>) -> bool {
        let field = |place| view.field(place).unwrap_or_default();
        let is = |place, wanted: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| fold(field(place)) == fold(wanted))
        };
        is(EMAIL, &self.email)
            && is(COMPANY, &self.company)
            && self.source.as_ref().is_none_or(|wanted| view.source() == wanted)
            && self.updated_since_us.is_none_or(|since| view.updated_at_us().unwrap_or(0) >= since)
            && self.changed_since_us.is_none_or(|since| changed_at_us(view) >= since)
            && self.q.as_ref().is_none_or(|wanted| {
                let (first, last) = (fold(field(FIRST_NAME)), fold(field(LAST_NAME)));
                let names = [joined(&first, &last), joined(&last, &first)];
                let others = [EMAIL, COMPANY].map(|place| fold(field(place)));
                let wanted = fold(wanted);
                names.iter().chain(&others).any(|text| text.starts_with(&wanted))
            })
    }
}

/// The time that the present version came at, in µs; 0 where its record had none.
pub(super) fn changed_at_us(view: &ContactView<'_>) -> u64 {
    view.changed_at_ms().map_or(0, |ms| ms.saturating_mul(1000))
}

fn joined(one: &[u8], other: &[u8]) -> Vec<u8> {
    let space: &[u8] = if one.is_empty() || other.is_empty() { b"" } else { b" " };
    [one, space, other].concat()
}

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct PageRequest {
    /// Sorted by what.
    pub order: SortOrder,
    /// Greatest first.
    pub descending: bool,
    /// Only contacts of this status.
    pub status: Option<Status>,
    /// Only contacts that pass.
    pub filters: Filters,
    /// Only contacts that share their e-mail address with others of the status, by that address;
    /// order and filters are nothing then.
    pub duplicates: bool,
    /// Strictly after this place, in the direction of the list.
    pub after: Option<PageKey>,
    /// Contacts to leave out first.
    pub skip: usize,
    /// Contacts at most.
    pub limit: usize,
    /// Whether a total that no list knows is to be counted.
    pub counting: bool,
}

/// How many contacts a request is about, whatever its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    /// So many.
    Exact(u64),
    /// So many were counted, and then no more.
    AtLeast(u64),
    /// Not without counting.
    Unknown,
}

/// The places of a page.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// In order.
    pub(crate) keys: Vec<PageKey>,
    /// Where it was given up, having looked at enough; none: it is full, or the list has ended.
    pub(crate) cut: Option<PageBoundary>,
}

/// Where a page goes on that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageBoundary {
    /// Strictly after this place.
    pub key: PageKey,
    /// Contacts still to leave out.
    pub skip: usize,
}
