//! What is answered of imports, as it is sent and as it is described.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::timestamp::{format_rfc3339, format_rfc3339_us};
use crate::files::import::{Change, ColumnPreview, Counts, Job, NotedRow, UndoCounts};
use crate::http::exchange::page::PageMeta;

/// An import.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Import {
    /// The same for the same file and options.
    id: String,
    /// `ready` (it begins when it is told to), `waiting` (for a place), `running`, `done`, `cancelled`,
    /// `failed`, `undoing`, `undone`.
    state: &'static str,
    /// Why it failed.
    #[schema(required = true)]
    why: Option<String>,
    /// The file's name, where one was given.
    #[schema(required = true)]
    file: Option<String>,
    /// The file's size.
    #[schema(minimum = 0)]
    bytes: u64,
    /// `csv`, `ndjson`, `vcard`.
    format: &'static str,
    /// As it was found to be: `UTF-8`, `UTF-16`, `Windows-1252`.
    encoding: String,
    /// `create`, `update`, `upsert`.
    mode: &'static str,
    /// `id`, `externalId`, `email`; null: by what each row has, in this order.
    #[schema(required = true)]
    r#match: Option<&'static str>,
    source: String,
    dry_run: bool,
    by: String,
    #[schema(format = DateTime)]
    created_at: String,
    /// The time of its events: `asOf`, else when it was first begun, on whichever instance.
    #[schema(required = true, format = DateTime)]
    started_at: Option<String>,
    #[schema(required = true, format = DateTime)]
    ended_at: Option<String>,
    /// What the file's columns are.
    columns: Vec<ImportColumn>,
    /// What its first rows say, by field; `refused` says why one is not taken.
    samples: Vec<BTreeMap<String, String>>,
    counts: ImportCounts,
    /// The first changes of a dry run.
    changes: Vec<ImportChange>,
    #[schema(required = true)]
    undo: Option<ImportUndo>,
}

/// A column of the file.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ImportColumn {
    column: String,
    /// What it is here; null: it is not taken.
    #[schema(required = true)]
    field: Option<String>,
    /// Why not, or what else may be meant.
    #[schema(required = true)]
    note: Option<String>,
}

/// How many rows went which way; of a dry run, would go.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ImportCounts {
    /// In all, so far.
    #[schema(minimum = 0)]
    rows: u64,
    /// Applied, and a contact came to be.
    #[schema(minimum = 0)]
    created: u64,
    /// Applied, and a contact changed.
    #[schema(minimum = 0)]
    changed: u64,
    /// The contact says that already.
    #[schema(minimum = 0)]
    unchanged: u64,
    /// The contact has newer values, which stand.
    #[schema(minimum = 0)]
    stale: u64,
    /// An earlier row says the same.
    #[schema(minimum = 0)]
    duplicate: u64,
    #[schema(minimum = 0)]
    refused: u64,
    /// Refused rows by reason.
    refused_by: BTreeMap<String, u64>,
}

/// One value that a dry run would change.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ImportChange {
    #[schema(minimum = 1)]
    row: u64,
    contact_id: String,
    field: String,
    #[schema(required = true)]
    before: Option<String>,
    #[schema(required = true)]
    after: Option<String>,
}

/// What became of contacts when it was undone.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ImportUndo {
    /// They have their former values again.
    #[schema(minimum = 0)]
    reverted: u64,
    /// The import had made them.
    #[schema(minimum = 0)]
    deleted: u64,
    /// Somebody has changed them since.
    #[schema(minimum = 0)]
    kept: u64,
    /// The journal no longer holds their former values.
    #[schema(minimum = 0)]
    unknown: u64,
}

impl Import {
    pub(super) fn of(id: String, job: Job) -> Self {
        Self {
            id,
            state: job.state.as_str(),
            why: job.why,
            file: job.file,
            bytes: job.bytes,
            format: job.format.as_str(),
            encoding: job.encoding,
            mode: job.options.mode.as_str(),
            r#match: job.options.by.map(|by| by.as_str()),
            source: job.options.source,
            dry_run: job.options.dry_run,
            by: job.by,
            created_at: format_rfc3339(job.at_ms),
            started_at: job.started_us.map(format_rfc3339_us),
            ended_at: job.ended_ms.map(format_rfc3339),
            columns: job.columns.into_iter().map(ImportColumn::from).collect(),
            samples: job.samples,
            counts: job.counts.into(),
            changes: job.changes.into_iter().map(ImportChange::from).collect(),
            undo: job.undo.map(ImportUndo::from),
        }
    }
}

impl From<ColumnPreview> for ImportColumn {
    fn from(ColumnPreview { column, field, note }: ColumnPreview) -> Self {
        Self { column, field, note }
    }
}

impl From<Counts> for ImportCounts {
    fn from(counts: Counts) -> Self {
        let Counts { rows, created, changed, unchanged, stale, duplicate, refused, refused_by } =
            counts;
        Self { rows, created, changed, unchanged, stale, duplicate, refused, refused_by }
    }
}

impl From<Change> for ImportChange {
    fn from(Change { row, contact_id, field, before, after }: Change) -> Self {
        Self { row, contact_id, field, before, after }
    }
}

impl From<UndoCounts> for ImportUndo {
    fn from(UndoCounts { reverted, deleted, kept, unknown }: UndoCounts) -> Self {
        Self { reverted, deleted, kept, unknown }
    }
}

/// Imports, by id.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Imports {
    pub(super) data: Vec<Import>,
    pub(super) meta: PageMeta,
}

/// A row that was refused, is a duplicate, or was beaten by newer values.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ImportRow {
    /// From 1, the header not counted.
    #[schema(minimum = 1)]
    row: u64,
    /// Where it begins in the file.
    #[schema(minimum = 1)]
    line: u64,
    /// A stable word for why it was refused.
    #[schema(required = true)]
    reason: Option<String>,
    /// Why, for people.
    detail: String,
}

impl From<NotedRow> for ImportRow {
    fn from(row: NotedRow) -> Self {
        Self { row: row.row, line: row.line, reason: row.reason, detail: row.detail }
    }
}

/// Rows of an import.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportRows {
    pub(super) data: Vec<ImportRow>,
    pub(super) meta: PageMeta,
}
