//! What was done with Acme, as it is sent and as it is described.

use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::requests::Direction;
use crate::acme::{AcmeError, Drift, PullPage, ReconcilePage, SyncError, Synced, There};
use crate::domain::sources::KeptBack;
use crate::http::exchange::error::{ApiError, Code};
use crate::ingest::IntakeError;

/// What was done to bring one contact into agreement.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SyncedContact {
    direction: Direction,
    /// What became of it at Acme.
    #[schema(pattern = "^(unchanged|created|updated|deleted)$")]
    there: &'static str,
    /// Fields that were sent to Acme.
    sent: Vec<&'static str>,
    /// Fields that were taken from Acme.
    taken: Vec<&'static str>,
    /// Fields that stay different.
    kept: Vec<KeptField>,
    /// What was taken is kept, and not known to be applied yet.
    pending: bool,
}

/// A field that stays different, and why.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptField {
    field: &'static str,
    why: String,
}

impl SyncedContact {
    pub(super) fn of(direction: Direction, synced: Synced) -> Self {
        let Synced { there, sent, taken, kept, is_pending } = synced;
        let there = match there {
            There::Unchanged => "unchanged",
            There::Created => "created",
            There::Updated => "updated",
            There::Deleted => "deleted",
        };
        let kept = kept.into_iter().map(|(field, why)| KeptField { field, why: why_kept(why) });
        Self { direction, there, sent, taken, kept: kept.collect(), pending: is_pending }
    }
}

fn why_kept(why: Option<KeptBack>) -> String {
    match why {
        None => "it is newer here".to_owned(),
        Some(KeptBack::NoName) => "Acme has no name for it".to_owned(),
        Some(KeptBack::Theirs) => "it belongs to Acme".to_owned(),
        Some(KeptBack::OneWay(step)) => format!("its step {step} can't be turned round"),
        Some(KeptBack::NoValue) => "Acme has no such value".to_owned(),
    }
}

/// What became of a page of Acme's contacts.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Pulled {
    /// Contacts of the page.
    seen: u64,
    /// New here.
    created: u64,
    /// Of which something was newer at Acme.
    updated: u64,
    /// The same on both sides, or newer here.
    unchanged: u64,
    /// Deleted here, and so not taken.
    deleted_here: u64,
    /// Contacts that can't be taken.
    refused: Vec<RefusedContact>,
    /// For the next page; null: this was the last one.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// A contact that can't be taken, and why.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RefusedContact {
    id: String,
    why: String,
}

impl From<PullPage> for Pulled {
    fn from(page: PullPage) -> Self {
        let PullPage { seen, created, updated, unchanged, deleted_here, refused, next } = page;
        let refused = refused.into_iter().map(|(id, why)| RefusedContact { id, why }).collect();
        Self { seen, created, updated, unchanged, deleted_here, refused, next_cursor: next }
    }
}

/// What a page of Acme's contacts was compared to.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Reconciled {
    /// Contacts that either side has.
    compared: u64,
    /// Where they differ.
    drift: Vec<ContactDrift>,
    /// For the next page; null: this was the last one.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// A contact that is not the same on both sides.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ContactDrift {
    id: String,
    /// `missing_there`: Acme lacks it; `missing_here`: we do; `deleted_here`: and Acme has it.
    #[schema(pattern = "^(missing_there|missing_here|differs|deleted_here)$")]
    kind: &'static str,
    /// The fields that differ.
    fields: Vec<&'static str>,
    /// Whether it was mended; null where nobody asked for that.
    #[schema(required = true)]
    mended: Option<bool>,
    /// Why it was not mended.
    #[schema(required = true)]
    why: Option<String>,
}

impl From<ReconcilePage> for Reconciled {
    fn from(page: ReconcilePage) -> Self {
        let ReconcilePage { compared, drift, next } = page;
        let drift = drift.into_iter().map(|Drift { id, kind, fields, mended }| ContactDrift {
            id,
            kind: kind.as_str(),
            fields,
            mended: mended.as_ref().map(Result::is_ok),
            why: mended.and_then(Result::err),
        });
        Self { compared, drift: drift.collect(), next_cursor: next }
    }
}

impl From<SyncError> for ApiError {
    fn from(error: SyncError) -> Self {
        let text = error.to_string();
        match error {
            SyncError::NotHere => Self::new(
                Code::ContactNotFound,
                "there is no contact with this id here; {\"direction\": \"pull\"} takes it from Acme",
            ),
            SyncError::NotThere | SyncError::DeletedThere => Self::new(Code::ContactNotFound, text),
            SyncError::DeletedHere => Self::new(
                Code::ContactDeleted,
                "the contact is deleted here; POST to its path with /restore takes the delete back",
            ),
            SyncError::Untaken(_) => Self::new(Code::EventRejected, text),
            SyncError::Cursor => Self::new(Code::InvalidCursor, text),
            SyncError::Contended => Self::new(Code::Contended, text),
            SyncError::UnknownSource(_) | SyncError::OwnIds(_) => Self::new(Code::NotReady, text),
            SyncError::Intake(IntakeError::Refused(_)) => Self::new(Code::EventRejected, text),
            SyncError::Intake(_) => Self::new(Code::IntakeUnavailable, text),
            SyncError::Store(_) | SyncError::Corrupt(_) => Self::internal(text),
            SyncError::Acme(error) => of_acme(&error),
        }
    }
}

fn of_acme(error: &AcmeError) -> ApiError {
    let code = match error {
        AcmeError::TimedOut { .. } => Code::AcmeTimeout,
        AcmeError::Unreachable(_) | AcmeError::Answered { .. } | AcmeError::NotAcme { .. } => {
            Code::AcmeFailed
        }
    };
    let details = json!({ "acmeStatus": error.status(), "acmeCode": error.code() });
    let answer = ApiError::new(code, error.to_string()).with_details(details);
    match error.retry_after() {
        Some(after) => answer.with_retry_after(after.as_secs()),
        None => answer,
    }
}
