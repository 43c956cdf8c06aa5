//! All subscribers while their follower is this instance's: where each is, and whose turn comes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::domain::position::{CONTROL_LANE, NextOffset, Position};
use crate::effects::follower::Hold;

use super::channel::{Channel, Down, Manner, Next, Outcome, Settled};
use super::message::{Message, Place, before};
use super::roster::Roster;
use super::schedule::PAUSES;
use super::standing::{Part, Standing, WAITING_MAX, part_of};
use super::subscription::{State, Subscription};

/// Bytes of all messages that are held, whoever holds them.
const BYTES_MAX: usize = 64 << 20;
/// Messages that are read ahead for one that is behind.
const AHEAD_MAX: usize = 128;

/// One subscriber.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) revision: u64,
    pub(super) subscription: Arc<Subscription>,
    pub(super) channel: Channel,
    /// All before it was offered, and it is read for again; none: it is where its follower is.
    pub(super) behind: Option<Position>,
    /// What it had seen when it came to where its follower is.
    skip: Position,
    /// Messages that are to be read by their places, and how often they were tried.
    pub(super) again: Vec<(Place, u32)>,
    orders_done: u64,
    pub(super) given_up: u64,
    pub(super) overruns: u64,
    /// Whether it is another than was written down.
    pub(super) is_touched: bool,
    is_ready: bool,
    due: Option<Instant>,
    /// It is about to be disabled.
    pub(super) ends: Option<String>,
}

/// One that is to be read for: who, from where on, and how much it takes.
pub(super) type Behind = (String, Arc<Subscription>, Position, usize);

/// A message on its way.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// Of the tenure.
    pub(super) number: u64,
    pub(super) subscription: Arc<Subscription>,
    pub(super) next: Next,
}

/// All of them.
pub(super) struct Running {
    /// Counts tenures up on this instance.
    pub(super) number: u64,
    pub(super) hold: Hold,
    /// What those where the follower is were offered.
    pub(super) offered: Position,
    pub(super) lines: BTreeMap<String, Line>,
    ready: VecDeque<String>,
    due: BTreeSet<(Instant, String)>,
    pub(super) under_way: usize,
    bytes: usize,
    /// Parts of what is written down that are to be written again, whatever stands in them.
    pub(super) stale: BTreeSet<usize>,
    /// Whether there may be something to be read for one that is behind.
    pub(super) reads: bool,
    /// Of the roster that the lines are of.
    roster: Option<Arc<Roster>>,
}

impl Running {
    pub(super) fn new(number: u64, hold: Hold, from: &Position) -> Self {
        Self {
            number,
            hold,
            offered: from.clone(),
            lines: BTreeMap::new(),
            ready: VecDeque::new(),
            due: BTreeSet::new(),
            under_way: 0,
            bytes: 0,
            stale: BTreeSet::new(),
            reads: true,
            roster: None,
        }
    }

    /// Takes up what the control entries say; `written`: how one stood that is not known yet.
    pub(super) fn refresh(
        &mut self,
        roster: &Arc<Roster>,
        (now, now_ms): (Instant, u64),
        written: impl Fn(&str) -> Option<Standing>,
    ) {
        if self.roster.as_ref().is_some_and(|known| Arc::ptr_eq(known, roster)) {
            return;
        }
        (self.roster, self.reads) = (Some(Arc::clone(roster)), true);
        let gone: Vec<String> =
            self.lines.keys().filter(|id| !roster.all.contains_key(*id)).cloned().collect();
        for id in gone {
            if let Some(line) = self.lines.remove(&id) {
                self.bytes -= line.channel.bytes;
                self.stale.insert(part_of(&id));
            }
        }
        for (id, (revision, subscription)) in &roster.all {
            match self.lines.get_mut(id) {
                Some(line) if line.revision == *revision => continue,
                Some(line) => {
                    let before = line.channel.bytes;
                    line.change(*revision, subscription, &self.offered);
                    self.bytes = self.bytes - before + line.channel.bytes;
                }
                None => {
                    let standing = written(id);
                    let log = self.offered.log;
                    let line = Line::new(subscription, standing, log, (now, now_ms));
                    self.lines.insert(id.clone(), line);
                    if let Some(line) = self.lines.get_mut(id) {
                        line.change(*revision, subscription, &self.offered);
                    }
                }
            }
            self.make_ready(id);
        }
    }

    /// The next message for all that are where the follower is.
    pub(super) fn offer(&mut self, message: &Arc<Message>) {
        let (lane, offset) = message.place;
        let mut taken = Vec::new();
        for (id, line) in &mut self.lines {
            if line.behind.is_some() || !message.is_wanted_by(&line.subscription) {
                continue;
            }
            if line.skip.next_of(lane).0 > offset.0 {
                continue;
            }
            let has_room = self.bytes < BYTES_MAX || line.channel.len() == 0;
            if line.is_active() && line.channel.has_room() && has_room {
                line.channel.offer(Arc::clone(message), 0);
                self.bytes += message.bytes();
                taken.push(id.clone());
            } else {
                line.behind = Some(before(self.offered.clone(), [message.place].into_iter()));
                (line.is_touched, self.reads) = (true, true);
            }
        }
        self.offered.advance_to([(lane, offset.next())]);
        taken.iter().for_each(|id| self.make_ready(id));
    }

    /// Messages that were read for one.
    pub(super) fn give(&mut self, id: &str, messages: Vec<(Arc<Message>, u32)>) {
        let Some(line) = self.lines.get_mut(id) else {
            return;
        };
        for (message, attempts) in messages {
            self.bytes += message.bytes();
            line.channel.offer(message, attempts);
        }
        (line.is_touched, self.reads) = (true, true);
        self.make_ready(id);
    }

    /// One that is behind has seen so much now.
    pub(super) fn caught_up_to(&mut self, id: &str, position: Position) {
        let Some(line) = self.lines.get_mut(id) else {
            return;
        };
        (line.is_touched, self.reads) = (true, true);
        if position.covers(&self.offered) {
            (line.skip, line.behind) = (position, None);
        } else {
            line.behind = Some(position);
        }
    }

    fn make_ready(&mut self, id: &str) {
        if let Some(line) = self.lines.get_mut(id)
            && !line.is_ready
            && line.is_active()
        {
            line.is_ready = true;
            self.ready.push_back(id.to_owned());
        }
    }

    /// What is to be sent now, one of each in turn.
    pub(super) fn start(&mut self, now: Instant, under_way_max: usize) -> Vec<Job> {
        while let Some((at, _)) = self.due.first()
            && *at <= now
            && let Some((_, id)) = self.due.pop_first()
        {
            if let Some(line) = self.lines.get_mut(&id) {
                line.due = None;
            }
            self.make_ready(&id);
        }
        let mut jobs = Vec::new();
        while self.under_way < under_way_max
            && let Some(id) = self.ready.pop_front()
        {
            let Some(line) = self.lines.get_mut(&id) else {
                continue;
            };
            line.is_ready = false;
            let is_crowded = self.under_way >= under_way_max / 2;
            let manner = line.manner();
            let is_active = line.is_active();
            let next = is_active.then(|| line.channel.take(now, manner, is_crowded)).flatten();
            let Some(next) = next else {
                let due = line.channel.ready_at(now).filter(|at| *at > now);
                if let Some(before) = std::mem::replace(&mut line.due, due) {
                    self.due.remove(&(before, id.clone()));
                }
                self.due.extend(due.map(|at| (at, id)));
                continue;
            };
            self.under_way += 1;
            let subscription = Arc::clone(&line.subscription);
            jobs.push(Job { number: self.number, subscription, next });
            self.make_ready(&id);
        }
        jobs
    }

    /// When there is something to start, if nothing else happens.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// What became of a message; none: it is nobody's any more.
    pub(super) fn settle(
        &mut self,
        job: &Job,
        outcome: Outcome,
        at: (Instant, u64),
        chance: f64,
    ) -> Option<Settled> {
        self.under_way -= 1;
        let id = &job.subscription.id;
        let line = self.lines.get_mut(id)?;
        let (bytes, was_down) = (line.channel.bytes, line.channel.down.is_some());
        let is_quiet = outcome == Outcome::Done && job.next.attempt == 1 && !was_down;
        let settled = line.channel.settle(job.next.turn, outcome, at, chance);
        line.is_touched |= !is_quiet || line.behind.is_some();
        self.reads |= line.behind.is_some();
        match &settled {
            Settled::Disable(why) => line.ends = Some(why.clone()),
            Settled::GivenUp => line.given_up += 1,
            Settled::Done | Settled::Later(_) => {}
        }
        if line.channel.down.is_some() {
            line.fall_behind(&self.offered);
        }
        self.bytes = self.bytes - bytes + line.channel.bytes;
        self.make_ready(id);
        Some(settled)
    }

    /// Whom to read for next, after one by its id, and how much each takes; nobody: none is behind that takes
    /// more now.
    pub(super) fn behind(&self, after: &str) -> Vec<Behind> {
        let reads = |line: &Line| {
            let takes = line.is_active() && line.again.is_empty() && line.channel.has_room();
            let is_low = line.channel.len() <= AHEAD_MAX / 2;
            let has_room = self.bytes < BYTES_MAX || line.channel.len() == 0;
            line.behind.clone().filter(|_| takes && is_low && has_room)
        };
        let found = self.lines.iter().filter_map(|(id, line)| {
            let room = if self.bytes < BYTES_MAX { AHEAD_MAX } else { 1 };
            Some((id.clone(), Arc::clone(&line.subscription), reads(line)?, room))
        });
        let all: Vec<_> = found.collect();
        let first = all.iter().position(|(id, ..)| id.as_str() > after).unwrap_or(0);
        let Some((_, _, start, _)) = all.get(first) else {
            return Vec::new();
        };
        let start = start.clone();
        let (before, from) = all.split_at(first);
        let joins = from.iter().chain(before).filter(|(_, _, at, _)| at.covers(&start));
        joins.cloned().collect()
    }

    /// One whose messages are to be read by their places.
    pub(super) fn again(&self) -> Option<(String, Vec<(Place, u32)>)> {
        let (id, line) = self.lines.iter().find(|(_, line)| !line.again.is_empty())?;
        Some((id.clone(), line.again.clone()))
    }

    /// They were, and those that the journal still has are given.
    pub(super) fn give_again(
        &mut self,
        id: &str,
        places: &[(Place, u32)],
        messages: Vec<(Arc<Message>, u32)>,
    ) {
        if let Some(line) = self.lines.get_mut(id) {
            line.again.retain(|place| !places.contains(place));
        }
        self.give(id, messages);
    }

    /// Parts of what is written down in which something is another, and before what all is done of what the
    /// follower has read.
    pub(super) fn unwritten(
        &mut self,
        read: &Position,
        (now, now_ms): (Instant, u64),
    ) -> (BTreeMap<usize, Part>, Position) {
        let lines = self.lines.iter_mut();
        let touched = lines
            .filter_map(|(id, line)| std::mem::take(&mut line.is_touched).then(|| part_of(id)));
        let touched: BTreeSet<usize> = touched.chain(std::mem::take(&mut self.stale)).collect();
        let parts = touched.iter().map(|part| (*part, BTreeMap::new()));
        let mut parts: BTreeMap<usize, BTreeMap<String, Standing>> = parts.collect();
        let mut done = read.clone();
        for (id, line) in &self.lines {
            let (standing, owed) = line.standing(now, now_ms);
            if line.behind.is_none() {
                done = before(done, owed.into_iter());
            }
            if let Some(part) = parts.get_mut(&part_of(id)) {
                part.insert(id.clone(), standing);
            }
        }
        let everything = Position {
            next: read.next.keys().map(|lane| (*lane, NextOffset(u64::MAX))).collect(),
            ..read.clone()
        };
        let holds = |id: &str| {
            self.lines.get(id).is_some_and(|line| line.subscription.state != State::Disabled)
        };
        let parts = parts.into_iter().map(|(part, of)| (part, Part::of(of, &everything, holds)));
        (parts.collect(), done)
    }

    /// What was not written down after all.
    pub(super) fn touch(&mut self, parts: impl IntoIterator<Item = usize>) {
        self.stale.extend(parts);
    }

    pub(super) fn is_touched(&self) -> bool {
        let is_one = |line: &Line| line.is_touched || line.ends.is_some();
        !self.stale.is_empty() || self.lines.values().any(is_one)
    }
}

impl Line {
    fn new(
        subscription: &Arc<Subscription>,
        written: Option<Standing>,
        log: u64,
        (now, now_ms): (Instant, u64),
    ) -> Self {
        let mut channel = Channel::default();
        // One that nobody has heard of begins where it was made.
        let is_new = written.is_none();
        let standing = written.unwrap_or_default();
        if standing.failures > 0 {
            let rest = standing.retry_at_ms.unwrap_or(0).saturating_sub(now_ms);
            let rest = Duration::from_millis(rest).min(PAUSES.last().copied().unwrap_or_default());
            channel.down = Some(Down {
                why: standing.why.clone().unwrap_or_default(),
                failures: standing.failures,
                since_ms: standing.since_ms.unwrap_or(now_ms),
                until: now + rest,
            });
        }
        let behind = if is_new { Some(subscription.begins()) } else { standing.position() };
        let waiting = standing.waiting.iter().map(|(lane, at, tried)| ((*lane, *at), *tried));
        Self {
            revision: 0,
            subscription: Arc::clone(subscription),
            channel,
            // What was written down under another log says nothing of this one.
            behind: behind.filter(|position| position.log == log),
            skip: Position::default(),
            again: waiting.collect(),
            orders_done: standing.orders_done,
            given_up: standing.given_up,
            overruns: standing.overruns,
            is_touched: is_new,
            is_ready: false,
            due: None,
            ends: None,
        }
    }

    pub(super) fn is_active(&self) -> bool {
        self.subscription.state == State::Active && self.ends.is_none()
    }

    fn manner(&self) -> Manner {
        let apart = self.subscription.rate.map(|rate| Duration::from_secs(1) / rate.max(1));
        Manner { ordered: self.subscription.ordered, apart: apart.unwrap_or_default() }
    }

    /// Another revision of its entry.
    fn change(&mut self, revision: u64, subscription: &Arc<Subscription>, offered: &Position) {
        let (was, is) = (self.subscription.state, subscription.state);
        let is_same_address = self.subscription.url == subscription.url;
        self.revision = revision;
        self.subscription = Arc::clone(subscription);
        if is != State::Active {
            self.fall_behind(offered);
        }
        if is == State::Active && (was != State::Active || !is_same_address) {
            self.channel.try_at_once();
        }
        if is != State::Active || was != State::Active {
            self.ends = None;
        }
        self.obey(offered);
    }

    /// Does what was ordered and is not done.
    fn obey(&mut self, offered: &Position) {
        let subscription = Arc::clone(&self.subscription);
        let orders = &subscription.orders;
        if orders.number <= self.orders_done {
            return;
        }
        let is_new = |number: u64| number > self.orders_done;
        let resend = orders.resend.iter().filter(|(number, ..)| is_new(*number));
        let again: Vec<_> = resend.map(|(_, lane, offset)| ((*lane, *offset), 0)).collect();
        let since = orders.recover.as_ref().filter(|(number, _)| is_new(*number));
        let since = since.and_then(|(_, text)| Position::decode(text).ok());
        if let Some(since) = since {
            self.fall_behind(offered);
            let mut at = self.behind.take().unwrap_or_else(|| offered.clone());
            // What clients know says nothing of control records.
            for (lane, next) in at.next.iter_mut().filter(|(lane, _)| **lane != CONTROL_LANE) {
                *next = since.next_of(*lane).min(*next);
            }
            self.behind = Some(at);
        }
        self.channel.try_at_once();
        self.again.extend(again);
        (self.orders_done, self.is_touched) = (orders.number, true);
    }

    /// Lets go of what is held and was not tried, which is read again.
    fn fall_behind(&mut self, offered: &Position) {
        let let_go = self.channel.shed();
        let at = self.behind.take().unwrap_or_else(|| offered.clone());
        self.behind = Some(before(at, let_go.into_iter()));
        self.is_touched = true;
    }

    /// How it is written down, and what it owes that is written down nowhere.
    pub(super) fn standing(&self, now: Instant, now_ms: u64) -> (Standing, Vec<Place>) {
        let (mut waiting, mut owed) = (Vec::new(), Vec::new());
        let is_down = self.channel.down.is_some();
        for ((lane, offset), tried) in self.channel.places().chain(self.again.iter().copied()) {
            if waiting.len() < WAITING_MAX && (tried > 1 || is_down && tried > 0) {
                waiting.push((lane, offset, tried));
            } else {
                owed.push((lane, offset));
            }
        }
        let at = self.behind.clone().map(|at| before(at, owed.iter().copied()).encode());
        let mut standing = Standing {
            at,
            waiting,
            orders_done: self.orders_done,
            given_up: self.given_up,
            overruns: self.overruns,
            ..Standing::default()
        };
        if let Some(down) = &self.channel.down {
            standing.failures = down.failures;
            standing.since_ms = Some(down.since_ms);
            let rest = down.until.saturating_duration_since(now).as_millis();
            standing.retry_at_ms = Some(now_ms + u64::try_from(rest).unwrap_or(0));
            standing.set_why(&down.why);
        }
        (standing, owed)
    }
}
