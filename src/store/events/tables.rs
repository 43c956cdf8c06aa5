//! The thread that writes a table of event ids beside each sealed segment of the journal.

use std::sync::Arc;
use std::thread::JoinHandle;

use crate::segments::{FrameNo, IdTable, SegmentError, SegmentKind};

use super::super::StoreError;
use super::super::journal::Journal;
use super::super::shared::Shared;
use super::rolling::Work;

/// The writer's end of the thread; joined when it is dropped.
#[derive(Debug)]
pub(crate) struct TablesThread {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl TablesThread {
    /// Starts the thread, which first makes the tables that `sealed` segments lack, newest first.
    pub(crate) fn start(shared: Arc<Shared>, sealed: Vec<FrameNo>) -> Result<Self, StoreError> {
        let tables = Tables { shared: Arc::clone(&shared), unseen: sealed };
        let path = shared.path.clone();
        let thread = std::thread::Builder::new()
            .name("event-ids".into())
            .spawn(move || tables.run())
            .map_err(StoreError::io("starting a thread for", &path))?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl Drop for TablesThread {
    fn drop(&mut self) {
        self.shared.events.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread event-ids panicked");
        }
    }
}

struct Tables {
    shared: Arc<Shared>,
    /// Sealed segments that may lack their table, oldest first.
    unseen: Vec<FrameNo>,
}

impl Tables {
    fn run(mut self) {
        while let Some((base, done)) = self.step() {
            match done {
                // Trimmed away meanwhile.
                Ok(()) | Err(StoreError::Journal(SegmentError::Trimmed { .. })) => {}
                // Lookups say that they have not seen all; the next of them has it tried again.
                Err(error) => tracing::warn!(segment = base.0, %error, "no table of event ids"),
            }
        }
    }

    /// What is new goes before what was left over. None: told to stop, and what was sealed is
    /// written.
    fn step(&mut self) -> Option<(FrameNo, Result<(), StoreError>)> {
        let events = &self.shared.events;
        match events.next_work(self.unseen.is_empty()) {
            Some(Work::Sealed(listed)) => {
                let entries = if listed.is_whole() {
                    Ok(Some(listed.entries()))
                } else {
                    self.read(listed.base, None)
                };
                let base = listed.base;
                let done = self.write(base, entries);
                events.is_done();
                Some((base, done))
            }
            Some(Work::Read(base, until)) => {
                let read = self.read(base, Some(until));
                Some((base, read.map(|entries| events.fill_in(base, entries.unwrap_or_default()))))
            }
            Some(Work::Damaged(base)) => Some((base, self.write(base, self.read(base, None)))),
            None if events.is_stopped() => None,
            None => {
                let base = self.unseen.pop()?;
                Some((base, self.look_at(base)))
            }
        }
    }

    fn look_at(&self, base: FrameNo) -> Result<(), StoreError> {
        if IdTable::open(self.journal().path(), SegmentKind::Journal, base)?.is_some() {
            return Ok(());
        }
        self.write(base, self.read(base, None))
    }

    fn write(
        &self,
        base: FrameNo,
        entries: Result<Option<Vec<(u64, u32)>>, StoreError>,
    ) -> Result<(), StoreError> {
        // None: told to stop meanwhile.
        if let Some(entries) = entries? {
            IdTable::build(self.journal().path(), SegmentKind::Journal, base, entries)?;
        }
        Ok(())
    }

    fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    /// The hashes of a segment out of its frames, up to a frame or its end; none when told to stop.
    fn read(
        &self,
        base: FrameNo,
        until: Option<FrameNo>,
    ) -> Result<Option<Vec<(u64, u32)>>, StoreError> {
        let end = match until {
            Some(until) => until,
            None => {
                let bases = self.journal().segment_bases()?;
                let next = bases.into_iter().find(|other| *other > base);
                next.unwrap_or_else(|| FrameNo(*self.shared.commits.frames.borrow()))
            }
        };
        let (mut entries, mut scratch) = (Vec::new(), Vec::new());
        for frame in self.journal().frames_from(base) {
            let frame = frame?;
            if frame.head.no >= end {
                break;
            }
            if self.shared.events.is_stopped() {
                return Ok(None);
            }
            let place = u32::try_from(frame.head.no.0 - base.0).unwrap_or(u32::MAX);
            frame.for_each(&mut scratch, |entry| {
                if entry.event_hash != 0 {
                    entries.push((entry.event_hash, place));
                }
                Ok(())
            })?;
        }
        Ok(Some(entries))
    }
}
