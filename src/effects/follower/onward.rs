//! What the loop of a follower reads: what is owed, again; the journal, on; or all contacts.

use std::sync::Arc;
use std::time::Duration;

use crate::ingest::now_ms;
use crate::store::Changes;

use super::engine::{Engine, EngineError};
use super::queue::Queue;
use super::reading::{
    Portion, Room, blocking, ids_after, present_of, read_again, read_on, to_read,
};
use super::{Place, Row, Sink};

/// Changes that are read ahead of deliveries.
const AHEAD_MAX: usize = 500;
/// With a rate: what goes in so long.
const AHEAD: Duration = Duration::from_secs(5);

impl<S: Sink> Engine<S> {
    /// What is owed and not held.
    pub(super) async fn read_again(&mut self) -> Result<(), EngineError> {
        let wanted = self.queue.to_read_again(self.now());
        if wanted.is_empty() || self.queue.has_probe(self.now()) {
            return Ok(());
        }
        let (sink, reader) = (Arc::clone(&self.sink), self.reader.clone());
        let up_to = to_read(self.read.clone(), self.row.reads_control);
        let (again, present) = blocking(move || {
            let mut again = read_again(&*sink, &reader, &up_to, wanted)?;
            let present = present_of(&*sink, &reader, std::mem::take(&mut again.lost))?;
            Ok((again, present))
        })
        .await?;
        if again.is_overrun && !self.row.holds_journal {
            self.overrun();
        }
        self.queue.read_again(&again.wanted, again.found, &again.cut);
        let now_ms = i64::try_from(now_ms()).unwrap_or(i64::MAX);
        for (key, present) in present {
            if present.is_none() && !self.sink.tells_states() {
                tracing::error!(follower = self.row.name, "a change is gone that was owed");
            }
            self.queue.coalesce(&key, present, now_ms);
        }
        self.is_dirty = true;
        Ok(())
    }

    /// Goes on in the journal, or through all contacts. False: there is nothing more to be read now.
    pub(super) async fn read_on(&mut self) -> Result<bool, EngineError> {
        if self.queue.has_probe(self.now()) || !self.queue.has_room() {
            self.is_caught_up = false;
            return Ok(false);
        }
        if let Some(after) = self.ledger.as_ref().and_then(|ledger| ledger.scanned.clone()) {
            return self.scan_on(after).await;
        }
        let changes = match self.changes.take() {
            Some(changes) => changes,
            None => match self.open().await? {
                Some(changes) => changes,
                None => return Ok(true),
            },
        };
        let room = self.room();
        let (sink, reader) = (Arc::clone(&self.sink), self.reader.clone());
        let read = blocking(move || read_on(&*sink, &reader, changes, room)).await;
        let Portion { found, changes, is_end, time_ms, count } = match read {
            // Overrun: opening it anew sees that.
            Err(error) if error.is_trimmed() => return Ok(true),
            read => read?,
        };
        // What was counted up to here is the same on every instance; on the way it is counted on.
        self.count = count.or(self.count.map(|count| count + found.len() as u64));
        for (picked, place, time_ms) in found {
            self.queue.offer(picked, place, time_ms);
        }
        self.read = changes.seen().clone();
        (self.changes, self.is_caught_up) = (Some(changes), is_end);
        self.read_time_ms = time_ms.filter(|_| !is_end);
        Ok(!is_end)
    }

    /// The journal from where it was read; none: all contacts are told first.
    async fn open(&mut self) -> Result<Option<Changes>, EngineError> {
        let position = to_read(self.read.clone(), self.row.reads_control);
        let reader = self.reader.clone();
        let (changes, reaches) = blocking(move || reader.entries_after(&position)).await?;
        if reaches || self.row.holds_journal {
            return Ok(Some(changes));
        }
        self.overrun();
        let tells_states = self.sink.tells_states();
        let present = self.reader.position();
        let Some(ledger) = &mut self.ledger else {
            return Ok(None);
        };
        if !tells_states {
            return Ok(Some(changes));
        }
        // What was owed is told with the rest.
        ledger.scanned = Some(String::new());
        (self.queue, self.read, self.count) = (Queue::default(), present, None);
        self.write().await?;
        Ok(None)
    }

    fn overrun(&mut self) {
        tracing::error!(
            follower = self.row.name,
            "overrun: the journal no longer reaches back to what it was owed"
        );
        self.standing.overrun();
        if let Some(ledger) = &mut self.ledger {
            ledger.overrun(now_ms());
        }
        self.is_dirty = true;
    }

    fn room(&self) -> Room {
        let keys = self.queue.room().min(ahead(&self.row));
        Room { keys, key_bytes: self.queue.key_room() }
    }

    async fn scan_on(&mut self, after: String) -> Result<bool, EngineError> {
        let (reader, room) = (self.reader.clone(), self.room());
        let (ids, is_end) = blocking(move || ids_after(&reader, &after, room)).await?;
        for id in &ids {
            self.queue.owe(id, Place::NOWHERE);
        }
        if let Some(ledger) = &mut self.ledger {
            let last = ids.last().cloned().or_else(|| ledger.scanned.take());
            ledger.scanned = last.filter(|_| !is_end);
        }
        (self.is_caught_up, self.is_dirty) = (false, true);
        Ok(true)
    }
}

/// How far is read ahead.
fn ahead(row: &Row) -> usize {
    let Some(rate) = row.rate else {
        return AHEAD_MAX;
    };
    let in_time = AHEAD.as_secs_f64() / rate.per.as_secs_f64() * f64::from(rate.deliveries.get());
    (in_time as usize).clamp(1, AHEAD_MAX)
}
