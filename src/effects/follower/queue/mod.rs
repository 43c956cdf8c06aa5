//! What is owed and what comes next, decided without a clock, a disk or a network: times come in.
//!
//! ```text
//! offer (as the journal is read) ─► keys, each with its changes in order ─► take ─► settle
//!                                     └─ more than are held: read again from a place
//! ```
//!
//! What holds, whatever is answered:
//! - no two changes of a key are under way, and none is taken before the one ahead of it is settled;
//! - a key is in [`Queue::owed`] until all of it that was offered is settled;
//! - keys, changes and bytes that are held are bounded: beyond that nothing is to be offered.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Answer, Picked, Place};

/// Keys that may be owed at once: they all stand in one control entry.
pub(super) const KEYS_MAX: usize = 1_000;
/// Bytes of their names, likewise.
const KEY_BYTES_MAX: usize = 44 << 10;
/// Bytes of a key's numbers there.
const KEY_OVERHEAD: usize = 34;
/// Changes of one key that are held; more are read again.
pub(super) const PER_KEY_MAX: usize = 16;
/// Changes that are held.
const ITEMS_MAX: usize = 4_000;
/// Keys whose changes are read again together.
const AGAIN_MAX: usize = 64;
/// Bytes of changes that are held.
const BYTES_MAX: usize = 8 << 20;
/// First and longest pause of a key whose change was refused.
const REFUSED_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// First and longest pause of all when the sink is down.
const DOWN_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A change that is held.
#[derive(Debug)]
pub(super) struct Held<T> {
    pub(super) place: Place,
    pub(super) version: u64,
    /// Of its record, in ms.
    pub(super) time_ms: i64,
    pub(super) item: Arc<T>,
    bytes: usize,
    /// Its turn among all that were offered.
    turn: u64,
}

/// A key that is not done.
#[derive(Debug)]
struct Owing<T> {
    /// Its first change that is owed.
    first: Place,
    /// Changes that are held, in order.
    held: VecDeque<Held<T>>,
    /// From there on changes are owed that are not held; they come behind those that are.
    rest: Option<Place>,
    attempts: u32,
    not_before: Option<Instant>,
    is_under_way: bool,
    /// Of its first change, where it was refused.
    refusal: Option<Refusal>,
    /// How many changes of others were delivered when its first change was last answered with the sink
    /// being down; none: it was not.
    down_at: Option<u64>,
}

/// A change was refused.
#[derive(Debug)]
struct Refusal {
    /// What the sink said last.
    why: String,
    since: Instant,
    /// It is never parked.
    is_lasting: bool,
}

/// The sink is down.
#[derive(Debug)]
struct Down {
    why: String,
    until: Instant,
    pause: Duration,
}

/// A change to be delivered.
#[derive(Debug)]
pub(super) struct Next<T> {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) version: u64,
    pub(super) attempt: u32,
    pub(super) item: Arc<T>,
}

/// What an answer comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// The change is done.
    Done,
    /// It is tried again later.
    Later,
    /// It was refused too often: it is to be parked, and then passed.
    Park { version: u64, attempts: u32, why: String },
}

/// All that is owed.
#[derive(Debug)]
pub(super) struct Queue<T> {
    keys: BTreeMap<String, Owing<T>>,
    held: usize,
    bytes: usize,
    key_bytes: usize,
    turns: u64,
    down: Option<Down>,
    /// Changes that were delivered.
    delivered: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            keys: BTreeMap::new(),
            held: 0,
            bytes: 0,
            key_bytes: 0,
            turns: 0,
            down: None,
            delivered: 0,
        }
    }
}

impl<T> Queue<T> {
    /// Whether more may be offered.
    pub(super) fn has_room(&self) -> bool {
        self.keys.len() < KEYS_MAX
            && self.key_bytes < KEY_BYTES_MAX
            && self.held < ITEMS_MAX
            && self.bytes < BYTES_MAX
    }

    /// How many keys may still be offered.
    pub(super) fn room(&self) -> usize {
        if self.has_room() { KEYS_MAX - self.keys.len() } else { 0 }
    }

    /// How many bytes they may take in the ledger.
    pub(super) fn key_room(&self) -> usize {
        KEY_BYTES_MAX.saturating_sub(self.key_bytes)
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Every key with its first change that is owed.
    pub(super) fn owed(&self) -> impl Iterator<Item = (&str, Place)> {
        self.keys.iter().map(|(key, owing)| (key.as_str(), owing.first))
    }

    /// The record time of the oldest change that is held.
    pub(super) fn oldest_ms(&self) -> Option<i64> {
        self.keys.values().filter_map(|owing| owing.held.front()).map(|held| held.time_ms).min()
    }

    /// A key is owed from a place on, as somebody wrote down or ordered.
    pub(super) fn owe(&mut self, key: &str, place: Place) {
        if let Some(owing) = self.keys.get(key)
            && (owing.is_under_way || owing.first.lane == place.lane && owing.first <= place)
        {
            return;
        }
        self.forget(key);
        self.insert(key, place, Some(place));
    }

    /// Nothing is owed of a key any more. False: nothing was.
    pub(super) fn forget(&mut self, key: &str) -> bool {
        let Some(owing) = self.keys.remove(key) else {
            return false;
        };
        self.key_bytes -= written_bytes(key);
        self.held -= owing.held.len();
        self.bytes -= owing.held.iter().map(|held| held.bytes).sum::<usize>();
        true
    }

    fn insert(&mut self, key: &str, first: Place, rest: Option<Place>) {
        self.key_bytes += written_bytes(key);
        let owing = Owing {
            first,
            held: VecDeque::new(),
            rest,
            attempts: 0,
            not_before: None,
            is_under_way: false,
            refusal: None,
            down_at: None,
        };
        self.keys.insert(key.to_owned(), owing);
    }

    /// The next change of the journal.
    pub(super) fn offer(&mut self, picked: Picked<T>, place: Place, time_ms: i64) {
        match self.keys.get_mut(&picked.key) {
            Some(owing) if owing.rest.is_some() => return,
            Some(owing) if owing.held.len() >= PER_KEY_MAX => {
                owing.rest = Some(place);
                return;
            }
            Some(_) => {}
            None => self.insert(&picked.key, place, None),
        }
        self.hold(picked, place, time_ms);
    }

    fn hold(&mut self, picked: Picked<T>, place: Place, time_ms: i64) {
        let Picked { key, version, bytes, item } = picked;
        if let Some(owing) = self.keys.get_mut(&key) {
            let turn = self.turns;
            let item = Arc::new(item);
            owing.held.push_back(Held { place, version, time_ms, item, bytes, turn });
            self.turns += 1;
            self.held += 1;
            self.bytes += bytes;
        }
    }

    /// Keys of which nothing is held and more is owed, from where on.
    pub(super) fn to_read_again(&self, now: Instant) -> BTreeMap<String, Place> {
        let ready = self.keys.iter().filter(|(_, owing)| {
            owing.held.is_empty() && owing.not_before.is_none_or(|at| at <= now)
        });
        ready.filter_map(|(key, owing)| Some((key.clone(), owing.rest?))).take(AGAIN_MAX).collect()
    }

    /// What was read again of such keys, in order, up to where the journal was read; `cut`: of these only
    /// up to a place.
    pub(super) fn read_again(
        &mut self,
        wanted: &BTreeMap<String, Place>,
        found: Vec<(Picked<T>, Place, i64)>,
        cut: &BTreeMap<String, Place>,
    ) {
        let mut full: BTreeMap<String, Place> = BTreeMap::new();
        for (picked, place, time_ms) in found {
            let held = self.keys.get(&picked.key).map_or(0, |owing| owing.held.len());
            if full.contains_key(&picked.key) {
                continue;
            }
            if held >= PER_KEY_MAX || self.bytes >= BYTES_MAX && held > 0 {
                full.insert(picked.key, place);
            } else {
                self.hold(picked, place, time_ms);
            }
        }
        for key in wanted.keys() {
            let Some(owing) = self.keys.get_mut(key) else {
                continue;
            };
            owing.rest = full.get(key).or_else(|| cut.get(key)).copied();
            // Where nothing is left, what was owed is nothing that is picked any more.
            self.go_on(key);
        }
    }

    /// The present state of a key, for what can't be read any more; none: there is none to be told.
    pub(super) fn coalesce(&mut self, key: &str, present: Option<Picked<T>>, now_ms: i64) {
        match present {
            Some(picked) => {
                self.hold(picked, Place::NOWHERE, now_ms);
                if let Some(owing) = self.keys.get_mut(key) {
                    owing.rest = None;
                }
            }
            None => _ = self.forget(key),
        }
    }

    /// The next changes to be delivered, those first that were offered first.
    pub(super) fn take(&mut self, now: Instant, max: usize) -> Vec<Next<T>> {
        let max = match &self.down {
            Some(down) if now < down.until => 0,
            // One tells whether it is back.
            Some(_) => max.min(1),
            None => max,
        };
        if max == 0 {
            return Vec::new();
        }
        let ready = self.keys.iter().filter(|(_, owing)| {
            !owing.is_under_way && owing.not_before.is_none_or(|at| at <= now)
        });
        // While the sink is down, those first that have not said so.
        let is_down = self.is_down_now();
        let place = |owing: &Owing<T>| {
            let held = owing.held.front()?;
            Some((is_down && owing.down_at.is_some(), held.turn))
        };
        let mut ready: Vec<((bool, u64), String)> =
            ready.filter_map(|(key, owing)| Some((place(owing)?, key.clone()))).collect();
        ready.sort_unstable();
        ready.truncate(max);
        let take = |(_, key): ((bool, u64), String)| {
            let owing = self.keys.get_mut(&key)?;
            owing.is_under_way = true;
            let attempt = owing.attempts + 1;
            let held = owing.held.front()?;
            let (place, version, item) = (held.place, held.version, Arc::clone(&held.item));
            Some(Next { key, place, version, attempt, item })
        };
        ready.into_iter().filter_map(take).collect()
    }

    /// What became of a change that was taken.
    pub(super) fn settle(
        &mut self,
        key: &str,
        answer: Answer,
        attempts_max: Option<u32>,
        now: Instant,
    ) -> Settled {
        let Some(owing) = self.keys.get_mut(key) else {
            return Settled::Done;
        };
        owing.is_under_way = false;
        match answer {
            Answer::Delivered => {
                self.down = None;
                self.delivered += 1;
                self.pass(key);
                Settled::Done
            }
            Answer::Refused(why) => {
                self.down = None;
                owing.refused(why, attempts_max, now)
            }
            Answer::Down { why, after } => {
                // Another one tells next whether it is back.
                if let Some(held) = owing.held.front_mut() {
                    held.turn = self.turns;
                    self.turns += 1;
                }
                // Others were delivered since it said so last: it is this change that is not taken.
                if owing.down_at.replace(self.delivered).is_some_and(|at| at < self.delivered) {
                    return owing.refused(why, attempts_max, now);
                }
                self.is_down(why, after, now);
                Settled::Later
            }
        }
    }

    /// The first change of a key is done with.
    pub(super) fn pass(&mut self, key: &str) {
        let Some(owing) = self.keys.get_mut(key) else {
            return;
        };
        if let Some(done) = owing.held.pop_front() {
            self.held -= 1;
            self.bytes -= done.bytes;
        }
        (owing.attempts, owing.not_before, owing.is_under_way) = (0, None, false);
        (owing.refusal, owing.down_at) = (None, None);
        self.go_on(key);
    }

    /// What is owed first of a key after some of it is done, or was read again.
    fn go_on(&mut self, key: &str) {
        let Some(owing) = self.keys.get_mut(key) else {
            return;
        };
        match (owing.held.front(), owing.rest) {
            (Some(held), _) => owing.first = held.place,
            (None, Some(rest)) => owing.first = rest,
            (None, None) => _ = self.forget(key),
        }
    }

    fn is_down(&mut self, why: String, after: Option<Duration>, now: Instant) {
        let pause = match &self.down {
            // Others of the same delivery say the same.
            Some(down) if now < down.until => return,
            Some(down) => (down.pause * 2).min(DOWN_PAUSE.1),
            None => DOWN_PAUSE.0,
        };
        let waited =
            after.map_or(pause, |after| after.clamp(pause.min(DOWN_PAUSE.1), DOWN_PAUSE.1));
        self.down = Some(Down { why, until: now + waited, pause });
    }

    /// Whether nothing is taken by the sink.
    pub(super) fn is_down_now(&self) -> bool {
        self.down.is_some()
    }

    /// Why nothing is taken by the sink, or a change is not that is never parked.
    pub(super) fn trouble(&self) -> Option<&str> {
        let mut refusals = self.keys.values().filter_map(|owing| owing.refusal.as_ref());
        let refusal = || refusals.find(|it| it.is_lasting).map(|it| it.why.as_str());
        self.down.as_ref().map(|down| down.why.as_str()).or_else(refusal)
    }

    /// How many changes are refused for so long, and why one of them is.
    pub(super) fn refused_for(&self, time: Duration, now: Instant) -> Option<(usize, &str)> {
        let is_long = |it: &&Refusal| now.saturating_duration_since(it.since) >= time;
        let refusals = self.keys.values().filter_map(|owing| owing.refusal.as_ref());
        let mut long = refusals.filter(is_long);
        let first = long.next()?;
        Some((1 + long.count(), &first.why))
    }

    /// Whether the sink is down, and a change is held that may tell whether it is back: then nothing is
    /// to be read. Those that it has not taken may be what is wrong.
    pub(super) fn has_probe(&self, now: Instant) -> bool {
        let is_one = |it: &Owing<T>| {
            it.down_at.is_none() && !it.held.is_empty() && it.not_before.is_none_or(|at| at <= now)
        };
        self.is_down_now() && self.keys.values().any(is_one)
    }

    /// When there is something to take again; none: only when more is offered.
    pub(super) fn ready_at(&self, now: Instant) -> Option<Instant> {
        let keys = self.keys.values().filter(|owing| !owing.is_under_way);
        let first = keys.map(|owing| owing.not_before.unwrap_or(now)).min()?;
        Some(self.down.as_ref().map_or(first, |down| first.max(down.until)))
    }
}

impl<T> Owing<T> {
    fn refused(&mut self, why: String, attempts_max: Option<u32>, now: Instant) -> Settled {
        self.attempts += 1;
        let attempts = self.attempts;
        // One that can't be parked now waits too.
        self.not_before = Some(now + doubled(REFUSED_PAUSE, attempts));
        if attempts_max.is_some_and(|max| attempts >= max) {
            let version = self.held.front().map_or(0, |held| held.version);
            return Settled::Park { version, attempts, why };
        }
        let since = self.refusal.as_ref().map_or(now, |before| before.since);
        self.refusal = Some(Refusal { why, since, is_lasting: attempts_max.is_none() });
        Settled::Later
    }
}

/// Bytes that a key takes in the ledger.
pub(super) fn written_bytes(key: &str) -> usize {
    let escaped = key.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count();
    key.len() + escaped + KEY_OVERHEAD
}

fn doubled((first, longest): (Duration, Duration), attempt: u32) -> Duration {
    let times = 1 << attempt.saturating_sub(1).min(20);
    first.saturating_mul(times).min(longest)
}

#[cfg(test)]
mod tests;
