//! What holds between two batches: what a commit, a checkpoint and a snapshot each state.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::position::{CONTROL_LANE, Lane, NextOffset, Position};
use crate::domain::rules::LaneRules;
use crate::domain::verdict::Verdict;
use crate::segments::FrameNo;

use super::digest::Digest;
use super::journal::{Counters, LaneProgress};
use super::source_verdicts::SourceVerdicts;

/// Taken whole, written whole, never in parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// The first journal frame that is not in this state.
    pub next_frame: FrameNo,
    /// How far every lane was read.
    pub lanes: BTreeMap<Lane, LaneProgress>,
    /// Verdicts and contacts so far.
    pub counters: Counters,
    /// The same verdicts by source.
    pub sources: Arc<SourceVerdicts>,
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

impl Cut {
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

    /// The same without the control lane: no contact's record stands there, its records come all the time,
    /// and its topic may be made anew.
    pub(crate) fn contact_lanes(&self) -> impl Iterator<Item = (Lane, NextOffset)> {
        let lanes = self.lanes.iter().filter(|(lane, _)| **lane != CONTROL_LANE);
        lanes.map(|(lane, at)| (*lane, at.next))
    }

    /// Whether all contacts' records that a position has seen are in it.
    pub(crate) fn has_all_of(&self, position: &Position) -> bool {
        let next = |lane| self.lanes.get(lane).map_or(NextOffset(0), |at| at.next);
        let mut lanes = position.next.iter().filter(|(lane, _)| **lane != CONTROL_LANE);
        lanes.all(|(lane, seen)| next(lane) >= *seen)
    }

    /// Whether a position has seen all contacts' records that are in it.
    pub(crate) fn is_seen_by(&self, position: &Position) -> bool {
        self.contact_lanes().all(|(lane, next)| position.next_of(lane) >= next)
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
