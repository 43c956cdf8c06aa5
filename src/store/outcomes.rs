//! What became of records that someone here is waiting for.
//!
//! ```text
//! expect(hash) ─► append ─► … ─► Writer stages it: is its hash expected? ─► commit ─► memory ─► Expected
//! ```
//!
//! Whoever waits says so before the record is appended, so nothing can pass unseen. While nobody
//! waits, a record costs one atomic load.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use xxhash_rust::xxh3::xxh3_64;

use crate::domain::position::{Lane, Offset, Position};
use crate::domain::verdict::{DeadLetterReason, Verdict};

use super::codec::{Links, StoredContact};
use super::journal::{EntryMeta, FrameBuilder, FrameRange};

/// Records that may be expected at once; one more is answered as if its time were over.
const EXPECTED_MAX: usize = 1 << 17;
/// Records that nobody waits for any more and that may still come: these many, for so long.
const LEFT_MAX: usize = 1 << 16;
const LEFT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// What became of one record.
#[derive(Clone, Debug)]
pub struct RecordOutcome {
    /// The record's lane.
    pub lane: Lane,
    /// The record's place in it.
    pub offset: Offset,
    /// What became of it.
    pub verdict: Verdict,
    /// Its contact, as it was right after; none where there is none, or where it was set aside.
    pub value: Option<StoredContact>,
    /// From where on it can be read; speaks of the record's lane alone.
    pub position: Position,
    /// Why it was set aside, where it was.
    pub reason: Option<(DeadLetterReason, String)>,
}

/// What was staged of a record that is waited for.
#[derive(Debug)]
pub(crate) struct PendingOutcome {
    hash: u64,
    outcome: RecordOutcome,
    image: Option<(Links, FrameRange)>,
}

impl PendingOutcome {
    /// The contact that the record met, where it changed nothing.
    pub(crate) fn set_value(&mut self, value: Option<StoredContact>) {
        self.outcome.value = value;
    }
}

/// A record that was expected, and nobody was told of.
#[derive(Debug)]
struct Left {
    /// Of its event id.
    hash: u64,
    since: Instant,
    /// Why it will never come, where that is known.
    refused: Option<String>,
}

/// What may still become of a record that was expected here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prospect {
    /// None was, or that is long ago.
    Unknown,
    /// It may come.
    Open,
    /// The log did not take it, and why.
    Refused(String),
}

/// Who waits, by event hash and a number that tells those of the same hash apart.
#[derive(Debug, Default)]
struct Waiting {
    told: BTreeMap<(u64, u64), mpsc::Sender<RecordOutcome>>,
    last: u64,
    /// Those who gave up before they were told anything, oldest first.
    left: VecDeque<Left>,
    is_closed: bool,
}

impl Waiting {
    /// Notes one that nobody was told of.
    fn leave(&mut self, hash: u64, refused: Option<String>) {
        if self.left.len() >= LEFT_MAX {
            self.left.pop_front();
        }
        self.left.push_back(Left { hash, since: Instant::now(), refused });
    }

    fn of(&self, hash: u64) -> impl Iterator<Item = &mpsc::Sender<RecordOutcome>> {
        self.told.range((hash, 0)..=(hash, u64::MAX)).map(|(_, waiting)| waiting)
    }
}

/// Everyone who waits.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    count: AtomicUsize,
    waiting: Mutex<Waiting>,
}

impl Outcomes {
    /// Whether the record of that event id is waited for.
    fn expects(&self, event_id: &[u8]) -> Option<u64> {
        if self.count.load(Ordering::Acquire) == 0 || event_id.is_empty() {
            return None;
        }
        let hash = xxh3_64(event_id);
        let is_expected = self.waiting.lock().of(hash).next().is_some();
        is_expected.then_some(hash)
    }

    /// Tells all who wait for that hash. One who does not look misses what is too much.
    fn tell(&self, hash: u64, outcome: &RecordOutcome) {
        for waiting in self.waiting.lock().of(hash) {
            let _ = waiting.try_send(outcome.clone());
        }
    }

    /// What is to be told of a staged record after the commit; none where nobody waits for it.
    pub(crate) fn staged(
        &self,
        meta: &EntryMeta<'_>,
        verdict: Verdict,
        image: Option<(Links, FrameRange)>,
        reason: Option<(DeadLetterReason, &str)>,
        log: impl Fn() -> u64,
    ) -> Option<PendingOutcome> {
        let hash = self.expects(meta.event_id)?;
        let position = Position::behind(log(), meta.lane, meta.offset);
        let (lane, offset) = (meta.lane, meta.offset);
        let reason = reason.map(|(reason, detail)| (reason, detail.to_owned()));
        let outcome = RecordOutcome { lane, offset, verdict, value: None, position, reason };
        Some(PendingOutcome { hash, outcome, image })
    }

    /// Tells those who wait, once what was staged can be read.
    pub(crate) fn committed(
        &self,
        staged: impl Iterator<Item = PendingOutcome>,
        frame: &FrameBuilder,
        scratch: &mut Vec<u8>,
    ) {
        for PendingOutcome { hash, mut outcome, image } in staged {
            if let Some((links, place)) = image {
                let body = frame.bytes(place.body());
                outcome.value = Some(StoredContact::build(links, body, scratch));
            }
            self.tell(hash, &outcome);
        }
    }

    /// Nothing more will come.
    pub(crate) fn close(&self) {
        let mut waiting = self.waiting.lock();
        waiting.told.clear();
        waiting.is_closed = true;
        self.count.store(0, Ordering::Release);
    }

    /// What may become of a record of that event id, of which nobody has been told.
    pub(crate) fn prospect(&self, hash: u64) -> Prospect {
        let waiting = self.waiting.lock();
        if waiting.of(hash).next().is_some() {
            return Prospect::Open;
        }
        // The last try counts.
        let left = waiting.left.iter().rev().find(|left| left.hash == hash);
        match left.filter(|left| left.since.elapsed() < LEFT_FOR) {
            None => Prospect::Unknown,
            Some(Left { refused: None, .. }) => Prospect::Open,
            Some(Left { refused: Some(why), .. }) => Prospect::Refused(why.clone()),
        }
    }

    /// One try of that event id came to nothing. Whether that is all there was: an earlier try may still
    /// come, and then it is not said to be refused.
    pub(super) fn refused_once(&self, hash: u64, why: &str) -> bool {
        let mut waiting = self.waiting.lock();
        let left = waiting.left.iter().rev().find(|left| left.hash == hash);
        let may_come =
            left.is_some_and(|left| left.refused.is_none() && left.since.elapsed() < LEFT_FOR);
        if !may_come {
            waiting.leave(hash, Some(why.to_owned()));
        }
        !may_come
    }

    /// No record of that event id will come of the last try.
    pub(crate) fn refused(&self, hash: u64, why: &str) {
        self.waiting.lock().leave(hash, Some(why.to_owned()));
    }

    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    pub(super) fn add(&self, hash: u64, told: mpsc::Sender<RecordOutcome>) -> (u64, u64) {
        let mut waiting = self.waiting.lock();
        waiting.last += 1;
        let key = (hash, waiting.last);
        if waiting.told.len() < EXPECTED_MAX && !waiting.is_closed {
            waiting.told.insert(key, told);
        }
        self.count.store(waiting.told.len(), Ordering::Release);
        key
    }

    pub(super) fn remove(&self, key: (u64, u64), was_told: bool) {
        let mut waiting = self.waiting.lock();
        if !was_told {
            waiting.leave(key.0, None);
        }
        waiting.told.remove(&key);
        self.count.store(waiting.told.len(), Ordering::Release);
    }
}
