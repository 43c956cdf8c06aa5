//! The thread that takes dead letters from the journal to the archive.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use crate::domain::Class;
use crate::segments::{FrameNo, SegmentSync};
use crate::telemetry::fault;

use super::super::StoreError;
use super::super::disk::DiskGuard;
use super::super::journal::{Frame, Journal, Outcome};
use super::super::shared::Shared;
use super::archive::{Archive, Found, now_ms};
use super::entry::KeptLetter;
use super::index::LetterRow;

/// How often the limits are looked at while nothing comes.
const LOOK_AT_LIMITS: Duration = Duration::from_secs(30);
/// Between two rounds, so that a flood is synced a few times a second.
const ROUND_PAUSE: Duration = Duration::from_millis(100);
/// How long a full disk, or a file that can't be made, is given.
const ROOM_PAUSE: Duration = Duration::from_secs(1);
/// Letters in memory until they are synced.
const LETTERS_A_SYNC: usize = 4096;

/// The writer's end of the thread; joined when it is dropped.
#[derive(Debug)]
pub(crate) struct DeadLettersThread {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl DeadLettersThread {
    pub(crate) fn start(
        shared: Arc<Shared>,
        sync: SegmentSync,
        min_free_bytes: u64,
    ) -> Result<Self, StoreError> {
        let disk = DiskGuard::new(&shared.path, min_free_bytes);
        let follower = Follower { shared: Arc::clone(&shared), sync, disk };
        let path = shared.path.clone();
        let thread = std::thread::Builder::new()
            .name("dead-letters".into())
            .spawn(move || {
                if let Err(error) = follower.run() {
                    follower.shared.commits.fail(error);
                }
            })
            .map_err(StoreError::io("starting a thread for", &path))?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl Drop for DeadLettersThread {
    fn drop(&mut self) {
        self.shared.dead_letters.tell_to_stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread dead-letters panicked");
        }
    }
}

struct Follower {
    shared: Arc<Shared>,
    /// Of the journal.
    sync: SegmentSync,
    disk: DiskGuard,
}

/// Where the thread stands.
struct Place {
    archive: Archive,
    /// Letters of the journal that are archived.
    letters: u64,
    /// All frames before this one are done.
    frame: FrameNo,
    /// Appended, not synced.
    rows: Vec<LetterRow>,
}

impl Follower {
    fn run(&self) -> Result<(), StoreError> {
        let letters = &self.shared.dead_letters;
        let mut place = loop {
            match self.begin() {
                Err(error) if error.class() == Class::Retry => {
                    tracing::warn!(%error, "the archive of dead letters waits");
                    if !letters.pause(ROOM_PAUSE) {
                        return Ok(());
                    }
                }
                begun => break begun?,
            }
        };
        while letters.wait_for_more(place.letters, LOOK_AT_LIMITS) {
            let done = match self.round(&mut place) {
                Ok(ControlFlow::Break(())) => break,
                Ok(ControlFlow::Continue(())) => place.archive.retain(SystemTime::now()),
                Err(error) => Err(error),
            };
            let pause = match done {
                Ok(first) => {
                    letters.retained(first, place.archive.bytes());
                    ROUND_PAUSE
                }
                Err(error) if error.class() == Class::Retry => {
                    tracing::warn!(%error, "the archive of dead letters waits");
                    ROOM_PAUSE
                }
                Err(error) => return Err(error),
            };
            if !letters.pause(pause) {
                break;
            }
        }
        Ok(())
    }

    fn begin(&self) -> Result<Place, StoreError> {
        let log = self.log();
        let Found { archive, index, letters } =
            Archive::open(&self.shared.path, self.shared.dead_letters.limits, log)?;
        self.shared.dead_letters.loaded(index, archive.bytes());
        let committed = self.shared.commits.cut.lock().dead_letters();
        // More than there are: the journal is an older one. By their places it is known which are there.
        let letters = if letters > committed { 0 } else { letters };
        let frame = self.shared.journal.first()?;
        self.shared.dead_letters.archived(Vec::new(), letters, frame);
        Ok(Place { archive, letters, frame, rows: Vec::new() })
    }

    fn log(&self) -> u64 {
        self.shared.commits.log_fingerprint()
    }

    /// Archives what is committed by now. Break: told to stop.
    fn round(&self, place: &mut Place) -> Result<ControlFlow<()>, StoreError> {
        let committed = FrameNo(*self.shared.commits.frames.borrow());
        // Log before archive: a power cut must not leave letters that the journal has lost.
        let end = self.sync.sync()?.min(committed);
        while let Some(frame) = next_with(&self.shared.journal, place.frame, end, place.letters)? {
            let after = frame.head.after.dead_letters();
            for letter in letters_of(&frame, self.log(), after)? {
                if place.archive.has(&letter) {
                    continue;
                }
                if self.append(place, &letter)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            (place.letters, place.frame) = (after, frame.head.no.next());
            if place.rows.len() >= LETTERS_A_SYNC {
                self.settle(place)?;
            }
        }
        place.frame = place.frame.max(end);
        self.settle(place)?;
        Ok(ControlFlow::Continue(()))
    }

    fn append(
        &self,
        place: &mut Place,
        letter: &KeptLetter,
    ) -> Result<ControlFlow<()>, StoreError> {
        let bytes = letter.value.as_ref().map_or(0, Vec::len) as u64;
        let mut was_told = false;
        loop {
            match self.disk.check(bytes).and_then(|()| place.archive.append(letter)) {
                Ok(()) => break,
                Err(error) if error.class() == Class::Retry => {
                    if !std::mem::replace(&mut was_told, true) {
                        tracing::warn!(%error, "the archive of dead letters waits");
                    }
                    if !self.shared.dead_letters.pause(ROOM_PAUSE) {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        place.rows.push(LetterRow::of(letter));
        Ok(ControlFlow::Continue(()))
    }

    fn settle(&self, place: &mut Place) -> Result<(), StoreError> {
        if !place.rows.is_empty() {
            place.archive.sync()?;
            fault::point("letters_archived");
        }
        let rows = std::mem::take(&mut place.rows);
        self.shared.dead_letters.archived(rows, place.letters, place.frame);
        Ok(())
    }
}

/// A frame's letters; `after` is how many there are up to its end.
fn letters_of(frame: &Frame, log: u64, after: u64) -> Result<Vec<KeptLetter>, StoreError> {
    let kept_at_ms = now_ms(SystemTime::now());
    let mut letters = Vec::new();
    frame.for_each(&mut Vec::new(), |entry| {
        if let Outcome::DeadLettered(letter) = &entry.outcome {
            letters.push(KeptLetter::of(entry, letter, log, 0, kept_at_ms));
        }
        Ok(())
    })?;
    let before = after.saturating_sub(letters.len() as u64);
    for (number, letter) in (before..).zip(&mut letters) {
        letter.number = number;
    }
    Ok(letters)
}

/// The first frame of `from..end` after which there are more letters than `letters`.
fn next_with(
    journal: &Journal,
    from: FrameNo,
    end: FrameNo,
    letters: u64,
) -> Result<Option<Frame>, StoreError> {
    let has = |no: u64| -> Result<bool, StoreError> {
        match journal.head(FrameNo(no))? {
            Some(head) => Ok(head.after.dead_letters() > letters),
            // Trimmed, and so archived.
            None if FrameNo(no) < journal.first()? => Ok(false),
            None => {
                let detail = format!("frame {no} is not there, with its dead letters");
                Err(StoreError::damaged("journal", detail))
            }
        }
    };
    // In a flood the next frame has some; else steps grow, and the last one is halved.
    let (mut low, mut step) = (from.0, 1);
    let mut high = loop {
        if low >= end.0 {
            return Ok(None);
        }
        let probe = (low + step).min(end.0) - 1;
        if has(probe)? {
            break probe;
        }
        (low, step) = (probe + 1, step * 2);
    };
    while low < high {
        let middle = low + (high - low) / 2;
        if has(middle)? {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    journal.frame(FrameNo(high))
}
