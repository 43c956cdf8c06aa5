//! What a list of contacts is asked for.

use crate::domain::contact::Status;
use crate::store::{Filters, SortOrder};

/// Contacts on a page when the client names no limit.
pub const PAGE_LIMIT_DEFAULT: usize = 50;
/// Contacts on a page at most.
pub const PAGE_LIMIT_MAX: usize = 200;
/// Contacts that a page may leave out by their number; further on, only cursors lead.
pub const OFFSET_MAX: usize = 10_000;

/// What contacts are sorted by; the id decides between equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortBy {
    /// Time of the last accepted event.
    UpdatedAt,
    /// Time of the first accepted event.
    CreatedAt,
    /// Time of the record that made the present version.
    ChangedAt,
    /// Last name, then first name.
    Name,
    /// Company.
    Company,
    /// Id.
    Id,
}

impl SortBy {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::UpdatedAt, Self::CreatedAt, Self::ChangedAt, Self::Name, Self::Company, Self::Id];

    /// As it stands in a query.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UpdatedAt => "updatedAt",
            Self::CreatedAt => "createdAt",
            Self::ChangedAt => "changedAt",
            Self::Name => "name",
            Self::Company => "company",
            Self::Id => "id",
        }
    }

    /// Newest first for times, A to Z for texts.
    fn descends_by_default(self) -> bool {
        match self {
            Self::UpdatedAt | Self::CreatedAt | Self::ChangedAt => true,
            Self::Name | Self::Company | Self::Id => false,
        }
    }

    fn order(self) -> SortOrder {
        match self {
            Self::UpdatedAt => SortOrder::UpdatedAt,
            Self::CreatedAt => SortOrder::CreatedAt,
            Self::ChangedAt => SortOrder::ChangedAt,
            Self::Name => SortOrder::Name,
            Self::Company => SortOrder::Company,
            Self::Id => SortOrder::Id,
        }
    }
}

/// Which contacts are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatusFilter {
    /// ACTIVE ones.
    #[default]
    Active,
    /// DELETED ones.
    Deleted,
    /// Both.
    Any,
}

impl StatusFilter {
    /// The one status; none: both.
    pub fn status(self) -> Option<Status> {
        match self {
            Self::Active => Some(Status::Active),
            Self::Deleted => Some(Status::Deleted),
            Self::Any => None,
        }
    }
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageStart {
    /// After so many contacts, [`OFFSET_MAX`] at most.
    Offset(usize),
    /// Where a page before it said.
    Cursor(String),
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery {
    /// The order; none: that of the filter, see [`Self::order`].
    pub sort: Option<SortBy>,
    /// Greatest first; none: as is usual for the order.
    pub descending: Option<bool>,
    /// ACTIVE, DELETED or both.
    pub status: StatusFilter,
    /// The other filters.
    pub filters: Filters,
    /// Only contacts that share their e-mail address, by that address; order and filters must be
    /// none then.
    pub duplicates: bool,
    /// Only the contact that a source has an id for: (source, id); there is one page of it, and order,
    /// other filters and start must be none then.
    pub external_id: Option<(String, String)>,
    /// Contacts at most, 1 to [`PAGE_LIMIT_MAX`].
    pub limit: usize,
    /// Where to begin.
    pub start: PageStart,
    /// Whether a total that no index knows is worth counting.
    pub count: bool,
}

impl ListQuery {
    /// The order and whether it is turned around. Without one asked for, contacts that a prefix is
    /// looked for in come by what matched, those of one address, company or source by id, and any
    /// other newest first: so the index of a filter by itself serves it.
    pub(super) fn order(&self) -> (SortOrder, bool) {
        let Filters { email, company, source, q, .. } = &self.filters;
        let (order, descends) = match self.sort {
            // They go by what they share.
            _ if self.duplicates => (SortOrder::Id, false),
            Some(sort) => (sort.order(), sort.descends_by_default()),
            None if q.is_some() => (SortOrder::Match, false),
            None if email.is_some() || company.is_some() || source.is_some() => {
                (SortOrder::Id, false)
            }
            None => (SortOrder::UpdatedAt, true),
        };
        (order, self.descending.unwrap_or(descends))
    }

    /// Names order and filters in full; what a cursor is bound to.
    pub(super) fn name(&self) -> String {
        let (order, descending) = self.order();
        let Self { status, filters, duplicates, .. } = self;
        format!("contacts {order:?} {descending} {status:?} {duplicates} {filters:?}")
    }
}
