//! What holds between two batches: what a commit, a checkpoint and a snapshot each state.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::position::{Lane, NextOffset};
use crate::domain::rules::LaneRules;
use crate::domain::verdict::Verdict;
use crate::segments::FrameNo;

use super::digest::Digest;
use super::journal::{Counters, LaneProgress};

/// Taken whole, written whole, never in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The first journal frame that is not in this state.
    pub next_frame: FrameNo,
    /// How far every lane was read.
    pub lanes: BTreeMap<Lane, LaneProgress>,
    /// Verdicts and contacts so far.
    pub counters: Counters,
    /// Sum over all contacts.
    pub digest: Digest,
    /// Control records and entries.
    pub control: ControlSums,
    /// What records are judged by, lane by lane.
    pub rules: Arc<LaneRules>,
    /// Sum over the attempts that are remembered.
    pub attempts: Digest,
    /// Greatest record timestamp seen, in ms.
    pub record_time_ms: i64,
}

impl Default for Cut {
    fn default() -> Self {
        Self::empty()
    }
}

impl Cut {
    pub(crate) fn empty() -> Self {
        Self {
            next_frame: FrameNo(0),
            lanes: BTreeMap::new(),
            counters: Counters::default(),
            digest: Digest::default(),
            control: ControlSums::default(),
            rules: Arc::default(),
            attempts: Digest::default(),
            record_time_ms: 0,
        }
    }

    /// Records that were set aside, contacts' and control records.
    pub fn dead_letters(&self) -> u64 {
        let of_control = self.control.verdicts.get(Verdict::DeadLettered.index()).copied();
        self.counters.verdict(Verdict::DeadLettered) + of_control.unwrap_or(0)
    }

    /// Records that stood away from their contact's home lane.
    pub fn rehomed(&self) -> u64 {
        self.counters.verdict(Verdict::Rehomed)
    }

    /// The next offset of every lane.
    pub fn next_offsets(&self) -> BTreeMap<Lane, NextOffset> {
        self.lanes.iter().map(|(lane, at)| (*lane, at.next)).collect()
    }
}

/// What holds of control records, beside what holds of contacts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlSums {
    /// Sum over all entries, as over contacts.
    pub digest: Digest,
    /// How often each verdict was given, by [`Verdict::index`].
    pub verdicts: [u64; Verdict::COUNT],
}

impl ControlSums {
    pub(crate) fn count(&mut self, verdict: Verdict) {
        if let Some(total) = self.verdicts.get_mut(verdict.index()) {
            *total += 1;
        }
    }
}
