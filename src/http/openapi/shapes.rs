//! The bodies of requests and answers as the description shows them.
//!
//! They mirror what the rooms behind write, which is not made for describing (a contact's JSON is
//! written without building one). The tests hold every answer against its shape, which lets no
//! member be missing or unknown.

#![expect(dead_code, reason = "only their schemas are used")]

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Whether a contact is there.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum ContactStatus {
    Active,
    Deleted,
}

/// A contact: one flat object everywhere.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Contact {
    /// Never changes.
    id: String,
    #[schema(required = true)]
    first_name: Option<String>,
    #[schema(required = true)]
    last_name: Option<String>,
    #[schema(required = true)]
    email: Option<String>,
    #[schema(required = true)]
    phone: Option<String>,
    #[schema(required = true)]
    company: Option<String>,
    /// Job title.
    #[schema(required = true)]
    title: Option<String>,
    /// Everything else that sources say about it.
    attributes: BTreeMap<String, Value>,
    status: ContactStatus,
    /// Counts its changes.
    #[schema(minimum = 1)]
    version: u64,
    /// The greatest version that a source gave.
    #[schema(required = true)]
    source_version: Option<u64>,
    /// The source of the newest event.
    #[schema(required = true)]
    source: Option<String>,
    /// The time of its first event: UTC, three or six decimals.
    #[schema(required = true, format = DateTime)]
    created_at: Option<String>,
    /// The time of its newest event: UTC, three or six decimals.
    #[schema(required = true, format = DateTime)]
    updated_at: Option<String>,
    /// When the record came that made the present version: UTC, milliseconds.
    #[schema(required = true, format = DateTime)]
    changed_at: Option<String>,
}

/// Contacts in an order, with the way to the pages beside it.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ContactPage {
    data: Vec<Contact>,
    meta: ContactPageMeta,
}

/// Where a page stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ContactPageMeta {
    #[schema(minimum = 1, maximum = 200)]
    limit: u64,
    /// For the parameter `cursor`; null on the last page.
    #[schema(required = true)]
    next_cursor: Option<String>,
    /// For the parameter `cursor`; null on the first page.
    #[schema(required = true)]
    prev_cursor: Option<String>,
    /// Where the page begins; null where a cursor led to it.
    #[schema(required = true)]
    offset: Option<u64>,
    /// Contacts that match; null where no index knows and it was not asked to `count`.
    #[schema(required = true)]
    total: Option<u64>,
    /// False where there are, or may be, more than `total`.
    total_is_exact: bool,
}

/// One change of a contact, and where it came from.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Change {
    /// The contact's version with it.
    version: u64,
    event_type: String,
    event_id: String,
    source: String,
    /// When it happened, as the event says.
    #[schema(required = true, format = DateTime)]
    timestamp: Option<String>,
    /// When it came onto the log.
    #[schema(format = DateTime)]
    recorded_at: String,
    partition: u16,
    offset: u64,
    /// Who wrote it, where it was written over the API: `user:ada`.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    /// The request that wrote it.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// The contact right after it.
    contact: Contact,
}

/// Changes of one contact, newest first.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct History {
    data: Vec<Change>,
    meta: HistoryMeta,
}

/// Where a page of changes stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct HistoryMeta {
    #[schema(minimum = 1, maximum = 200)]
    limit: u64,
    /// For the parameter `cursor`; null at the end.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// What became of an event.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventReport {
    /// As it was asked for.
    id: String,
    /// `applied` where any of its records was, else the newest one's verdict; or `pending`, `refused`.
    status: String,
    /// Why the log did not take it, where it is `refused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Newest first, 16 at most.
    records: Vec<EventRecord>,
    /// Whether everything that is kept was looked through.
    complete: bool,
}

/// What became of one record that the event came in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EventRecord {
    verdict: String,
    /// Where more than its hash is kept.
    #[schema(required = true)]
    event_id: Option<String>,
    /// The contact that it changed, or is to change at home.
    #[schema(required = true)]
    contact_id: Option<String>,
    /// The contact's version after it.
    #[schema(required = true)]
    version: Option<u64>,
    /// Why it was set aside: a stable word.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Why it was set aside, in words.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    topic: String,
    partition: u16,
    offset: u64,
    /// When it came onto the log.
    #[schema(format = DateTime)]
    recorded_at: String,
    /// A read with this `Position` sees what it did.
    position: String,
}

/// What the store holds and how far it has come. Figures for people: members may be added.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stats {
    contacts: ContactCounts,
    events: EventCounts,
    /// Why the store does not know everything, and what to do; only where it does not.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    partial: Option<String>,
    /// An order-free sum over all contacts: equal on instances that hold the same.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    digest: String,
    /// The same over all control entries.
    control_digest: String,
    /// Of the rules (mapping, limits) by which events are applied.
    fingerprint: String,
    position: String,
    /// The next offset of each partition.
    next_offsets: BTreeMap<String, u64>,
    checkpoint: BTreeMap<String, u64>,
    storage: BTreeMap<String, u64>,
    cache: BTreeMap<String, u64>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ContactCounts {
    total: u64,
    active: u64,
    deleted: u64,
}

#[derive(Serialize, ToSchema)]
pub(super) struct EventCounts {
    received: u64,
    /// By what became of them; their sum is `received`.
    verdicts: BTreeMap<String, u64>,
}

#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Liveness {
    /// `live`.
    status: String,
}

/// Whether the instance is ready for requests.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReadyStatus {
    Ready,
    NotReady,
}

#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Readiness {
    status: ReadyStatus,
    /// Those that are not ready; with `verbose` all.
    parts: BTreeMap<String, PartReadiness>,
}

#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PartReadiness {
    ready: bool,
    /// What is waited for.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What is worth knowing though it is ready; with `verbose` only.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// Which build this is and what it follows.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Health {
    status: ReadyStatus,
    version: String,
    commit: String,
    /// Of the rules by which events are applied; null until they are known.
    #[schema(required = true)]
    fingerprint: Option<String>,
    #[schema(required = true)]
    log: Option<LogName>,
}

/// The contact log that is followed.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogName {
    kind: String,
    cluster: String,
    topic: String,
}

#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Index {
    name: String,
    version: String,
    /// The paths that there are.
    routes: Vec<String>,
}

/// An OpenAPI 3.1 document.
#[derive(Serialize, ToSchema)]
pub(super) struct OpenApiDocument {
    openapi: String,
    info: BTreeMap<String, Value>,
    paths: BTreeMap<String, Value>,
}

/// A JSON Schema (2020-12).
#[derive(Serialize, ToSchema)]
pub(super) struct JsonSchemaDocument {
    #[serde(rename = "$schema")]
    schema: String,
    #[serde(rename = "$id")]
    id: String,
    title: String,
}

/// An event, or several.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum WebhookBody {
    /// One.
    One(WebhookEvent),
    /// Several, each with a verdict of its own.
    Several(Vec<WebhookEvent>),
}

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
    received: usize,
    accepted: usize,
    rejected: usize,
    kept: KeptIn,
    results: Vec<WebhookResult>,
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
    reason: Option<String>,
    detail: Option<String>,
}
