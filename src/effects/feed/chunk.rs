//! Some changes as text, made once for all clients.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio_util::bytes::Bytes;

use crate::domain::event::EventKind;
use crate::domain::position::Position;
use crate::store::{ChangeRef, Changes, StoreError};

use super::filter::Filter;
use super::sse;

/// A chunk is closed by the event that takes it past this many bytes.
const CHUNK_BYTES: usize = 128 << 10;
/// Changes that are looked at for one chunk, when a filter lets few of them through.
const CHUNK_CHANGES: usize = 16 << 10;

/// How many events of each kind, by [`EventKind`] as a number.
pub(super) type Counts = [u64; EventKind::ALL.len()];

/// Consecutive changes as the text that clients get.
#[derive(Debug)]
pub(super) struct Chunk {
    /// The place that it begins at.
    pub(super) start: ChangeRef,
    /// The place behind it.
    pub(super) end: ChangeRef,
    /// What was seen after it.
    pub(super) seen: Arc<Position>,
    text: Bytes,
    events: Vec<EventEnd>,
    /// The contacts' ids, one after the other.
    ids: Vec<u8>,
    counts: Counts,
}

#[derive(Debug)]
struct EventEnd {
    kind: EventKind,
    text: u32,
    id: u32,
}

impl Chunk {
    /// Reads on from where `changes` stands, up to `until` or until there is enough. `only`: what
    /// is not wanted need not be written.
    pub(super) fn read(
        changes: &mut Changes,
        until: ChangeRef,
        only: Option<&Filter>,
    ) -> Result<Self, StoreError> {
        let start = changes.place();
        let mut writing = Writing::default();
        let mut damaged = None;
        let mut looked_at = 0;
        let _ = changes.read(until, &mut |entry, applied, seen| {
            looked_at += 1;
            let enough = |text: &[u8]| {
                if text.len() < CHUNK_BYTES && looked_at < CHUNK_CHANGES {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            };
            if only.is_some_and(|only| !only.passes(applied.kind, applied.contact_id())) {
                return enough(&writing.text);
            }
            writing.end_event(seen);
            if let Err(error) = sse::change(entry, applied, &mut writing.text) {
                let frame = format!("journal frame {}", entry.change.frame());
                damaged = Some(StoreError::damaged(frame, error.to_string()));
                return ControlFlow::Break(());
            }
            writing.open = Some(applied.kind);
            writing.ids.extend_from_slice(applied.contact_id());
            enough(&writing.text)
        })?;
        if let Some(damaged) = damaged {
            return Err(damaged);
        }
        writing.end_event(changes.seen());
        Ok(Self {
            start,
            end: changes.place(),
            seen: Arc::new(changes.seen().clone()),
            text: Bytes::from(writing.text),
            events: writing.events,
            ids: writing.ids,
            counts: writing.counts,
        })
    }

    /// Without events.
    #[cfg(test)]
    pub(super) fn spanning(start: ChangeRef, end: ChangeRef, seen: Position) -> Self {
        Self {
            start,
            end,
            seen: Arc::new(seen),
            text: Bytes::new(),
            events: Vec::new(),
            ids: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Bytes that it holds in memory, about.
    pub(super) fn bytes(&self) -> usize {
        let lanes = self.seen.next.len() * 16;
        self.text.len() + self.ids.len() + self.events.len() * size_of::<EventEnd>() + lanes + 256
    }

    /// Whether it only moves the position.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// What passes, not copied where that is all of it.
    pub(super) fn passing(&self, filter: &Filter) -> (Bytes, Counts) {
        if filter.is_open() {
            return (self.text.clone(), self.counts);
        }
        let mut text = Vec::new();
        let mut counts = Counts::default();
        let (mut text_start, mut id_start) = (0, 0);
        for event in &self.events {
            let (text_end, id_end) = (event.text as usize, event.id as usize);
            let id = self.ids.get(id_start..id_end).unwrap_or_default();
            if filter.passes(event.kind, id) {
                text.extend_from_slice(self.text.get(text_start..text_end).unwrap_or_default());
                count(&mut counts, event.kind);
            }
            (text_start, id_start) = (text_end, id_end);
        }
        (Bytes::from(text), counts)
    }
}

/// A chunk being written. An event's id is written when the next one comes: it then says that
/// what lies between was seen as well.
#[derive(Default)]
struct Writing {
    text: Vec<u8>,
    events: Vec<EventEnd>,
    ids: Vec<u8>,
    counts: Counts,
    /// The event whose end is missing.
    open: Option<EventKind>,
}

impl Writing {
    fn end_event(&mut self, seen: &Position) {
        let Some(kind) = self.open.take() else {
            return;
        };
        sse::change_end(seen, &mut self.text);
        count(&mut self.counts, kind);
        let end = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.events.push(EventEnd { kind, text: end(&self.text), id: end(&self.ids) });
    }
}

fn count(counts: &mut Counts, kind: EventKind) {
    if let Some(count) = counts.get_mut(kind as usize) {
        *count += 1;
    }
}
