//! One row of a file, as its reader found it.

use serde_json::value::RawValue;

use super::refusal::Refusal;

/// Where reading goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Place {
    /// Rows before it.
    pub(super) number: u64,
    /// In the spool.
    pub(super) at: u64,
    /// Its line.
    pub(super) line: u64,
}

#[cfg(test)]
impl Place {
    /// Of a file without a mark.
    pub(super) const BEGINNING: Self = Self { number: 0, at: 0, line: 1 };
}

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
