//! What is answered about contacts, as it is sent and as it is described.
//!
//! The contact itself is written without building one (`domain::contact::write_json`): its type here is
//! its description only, which a test holds against what is sent.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::domain;
use crate::domain::position::Position;
use crate::domain::timestamp::format_rfc3339;
use crate::http::exchange::error::{ApiError, ListedError};
use crate::http::exchange::page::PageMeta;
use crate::http::payments::answers::Payment;
use crate::ingest::{MergeEnd, MergeJob};
use crate::query::{EventDecision, EventRecord, HistoryEntry, QueryError};

/// Whether a contact is there.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(dead_code, reason = "a contact is written by `domain::contact::write_json`")]
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
    /// What sources call it, by source; left out where none has an id of its own for it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    external_ids: BTreeMap<String, String>,
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
    pub(super) limit: u64,
    /// For the parameter `cursor`; null on the last page.
    #[schema(required = true)]
    pub(super) next_cursor: Option<String>,
    /// For the parameter `cursor`; null on the first page.
    #[schema(required = true)]
    pub(super) prev_cursor: Option<String>,
    /// Where the page begins; null where a cursor led to it.
    #[schema(required = true)]
    pub(super) offset: Option<u64>,
    /// Contacts that match; null where no index knows and it was not asked to `count`.
    #[schema(required = true)]
    pub(super) total: Option<u64>,
    /// False where there are, or may be, more than `total`.
    pub(super) total_is_exact: bool,
}

/// One change of a contact, and where it came from.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Change {
    /// The contact's version with it.
    version: u64,
    event_type: &'static str,
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
    #[schema(value_type = Contact)]
    contact: domain::contact::Contact,
}

impl Change {
    pub(super) fn of(id: &str, entry: &HistoryEntry) -> Result<Self, QueryError> {
        let view =
            entry.view().map_err(|source| QueryError::Corrupt { id: id.to_owned(), source })?;
        Ok(Self {
            version: view.version(),
            event_type: entry.kind.as_str(),
            event_id: entry.event_id.clone(),
            source: entry.source.clone(),
            timestamp: entry.timestamp.clone(),
            recorded_at: recorded_at(entry.record_time_ms),
            partition: entry.lane.0,
            offset: entry.offset.0,
            principal: entry.principal.clone(),
            request_id: entry.request_id.clone(),
            contact: domain::contact::Contact::from_view(id, &view),
        })
    }
}

fn recorded_at(ms: i64) -> String {
    format_rfc3339(u64::try_from(ms).unwrap_or(0))
}

/// Changes of one contact, newest first.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct History {
    pub(super) data: Vec<Change>,
    pub(super) meta: PageMeta,
}

/// All that is kept of a contact and can be read.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Everything {
    /// As it is, deleted or not.
    #[schema(value_type = Contact)]
    pub(super) contact: domain::contact::Contact,
    /// Its changes, newest first.
    pub(super) history: Vec<Change>,
    /// False: there are more changes, which its history has.
    pub(super) history_is_whole: bool,
    /// Its payments, newest first.
    pub(super) payments: Vec<Payment>,
    /// False: there are more payments, which its list of them has.
    pub(super) payments_are_whole: bool,
}

/// What became of an event.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventReport {
    /// As it was asked for.
    id: String,
    /// `applied` where any of its records was, else the newest one's verdict; or `pending`, `refused`.
    status: &'static str,
    /// Why the log did not take it, where it is `refused`.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Newest first, 16 at most.
    records: Vec<EventReportRecord>,
    /// Whether everything that is kept was looked through.
    complete: bool,
}

impl EventReport {
    pub(super) fn of(id: String, topic: &str, decision: EventDecision) -> Self {
        let EventDecision { log, verdict, records, is_complete } = decision;
        let records = records.into_iter().map(|record| EventReportRecord::of(log, topic, record));
        let (status, records) = (verdict.as_str(), records.collect());
        Self { id, status, detail: None, records, complete: is_complete }
    }

    /// Taken, or on the log, and not applied yet.
    pub(super) fn pending(id: String) -> Self {
        Self { id, status: "pending", detail: None, records: Vec::new(), complete: true }
    }

    /// Not taken by the log, so that nothing was done.
    pub(super) fn refused(id: String, why: String) -> Self {
        Self { status: "refused", detail: Some(why), ..Self::pending(id) }
    }
}

/// What became of one record that the event came in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = EventRecord)]
pub(super) struct EventReportRecord {
    verdict: &'static str,
    /// Where more than its hash is kept.
    #[schema(required = true)]
    event_id: Option<String>,
    /// The contact that it changed, or is to change at home.
    #[schema(required = true)]
    contact_id: Option<String>,
    /// The contact's version after it.
    #[schema(required = true)]
    version: Option<u64>,
    /// Who says it, where that is kept: not of what changed nothing.
    #[schema(required = true)]
    source: Option<String>,
    /// Why it was set aside: a stable word.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
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

/// What came in and what became of it, newest first.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventPage {
    /// There may be fewer than were asked for though more follow.
    pub(super) data: Vec<EventReportRecord>,
    pub(super) meta: PageMeta,
}

impl EventReportRecord {
    pub(super) fn of(log: u64, topic: &str, record: EventRecord) -> Self {
        let (reason, detail) = record.reason.unzip();
        Self {
            verdict: record.verdict.as_str(),
            event_id: record.event_id,
            contact_id: record.contact_id,
            version: record.version,
            source: record.source,
            reason: reason.map(|reason| reason.as_str()),
            detail,
            topic: topic.to_owned(),
            partition: record.lane.0,
            offset: record.offset.0,
            recorded_at: recorded_at(record.record_time_ms),
            position: Position::behind(log, record.lane, record.offset).encode(),
        }
    }
}

/// A write that is kept and not applied yet.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Accepted {
    pub(super) status: AcceptedStatus,
    /// As in `/api/events/{id}`.
    pub(super) event_id: String,
    pub(super) contact_id: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum AcceptedStatus {
    Accepted,
}

/// A merge that is under way.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AcceptedMerge {
    pub(super) status: AcceptedStatus,
    /// As in `/api/merges/{id}`.
    pub(super) merge_id: String,
    /// The survivor.
    pub(super) contact_id: String,
}

/// How a merge stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ContactMerge {
    id: String,
    /// The survivor.
    contact_id: String,
    /// The contact that is taken in.
    from: String,
    status: MergeStatus,
    /// Why it failed.
    #[schema(required = true)]
    error: Option<ListedError>,
    /// From where on both halves can be read.
    #[schema(required = true)]
    position: Option<String>,
    /// Who wanted it.
    by: String,
    requested_at: String,
}

impl ContactMerge {
    pub(super) fn of(id: String, job: MergeJob) -> Self {
        let (status, error, position) = match job.end {
            None => (MergeStatus::Running, None, None),
            Some(MergeEnd::Done { position, .. }) => (MergeStatus::Done, None, Some(position)),
            Some(MergeEnd::Failed(failure)) => {
                (MergeStatus::Failed, Some(ApiError::from(failure).in_a_list()), None)
            }
        };
        Self {
            id,
            contact_id: job.into,
            from: job.from,
            status,
            error,
            position,
            by: job.principal,
            requested_at: format_rfc3339(job.at_ms),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum MergeStatus {
    Running,
    Done,
    Failed,
}

/// What became of each operation.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchAnswer {
    pub(super) data: Vec<BatchItem>,
    pub(super) meta: BatchMeta,
}

/// What became of one operation.
#[derive(Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BatchItem {
    /// Its place among the operations.
    pub(super) index: u64,
    /// What it would have been answered with alone.
    #[schema(minimum = 200, maximum = 599)]
    pub(super) status: u16,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) etag: Option<String>,
    /// Where it is kept and not applied yet.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) event_id: Option<String>,
    /// Fields and attributes that newer events keep as they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) superseded: Vec<String>,
    #[schema(nullable = false, value_type = Option<Contact>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) contact: Option<Box<RawValue>>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<ListedError>,
}

/// How many were done.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchMeta {
    pub(super) succeeded: u64,
    pub(super) failed: u64,
}
