//! What is owed to one subscriber and what comes next, decided without a clock, a disk or a network: times and
//! chance come in.
//!
//! ```text
//! offer (as the journal is read) ─► held, in order ─► take ─► settle
//! ```
//!
//! What holds, whatever is answered:
//! - a message is held until it was settled as done or given up; what is not held was never accepted;
//! - where order is kept no two messages of a key are under way, and none overtakes another;
//! - while the subscriber takes nothing, one message at a time tells whether it is back;
//! - who has not answered for a while gets nothing more until it has, so that those that hang take no
//!   places from the others; who answers gets more at once, step by step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::message::{Message, Place};
use super::schedule::{ATTEMPTS_MAX, DISABLED_AFTER, pause};

/// Messages that are held.
pub(super) const HELD_MAX: usize = 256;
/// Those that alone were refused, among them: with more the subscriber itself is at fault.
const REFUSED_MAX: usize = 64;
/// Deliveries under way at once.
pub(super) const AT_ONCE_MAX: usize = 32;
/// Who has not answered for so long gets nothing more until it has.
const SLOW_AFTER: Duration = Duration::from_millis(250);

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is done.
    Done,
    /// This message is not taken; others may be.
    Refused(String),
    /// Nothing is taken now.
    Down {
        why: String,
        /// When to try again, where it says so.
        after: Option<Duration>,
    },
    /// Nothing will ever be taken there.
    Gone,
}

/// What an outcome comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Done,
    /// It is tried again after a pause.
    Later(Duration),
    /// It was tried too often, and is not any more.
    GivenUp,
    /// The subscription is to be disabled.
    Disable(String),
}

/// A message that is not done.
#[derive(Debug)]
struct Held {
    message: Arc<Message>,
    attempts: u32,
    not_before: Option<Instant>,
    /// Since when it is under way.
    began: Option<Instant>,
    /// Whether it alone was refused.
    is_refused: bool,
    /// How many others were done when it was last answered with the subscriber being down.
    down_at: Option<u64>,
}

/// The subscriber takes nothing.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Down {
    pub(super) why: String,
    pub(super) failures: u32,
    pub(super) since_ms: u64,
    pub(super) until: Instant,
}

/// A message that is to be sent.
#[derive(Clone, Debug)]
pub(super) struct Next {
    pub(super) turn: u64,
    pub(super) message: Arc<Message>,
    pub(super) attempt: u32,
}

/// How a subscriber wants to be told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manner {
    pub(super) ordered: bool,
    /// Between two deliveries.
    pub(super) apart: Duration,
}

/// All that is owed to one subscriber and held.
#[derive(Debug, Default)]
pub(super) struct Channel {
    held: BTreeMap<u64, Held>,
    turns: u64,
    pub(super) bytes: usize,
    pub(super) under_way: usize,
    /// Deliveries that it may have under way; 0: one.
    window: usize,
    pub(super) down: Option<Down>,
    done: u64,
    /// When the next may begin, by its rate.
    next_at: Option<Instant>,
}

impl Channel {
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether more may be offered.
    pub(super) fn has_room(&self) -> bool {
        self.held.len() < HELD_MAX && self.down.is_none() && self.refused() < REFUSED_MAX
    }

    fn refused(&self) -> usize {
        self.held.values().filter(|held| held.is_refused).count()
    }

    /// Where what is held stands, and how often it was tried.
    pub(super) fn places(&self) -> impl Iterator<Item = (Place, u32)> {
        self.held.values().map(|held| (held.message.place, held.attempts))
    }

    pub(super) fn offer(&mut self, message: Arc<Message>, attempts: u32) {
        self.bytes += message.bytes();
        let held = Held {
            message,
            attempts,
            not_before: None,
            began: None,
            is_refused: false,
            down_at: None,
        };
        self.held.insert(self.turns, held);
        self.turns += 1;
    }

    /// The next message, if one may be sent. `is_crowded`: others need the places more than it needs a second.
    pub(super) fn take(&mut self, now: Instant, manner: Manner, is_crowded: bool) -> Option<Next> {
        let most = match &self.down {
            Some(down) if now < down.until => 0,
            Some(_) => 1,
            None if is_crowded => 1,
            None => self.window.max(1),
        };
        let is_paced = self.next_at.is_some_and(|at| now < at);
        if self.under_way >= most || is_paced || self.is_slow(now) {
            return None;
        }
        let turn = self.ready(now, manner.ordered)?;
        let held = self.held.get_mut(&turn)?;
        (held.began, held.attempts) = (Some(now), held.attempts + 1);
        self.under_way += 1;
        self.next_at = Some(now + manner.apart).filter(|_| !manner.apart.is_zero());
        Some(Next { turn, message: Arc::clone(&held.message), attempt: held.attempts })
    }

    fn is_slow(&self, now: Instant) -> bool {
        let mut began = self.held.values().filter_map(|held| held.began);
        self.under_way > 0 && began.any(|began| now.saturating_duration_since(began) >= SLOW_AFTER)
    }

    fn ready(&self, now: Instant, ordered: bool) -> Option<u64> {
        let (mut before, mut found) = (BTreeSet::new(), None);
        for (turn, held) in &self.held {
            let is_first = !ordered || before.insert(held.message.key.as_str());
            let is_due = held.not_before.is_none_or(|at| at <= now);
            if !is_first || !is_due || held.began.is_some() {
                continue;
            }
            // While it is down, those first that have not said so.
            if self.down.is_none() || held.down_at.is_none() {
                return Some(*turn);
            }
            found = found.or(Some(*turn));
        }
        found
    }

    /// What became of a message that was taken.
    pub(super) fn settle(
        &mut self,
        turn: u64,
        outcome: Outcome,
        (now, now_ms): (Instant, u64),
        chance: f64,
    ) -> Settled {
        let Some(held) = self.held.get_mut(&turn).filter(|held| held.began.is_some()) else {
            return Settled::Done;
        };
        let began = held.began.take();
        self.under_way -= 1;
        match outcome {
            Outcome::Done => {
                self.remove(turn);
                (self.down, self.done) = (None, self.done + 1);
                self.window = (self.window.max(1) * 2).min(AT_ONCE_MAX);
                Settled::Done
            }
            Outcome::Gone => Settled::Disable("its address answered 410 Gone".to_owned()),
            Outcome::Refused(_) => {
                self.down = None;
                self.refuse(turn, now, chance)
            }
            Outcome::Down { why, after } => {
                // Others were done since it said so last: it is this message that is not taken.
                if held.down_at.replace(self.done).is_some_and(|at| at < self.done) {
                    return self.refuse(turn, now, chance);
                }
                self.is_down(why, after, began, (now, now_ms), chance)
            }
        }
    }

    fn refuse(&mut self, turn: u64, now: Instant, chance: f64) -> Settled {
        let Some(held) = self.held.get_mut(&turn) else {
            return Settled::Done;
        };
        if held.attempts >= ATTEMPTS_MAX {
            self.remove(turn);
            return Settled::GivenUp;
        }
        let pause = pause(held.attempts, None, chance);
        (held.not_before, held.is_refused) = (Some(now + pause), true);
        Settled::Later(pause)
    }

    fn is_down(
        &mut self,
        why: String,
        after: Option<Duration>,
        began: Option<Instant>,
        (now, now_ms): (Instant, u64),
        chance: f64,
    ) -> Settled {
        self.window = 0;
        let (failures, since_ms) = match &self.down {
            // Others that were sent at the same time say the same.
            Some(down) if now < down.until || began.is_none() => {
                return Settled::Later(down.until.saturating_duration_since(now));
            }
            Some(down) => (down.failures + 1, down.since_ms),
            None => (1, now_ms),
        };
        let failed_for = Duration::from_millis(now_ms.saturating_sub(since_ms));
        if failed_for >= DISABLED_AFTER {
            return Settled::Disable(format!("it has failed for five days: {why}"));
        }
        let pause = pause(failures, after, chance);
        self.down = Some(Down { why, failures, since_ms, until: now + pause });
        Settled::Later(pause)
    }

    /// Lets go of what was never tried, but for one message that tells whether the subscriber is back.
    pub(super) fn shed(&mut self) -> Vec<Place> {
        let untried = self.held.iter().filter(|(_, held)| held.attempts == 0);
        let mut turns: Vec<_> = untried.map(|(turn, held)| (*turn, held.message.place)).collect();
        if self.held.len() == turns.len() && !turns.is_empty() {
            turns.remove(0);
        }
        turns.iter().for_each(|(turn, _)| self.remove(*turn));
        turns.into_iter().map(|(_, place)| place).collect()
    }

    fn remove(&mut self, turn: u64) {
        if let Some(held) = self.held.remove(&turn) {
            self.bytes -= held.message.bytes();
        }
    }

    /// Everything is tried at once, however often it was not taken.
    pub(super) fn try_at_once(&mut self) {
        self.down = None;
        self.held.values_mut().for_each(|held| held.not_before = None);
    }

    /// When there is something to take again; none: only when an answer or more comes.
    pub(super) fn ready_at(&self, now: Instant) -> Option<Instant> {
        let waiting = self.held.values().filter(|held| held.began.is_none());
        let first = waiting.map(|held| held.not_before.unwrap_or(now)).min()?;
        let after = [self.down.as_ref().map(|down| down.until), self.next_at];
        Some(after.into_iter().flatten().fold(first, Instant::max))
    }
}
