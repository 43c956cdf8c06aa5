//! What a follower reads of the journal: on and on, and again from where a key is owed.
//!
//! All of it waits for the disk, so it is done off the threads that answer.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::domain::position::{CONTROL_LANE, NextOffset, Offset, Position};
use crate::store::journal::Entry;
use crate::store::{Changes, PageKey, PageRequest, Reader, StoreError};

use super::ledger::before;
use super::queue::{PER_KEY_MAX, written_bytes};
use super::{Picked, Place, Sink};

/// Entries that are looked at in one go.
const LOOKED_AT_MAX: usize = 16 << 10;
/// Bytes of items that are picked in one go.
const PICKED_BYTES_MAX: usize = 2 << 20;

/// Something that was picked, where it stands, and its record's time in ms.
pub(super) type Found<T> = (Picked<T>, Place, i64);

/// Some of the journal.
pub(super) struct Portion<T> {
    pub(super) found: Vec<Found<T>>,
    pub(super) changes: Changes,
    /// Whether that was all that there is by now.
    pub(super) is_end: bool,
    /// The record time of the last entry that was looked at, in ms.
    pub(super) time_ms: Option<i64>,
    /// How many of what the sink counts stand before its end, where this store alone has read up to there.
    pub(super) count: Option<u64>,
}

/// Whoever does not read control records has seen all of them.
pub(super) fn to_read(mut position: Position, reads_control: bool) -> Position {
    if !reads_control {
        position.next.insert(CONTROL_LANE, NextOffset(u64::MAX));
    }
    position
}

/// What may be taken in one go.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub(super) keys: usize,
    /// Of the keys, in the ledger.
    pub(super) key_bytes: usize,
}

impl Room {
    /// Takes one more key. False: that was the last one.
    fn take(&mut self, key: &str) -> bool {
        self.keys = self.keys.saturating_sub(1);
        self.key_bytes = self.key_bytes.saturating_sub(written_bytes(key));
        self.keys > 0 && self.key_bytes > 0
    }
}

/// Reads on.
pub(super) fn read_on<S: Sink>(
    sink: &S,
    reader: &Reader,
    mut changes: Changes,
    mut room: Room,
) -> Result<Portion<S::Item>, StoreError> {
    let until = reader.changes_end();
    changes.pass_over(until, |after| sink.counted(after))?;
    let (mut found, mut bytes, mut looked_at, mut time_ms) = (Vec::new(), 0, 0, None);
    let read = changes.read_entries(until, &mut |entry, _| {
        looked_at += 1;
        time_ms = Some(entry.record_time_ms);
        let mut has_room = true;
        if let Some(picked) = sink.pick(entry) {
            bytes += picked.bytes;
            has_room = room.take(&picked.key);
            found.push((picked, place_of(entry), entry.record_time_ms));
        }
        let is_enough = !has_room || bytes >= PICKED_BYTES_MAX || looked_at >= LOOKED_AT_MAX;
        if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let is_end = read.is_continue();
    let mut count = None;
    if is_end {
        changes.rest();
        count = changes.counted(|after| sink.counted(after))?;
    }
    Ok(Portion { found, changes, is_end, time_ms, count })
}

/// What was read again.
pub(super) struct Again<T> {
    pub(super) wanted: BTreeMap<String, Place>,
    pub(super) found: Vec<Found<T>>,
    /// Keys that were read only up to there.
    pub(super) cut: BTreeMap<String, Place>,
    /// Keys that can't be read, because the journal does not reach back to them.
    pub(super) lost: Vec<String>,
    /// Whether the journal has only the later changes of some keys, and those are read.
    pub(super) is_overrun: bool,
}

/// Reads what is owed of some keys, of all that `up_to` has seen.
pub(super) fn read_again<S: Sink>(
    sink: &S,
    reader: &Reader,
    up_to: &Position,
    wanted: BTreeMap<String, Place>,
) -> Result<Again<S::Item>, StoreError> {
    let mut again = Again {
        wanted: BTreeMap::new(),
        found: Vec::new(),
        cut: BTreeMap::new(),
        lost: Vec::new(),
        is_overrun: false,
    };
    let (nowhere, mut wanted): (BTreeMap<_, _>, BTreeMap<_, _>) =
        wanted.into_iter().partition(|(_, place)| *place == Place::NOWHERE);
    again.lost.extend(nowhere.into_keys());
    // Where the journal does not reach back to the oldest, those that are younger may still be there.
    while !wanted.is_empty() {
        let from = before(up_to.clone(), wanted.values().copied());
        let (changes, reaches) = reader.entries_after(&from)?;
        // Where no present state can be told, what is left of the changes is.
        let takes_rest = !sink.tells_states();
        if reaches || takes_rest {
            match keys_of(sink, reader, changes, up_to, &wanted) {
                Ok((found, cut)) => {
                    (again.found, again.cut, again.wanted) = (found, cut, wanted);
                    again.is_overrun = !reaches;
                    break;
                }
                // The journal begins later by now.
                Err(error) if error.is_trimmed() && takes_rest => continue,
                Err(error) if error.is_trimmed() => {}
                Err(error) => return Err(error),
            }
        }
        let oldest = wanted.iter().min_by_key(|(_, place)| place.offset);
        let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
            break;
        };
        wanted.remove(&oldest);
        again.lost.push(oldest);
    }
    Ok(again)
}

/// What was found, and the keys that were read only up to a place.
type OfKeys<T> = (Vec<Found<T>>, BTreeMap<String, Place>);

fn keys_of<S: Sink>(
    sink: &S,
    reader: &Reader,
    mut changes: Changes,
    up_to: &Position,
    wanted: &BTreeMap<String, Place>,
) -> Result<OfKeys<S::Item>, StoreError> {
    let until = reader.changes_end();
    let mut found = Vec::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    // Keys of which more was found than is held, and bytes that were found.
    let (mut full, mut bytes) = (0, 0);
    loop {
        changes.pass_over(until, |after| sink.counted(after))?;
        let mut looked_at = 0;
        let read = changes.read_entries(until, &mut |entry, _| {
            looked_at += 1;
            let place = place_of(entry);
            if entry.offset.0 < up_to.next_of(place.lane).0
                && let Some(picked) = sink.pick(entry)
                && let Some(first) = wanted.get(&picked.key)
                && first.lane == place.lane
                && first.offset <= place.offset
            {
                let of_key = counts.entry(picked.key.clone()).or_insert(0);
                *of_key += 1;
                // One more than is held tells that there are more.
                if *of_key <= PER_KEY_MAX + 1 {
                    full += usize::from(*of_key > PER_KEY_MAX);
                    bytes += picked.bytes;
                    found.push((picked, place, entry.record_time_ms));
                }
            }
            if looked_at >= LOOKED_AT_MAX || full == wanted.len() || bytes >= PICKED_BYTES_MAX {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        let seen = changes.seen();
        let mut lanes = wanted.values().map(|place| place.lane);
        let is_all = lanes.all(|lane| seen.next_of(lane) >= up_to.next_of(lane));
        if is_all || read.is_continue() {
            return Ok((found, BTreeMap::new()));
        }
        if full == wanted.len() || bytes >= PICKED_BYTES_MAX {
            let cut = wanted
                .iter()
                .filter(|(_, place)| seen.next_of(place.lane) < up_to.next_of(place.lane));
            let at = |(key, place): (&String, &Place)| {
                let offset = Offset(seen.next_of(place.lane).0).max(place.offset);
                (key.clone(), Place { lane: place.lane, offset })
            };
            return Ok((found, cut.map(at).collect()));
        }
    }
}

fn place_of(entry: &Entry<'_>) -> Place {
    Place { lane: entry.lane, offset: entry.offset }
}

/// Ids of contacts after one, whatever their status, and whether those are the last.
pub(super) fn ids_after(
    reader: &Reader,
    after: &str,
    mut room: Room,
) -> Result<(Vec<String>, bool), StoreError> {
    let after =
        (!after.is_empty()).then(|| PageKey { sort: Vec::new(), id: after.as_bytes().to_vec() });
    let limit = room.keys;
    let page = reader.page(&PageRequest { after, limit, ..PageRequest::default() })?;
    let (of_page, is_last) = (page.contacts.len(), page.rest.is_none());
    let mut ids = Vec::with_capacity(of_page);
    for contact in page.contacts {
        let has_room = room.take(&contact.id);
        ids.push(contact.id);
        if !has_room {
            break;
        }
    }
    let is_end = is_last && ids.len() == of_page;
    Ok((ids, is_end))
}

/// Off the threads that answer.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(StoreError::damaged("what a follower reads", error.to_string())),
    }
}

/// A key and what is there now; none: nothing is to be told.
type Present<T> = (String, Option<Picked<T>>);

/// What is now under some keys.
pub(super) fn present_of<S: Sink>(
    sink: &S,
    reader: &Reader,
    keys: Vec<String>,
) -> Result<Vec<Present<S::Item>>, StoreError> {
    let present = |key: String| Ok((key.clone(), sink.present(reader, &key)?));
    keys.into_iter().map(present).collect()
}
