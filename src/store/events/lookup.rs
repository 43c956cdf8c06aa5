//! Looking an event up.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::domain::contact::ContactView;
use crate::domain::headers::SOURCE;
use crate::domain::payment::of_row;
use crate::domain::position::{Lane, Offset};
use crate::domain::record::{Headers, RecordKind};
use crate::domain::verdict::{DeadLetterReason, Verdict};
use crate::segments::{FrameNo, IdTable, SegmentError, SegmentKind};

use super::super::StoreError;
use super::super::codec::ChangeRef;
use super::super::cut::Cut;
use super::super::journal::{Entry, Frame, Outcome, event_hash};
use super::super::shared::Shared;

/// Records of one id that are shown, the newest ones.
const RECORDS_MAX: usize = 16;
/// How long a lookup may take before it answers with what it has found.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(2);

/// What became of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// Its place in this instance's journal.
    pub change: ChangeRef,
    /// The record's lane.
    pub lane: Lane,
    /// The record's offset.
    pub offset: Offset,
    /// The record's timestamp, in ms.
    pub record_time_ms: i64,
    /// What the record is about.
    pub record_kind: RecordKind,
    /// What became of it.
    pub verdict: Verdict,
    /// The event's id, where the journal keeps more than its hash: of what was applied or rehomed,
    /// and of control records.
    pub event_id: Option<String>,
    /// The contact that it changed, or the control entry's key; not kept of what changed nothing.
    pub contact_id: Option<String>,
    /// The contact's version after it, where it changed one.
    pub version: Option<u64>,
    /// Why it was set aside, where it was.
    pub reason: Option<(DeadLetterReason, String)>,
    /// Who says it, where the journal keeps that.
    pub source: Option<String>,
}

impl EventRecord {
    /// Whether it tells what became of the event; a duplicate only says that this was told before.
    pub fn is_decision(&self) -> bool {
        self.verdict != Verdict::Duplicate
    }

    pub(super) fn of(entry: &Entry<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (mut event_id, mut contact_id, mut version, mut reason) = (None, None, None, None);
        match &entry.outcome {
            Outcome::Applied(applied) | Outcome::Noted(applied) => {
                event_id = Some(text(applied.event_id));
                contact_id = Some(text(of_row(applied.id).map_or(applied.id, |(of, _)| of)));
                version = ContactView::version_of(applied.body);
            }
            Outcome::Control(control) => {
                event_id = Some(text(control.event_id));
                contact_id = Some(text(control.key));
            }
            Outcome::Rehomed(rehomed) => {
                event_id = Some(text(rehomed.event_id));
                contact_id = Some(text(rehomed.record.contact_id));
            }
            Outcome::DeadLettered(letter) => {
                reason = Some((letter.reason, letter.detail.to_owned()));
            }
            Outcome::Rules(_) | Outcome::Settled => {}
        }
        Self {
            change: entry.change,
            lane: entry.lane,
            offset: entry.offset,
            record_time_ms: entry.record_time_ms,
            record_kind: entry.record_kind,
            verdict: entry.verdict,
            event_id,
            contact_id,
            version,
            reason,
            source: source_of(entry).filter(|source| !source.is_empty()).map(text),
        }
    }
}

/// Who says it, where the journal keeps that: of what was applied, and of dead letters by their header.
pub(super) fn source_of<'e>(entry: &Entry<'e>) -> Option<&'e [u8]> {
    match &entry.outcome {
        Outcome::Applied(applied) | Outcome::Noted(applied) => Some(applied.source),
        Outcome::DeadLettered(letter) => {
            Headers::new(letter.headers).find(|(name, _)| *name == SOURCE)?.1
        }
        Outcome::Control(_) | Outcome::Rehomed(_) | Outcome::Rules(_) | Outcome::Settled => None,
    }
}

/// What was found of an event's id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventLookup {
    /// Newest first, at most 16: the same event may have come several times. What the last of them
    /// says is what the others repeated, where that is kept.
    pub records: Vec<EventRecord>,
    /// Whether the whole journal was looked through, or as much of it as fills `records`. False
    /// while tables are being made, and when there was no time.
    pub is_complete: bool,
}

impl EventLookup {
    /// However often it was repeated, what is asked for is what became of it.
    fn is_full(&self) -> bool {
        self.records.len() >= RECORDS_MAX && self.records.iter().any(EventRecord::is_decision)
    }

    fn add(&mut self, record: EventRecord) {
        if self.records.len() < RECORDS_MAX {
            self.records.push(record);
        } else if record.is_decision() && !self.is_full() {
            self.records.pop();
            self.records.push(record);
        }
    }
}

/// All records with an event's id, newest first, as far as there is time.
pub(crate) fn by_id(
    shared: &Shared,
    id: &[u8],
    deadline: Instant,
) -> Result<EventLookup, StoreError> {
    let hash = event_hash(id);
    let mut found = EventLookup::default();
    found.is_complete = walk(shared, hash, deadline, |frame| {
        for record in records(frame, hash, id)? {
            found.add(record);
        }
        Ok(found.is_full())
    })?;
    Ok(found)
}

/// What an event without a time of its own is known by when it comes again.
#[derive(Clone, Copy, Debug)]
pub struct Untimed<'a> {
    /// Its contact.
    pub contact_id: &'a [u8],
    /// Its id.
    pub event_id: &'a [u8],
    /// Of its source and id.
    pub id_hash: u64,
    /// Of what it says: the same id with another body is another event.
    pub body_hash: u64,
}

/// The time that it took when it was first applied, in µs since 1970, from the ring of the contact as
/// it was then. `deadline`: when to stop looking.
pub(crate) fn first_seen_us(
    shared: &Shared,
    event: &Untimed<'_>,
    deadline: Instant,
) -> Result<Option<u64>, StoreError> {
    let hash = event_hash(event.event_id);
    let mut first = None;
    walk(shared, hash, deadline, |frame| {
        frame.for_each(&mut Vec::new(), |entry| {
            if let Outcome::Applied(applied) | Outcome::Noted(applied) = &entry.outcome
                && (entry.event_hash, applied.id) == (hash, event.contact_id)
                && let Ok(view) = ContactView::parse(applied.body)
            {
                first = first.or(view.first_seen_us(event.id_hash, event.body_hash));
            }
            Ok(())
        })?;
        Ok(first.is_some())
    })?;
    Ok(first)
}

/// How a walk through some frames ended.
enum Shown {
    All,
    Enough,
    /// The time was over.
    Some,
}

/// Shows the frames that hold an event's hash, newest first, until `visit` has enough or the time is
/// over. Whether it had enough or saw all that there are.
fn walk(
    shared: &Shared,
    hash: u64,
    deadline: Instant,
    mut visit: impl FnMut(&Frame) -> Result<bool, StoreError>,
) -> Result<bool, StoreError> {
    if hash == 0 {
        return Ok(true);
    }
    // Listed before memory is looked at: a segment that gets its table in between is met in both.
    let bases = shared.journal.segment_bases()?;
    let seen = shared.events.find(hash);
    let mut is_complete = !seen.is_partial;
    let mut show = |frames: BTreeSet<FrameNo>| {
        for (count, frame) in frames.into_iter().rev().enumerate() {
            // The newest one is always looked at.
            if count > 0 && Instant::now() >= deadline {
                return Ok(Shown::Some);
            }
            if let Some(frame) = shared.journal.frame(frame)?
                && visit(&frame)?
            {
                return Ok::<_, StoreError>(Shown::Enough);
            }
        }
        Ok(Shown::All)
    };
    match show(seen.frames.into_iter().collect())? {
        Shown::All => {}
        Shown::Enough => return Ok(is_complete),
        Shown::Some => return Ok(false),
    }
    for base in bases.into_iter().rev().filter(|base| !seen.bases.contains(base)) {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        match frames_in(shared, base, hash)? {
            Some(frames) => match show(frames)? {
                Shown::All => {}
                Shown::Enough => break,
                Shown::Some => return Ok(false),
            },
            None => is_complete = false,
        }
    }
    Ok(is_complete)
}

/// The frames of a sealed segment that hold a hash; none without a table that can be read.
fn frames_in(
    shared: &Shared,
    base: FrameNo,
    hash: u64,
) -> Result<Option<BTreeSet<FrameNo>>, StoreError> {
    let positions = IdTable::open(shared.journal.path(), SegmentKind::Journal, base)
        .and_then(|table| table.map(|table| table.positions(hash)).transpose());
    match positions {
        Ok(Some(positions)) => {
            Ok(Some(positions.iter().map(|at| FrameNo(base.0 + u64::from(*at))).collect()))
        }
        // Trimmed a moment ago: what it held is not kept any more.
        Err(SegmentError::Trimmed { .. }) => Ok(Some(BTreeSet::new())),
        Ok(None) | Err(SegmentError::Damage { .. }) => {
            shared.events.tell_damaged(base);
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// The entries of a frame that are of an event, newest first.
fn records(frame: &Frame, hash: u64, id: &[u8]) -> Result<Vec<EventRecord>, StoreError> {
    let mut records = Vec::new();
    frame.for_each(&mut Vec::new(), |entry| {
        let is_it = entry.event_hash == hash
            && match &entry.outcome {
                Outcome::Applied(applied) | Outcome::Noted(applied) => applied.event_id == id,
                Outcome::Control(control) => control.event_id == id,
                Outcome::Rehomed(rehomed) => rehomed.event_id == id,
                Outcome::Rules(_) => false,
                Outcome::DeadLettered(_) | Outcome::Settled => true,
            };
        if is_it {
            records.push(EventRecord::of(entry));
        }
        Ok(())
    })?;
    records.reverse();
    Ok(records)
}

/// What became of the record at that place; none when it was not applied yet, is no record, or is
/// not kept any more.
pub(crate) fn at(
    shared: &Shared,
    lane: Lane,
    offset: Offset,
) -> Result<Option<EventRecord>, StoreError> {
    let end = FrameNo(*shared.commits.frames.borrow());
    let Some(frame) = frame_of(shared, lane, offset, end)? else {
        return Ok(None);
    };
    let mut found = None;
    frame.for_each(&mut Vec::new(), |entry| {
        if (entry.lane, entry.offset) == (lane, offset) {
            found = Some(EventRecord::of(entry));
        }
        Ok(())
    })?;
    Ok(found)
}

/// The frame after which a lane was read past an offset: every frame says how far each was read.
/// Segments are told apart by their first frames, then frames within one.
fn frame_of(
    shared: &Shared,
    lane: Lane,
    offset: Offset,
    end: FrameNo,
) -> Result<Option<Frame>, StoreError> {
    let is_past = |after: &Cut| {
        let reached = after.lanes.get(&lane).map(|at| at.next).unwrap_or_default();
        reached >= offset.next()
    };
    let bases = shared.journal.segment_bases()?;
    let (mut low, mut high) = (0, bases.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let first = bases.get(middle).copied().unwrap_or(end);
        // One that is gone was trimmed, so what is looked for comes later or not at all.
        match shared.journal.head(first)? {
            Some(head) if is_past(&head.after) => high = middle,
            Some(_) => low = middle + 1,
            None if first >= end => high = middle,
            None => low = middle + 1,
        }
    }
    // The first frame of segment `low` is past it, the one of the segment before is not.
    let from = low.checked_sub(1).and_then(|at| bases.get(at)).copied().unwrap_or_default();
    let to = bases.get(low).map_or(end, |base| base.next()).min(end);
    let found = shared.journal.first_where(from, to, is_past)?;
    if found < to { shared.journal.frame(found) } else { Ok(None) }
}
