//! The archive on the disk: appended to by one thread, trimmed by whole segments.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::domain::position::{Lane, NextOffset};
use crate::segments::{FrameNo, SegmentKind, SegmentOptions, SegmentReader, SegmentWriter};

use super::super::StoreError;
use super::entry::KeptLetter;
use super::index::{Index, LetterRow};
use super::{FOLDER, FOLDER_BEFORE, LETTERS_MAX, LetterLimits};

/// Parts of the limits that a segment may take, so that what goes at once is little.
const SEGMENTS: u64 = 8;
const SEGMENT_BYTES_MAX: u64 = 16 << 20;
const SEGMENT_LETTERS_MAX: usize = LETTERS_MAX / SEGMENTS as usize;

/// The files, and what was in them when they were opened.
pub(super) struct Archive {
    segments: SegmentWriter,
    limits: LetterLimits,
    /// Behind the last letter of each lane.
    seen: BTreeMap<Lane, NextOffset>,
    /// When the first letter of the active segment was archived, in ms since 1970.
    active_since_ms: Option<u64>,
}

/// What opening found.
pub(super) struct Found {
    pub(super) archive: Archive,
    pub(super) index: Index,
    /// Letters of the journal up to the last one that is archived.
    pub(super) letters: u64,
}

impl Archive {
    /// Opens the archive of a data directory, for one log.
    pub(super) fn open(dir: &Path, limits: LetterLimits, log: u64) -> Result<Found, StoreError> {
        let path = dir.join(FOLDER);
        let found = Self::read(&path, limits)?;
        match &found.1 {
            Some(last) if last.log != log => {}
            Some(_) | None => return Ok(found.into()),
        }
        drop(found);
        let before = dir.join(FOLDER_BEFORE);
        tracing::warn!(
            path = %before.display(),
            "the archive of dead letters is another log's, and was set aside"
        );
        match std::fs::remove_dir_all(&before) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(StoreError::io("removing", &before)(error));
            }
            Ok(()) | Err(_) => {}
        }
        std::fs::rename(&path, &before).map_err(StoreError::io("moving", &path))?;
        Ok(Self::read(&path, limits)?.into())
    }

    fn read(
        path: &Path,
        limits: LetterLimits,
    ) -> Result<(Self, Option<KeptLetter>, Index), StoreError> {
        let part = limits.bytes_max / SEGMENTS;
        let options = SegmentOptions {
            kind: SegmentKind::DeadLetters,
            segment_bytes_max: part.clamp(4 << 10, SEGMENT_BYTES_MAX),
        };
        let (segments, report) = SegmentWriter::open(path, options, None)?;
        let mut index = Index::starting_at(report.first.0);
        let (mut last, mut active_since_ms) = (None, None);
        for frame in reader(path)?.iter_from(report.first) {
            let (no, payload) = frame?;
            let letter = KeptLetter::decode(&payload)?;
            index.push(LetterRow::of(&letter));
            if no >= segments.segment_base() && active_since_ms.is_none() {
                active_since_ms = Some(letter.kept_at_ms);
            }
            last = Some(letter);
        }
        let archive = Self { segments, limits, seen: index.next_offsets(), active_since_ms };
        Ok((archive, last, index))
    }

    /// Whether the letter at that place is there, or was.
    pub(super) fn has(&self, letter: &KeptLetter) -> bool {
        self.seen.get(&letter.lane).is_some_and(|next| letter.offset.0 < next.0)
    }

    /// Appends one. Not durable until the next sync; of class Retry where there is no room.
    pub(super) fn append(&mut self, letter: &KeptLetter) -> Result<(), StoreError> {
        let bytes = letter.encode()?;
        let base = self.segments.segment_base();
        if self.segments.next().0 - base.0 >= SEGMENT_LETTERS_MAX as u64 {
            self.segments.roll()?;
        }
        self.segments.append(&bytes)?;
        if self.segments.segment_base() != base || self.active_since_ms.is_none() {
            self.active_since_ms = Some(letter.kept_at_ms);
        }
        self.seen.insert(letter.lane, letter.offset.next());
        Ok(())
    }

    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.segments.sync()?;
        Ok(())
    }

    /// Gives back the oldest segments that are past the limits; the first frame that is left.
    pub(super) fn retain(&mut self, now: SystemTime) -> Result<FrameNo, StoreError> {
        // What is in the active segment must not stay for ever because little comes.
        let age_of_part = self.limits.age_max.map(|age| age / SEGMENTS as u32);
        let is_over = |since: u64, age: Duration| now_ms(now).saturating_sub(since) > millis(age);
        if let (Some(since), Some(age)) = (self.active_since_ms, age_of_part)
            && is_over(since, age)
        {
            self.segments.roll()?;
            self.active_since_ms = None;
        }
        let mut bytes = self.segments.bytes();
        let mut keep = None;
        for segment in self.segments.sealed() {
            let too_many = bytes > self.limits.bytes_max
                || self.segments.next().0 - segment.base.0 > LETTERS_MAX as u64;
            let age = now.duration_since(segment.modified).unwrap_or_default();
            let too_old = self.limits.age_max.is_some_and(|age_max| age > age_max);
            if !too_many && !too_old {
                break;
            }
            bytes = bytes.saturating_sub(segment.bytes);
            keep = Some(segment.end);
        }
        if let Some(Err(error)) = keep.map(|keep| self.segments.trim_before(keep)) {
            tracing::warn!(%error, "old dead letters were not removed now");
        }
        Ok(self.segments.first())
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments.bytes()
    }
}

impl From<(Archive, Option<KeptLetter>, Index)> for Found {
    fn from((archive, last, index): (Archive, Option<KeptLetter>, Index)) -> Self {
        let letters = last.map_or(0, |last| last.number + 1);
        Self { archive, index, letters }
    }
}

pub(super) fn reader(path: &Path) -> Result<SegmentReader, StoreError> {
    Ok(SegmentReader::open(path, SegmentKind::DeadLetters)?)
}

pub(super) fn now_ms(now: SystemTime) -> u64 {
    millis(now.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
