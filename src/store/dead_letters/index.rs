//! What is known of every archived letter without reading it: 24 bytes each, in the archive's order.

use std::collections::{BTreeMap, VecDeque};

use crate::domain::position::{CONTROL_LANE, Lane, NextOffset, Offset};
use crate::domain::verdict::DeadLetterReason;

use super::entry::KeptLetter;

/// One letter without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LetterRow {
    /// The record's time, in ms; −1: it has none.
    pub record_time_ms: i64,
    /// Its place in its lane.
    pub offset: Offset,
    /// Its lane.
    pub lane: Lane,
    /// Why it can't be applied.
    pub reason: DeadLetterReason,
    /// How often it was redriven before it came here.
    pub hops: u8,
    /// Whether only the head of its value is kept.
    pub is_truncated: bool,
}

impl LetterRow {
    pub(super) fn of(letter: &KeptLetter) -> Self {
        Self {
            record_time_ms: letter.record_time_ms,
            offset: letter.offset,
            lane: letter.lane,
            reason: letter.reason(),
            hops: letter.hops(),
            is_truncated: letter.is_truncated(),
        }
    }

    /// Whether it is a control record.
    pub fn is_control(&self) -> bool {
        self.lane == CONTROL_LANE
    }
}

/// All letters of the archive, oldest first. A letter's frame is `first` and its place.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) first: u64,
    rows: VecDeque<LetterRow>,
    by_reason: Vec<u64>,
}

impl Default for Index {
    fn default() -> Self {
        Self { first: 0, rows: VecDeque::new(), by_reason: vec![0; DeadLetterReason::ALL.len()] }
    }
}

impl Index {
    pub(super) fn starting_at(first: u64) -> Self {
        Self { first, ..Self::default() }
    }

    /// The frame after the last one.
    pub(super) fn end(&self) -> u64 {
        self.first + self.rows.len() as u64
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn push(&mut self, row: LetterRow) {
        if let Some(count) = self.by_reason.get_mut(usize::from(row.reason.code())) {
            *count += 1;
        }
        self.rows.push_back(row);
    }

    pub(super) fn drop_before(&mut self, first: u64) {
        while self.first < first {
            let Some(row) = self.rows.pop_front() else {
                self.first = first;
                return;
            };
            self.first += 1;
            if let Some(count) = self.by_reason.get_mut(usize::from(row.reason.code())) {
                *count = count.saturating_sub(1);
            }
        }
    }

    pub(super) fn get(&self, frame: u64) -> Option<&LetterRow> {
        self.rows.get(usize::try_from(frame.checked_sub(self.first)?).ok()?)
    }

    pub(super) fn frame_of(&self, lane: Lane, offset: Offset) -> Option<u64> {
        let place = self.rows.iter().position(|row| (row.lane, row.offset) == (lane, offset))?;
        Some(self.first + place as u64)
    }

    pub(super) fn oldest_ms(&self) -> Option<i64> {
        self.rows.front().map(|row| row.record_time_ms)
    }

    pub(super) fn by_reason(&self) -> impl Iterator<Item = (DeadLetterReason, u64)> {
        DeadLetterReason::ALL.iter().copied().zip(self.by_reason.iter().copied())
    }

    /// Behind the last letter of each lane.
    pub(super) fn next_offsets(&self) -> BTreeMap<Lane, NextOffset> {
        let mut next = BTreeMap::new();
        for row in &self.rows {
            let at: &mut NextOffset = next.entry(row.lane).or_default();
            *at = row.offset.next().max(*at);
        }
        next
    }
}
