//! The newest chunks, for all clients together.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::domain::position::Position;
use crate::store::ChangeRef;

use super::chunk::Chunk;

/// Chunks at most: small ones come one a commit.
const CHUNKS_MAX: usize = 4096;

/// Consecutive chunks, numbered; the oldest go when there are too many bytes.
#[derive(Debug)]
pub(super) struct Ring {
    chunks: VecDeque<Arc<Chunk>>,
    bytes: usize,
    bytes_max: usize,
    /// The number of the oldest.
    first: u64,
    end: ChangeRef,
    seen: Arc<Position>,
}

/// A chunk by its number.
#[derive(Debug)]
pub(super) enum Found {
    Chunk(Arc<Chunk>),
    /// It will be the next.
    NotYet,
    /// It has gone.
    Gone,
}

impl Ring {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            chunks: VecDeque::new(),
            bytes: 0,
            bytes_max,
            first: 0,
            end: ChangeRef(0),
            seen: Arc::new(Position::default()),
        }
    }

    /// Begins anew at a place; whoever listens goes on from the journal.
    pub(super) fn restart(&mut self, end: ChangeRef, seen: Arc<Position>) {
        self.first = self.next() + 1;
        self.chunks = VecDeque::new();
        (self.bytes, self.end, self.seen) = (0, end, seen);
    }

    /// The number of the next chunk.
    pub(super) fn next(&self) -> u64 {
        self.first + self.chunks.len() as u64
    }

    /// Where the next chunk begins, and what was seen until there.
    pub(super) fn end(&self) -> (ChangeRef, &Arc<Position>) {
        (self.end, &self.seen)
    }

    pub(super) fn push(&mut self, chunk: Arc<Chunk>) {
        (self.end, self.seen) = (chunk.end, Arc::clone(&chunk.seen));
        self.bytes += chunk.bytes();
        self.chunks.push_back(chunk);
        // The newest stays, however large it is.
        while (self.bytes > self.bytes_max && self.chunks.len() > 1)
            || self.chunks.len() > CHUNKS_MAX
        {
            let Some(oldest) = self.chunks.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes();
            self.first += 1;
        }
    }

    pub(super) fn get(&self, number: u64) -> Found {
        if number == self.next() {
            return Found::NotYet;
        }
        let place = number.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        match place.and_then(|place| self.chunks.get(place)) {
            Some(chunk) => Found::Chunk(Arc::clone(chunk)),
            None => Found::Gone,
        }
    }

    /// The number of the chunk that begins at a place, for one who has seen just what comes before:
    /// who has seen more, on an instance that is ahead, would get some of it again.
    pub(super) fn number_at(&self, place: ChangeRef, seen: &Position) -> Option<u64> {
        let (number, at) = if place == self.end {
            (self.next(), Some(&self.seen))
        } else {
            let found = self.chunks.binary_search_by(|chunk| chunk.start.cmp(&place)).ok()?;
            let before = found.checked_sub(1).and_then(|before| self.chunks.get(before));
            (self.first + found as u64, before.map(|chunk| &chunk.seen))
        };
        at.is_some_and(|at| at.covers(seen)).then_some(number)
    }
}
