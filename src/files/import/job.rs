//! An import, as all instances know it: the value of its control entry.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::mapping::ColumnPreview;
use super::options::{Format, ImportOptions};
use super::refusal::Reason;

/// Keys of the control entries begin with it.
pub(super) const PREFIX: &str = "import/";
/// First changes that a dry run shows.
pub(super) const CHANGES_MAX: usize = 10;
/// Bytes of a value that is shown as a sample or in a change.
pub(super) const SHOWN_BYTES_MAX: usize = 200;

/// How an import stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Its columns can be looked at; it begins when it is told to.
    Ready,
    /// It begins when there is a place.
    Waiting,
    /// Under way.
    Running,
    /// All rows are done with.
    Done,
    /// Somebody stopped it.
    Cancelled,
    /// It can't go on.
    Failed,
    /// What it changed is being taken back.
    Undoing,
    /// That is done.
    Undone,
}

impl JobState {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Undoing => "undoing",
            Self::Undone => "undone",
        }
    }

    /// Whether it goes on by itself.
    pub const fn is_under_way(self) -> bool {
        matches!(self, Self::Waiting | Self::Running | Self::Undoing)
    }
}

/// How many rows went which way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counts {
    /// In all, so far.
    pub rows: u64,
    /// Applied: a contact came to be.
    pub created: u64,
    /// Applied: a contact changed.
    pub changed: u64,
    /// The contact says that already.
    pub unchanged: u64,
    /// The contact has newer values, which stand.
    pub stale: u64,
    /// An earlier row of the file says the same.
    pub duplicate: u64,
    /// Not taken.
    pub refused: u64,
    /// By the reason's word.
    pub refused_by: BTreeMap<String, u64>,
}

impl Counts {
    pub(super) fn refuse(&mut self, reason: Reason) {
        self.refused += 1;
        *self.refused_by.entry(reason.as_str().to_owned()).or_default() += 1;
    }
}

/// What became of what is undone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UndoCounts {
    /// Contacts that have their former values again.
    pub reverted: u64,
    /// Contacts that the import made, and that are deleted.
    pub deleted: u64,
    /// Contacts that somebody changed since, and that stay in part or whole.
    pub kept: u64,
    /// Contacts whose former values the journal no longer holds.
    pub unknown: u64,
}

/// One value of a contact, as a dry run shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The row.
    pub row: u64,
    /// The contact.
    pub contact_id: String,
    /// The field or attribute.
    pub field: String,
    /// What it is; none: nothing.
    pub before: Option<String>,
    /// What it would be.
    pub after: Option<String>,
}

/// An import.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// The file's name, for people.
    #[serde(default)]
    pub file: Option<String>,
    /// Its bytes as they came.
    pub bytes: u64,
    /// How its texts stood in it.
    pub encoding: String,
    /// How it is written.
    pub format: Format,
    /// As it was ordered.
    pub options: ImportOptions,
    /// Who ordered it.
    pub by: String,
    /// When, in ms since 1970.
    pub at_ms: u64,
    /// The time of its events, in µs since 1970: when it was first begun anywhere.
    #[serde(default)]
    pub started_us: Option<u64>,
    /// When it ended, in ms since 1970.
    #[serde(default)]
    pub ended_ms: Option<u64>,
    /// How it stands.
    pub state: JobState,
    /// Why it failed.
    #[serde(default)]
    pub why: Option<String>,
    /// What its columns are.
    pub columns: Vec<ColumnPreview>,
    /// What its first rows say, by field; or why one is refused.
    #[serde(default)]
    pub samples: Vec<BTreeMap<String, String>>,
    /// How many rows went which way.
    pub counts: Counts,
    /// The first changes of a dry run.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// Set once it is being undone.
    #[serde(default)]
    pub undo: Option<UndoCounts>,
    /// Who ordered that.
    #[serde(default)]
    pub undo_by: Option<String>,
}

/// A text that is shown, not too long.
pub(super) fn shown(text: &str) -> String {
    match text.len() <= SHOWN_BYTES_MAX {
        true => text.to_owned(),
        false => {
            let end = text.floor_char_boundary(SHOWN_BYTES_MAX);
            format!("{}…", text.get(..end).unwrap_or_default())
        }
    }
}
