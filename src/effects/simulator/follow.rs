//! Webhooks after writes: what the API's commands did, read from the journal as it grows.
//!
//! Only what is recorded from the start of this process on is told of: a new store that catches up
//! tells nobody of the past. Every instance that has this switched on tells of every write, its own
//! or not, so one of several should.

use std::ops::ControlFlow;

use crate::domain::event::API_SOURCE;
use crate::ingest::now_ms;
use crate::store::{Changes, Reader, StoreError};

use super::Simulator;
use super::order::{Event, Write};

/// Writes that are read at a time, and changes of all kinds.
const WRITES_MAX: usize = 256;
const CHANGES_MAX: usize = 16 << 10;
/// Who writes through the API, as commands name them: others are our own housekeeping.
const WRITERS: [&[u8]; 2] = [b"user:", b"key:"];

impl Simulator {
    /// Never ends.
    pub(super) async fn follow(&self) {
        if !self.fires_on_writes {
            return std::future::pending().await;
        }
        let since_ms = i64::try_from(now_ms()).unwrap_or(i64::MAX);
        let reader = self.opened_reader().await;
        let mut commits = reader.commits();
        let mut changes = reader.changes_from_now();
        loop {
            let (read, at_end) = match read(&reader, changes, since_ms).await {
                Ok((events, rest, at_end)) => {
                    events.into_iter().for_each(|event| self.fire(event));
                    (rest, at_end)
                }
                Err(error) => {
                    tracing::warn!(%error, "webhooks after writes go on with what is written now");
                    (reader.changes_from_now(), true)
                }
            };
            changes = read;
            if at_end && commits.changed().await.is_err() {
                // The store has closed: the process ends.
                return std::future::pending().await;
            }
        }
    }

    async fn opened_reader(&self) -> Reader {
        loop {
            if let Some(reader) = self.reader.get() {
                return reader.clone();
            }
            self.opened.notified().await;
        }
    }
}

/// What writes did next, where to go on, and whether that was all.
async fn read(
    reader: &Reader,
    mut changes: Changes,
    since_ms: i64,
) -> Result<(Vec<Event>, Changes, bool), StoreError> {
    let until = reader.changes_end();
    // Off the threads that answer: the journal is read from the disk.
    let read = tokio::task::spawn_blocking(move || {
        let mut events = Vec::new();
        let mut looked_at = 0;
        let told = changes.read(until, &mut |entry, applied, _| {
            let is_write = applied.source == API_SOURCE.as_bytes()
                && entry.record_time_ms >= since_ms
                && applied
                    .principal
                    .is_some_and(|who| WRITERS.iter().any(|writer| who.starts_with(writer)));
            if let (true, Some(timestamp_us)) = (is_write, applied.event_time_us) {
                let write = Write {
                    contact_id: &String::from_utf8_lossy(applied.id),
                    event_id: &String::from_utf8_lossy(applied.event_id),
                    kind: applied.kind,
                    timestamp_us,
                    body: applied.body,
                };
                events.push(write.event());
            }
            looked_at += 1;
            let is_enough = events.len() >= WRITES_MAX || looked_at >= CHANGES_MAX;
            if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        changes.rest();
        let events = events.into_iter().collect::<Result<Vec<_>, _>>();
        let events = events.map_err(|error| StoreError::damaged("a contact", error.to_string()))?;
        Ok((events, changes, told.is_continue()))
    });
    match read.await {
        Ok(read) => read,
        Err(error) => Err(StoreError::damaged("the journal", error.to_string())),
    }
}
