//! The attempts at commands that a home lane has decided, so that a repeat is known for one.
//!
//! Each append of a command is an attempt: its event id and its stamp. The same attempt may come onto
//! the log more than once (a producer that was not answered, an outbox forwarded again, a record
//! brought home); a client's retry is another attempt under the same event id. A lane keeps the last
//! [`KEPT_MAX`] attempts that came with an `Idempotency-Key` and as many others, for [`KEPT_MS`] of
//! the lane's own time, refused ones too.

use std::collections::{BTreeMap, VecDeque};

use super::position::{NextOffset, Offset};
use super::verdict::Verdict;

/// Attempts of each of the two kinds that a lane keeps.
pub const KEPT_MAX: usize = 65_536;
/// How long an attempt is kept, in ms of the lane's time.
pub const KEPT_MS: i64 = 24 * 60 * 60 * 1000;
/// How far one record moves the lane's time at most, in ms: one clock that is far off forgets nothing.
const STEP_MS_MAX: i64 = 60 * 60 * 1000;
/// Bytes of an attempt's stored form.
pub const ENCODED_BYTES: usize = 58;

/// One attempt, as it was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// [`super::clock::id_hash`] of the command's source and event id.
    pub id_hash: u64,
    /// The command's stamp.
    pub stamp: u64,
    /// Hash of what it asks for.
    pub body_hash: [u8; 16],
    /// What became of it.
    pub verdict: Verdict,
    /// Whether it came with an `Idempotency-Key`.
    pub is_keyed: bool,
    /// The contact's version after it; 0 where there is no contact.
    pub version: u64,
}

impl Attempt {
    /// Whether its wish was done.
    pub fn is_done(&self) -> bool {
        matches!(self.verdict, Verdict::Applied | Verdict::Unchanged)
    }
}

/// What is remembered of a command that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing: it is to be decided.
    Never,
    /// This very attempt was decided, or an earlier one under its event id was done.
    Before(Attempt),
    /// An earlier attempt under its event id was done, and asked for something else.
    AsAnother(Attempt),
    /// It may have been decided, and forgotten since.
    TooOld,
}

/// An attempt in its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneAttempt {
    /// The attempt.
    pub attempt: Attempt,
    /// The lane's time when it was decided, in ms since 1970.
    pub lane_time_ms: i64,
    /// Behind the newest attempt that the lane had forgotten then.
    pub forgotten: NextOffset,
}

impl LaneAttempt {
    /// Its stored form: little endian, in the order of the fields.
    pub fn encode(&self) -> [u8; ENCODED_BYTES] {
        let Attempt { id_hash, stamp, body_hash, verdict, is_keyed, version } = self.attempt;
        let mut bytes = [0; ENCODED_BYTES];
        let mut rest = bytes.as_mut_slice();
        for part in [
            &id_hash.to_le_bytes()[..],
            &stamp.to_le_bytes(),
            &body_hash,
            &[verdict as u8, u8::from(is_keyed)],
            &version.to_le_bytes(),
            &self.lane_time_ms.to_le_bytes(),
            &self.forgotten.0.to_le_bytes(),
        ] {
            // All parts together are as long as the whole.
            let _ = std::io::Write::write_all(&mut rest, part);
        }
        bytes
    }

    /// From its stored form.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; ENCODED_BYTES] = bytes.try_into().ok()?;
        let (id_hash, rest) = bytes.split_first_chunk::<8>()?;
        let (stamp, rest) = rest.split_first_chunk::<8>()?;
        let (body_hash, rest) = rest.split_first_chunk::<16>()?;
        let ([verdict, keyed], rest) = rest.split_first_chunk::<2>()?;
        let (version, rest) = rest.split_first_chunk::<8>()?;
        let (lane_time_ms, rest) = rest.split_first_chunk::<8>()?;
        let attempt = Attempt {
            id_hash: u64::from_le_bytes(*id_hash),
            stamp: u64::from_le_bytes(*stamp),
            body_hash: *body_hash,
            verdict: Verdict::from_u8(*verdict)?,
            is_keyed: *keyed != 0,
            version: u64::from_le_bytes(*version),
        };
        let lane_time_ms = i64::from_le_bytes(*lane_time_ms);
        let forgotten = NextOffset(u64::from_le_bytes(rest.try_into().ok()?));
        Some(Self { attempt, lane_time_ms, forgotten })
    }
}

/// Where an attempt stands, and what finds it again.
#[derive(Clone, Copy, Debug)]
struct Kept {
    offset: Offset,
    id_hash: u64,
    lane_time_ms: i64,
}

/// The attempts that a lane remembers.
#[derive(Clone, Debug, Default)]
pub struct Attempts {
    by_id: BTreeMap<(u64, Offset), LaneAttempt>,
    /// With and without an `Idempotency-Key`, oldest first.
    keyed: VecDeque<Kept>,
    others: VecDeque<Kept>,
    /// The greatest time of a record of ours, each moving it by [`STEP_MS_MAX`] at most.
    lane_time_ms: Option<i64>,
    /// Behind the newest attempt that was forgotten.
    forgotten: NextOffset,
}

impl Attempts {
    /// Attempts that are kept.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// What is known of an attempt that was handed over when `lane_next` was the lane's next offset.
    pub fn look_up(&self, wanted: &Attempt, lane_next: NextOffset) -> Seen {
        let of_id = || self.of_id(wanted.id_hash);
        if let Some((_, done)) = of_id().find(|(_, attempt)| attempt.is_done()) {
            let is_same = done.body_hash == wanted.body_hash;
            return if is_same { Seen::Before(*done) } else { Seen::AsAnother(*done) };
        }
        if let Some((_, same)) = of_id().find(|(_, attempt)| attempt.stamp == wanted.stamp) {
            return Seen::Before(*same);
        }
        if lane_next < self.forgotten { Seen::TooOld } else { Seen::Never }
    }

    /// What was done under an event id, and where.
    pub fn done(&self, id_hash: u64) -> Option<(Offset, Attempt)> {
        self.of_id(id_hash).find(|(_, attempt)| attempt.is_done()).map(|(at, done)| (at, *done))
    }

    /// All of them, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (Offset, &LaneAttempt)> {
        self.by_id.iter().map(|((_, offset), kept)| (*offset, kept))
    }

    fn of_id(&self, id_hash: u64) -> impl Iterator<Item = (Offset, &Attempt)> {
        let range = (id_hash, Offset(0))..=(id_hash, Offset(u64::MAX));
        self.by_id.range(range).map(|((_, offset), kept)| (*offset, &kept.attempt))
    }

    /// Takes a decided attempt in; `record_time_ms` is its record's. What is forgotten for it goes to
    /// `forgotten`. Returns it as it is to be stored.
    pub fn note(
        &mut self,
        offset: Offset,
        attempt: Attempt,
        record_time_ms: i64,
        forgotten: &mut impl FnMut(Offset, LaneAttempt),
    ) -> LaneAttempt {
        let time = self.lane_time_ms.map_or(record_time_ms, |now| {
            now.max(record_time_ms.min(now.saturating_add(STEP_MS_MAX)))
        });
        self.lane_time_ms = Some(time);
        self.make_room(Some(attempt.is_keyed), forgotten);
        let kept = LaneAttempt { attempt, lane_time_ms: time, forgotten: self.forgotten };
        self.put(offset, kept);
        kept
    }

    /// Takes a stored one back in; they come by ascending offset.
    pub fn restore(&mut self, offset: Offset, stored: LaneAttempt) {
        self.put(offset, stored);
        self.lane_time_ms = Some(stored.lane_time_ms);
        self.forgotten = self.forgotten.max(stored.forgotten);
    }

    /// Forgets what the newest one left no room or time for.
    pub fn forget(&mut self, forgotten: &mut impl FnMut(Offset, LaneAttempt)) {
        self.make_room(None, forgotten);
    }

    /// `coming`: whether the one to come has a key.
    fn make_room(&mut self, coming: Option<bool>, forgotten: &mut impl FnMut(Offset, LaneAttempt)) {
        let now = self.lane_time_ms.unwrap_or(i64::MIN);
        for (is_keyed, kept) in [(true, &mut self.keyed), (false, &mut self.others)] {
            while kept.len() + usize::from(coming == Some(is_keyed)) > KEPT_MAX
                || kept.front().is_some_and(|at| at.lane_time_ms.saturating_add(KEPT_MS) < now)
            {
                let Some(oldest) = kept.pop_front() else {
                    break;
                };
                self.forgotten = self.forgotten.max(oldest.offset.next());
                if let Some(attempt) = self.by_id.remove(&(oldest.id_hash, oldest.offset)) {
                    forgotten(oldest.offset, attempt);
                }
            }
        }
    }

    fn put(&mut self, offset: Offset, kept: LaneAttempt) {
        let LaneAttempt { attempt: Attempt { id_hash, is_keyed, .. }, lane_time_ms, .. } = kept;
        self.by_id.insert((id_hash, offset), kept);
        let queue = if is_keyed { &mut self.keyed } else { &mut self.others };
        queue.push_back(Kept { offset, id_hash, lane_time_ms });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = STEP_MS_MAX;

    fn attempt(id: u64, stamp: u64, verdict: Verdict) -> Attempt {
        let is_keyed = id.is_multiple_of(2);
        Attempt { id_hash: id, stamp, body_hash: [1; 16], verdict, is_keyed, version: 7 }
    }

    fn note(lane: &mut Attempts, offset: u64, attempt: Attempt, time: i64) -> Vec<u64> {
        let mut gone = Vec::new();
        lane.note(Offset(offset), attempt, time, &mut |at, _| gone.push(at.0));
        gone
    }

    #[test]
    fn a_repeat_is_known_and_a_refused_command_may_be_tried_anew() {
        let mut lane = Attempts::default();
        let (refused, done) = (attempt(2, 10, Verdict::Conflict), attempt(2, 11, Verdict::Applied));
        assert_eq!(lane.look_up(&refused, NextOffset(0)), Seen::Never);
        note(&mut lane, 0, refused, 0);
        assert_eq!(lane.look_up(&refused, NextOffset(0)), Seen::Before(refused));
        assert_eq!(lane.look_up(&done, NextOffset(0)), Seen::Never);
        note(&mut lane, 1, done, 0);
        // Whatever its stamp: what is done is done.
        for stamp in [10, 11, 12] {
            let again = attempt(2, stamp, Verdict::Duplicate);
            assert_eq!(lane.look_up(&again, NextOffset(0)), Seen::Before(done));
        }
        let other = Attempt { body_hash: [2; 16], ..done };
        assert_eq!(lane.look_up(&other, NextOffset(0)), Seen::AsAnother(done));
    }

    #[test]
    fn each_kind_has_room_of_its_own_and_what_may_be_forgotten_is_too_old() {
        let mut lane = Attempts::default();
        note(&mut lane, 0, attempt(2, 1, Verdict::Applied), 0);
        for offset in 1..=KEPT_MAX as u64 + 1 {
            let gone = note(&mut lane, offset, attempt(2 * offset + 1, 1, Verdict::Applied), 0);
            assert_eq!(gone, if offset > KEPT_MAX as u64 { vec![1] } else { vec![] });
        }
        assert_eq!(lane.len(), KEPT_MAX + 1);
        assert!(lane.done(2).is_some() && lane.done(3).is_none());
        let unknown = attempt(3, 1, Verdict::Duplicate);
        assert_eq!(lane.look_up(&unknown, NextOffset(1)), Seen::TooOld);
        assert_eq!(lane.look_up(&unknown, NextOffset(2)), Seen::Never);
    }

    #[test]
    fn a_day_of_the_lanes_time_is_kept_and_one_wrong_clock_moves_it_by_an_hour() {
        let mut lane = Attempts::default();
        note(&mut lane, 0, attempt(2, 1, Verdict::Applied), 0);
        assert!(note(&mut lane, 1, attempt(4, 1, Verdict::Applied), 1000 * HOUR_MS).is_empty());
        for offset in 2..=24 {
            assert!(note(&mut lane, offset, attempt(4, 1, Verdict::Applied), i64::MAX).is_empty());
        }
        assert_eq!(note(&mut lane, 25, attempt(4, 1, Verdict::Applied), i64::MAX), [0]);
    }

    #[test]
    fn what_is_stored_comes_back_the_same() {
        let (mut lane, mut stored, mut gone) = (Attempts::default(), Vec::new(), Vec::new());
        for offset in 0..KEPT_MAX as u64 + 100 {
            let attempt = attempt(2 * offset, offset, Verdict::Superseded);
            let kept =
                lane.note(Offset(offset), attempt, offset as i64, &mut |at, _| gone.push(at));
            let bytes = kept.encode();
            assert_eq!(LaneAttempt::decode(&bytes), Some(kept));
            assert_eq!(LaneAttempt::decode(&bytes[1..]), None);
            stored.push((Offset(offset), kept));
        }
        let mut back = Attempts::default();
        for (offset, kept) in stored {
            back.restore(offset, kept);
        }
        let mut gone_again = Vec::new();
        back.forget(&mut |at, _| gone_again.push(at));
        assert_eq!((gone_again, back.by_id), (gone, lane.by_id));
        assert_eq!((back.forgotten, back.lane_time_ms), (lane.forgotten, lane.lane_time_ms));
    }
}
