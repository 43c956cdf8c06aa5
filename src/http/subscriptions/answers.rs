//! Subscriptions as they are sent and as they are described.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::timestamp::format_rfc3339;
use crate::effects::Attempt;
use crate::effects::subscriptions::{Delivery, NewSecret, Shown};
use crate::http::exchange::page::PageMeta;

/// Subscriptions, the oldest first.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SubscriptionPage {
    pub(super) data: Vec<SubscriptionAnswer>,
    pub(super) meta: PageMeta,
}

/// Who is told of which changes, and how that goes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Subscription)]
pub(super) struct SubscriptionAnswer {
    pub(super) id: String,
    /// Where messages are sent.
    url: String,
    description: String,
    /// Types of events: `contact.updated`, `contact.*`, `*`.
    events: Vec<String>,
    /// Only what these sources said; empty: all.
    sources: Vec<String>,
    /// Nothing that these sources said.
    not_sources: Vec<String>,
    /// Only of contacts with this status after the change; empty: all.
    statuses: Vec<&'static str>,
    /// Only changes that give one of these fields another value; empty: all.
    fields: Vec<String>,
    /// `change`: what happened and the new values; `contact`: what happened and the whole contact; `ids`.
    #[schema(pattern = "^(change|contact|ids)$")]
    send: &'static str,
    /// Deliveries a second at most. Null: as fast as the subscriber answers.
    #[schema(required = true)]
    rate: Option<u32>,
    /// Whether the changes of one contact come one after the other.
    ordered: bool,
    /// `active`; `failing`: it is tried again at `retryAt`; `paused` by somebody; `disabled`, because it
    /// failed for five days or answered 410.
    #[schema(pattern = "^(active|failing|paused|disabled)$")]
    state: &'static str,
    /// Since when it is in this state.
    #[schema(format = DateTime)]
    since: String,
    /// Why it fails or was disabled.
    #[schema(required = true)]
    why: Option<String>,
    /// Failures in a row.
    failures: u32,
    #[schema(required = true, format = DateTime)]
    retry_at: Option<String>,
    /// Whether it is told later than others, because it failed, is slow or was paused.
    behind: bool,
    /// Messages that were given up after ten attempts.
    given_up: u64,
    /// How often the journal no longer reached back to what it was to be told.
    overruns: u64,
    /// Until when the secret before the newest signs too.
    #[schema(required = true, format = DateTime)]
    old_secret_until: Option<String>,
    /// Whether the instance that answers sends the messages.
    here: bool,
    #[schema(format = DateTime)]
    created_at: String,
    created_by: String,
    /// The secret that signs, where it is new. It is shown this once.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl SubscriptionAnswer {
    pub(super) fn of(shown: Shown) -> Self {
        let it = &*shown.subscription;
        let time = |ms: Option<u64>| ms.map(format_rfc3339);
        Self {
            id: it.id.clone(),
            url: it.url.clone(),
            description: it.description.clone(),
            events: it.filter.events.clone(),
            sources: it.filter.sources.clone(),
            not_sources: it.filter.not_sources.clone(),
            statuses: it.filter.statuses.iter().map(|status| status.as_str()).collect(),
            fields: it.filter.fields.clone(),
            send: it.send.as_str(),
            rate: it.rate,
            ordered: it.ordered,
            state: shown.health,
            since: format_rfc3339(shown.since_ms),
            why: shown.why,
            failures: shown.failures,
            retry_at: time(shown.retry_at_ms),
            behind: shown.is_behind,
            given_up: shown.given_up,
            overruns: shown.overruns,
            old_secret_until: time(shown.old_secret_until_ms),
            here: shown.is_here,
            created_at: format_rfc3339(it.created_at_ms),
            created_by: it.created_by.clone(),
            secret: None,
        }
    }

    /// The same with the secret that nobody is shown again.
    pub(super) fn with(shown: Shown, secret: &NewSecret) -> Self {
        Self { secret: Some(secret.expose().to_owned()), ..Self::of(shown) }
    }
}

/// Messages to one subscriber, the newest first.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeliveryPage {
    pub(super) data: Vec<DeliveryAnswer>,
    pub(super) meta: PageMeta,
    /// Whether the instance that answers sends the messages: only that one knows of them.
    pub(super) here: bool,
}

/// One message to one subscriber.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = SubscriptionDelivery)]
pub(super) struct DeliveryAnswer {
    /// As the header `webhook-id` has it.
    id: String,
    event_type: String,
    contact: String,
    /// `pending`: it is tried again; `delivered`; `failed`: it is not.
    #[schema(pattern = "^(pending|delivered|failed)$")]
    state: &'static str,
    /// The oldest first.
    attempts: Vec<AttemptAnswer>,
}

/// One attempt at a delivery.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = SubscriptionAttempt)]
pub(super) struct AttemptAnswer {
    #[schema(format = DateTime)]
    at: String,
    /// The status that was answered. Null: there was no answer.
    #[schema(required = true)]
    status: Option<u16>,
    latency_ms: f64,
    /// The beginning of the answer's body.
    #[schema(required = true)]
    response: Option<String>,
    response_is_cut: bool,
    /// Why it failed.
    #[schema(required = true)]
    error: Option<String>,
    /// Milliseconds from the attempt to the next one.
    #[schema(required = true)]
    retry_in_ms: Option<u64>,
}

impl DeliveryAnswer {
    pub(super) fn of(delivery: Delivery) -> Self {
        let Delivery { id, event_type, contact, state, attempts, .. } = delivery;
        let attempts = attempts.into_iter().map(AttemptAnswer::of).collect();
        Self { id, event_type, contact, state: state.as_str(), attempts }
    }
}

impl AttemptAnswer {
    fn of(attempt: Attempt) -> Self {
        Self {
            at: format_rfc3339(attempt.at_ms),
            status: attempt.status,
            latency_ms: attempt.latency_ms,
            response: attempt.response,
            response_is_cut: attempt.response_is_cut,
            error: attempt.error,
            retry_in_ms: attempt.retry_in_ms,
        }
    }
}

/// What the subscriber answered to a test.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SubscriptionTest {
    /// As the header `webhook-id` had it.
    id: String,
    /// Whether it was taken.
    delivered: bool,
    attempt: AttemptAnswer,
}

impl SubscriptionTest {
    pub(super) fn of((id, attempt): (String, Attempt)) -> Self {
        let delivered = attempt.status.is_some_and(|status| (200..300).contains(&status));
        Self { id, delivered, attempt: AttemptAnswer::of(attempt) }
    }
}

/// From where on changes are told once more.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SubscriptionRecovery {
    pub(super) position: String,
}
