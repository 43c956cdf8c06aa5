//! A redrive or a discarding: what was ordered, by whom, and how far it has come.
//!
//! It is a control entry, so every instance knows it, one works on it, and it is gone when the letters
//! are. It says what became of letters by range (which ones, up to which offsets), so a redrive of a
//! million takes no more room than one of a single letter.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::position::{Lane, NextOffset, Offset};
use crate::store::LetterRow;

use super::selection::Selection;

/// Keys of their control entries begin with it.
pub(super) const PREFIX: &str = "dead_letter/job/";
/// Letters that a job names one by one because they could not be sent.
pub(super) const FAILED_MAX: usize = 200;

/// What is done to letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// They are appended to the contact log again.
    Redrive,
    /// Nobody is to look at them any more.
    Discard,
}

impl JobKind {
    /// Stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redrive => "redrive",
            Self::Discard => "discard",
        }
    }
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Under way.
    Running,
    /// All that it could do is done.
    Done,
    /// Somebody stopped it.
    Stopped,
    /// It can't go on.
    Failed,
}

/// Why a letter was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeftOut {
    Control,
    Hops,
    Discarded,
    AlreadyRedriven,
    /// Its whole value is no longer to be had.
    Incomplete,
    /// The log does not take it.
    Refused,
}

/// How many letters went which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counts {
    /// Redriven, or discarded.
    pub done: u64,
    /// Control records, which are not redriven.
    pub control: u64,
    /// Redriven too often already.
    pub hops: u64,
    /// Discarded before.
    pub discarded: u64,
    /// Redriven before.
    pub already_redriven: u64,
    /// Too long to be kept whole, and not on the log any more.
    pub incomplete: u64,
    /// The log does not take it.
    pub refused: u64,
}

impl Counts {
    pub(super) fn left_out(&mut self, why: LeftOut) {
        *match why {
            LeftOut::Control => &mut self.control,
            LeftOut::Hops => &mut self.hops,
            LeftOut::Discarded => &mut self.discarded,
            LeftOut::AlreadyRedriven => &mut self.already_redriven,
            LeftOut::Incomplete => &mut self.incomplete,
            LeftOut::Refused => &mut self.refused,
        } += 1;
    }

    /// Letters that were looked at.
    pub fn selected(&self) -> u64 {
        self.done
            + self.control
            + self.hops
            + self.discarded
            + self.already_redriven
            + self.incomplete
            + self.refused
    }
}

/// The value of a job's control entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// What is done.
    pub kind: JobKind,
    /// To which letters.
    pub selection: Selection,
    /// Letters that were redriven before too.
    #[serde(default)]
    pub again: bool,
    /// Letters a second at most.
    pub rate: u32,
    /// Letters in all at most.
    #[serde(default)]
    pub limit: Option<u64>,
    /// A record that was redriven so often is left out.
    pub hops_max: u8,
    /// Who ordered it.
    pub by: String,
    /// When, in ms since 1970.
    pub at_ms: u64,
    /// How it stands.
    pub state: JobState,
    /// Why it was stopped or failed.
    #[serde(default)]
    pub why: Option<String>,
    /// By lane: letters from there on are none of its, such as come while it runs.
    pub up_to: BTreeMap<Lane, NextOffset>,
    /// By lane: letters before it are done with.
    pub done: BTreeMap<Lane, NextOffset>,
    /// Those among them that could not be sent.
    #[serde(default)]
    pub failed: Vec<(Lane, Offset)>,
    /// How many went which way.
    pub counts: Counts,
    /// When this was written.
    pub updated_ms: u64,
}

impl Job {
    /// Whether a letter is one of its.
    pub(super) fn is_about(&self, row: &LetterRow) -> bool {
        self.selection.has(row) && is_before(&self.up_to, row)
    }

    /// Whether it is done with a letter, in whatever way.
    pub(super) fn is_past(&self, row: &LetterRow) -> bool {
        is_before(&self.done, row)
    }

    /// Whether it is done with all of its letters.
    pub(super) fn is_through(&self) -> bool {
        let done = |lane| self.done.get(lane).copied().unwrap_or_default();
        self.up_to.iter().all(|(lane, next)| done(lane) >= *next)
    }

    pub(super) fn advance(&mut self, row: &LetterRow) {
        self.done.insert(row.lane, row.offset.next());
    }

    pub(super) fn is_running(&self) -> bool {
        self.state == JobState::Running
    }

    /// What it does to a letter of its, with what became of it before.
    pub(super) fn decide(&self, row: &LetterRow, fate: &Fate) -> Result<(), LeftOut> {
        if fate.discarded.is_some() {
            return Err(LeftOut::Discarded);
        }
        if self.kind == JobKind::Discard {
            return Ok(());
        }
        if row.is_control() {
            return Err(LeftOut::Control);
        }
        if row.hops >= self.hops_max {
            return Err(LeftOut::Hops);
        }
        if fate.redriven > 0 && !self.again {
            return Err(LeftOut::AlreadyRedriven);
        }
        Ok(())
    }
}

fn is_before(next: &BTreeMap<Lane, NextOffset>, row: &LetterRow) -> bool {
    next.get(&row.lane).is_some_and(|next| row.offset.0 < next.0)
}

/// Who did something, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// The job's id.
    pub job: String,
    /// Who ordered it.
    pub by: String,
    /// When, in ms since 1970.
    pub at_ms: u64,
}

/// What became of a letter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// How often it was redriven.
    pub redriven: u32,
    /// The last time.
    pub last: Option<Deed>,
    /// Whether it is not to be looked at any more.
    pub discarded: Option<Deed>,
}

impl Fate {
    /// One word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self { discarded: Some(_), .. } => "discarded",
            Self { redriven: 0, .. } => "kept",
            Self { .. } => "redriven",
        }
    }

    /// Takes what a job has done to the letter. Jobs must come in their order.
    pub(super) fn take(&mut self, id: &str, job: &Job, row: &LetterRow) {
        if !job.is_about(row)
            || !job.is_past(row)
            || job.failed.contains(&(row.lane, row.offset))
            || job.decide(row, self).is_err()
        {
            return;
        }
        let deed = Deed { job: id.to_owned(), by: job.by.clone(), at_ms: job.at_ms };
        match job.kind {
            JobKind::Discard => self.discarded = Some(deed),
            JobKind::Redrive => {
                self.redriven += 1;
                self.last = Some(deed);
            }
        }
    }
}
