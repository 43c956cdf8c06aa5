//! What is wanted of a subscription.

use serde::Serialize;
use utoipa::ToSchema;

use crate::effects::follower::ReplayFrom;
use crate::effects::subscriptions::Wish;
use crate::http::exchange::error::ApiError;
use crate::http::exchange::json_body::Fields;
use crate::http::exchange::params::time;

/// What a subscription is to be. A new one needs a URL; what is left out stays as it is, or as it is at first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SubscriptionWish {
    /// `https://…`; its host must be among `subscriptions.hosts`.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// Types of events: `contact.updated`, `contact.*`; `*`, which it is at first: all that happens to contacts.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<String>>,
    /// Only what these sources said.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<Vec<String>>,
    /// Nothing that these sources said: so a subscriber that writes back is not told of its own changes.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    not_sources: Option<Vec<String>>,
    /// `ACTIVE`, `DELETED`: only of contacts that are so after the change.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    statuses: Option<Vec<String>>,
    /// Only changes that give one of these another value: `email`, `status`, `attributes.plan`,
    /// `externalIds.crm`.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Vec<String>>,
    /// `contact`, which it is at first, `change` or `ids`.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    send: Option<String>,
    /// Deliveries a second at most; 0: as fast as it answers.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u32>,
    /// Whether the changes of one contact come one after the other.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    ordered: Option<bool>,
}

/// What is wanted, of a new one (which needs a URL) or of one that is there.
pub(super) fn wish(mut fields: Fields, is_new: bool) -> Result<Wish, ApiError> {
    let wish = Wish {
        url: if is_new { Some(fields.required_text("url")) } else { fields.text("url") },
        description: fields.text("description"),
        events: fields.texts("events"),
        sources: fields.texts("sources"),
        not_sources: fields.texts("notSources"),
        statuses: fields.texts("statuses"),
        fields: fields.texts("fields"),
        send: fields.text("send"),
        rate: fields.number("rate", 0..=10_000),
        ordered: fields.flag("ordered"),
    };
    fields.end()?;
    Ok(wish)
}

/// From when on changes are told once more.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RecoveryOrder {
    /// Records of then or later.
    #[schema(format = DateTime)]
    since: String,
}

impl RecoveryOrder {
    pub(super) fn read(mut fields: Fields) -> Result<ReplayFrom, ApiError> {
        let since = fields.required_text("since");
        let at = time("since", &since).ok().map(|us| i64::try_from(us / 1_000).unwrap_or(i64::MAX));
        if at.is_none() && !fields.is_refused("since") {
            fields.refuse("since", "must be an RFC 3339 time, such as 2026-11-21T10:00:00Z");
        }
        fields.end()?;
        // What is refused has ended here.
        Ok(ReplayFrom::Time(at.unwrap_or(i64::MAX)))
    }
}
