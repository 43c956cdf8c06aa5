//! What was applied, in order, from a position on: the journal as the feed reads it.
//!
//! A position names offsets, which are the same on every instance; the journal's own frames are not.
//! Every frame says how far each lane was read after it, so the place of a position is found by
//! bisection, and what the position has seen already is left out on the way.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use tokio::sync::watch;

use crate::domain::contact::ContactView;
use crate::domain::payment::Payment;
use crate::domain::position::{Lane, Position};
use crate::domain::record::RecordKind;
use crate::segments::{FrameNo, SegmentError};

use super::StoreError;
use super::codec::ChangeRef;
use super::cut::Cut;
use super::erased::hidden;
use super::journal::{Applied, Entry, Frame, Journal, Outcome};
use super::reader::Reader;
use super::rows::is_payment;

type Frames = Box<dyn Iterator<Item = Result<Frame, StoreError>> + Send>;

/// Reads changes one after the other, each once.
pub struct Changes {
    reader: Reader,
    /// The entry to look at next.
    place: ChangeRef,
    /// What was seen, here or elsewhere.
    seen: Position,
    /// The frames from that place on, while they are being read.
    frames: Option<Frames>,
    /// The frame of that place, once it was read.
    frame: Option<Frame>,
    block: Vec<u8>,
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changes")
            .field("place", &self.place)
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// Moves with every commit.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.shared().commits.frames.subscribe()
    }

    /// The place behind everything committed and visible.
    pub fn changes_end(&self) -> ChangeRef {
        ChangeRef::new(self.shared().commits.cut.lock().next_frame, 0)
    }

    /// The time of the newest record of the journal's first frame, in ms; none where the journal
    /// begins with the log.
    pub fn journal_since(&self) -> Result<Option<i64>, StoreError> {
        let journal = &self.shared().journal;
        let first = journal.first()?;
        if first == FrameNo(0) {
            return Ok(None);
        }
        Ok(journal.head(first)?.map(|head| head.after.record_time_ms))
    }

    /// What will be applied from now on.
    pub fn changes_from_now(&self) -> Changes {
        let cut = self.shared().commits.cut.lock().clone();
        self.changes_since(&cut)
    }

    /// From a place that an earlier [`Changes`] came to.
    pub fn changes_at(&self, place: ChangeRef, seen: Position) -> Changes {
        let reader = self.clone();
        Changes { reader, place, seen, frames: None, frame: None, block: Vec::new() }
    }

    /// What was applied after a position of this log; none where the journal holds not all of it.
    pub fn changes_after(&self, position: &Position) -> Result<Option<Changes>, StoreError> {
        let shared = self.shared();
        let cut = shared.commits.cut.lock().clone();
        let at = |frame| Some(self.changes_at(ChangeRef::new(frame, 0), position.clone()));
        if has_seen(position, &cut) {
            return Ok(at(cut.next_frame));
        }
        Ok(first_unseen(&shared.journal, position, cut.next_frame)?.and_then(at))
    }

    /// Shows contacts as they were at one position: all, or only some. Returns what was applied
    /// since; none when `each` broke off.
    pub fn states(
        &self,
        only: Option<&[String]>,
        each: &mut dyn FnMut(&str, &ContactView<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Changes>, StoreError> {
        let as_of = self.as_of_now();
        let shown = match only {
            None => as_of.each(each)?,
            Some(ids) => as_of.some(ids, each)?,
        };
        Ok(shown.is_continue().then(|| self.changes_since(&as_of.cut)))
    }

    /// The body of a change without values, if its contact was erased since; none: as it is.
    fn without_erased(&self, applied: &Applied<'_>) -> Result<Option<Vec<u8>>, StoreError> {
        let shared = self.shared();
        if !shared.erased.may_have(applied.contact_id()) {
            return Ok(None);
        }
        if is_payment(applied.id) {
            let payment = Payment::parse(applied.body)?;
            let mut body = Vec::new();
            payment.since_erased(self.last_erased(applied.contact_id())?).write(&mut body);
            return Ok(Some(body));
        }
        let Some(value) = self.contact(applied.id)? else {
            return Ok(None);
        };
        Ok(hidden(applied.body, &shared.contacts.view(applied.id, &value)?)?)
    }

    fn changes_since(&self, cut: &Cut) -> Changes {
        let seen = self.shared().commits.position_of(cut.next_offsets());
        self.changes_at(ChangeRef::new(cut.next_frame, 0), seen)
    }
}

impl Changes {
    /// The entry to look at next.
    pub fn place(&self) -> ChangeRef {
        self.place
    }

    /// What was seen so far: everything before the place, and what the position that this began
    /// with had seen besides.
    pub fn seen(&self) -> &Position {
        &self.seen
    }

    /// Goes past frames without any of what `count` counts up to a state, unread; none: it counts nothing,
    /// and nothing is passed.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub fn pass_over(
        &mut self,
        until: ChangeRef,
        count: impl Fn(&Cut) -> Option<u64>,
    ) -> Result<(), StoreError> {
        let (at, end) = (self.place.frame(), until.frame());
        let journal = &self.reader.shared().journal;
        let Some(none) = count(&Cut::default()) else {
            return Ok(());
        };
        if self.place.index() != 0 || at >= end || at < journal.first()? {
            return Ok(());
        }
        let before = match at.0.checked_sub(1) {
            None => Some(none),
            Some(last) => journal.head(FrameNo(last))?.and_then(|head| count(&head.after)),
        };
        // Behind what was trimmed it is not known whether the first frame has some.
        let Some(before) = before else {
            return Ok(());
        };
        let found = journal.first_where(at, end, |after| count(after) > Some(before))?;
        let Some(last) = found.0.checked_sub(1).filter(|_| found > at) else {
            return Ok(());
        };
        if let Some(head) = journal.head(FrameNo(last))? {
            self.seen.advance_to(head.after.lanes.iter().map(|(lane, at)| (*lane, at.next)));
            self.rest();
            self.place = ChangeRef::new(found, 0);
        }
        Ok(())
    }

    /// What `count` says of all that was seen, where this store alone has seen it; none: it can't know.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub fn counted(&self, count: impl Fn(&Cut) -> Option<u64>) -> Result<Option<u64>, StoreError> {
        let Some(last) = self.place.frame().0.checked_sub(1).filter(|_| self.place.index() == 0)
        else {
            return Ok(None);
        };
        let head = self.reader.shared().journal.head(FrameNo(last))?;
        let whole = head.filter(|head| head.after.has_all_of(&self.seen));
        Ok(whole.and_then(|head| count(&head.after)))
    }

    /// Gives back files and buffers until the next read.
    pub fn rest(&mut self) {
        (self.frames, self.frame, self.block) = (None, None, Vec::new());
    }

    /// Shows the changes of contacts and of their payments up to `until`, or until `each` breaks (after the change that it
    /// was shown). `each` gets what was seen before the change. What was said of a contact that was erased
    /// since has no values.
    ///
    /// # Errors
    /// [`StoreError::Journal`] with [`SegmentError::Trimmed`] when the journal no longer reaches.
    pub fn read(
        &mut self,
        until: ChangeRef,
        each: &mut dyn FnMut(&Entry<'_>, &Applied<'_>, &Position) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let reader = self.reader.clone();
        let mut failed = None;
        let read = self.read_entries(until, &mut |entry, seen| {
            let (Outcome::Applied(applied), RecordKind::Contact | RecordKind::Payment) =
                (&entry.outcome, entry.record_kind)
            else {
                return ControlFlow::Continue(());
            };
            match reader.without_erased(applied) {
                Ok(None) => each(entry, applied, seen),
                Ok(Some(body)) => each(entry, &Applied { body: &body, ..*applied }, seen),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        failed.map_or(Ok(read), Err)
    }

    /// The same of all entries, whatever became of their records.
    ///
    /// # Errors
    /// As there.
    pub fn read_entries(
        &mut self,
        until: ChangeRef,
        each: &mut dyn FnMut(&Entry<'_>, &Position) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        while self.place < until {
            let Some(frame) = self.take_frame()? else {
                break;
            };
            let read = self.read_frame(&frame, until, each)?;
            if self.place.frame() == frame.head.no {
                self.frame = Some(frame);
            }
            if read.is_break() {
                return Ok(read);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn take_frame(&mut self) -> Result<Option<Frame>, StoreError> {
        if let Some(frame) = self.frame.take() {
            return Ok(Some(frame));
        }
        let (journal, from) = (&self.reader.shared().journal, self.place.frame());
        let frames = self.frames.get_or_insert_with(|| Box::new(journal.frames_from(from)));
        frames.next().transpose()
    }

    fn read_frame(
        &mut self,
        frame: &Frame,
        until: ChangeRef,
        each: &mut dyn FnMut(&Entry<'_>, &Position) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let Self { place, seen, block, .. } = self;
        let mut told = ControlFlow::Continue(());
        let mut at_end = true;
        frame.for_each_from(place.index(), block, |entry| {
            if entry.change >= until || told.is_break() {
                (*place, at_end) = (entry.change, false);
                return Ok(ControlFlow::Break(()));
            }
            let next = seen.next_of(entry.lane);
            if entry.offset.0 < next.0 {
                return Ok(ControlFlow::Continue(()));
            }
            told = each(entry, seen);
            seen.next.insert(entry.lane, entry.offset.next());
            Ok(ControlFlow::Continue(()))
        })?;
        if at_end {
            *place = ChangeRef::new(frame.head.no.next(), 0);
            seen.advance_to(frame.head.after.lanes.iter().map(|(lane, at)| (*lane, at.next)));
        }
        Ok(told)
    }
}

fn has_seen(position: &Position, after: &Cut) -> bool {
    after.lanes.iter().all(|(lane, at)| position.next_of(*lane) >= at.next)
}

/// The first frame with something that the position has not seen; none where what comes before the
/// journal's first frame was not seen either.
fn first_unseen(
    journal: &Journal,
    position: &Position,
    end: FrameNo,
) -> Result<Option<FrameNo>, StoreError> {
    let mut first = journal.first()?;
    let (mut low, mut high) = (first, end);
    while low < high {
        let middle = FrameNo(low.0 + (high.0 - low.0) / 2);
        match journal.head(middle)? {
            Some(head) if has_seen(position, &head.after) => low = middle.next(),
            Some(_) => high = middle,
            None => {
                // Trimmed meanwhile.
                first = journal.first()?;
                if first <= middle {
                    let detail = format!("frame {middle} is not there");
                    return Err(StoreError::damaged("journal", detail));
                }
                low = first;
            }
        }
    }
    if low >= end {
        return Ok(None);
    }
    if low == first && first > FrameNo(0) && !reaches(journal, position, first)? {
        return Ok(None);
    }
    Ok(Some(low))
}

/// Whether the position has seen all that came before a frame.
fn reaches(journal: &Journal, position: &Position, no: FrameNo) -> Result<bool, StoreError> {
    let Some(frame) = journal.frame(no)? else {
        return Ok(false);
    };
    let needed = before_frame(&frame)?;
    Ok(needed.iter().all(|(lane, least)| position.next_of(*lane).0 >= *least))
}

/// The next offsets of all lanes before a frame.
pub(super) fn before_frame(frame: &Frame) -> Result<BTreeMap<Lane, u64>, StoreError> {
    let mut next: BTreeMap<_, _> =
        frame.head.after.lanes.iter().map(|(lane, at)| (*lane, at.next.0)).collect();
    frame.for_each(&mut Vec::new(), |entry| {
        let least = next.entry(entry.lane).or_insert(entry.offset.0);
        *least = entry.offset.0.min(*least);
        Ok(())
    })?;
    Ok(next)
}

impl StoreError {
    /// Whether the journal held it once and does not any more.
    pub fn is_trimmed(&self) -> bool {
        matches!(self, Self::Journal(SegmentError::Trimmed { .. }))
    }
}
