//! Rows of which there is something to say: refused ones, duplicates, and those that newer values beat.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::refusal::Refusal;

/// What became of such a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotedVerdict {
    /// It was not taken.
    Refused,
    /// An earlier row says the same.
    Duplicate,
    /// The contact has newer values.
    Stale,
}

impl NotedVerdict {
    /// Every one, with its word.
    pub const WORDS: [(&'static str, Self); 3] =
        [("refused", Self::Refused), ("duplicate", Self::Duplicate), ("stale", Self::Stale)];
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotedRow {
    /// From 1, the header not counted.
    pub row: u64,
    /// Where it begins.
    pub line: u64,
    /// What became of it.
    pub verdict: NotedVerdict,
    /// A stable word for why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, for people.
    pub detail: String,
    /// Its place in the spool.
    pub(super) at: u64,
    pub(super) bytes: u64,
}

impl NotedRow {
    pub(super) fn refused((row, line): (u64, u64), (at, bytes): (u64, u64), why: Refusal) -> Self {
        let reason = Some(why.reason.as_str().to_owned());
        Self { row, line, verdict: NotedVerdict::Refused, reason, detail: why.detail, at, bytes }
    }
}

/// Noted rows of a verdict after a row, at most `limit`; of the first so many bytes of the file.
pub(super) fn read(
    path: &Path,
    bytes: u64,
    verdict: NotedVerdict,
    from: u64,
    limit: usize,
) -> io::Result<(Vec<NotedRow>, Option<u64>)> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), None)),
        file => file?,
    };
    file.seek(SeekFrom::Start(from))?;
    let mut lines = BufReader::new(file);
    let (mut at, mut rows, mut line) = (from, Vec::new(), Vec::new());
    while at < bytes {
        if rows.len() == limit {
            return Ok((rows, Some(at)));
        }
        line.clear();
        at += lines.read_until(b'\n', &mut line)? as u64;
        if line.is_empty() {
            break;
        }
        let row: NotedRow = serde_json::from_slice(&line)?;
        rows.extend(Some(row).filter(|row| row.verdict == verdict));
    }
    Ok((rows, None))
}
