//! One row of a file, as its reader found it.

use serde_json::value::RawValue;

use super::refusal::Refusal;

/// One row as it stands in the file.
#[derive(Debug)]
pub(super) struct SourceRow {
    /// From 1, the header not counted.
    pub(super) number: u64,
    /// The line that it begins in, from 1.
    pub(super) line: u64,
    /// Where it begins in the spool, and how long it is.
    pub(super) at: u64,
    pub(super) bytes: u64,
    pub(super) content: Result<Content, Refusal>,
}

/// What a row says.
#[derive(Debug)]
pub(super) enum Content {
    /// By column.
    Cells(Vec<String>),
    /// By name.
    Members(Vec<(String, Box<RawValue>)>),
}
