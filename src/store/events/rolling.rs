//! Event hashes of segments that have no table yet: the open one, and sealed ones on their way.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::segments::FrameNo;

/// Hashes in one piece: what a reader may look through under the lock.
const CHUNK: usize = 4096;
/// Hashes of one segment kept at most, 8 to 16 bytes each; of one with more the journal is read.
const HASHES_MAX: usize = 1 << 20;
/// Sealed segments whose hashes wait in memory to be written.
const SEALED_MAX: usize = 2;

/// Hashes by the frame that they lie in.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    hashes: Vec<u64>,
    /// Where a frame's hashes begin, and the frame's number from its segment's first on.
    frames: Vec<(u32, u32)>,
}

impl Chunk {
    fn push(&mut self, frame: u32, hashes: &[u64]) {
        self.frames.push((self.hashes.len() as u32, frame));
        self.hashes.extend_from_slice(hashes);
    }

    fn frame_of(&self, index: usize) -> u32 {
        let after = self.frames.partition_point(|(start, _)| *start as usize <= index);
        after.checked_sub(1).and_then(|at| self.frames.get(at)).map_or(0, |(_, frame)| *frame)
    }

    fn frames_with(&self, hash: u64) -> impl Iterator<Item = u32> {
        let same = self.hashes.iter().enumerate().filter(move |(_, other)| **other == hash);
        same.map(|(index, _)| self.frame_of(index))
    }

    fn entries(&self) -> impl Iterator<Item = (u64, u32)> {
        self.hashes.iter().enumerate().map(|(index, hash)| (*hash, self.frame_of(index)))
    }
}

/// One segment's hashes.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) base: FrameNo,
    /// Frames of the segment from its first up to this one are not in here.
    pub(super) missing_below: FrameNo,
    full: Vec<Arc<Chunk>>,
    filling: Chunk,
    len: usize,
    /// There were too many.
    overflowed: bool,
}

impl Listed {
    fn new(base: FrameNo, missing_below: FrameNo) -> Self {
        Self { base, missing_below, ..Self::default() }
    }

    /// Whether every frame's hashes are here.
    pub(super) fn is_whole(&self) -> bool {
        !self.overflowed && self.missing_below <= self.base
    }

    fn add(&mut self, frame: FrameNo, hashes: &[u64]) {
        if self.overflowed || hashes.is_empty() {
            return;
        }
        self.len += hashes.len();
        let Ok(place) = u32::try_from(frame.0.saturating_sub(self.base.0)) else {
            return self.forget();
        };
        if self.len > HASHES_MAX {
            return self.forget();
        }
        self.filling.push(place, hashes);
        if self.filling.hashes.len() >= CHUNK {
            self.full.push(Arc::new(std::mem::take(&mut self.filling)));
        }
    }

    fn forget(&mut self) {
        self.full = Vec::new();
        self.filling = Chunk::default();
        self.overflowed = true;
    }

    /// Hashes and frames, as a table takes them.
    pub(super) fn entries(&self) -> Vec<(u64, u32)> {
        let mut entries = Vec::with_capacity(self.len);
        for chunk in self.full.iter().map(|chunk| &**chunk).chain([&self.filling]) {
            entries.extend(chunk.entries());
        }
        entries
    }
}

#[derive(Debug, Default)]
struct State {
    /// Oldest first; the last one is the open segment.
    listed: VecDeque<Listed>,
    /// Tables that were found damaged.
    damaged: Vec<FrameNo>,
    stop: bool,
}

/// What the table thread is to do next.
#[derive(Debug)]
pub(super) enum Work {
    /// Write the table of a sealed segment, whose hashes are here or not.
    Sealed(Arc<Listed>),
    /// Read the start of the open segment: its first frame, and the first that is not missing.
    Read(FrameNo, FrameNo),
    /// Make a table again.
    Damaged(FrameNo),
}

/// What a lookup found in memory.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Frames with the hash, in no order.
    pub(super) frames: Vec<FrameNo>,
    /// First frames of the segments that were looked through here, whole.
    pub(super) bases: Vec<FrameNo>,
    /// Not everything of these segments is here.
    pub(super) is_partial: bool,
}

/// The segments without a table, shared by the writer, the table thread and readers.
#[derive(Debug, Default)]
pub(crate) struct Rolling {
    state: Mutex<State>,
    wake: Condvar,
    /// The segment that the table thread has in hand.
    in_hand: Mutex<Option<Arc<Listed>>>,
}

impl Rolling {
    /// For a journal whose open segment begins at `base` and will go on with `next`.
    pub(crate) fn new(base: FrameNo, next: FrameNo) -> Self {
        let rolling = Self::default();
        rolling.state.lock().listed.push_back(Listed::new(base, next));
        rolling
    }

    /// Takes a committed frame's hashes; `base` is its segment's first frame.
    pub(crate) fn add(&self, base: FrameNo, frame: FrameNo, hashes: &[u64]) {
        let mut state = self.state.lock();
        if state.listed.back().is_none_or(|open| open.base != base) {
            state.listed.push_back(Listed::new(base, base));
            let waiting = state.listed.len().saturating_sub(1 + SEALED_MAX);
            // The thread is slow: it will read the journal for these.
            state.listed.iter_mut().take(waiting).for_each(Listed::forget);
            self.wake.notify_one();
        }
        if let Some(open) = state.listed.back_mut() {
            open.add(frame, hashes);
        }
    }

    /// What there is of a hash, holding the writer for a few microseconds at most.
    pub(super) fn find(&self, hash: u64) -> Seen {
        let mut seen = Seen::default();
        let mut chunks: Vec<(FrameNo, Arc<Chunk>)> = Vec::new();
        let state = self.state.lock();
        let in_hand = self.in_hand.lock().clone();
        for listed in state.listed.iter().chain(in_hand.as_deref()) {
            seen.is_partial |= !listed.is_whole();
            seen.bases.push(listed.base);
            chunks.extend(listed.full.iter().map(|chunk| (listed.base, Arc::clone(chunk))));
            let base = listed.base.0;
            let filling = listed.filling.frames_with(hash);
            seen.frames.extend(filling.map(|frame| FrameNo(base + u64::from(frame))));
        }
        drop(state);
        for (base, chunk) in chunks {
            let frames = chunk.frames_with(hash);
            seen.frames.extend(frames.map(|frame| FrameNo(base.0 + u64::from(frame))));
        }
        seen
    }

    /// Says that a segment's table can't be read.
    pub(super) fn tell_damaged(&self, base: FrameNo) {
        let mut state = self.state.lock();
        if !state.damaged.contains(&base) {
            state.damaged.push(base);
            self.wake.notify_one();
        }
    }

    /// The next thing to do, waiting for it if `wait`; none: nothing to do, or told to stop.
    pub(super) fn next_work(&self, wait: bool) -> Option<Work> {
        let mut state = self.state.lock();
        loop {
            if state.listed.len() > 1
                && let Some(sealed) = state.listed.pop_front()
            {
                let sealed = Arc::new(sealed);
                *self.in_hand.lock() = Some(Arc::clone(&sealed));
                return Some(Work::Sealed(sealed));
            }
            if state.stop {
                return None;
            }
            if let Some(open) = state.listed.front()
                && open.missing_below > open.base
            {
                return Some(Work::Read(open.base, open.missing_below));
            }
            if let Some(base) = state.damaged.pop() {
                return Some(Work::Damaged(base));
            }
            if !wait {
                return None;
            }
            self.wake.wait(&mut state);
        }
    }

    /// Takes what was read of a segment that was the open one.
    pub(super) fn fill_in(&self, base: FrameNo, mut read: Vec<(u64, u32)>) {
        read.sort_unstable_by_key(|(_, frame)| *frame);
        let mut chunks = Vec::new();
        for part in read.chunks(CHUNK) {
            let mut chunk = Chunk::default();
            for (hash, frame) in part {
                chunk.push(*frame, &[*hash]);
            }
            chunks.push(Arc::new(chunk));
        }
        let mut state = self.state.lock();
        if let Some(listed) = state.listed.iter_mut().find(|listed| listed.base == base)
            && listed.len + read.len() <= HASHES_MAX
        {
            listed.len += read.len();
            listed.full.extend(chunks);
            listed.missing_below = base;
        } else if let Some(listed) = state.listed.iter_mut().find(|listed| listed.base == base) {
            listed.missing_below = base;
            listed.forget();
        }
    }

    /// What the thread had in hand has its table now, or never will.
    pub(super) fn is_done(&self) {
        *self.in_hand.lock() = None;
    }

    pub(super) fn stop(&self) {
        self.state.lock().stop = true;
        self.wake.notify_one();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state.lock().stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rolling: &Rolling, hash: u64) -> (Vec<u64>, bool) {
        let seen = rolling.find(hash);
        let mut frames: Vec<u64> = seen.frames.iter().map(|frame| frame.0).collect();
        frames.sort_unstable();
        (frames, seen.is_partial)
    }

    #[test]
    fn hashes_are_found_in_full_chunks_and_in_the_one_that_fills() {
        let rolling = Rolling::new(FrameNo(10), FrameNo(10));
        let many: Vec<u64> = (1..=CHUNK as u64).collect();
        rolling.add(FrameNo(10), FrameNo(10), &[7]);
        rolling.add(FrameNo(10), FrameNo(11), &many);
        rolling.add(FrameNo(10), FrameNo(12), &[]);
        rolling.add(FrameNo(10), FrameNo(13), &[7, 9_999]);
        assert_eq!(found(&rolling, 7), (vec![10, 11, 13], false));
        assert_eq!(found(&rolling, 9_999), (vec![13], false));
        assert_eq!(found(&rolling, 9_998), (vec![], false));
    }

    #[test]
    fn open_segment_of_an_earlier_run_is_partial_until_it_was_read() {
        let rolling = Rolling::new(FrameNo(10), FrameNo(20));
        rolling.add(FrameNo(10), FrameNo(20), &[7]);
        assert_eq!(found(&rolling, 7), (vec![20], true));
        let Some(Work::Read(base, until)) = rolling.next_work(false) else { panic!("no work") };
        assert_eq!((base, until), (FrameNo(10), FrameNo(20)));
        rolling.fill_in(base, vec![(7, 3), (8, 4)]);
        assert_eq!(found(&rolling, 7), (vec![13, 20], false));
        assert!(rolling.next_work(false).is_none());
    }

    #[test]
    fn memory_is_bounded_and_what_was_dropped_is_partial_until_it_has_its_table() {
        let rolling = Rolling::new(FrameNo(0), FrameNo(0));
        let many = vec![5; HASHES_MAX];
        rolling.add(FrameNo(0), FrameNo(0), &many);
        rolling.add(FrameNo(0), FrameNo(1), &[5]);
        assert_eq!(found(&rolling, 5), (vec![], true));
        for base in 1..=3 + SEALED_MAX as u64 {
            rolling.add(FrameNo(base), FrameNo(base), &[base]);
        }
        assert_eq!(found(&rolling, 1), (vec![], true), "too many were waiting");
        assert_eq!(found(&rolling, 3), (vec![3], true));
        for base in 0..=2 + SEALED_MAX as u64 {
            let Some(Work::Sealed(sealed)) = rolling.next_work(false) else { panic!("no work") };
            assert_eq!(sealed.base, FrameNo(base));
            assert!(rolling.find(0).bases.contains(&sealed.base), "in hand, not yet written");
            rolling.is_done();
        }
        assert_eq!(found(&rolling, 1), (vec![], false));
    }
}
