//! What is sent to the webhooks and answered, as it is described; the answer as it is sent, too.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::ingest::ItemReport;

// An array of such is taken too; generators of clients know no body that is either.
/// An event about a contact. `event_type`, `event_id` and `contact_id` are understood as well.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WebhookEvent {
    /// Sending it again changes nothing.
    id: Option<String>,
    /// `contact.created`, `contact.updated` or `contact.deleted`.
    event_type: String,
    /// RFC 3339 or since 1970; the signed time where it is not given.
    timestamp: Option<String>,
    /// The source's version of the contact.
    version: Option<u64>,
    /// The contact's fields in the source's names or ours.
    data: BTreeMap<String, Value>,
}

/// Where an accepted event is kept.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum KeptIn {
    Log,
    Outbox,
}

/// What became of the events of a request.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WebhookReceipt {
    pub(super) received: usize,
    pub(super) accepted: usize,
    pub(super) rejected: usize,
    pub(super) kept: KeptIn,
    pub(super) results: Vec<WebhookResult>,
}

/// Whether an event was taken.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum WebhookStatus {
    Accepted,
    Rejected,
}

/// What became of one event.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WebhookResult {
    status: WebhookStatus,
    #[schema(required = true)]
    event_id: Option<String>,
    #[schema(required = true)]
    contact_id: Option<String>,
    /// A stable word; only of a rejected event.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl From<ItemReport> for WebhookResult {
    fn from(item: ItemReport) -> Self {
        let ItemReport { event_id, contact_id, reason, detail } = item;
        let is_accepted = reason.is_none();
        let status = if is_accepted { WebhookStatus::Accepted } else { WebhookStatus::Rejected };
        Self { status, event_id, contact_id, reason, detail }
    }
}
