//! A repeat of an event without a time of its own gets its first time, not the one that it is signed
//! with now: then it says nothing new, however long ago the first one was.

use std::time::{Duration, Instant};

use crate::domain::event::Event;
use crate::domain::headers::TIME;
use crate::domain::record::RecordBatch;
use crate::event_log::NewRecord;
use crate::store::{Reader, StoreError, Untimed};

/// How long a request waits for what the journal knows of its events.
const LOOK_TIME_MAX: Duration = Duration::from_millis(500);

/// What a record's event is known by when it comes again.
#[derive(Debug)]
pub(super) struct RepeatKey {
    event_id: Vec<u8>,
    pub(super) id_hash: u64,
    body_hash: u64,
}

impl RepeatKey {
    /// None: the event has a time of its own, which is the same whenever it comes.
    pub(super) fn of(batch: &RecordBatch, event: &Event) -> Option<Self> {
        let event_id = event.event_id.of(&batch.arena).to_vec();
        event.body_hash.map(|body_hash| Self { event_id, id_hash: event.id_hash, body_hash })
    }
}

/// Gives those of the records that came before the time of then.
pub(super) async fn give(
    store: &Reader,
    mut records: Vec<NewRecord>,
    keys: Vec<Option<RepeatKey>>,
) -> Vec<NewRecord> {
    if keys.iter().all(Option::is_none) {
        return records;
    }
    let store = store.clone();
    let contacts: Vec<_> = records.iter().map(|record| record.key.clone()).collect();
    let looked = tokio::task::spawn_blocking(move || look(&store, &contacts, &keys)).await;
    let times = looked.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()));
    let times = times.unwrap_or_else(|error| {
        // The event is kept all the same; at worst its repeat counts as new.
        tracing::warn!(%error, "the store can't tell whether events without a time came before");
        Vec::new()
    });
    for (record, time_us) in records.iter_mut().zip(times) {
        let header = record.headers.iter_mut().find(|(name, _)| name == TIME);
        if let (Some((_, value)), Some(time_us)) = (header, time_us) {
            *value = Some(time_us.to_string().into_bytes());
        }
    }
    records
}

fn look(
    store: &Reader,
    contacts: &[Vec<u8>],
    keys: &[Option<RepeatKey>],
) -> Result<Vec<Option<u64>>, StoreError> {
    let deadline = Instant::now() + LOOK_TIME_MAX;
    let first = |(contact_id, key): (&Vec<u8>, &Option<RepeatKey>)| {
        let Some(RepeatKey { event_id, id_hash, body_hash }) = key else {
            return Ok(None);
        };
        let (id_hash, body_hash) = (*id_hash, *body_hash);
        store.first_seen_us(&Untimed { contact_id, event_id, id_hash, body_hash }, deadline)
    };
    contacts.iter().zip(keys).map(first).collect()
}
