//! What `GET /api/stats?by=…` adds: how contacts are spread over sources, companies and times.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::payment::PaymentStatus;
use crate::domain::timestamp::format_rfc3339_us;
use crate::http::exchange::error::ApiError;
use crate::http::exchange::params::{Params, invalid};
use crate::query::{ContactCounts, GROUPS_MAX, GroupBy, Groups, Queries, QueryError};
use crate::query::{PaymentGroup, PaymentGrouping};

const HOUR_US: u64 = 3_600 * 1_000_000;
const DAY_US: u64 = 24 * HOUR_US;
/// Hours that are shown, the present one last.
const HOURS: u64 = 72;
/// Days likewise.
const DAYS: u64 = 400;
const TOP_DEFAULT: usize = 10;
/// Groups of payments that are shown: every day, a few currencies and every status of them.
const PAYMENT_GROUPS_MAX: usize = 10_000;

/// What contacts are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Source,
    Company,
    Hour,
    Day,
    Currency,
    Status,
}

impl By {
    pub(super) const ALL: [(&'static str, Self); 6] = [
        ("source", Self::Source),
        ("company", Self::Company),
        ("hour", Self::Hour),
        ("day", Self::Day),
        ("currency", Self::Currency),
        ("status", Self::Status),
    ];
}

/// What is asked for.
pub(super) struct SpreadQuery {
    by: Vec<By>,
    top: usize,
    /// What its client has read must be in it.
    is_present: bool,
}

impl SpreadQuery {
    pub(super) fn of(params: &Params<'_>, is_present: bool) -> Result<Self, ApiError> {
        let mut by = Vec::new();
        for name in params.list("by") {
            let known = By::ALL.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            by.push(known.map(|(_, by)| *by).ok_or_else(|| {
                invalid("by", "must be some of source, company, hour, day, currency, status")
            })?);
        }
        let top = match params.get("top") {
            None => TOP_DEFAULT,
            Some(text) => {
                let top = text.parse().ok().filter(|top| (1..=GROUPS_MAX).contains(top));
                top.ok_or_else(|| {
                    invalid("top", &format!("must be a whole number from 1 to {GROUPS_MAX}"))
                })?
            }
        };
        Ok(Self { by, top, is_present })
    }

    /// Waits for the disk, and looks at many contacts.
    pub(super) fn answer(&self, queries: &Queries) -> Result<Spread, QueryError> {
        let mut spread = Spread::default();
        let groups = |by| -> Result<_, QueryError> {
            Ok(Some(GroupedContacts::of(queries.groups(by, self.top, self.is_present)?)))
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        for by in &self.by {
            match by {
                By::Source => spread.by_source = groups(GroupBy::Source)?,
                By::Company => spread.by_company = groups(GroupBy::Company)?,
                By::Hour => spread.by_hour = Some(by_time(queries, now, HOUR_US, HOURS)?),
                By::Day => spread.by_day = Some(by_time(queries, now, DAY_US, DAYS)?),
                By::Currency | By::Status => spread.payments = Some(self.payments(queries, now)),
            }
        }
        Ok(spread)
    }
}

impl SpreadQuery {
    /// By currency, and by whatever else is asked for.
    fn payments(&self, queries: &Queries, now: u64) -> Vec<PaymentsTogether> {
        let by = PaymentGrouping {
            by_status: self.by.contains(&By::Status),
            by_day: self.by.contains(&By::Day),
        };
        let today = u32::try_from(now / DAY_US).unwrap_or(u32::MAX);
        let days = if by.by_day { u32::try_from(DAYS).unwrap_or(0) } else { u32::MAX };
        let days = today.saturating_sub(days.saturating_sub(1))..=u32::MAX;
        let (groups, _) = queries.payment_groups(by, days, PAYMENT_GROUPS_MAX);
        groups.into_iter().map(Into::into).collect()
    }
}

fn by_time(
    queries: &Queries,
    now: u64,
    step: u64,
    steps: u64,
) -> Result<Vec<ContactsInTime>, QueryError> {
    let end = (now / step + 1) * step;
    let bounds: Vec<u64> = (0..=steps).rev().map(|ago| end.saturating_sub(ago * step)).collect();
    let counts = queries.contacts_by_time(&bounds)?;
    let rows = bounds.iter().zip(counts).map(|(from, count)| ContactsInTime {
        from: format_rfc3339_us(*from),
        created: count.created,
        changed: count.changed,
    });
    Ok(rows.collect())
}

/// How contacts are spread, as far as it was asked for.
#[derive(Default)]
pub(super) struct Spread {
    pub(super) by_source: Option<GroupedContacts>,
    pub(super) by_company: Option<GroupedContacts>,
    pub(super) by_hour: Option<Vec<ContactsInTime>>,
    pub(super) by_day: Option<Vec<ContactsInTime>>,
    pub(super) payments: Option<Vec<PaymentsTogether>>,
}

/// Those with the most active contacts, and the others together.
#[derive(Serialize, ToSchema)]
pub(super) struct GroupedContacts {
    /// The greatest first.
    top: Vec<ContactGroup>,
    /// Of all that are not named.
    other: GroupSize,
    /// Of contacts that have none.
    none: GroupSize,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ContactGroup {
    name: String,
    active: u64,
    deleted: u64,
}

#[derive(Serialize, ToSchema)]
pub(super) struct GroupSize {
    active: u64,
    deleted: u64,
}

/// Contacts, active and deleted, in an hour or a day (UTC).
#[derive(Serialize, ToSchema)]
pub(super) struct ContactsInTime {
    /// When it begins.
    #[schema(format = DateTime)]
    from: String,
    /// Contacts whose first event is of then.
    created: u64,
    /// Contacts whose newest event is of then.
    changed: u64,
}

/// Payments of one currency, and of one status and day (UTC) where these are asked for.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PaymentsTogether {
    /// When the day of their first events begins.
    #[schema(nullable = false, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    day: Option<String>,
    /// Null: no event has said which.
    #[schema(required = true)]
    currency: Option<String>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    payments: u64,
    /// In minor units of the currency.
    amount: u128,
    /// What was given back of it.
    refunded: u128,
}

impl From<PaymentGroup> for PaymentsTogether {
    fn from(group: PaymentGroup) -> Self {
        Self {
            day: group.day.map(|day| format_rfc3339_us(u64::from(day) * DAY_US)),
            currency: group.currency.map(|currency| currency.as_str().to_owned()),
            status: group.status.map(PaymentStatus::as_str),
            payments: group.sum.payments,
            amount: group.sum.amount,
            refunded: group.sum.refunded,
        }
    }
}

impl GroupedContacts {
    fn of(groups: Groups) -> Self {
        let size =
            |counts: ContactCounts| GroupSize { active: counts.active, deleted: counts.deleted };
        let top = groups.top.into_iter().map(|group| ContactGroup {
            name: group.name,
            active: group.contacts.active,
            deleted: group.contacts.deleted,
        });
        Self { top: top.collect(), other: size(groups.other), none: size(groups.none) }
    }
}
