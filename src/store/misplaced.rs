//! Records that stood where their contact is not at home, or without a key: as the journal has kept
//! them, for the bridge to append them where they belong.
//!
//! Every frame says how many dead letters there were up to it, so frames with some are found by
//! bisection, and nothing is read while there are none.

use std::collections::BTreeMap;

use crate::domain::position::{Lane, NextOffset, Offset, Position};
use crate::domain::record::RecordKind;
use crate::domain::verdict::{DeadLetterReason, Verdict};
use crate::segments::FrameNo;

use super::StoreError;
use super::journal::{Entry, Frame, Journal, Letter, Outcome};
use super::reader::Reader;
use super::shared::Cut;

/// A record as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MisplacedRecord {
    /// Where it stands.
    pub lane: Lane,
    /// Where it stands.
    pub offset: Offset,
    /// Its timestamp, in ms.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value, or the head of it.
    pub value: Vec<u8>,
    /// Whether the value is all there.
    pub is_whole: bool,
    /// Its headers, as a batch's arena holds them.
    pub headers: Vec<u8>,
}

/// Some of them, in the order in which they were applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misplaced {
    /// The records.
    pub records: Vec<MisplacedRecord>,
    /// What has been looked through.
    pub seen: Position,
    /// Dead letters up to there, of whatever kind.
    pub letters: u64,
    /// Whether that was all.
    pub is_end: bool,
}

impl Reader {
    /// Misplaced records that the position has not seen, of one frame that has dead letters; none: up to
    /// the end. `letters`: how many there were up to the position, where that is known. While there
    /// are no more, nothing is read.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub fn misplaced_after(
        &self,
        position: &Position,
        letters: Option<u64>,
    ) -> Result<Misplaced, StoreError> {
        let shared = self.shared();
        let cut = shared.cut.lock().clone();
        let seen = shared.position_of(cut.next_offsets());
        let all = letters_up_to(&cut);
        let nothing = Misplaced { records: Vec::new(), seen, letters: all, is_end: true };
        if letters == Some(all) {
            return Ok(nothing);
        }
        let journal = &shared.journal;
        // What the journal no longer holds is nobody's to append any more.
        let start = first_unseen(journal, position, &cut)?;
        let Some(frame) = next_with_letters(journal, start, &cut)? else {
            return Ok(nothing);
        };
        let mut records = Vec::new();
        frame.for_each(&mut Vec::new(), |entry| {
            let next = position.next.get(&entry.lane).copied().unwrap_or_default();
            if entry.offset.0 >= next.0
                && let Some(record) = misplaced(entry)
            {
                records.push(record);
            }
            Ok(())
        })?;
        let after: BTreeMap<Lane, NextOffset> =
            frame.after.lanes.iter().map(|(lane, at)| (*lane, at.next)).collect();
        let letters = letters_up_to(&frame.after);
        Ok(Misplaced { records, seen: shared.position_of(after), letters, is_end: false })
    }
}

fn letters_up_to(cut: &Cut) -> u64 {
    cut.counters.verdict(Verdict::DeadLettered)
}

fn misplaced(entry: &Entry<'_>) -> Option<MisplacedRecord> {
    let (Outcome::DeadLettered(letter), RecordKind::Contact) = (&entry.outcome, entry.record_kind)
    else {
        return None;
    };
    let Letter { reason, key, value, value_len, headers, .. } = letter;
    let is_misplaced =
        matches!(reason, DeadLetterReason::KeyMissing | DeadLetterReason::MisroutedKey);
    let value = value.filter(|_| is_misplaced)?;
    Some(MisplacedRecord {
        lane: entry.lane,
        offset: entry.offset,
        timestamp_ms: entry.record_time_ms,
        key: key.map(<[u8]>::to_vec),
        value: value.to_vec(),
        is_whole: value.len() as u64 == *value_len,
        headers: headers.to_vec(),
    })
}

/// The first frame with something that the position has not seen.
fn first_unseen(journal: &Journal, position: &Position, cut: &Cut) -> Result<FrameNo, StoreError> {
    let has_seen = |after: &Cut| {
        let mut lanes = after.lanes.iter();
        lanes.all(|(lane, at)| position.next.get(lane).copied().unwrap_or_default() >= at.next)
    };
    bisect(journal, journal.first()?, cut, |after| !has_seen(after))
}

/// The first frame from `start` on that holds a dead letter.
fn next_with_letters(
    journal: &Journal,
    start: FrameNo,
    cut: &Cut,
) -> Result<Option<Frame>, StoreError> {
    let before = match start.0.checked_sub(1) {
        Some(last) => journal.frame(FrameNo(last))?.map(|frame| letters_up_to(&frame.after)),
        None => Some(0),
    };
    let Some(before) = before else {
        // Trimmed: whether the first frame holds some is not known.
        return journal.frame(start);
    };
    if letters_up_to(cut) == before {
        return Ok(None);
    }
    let found = bisect(journal, start, cut, |after| letters_up_to(after) > before)?;
    if found >= cut.next_frame { Ok(None) } else { journal.frame(found) }
}

/// The first frame from `low` on after which something holds that goes on holding; the one behind
/// the last where it holds after none.
fn bisect(
    journal: &Journal,
    mut low: FrameNo,
    cut: &Cut,
    holds: impl Fn(&Cut) -> bool,
) -> Result<FrameNo, StoreError> {
    let mut high = cut.next_frame;
    while low < high {
        let middle = FrameNo(low.0 + (high.0 - low.0) / 2);
        match journal.frame(middle)? {
            Some(frame) if holds(&frame.after) => high = middle,
            // None: trimmed meanwhile.
            Some(_) | None => low = middle.next(),
        }
    }
    Ok(low)
}
