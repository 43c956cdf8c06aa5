//! What the queue promises, whatever is offered, answered and lost.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::domain::position::{Lane, Offset};

fn place(offset: u64) -> Place {
    Place { lane: Lane(0), offset: Offset(offset) }
}

fn picked(key: &str, offset: u64) -> Picked<u64> {
    Picked { key: key.to_owned(), version: offset, bytes: 10, item: offset }
}

fn offer(queue: &mut Queue<u64>, key: &str, offset: u64) {
    queue.offer(picked(key, offset), place(offset), 0);
}

fn keys(taken: &[Next<u64>]) -> Vec<(&str, u64)> {
    taken.iter().map(|next| (next.key.as_str(), *next.item)).collect()
}

fn down() -> Answer {
    Answer::Down { why: "503".to_owned(), after: None }
}

fn refused() -> Answer {
    Answer::Refused("422".to_owned())
}

#[test]
fn a_refused_change_holds_up_its_contact_alone_and_is_parked_after_some_attempts() {
    let (mut queue, start) = (Queue::default(), Instant::now());
    for (offset, key) in ["a", "a", "b"].into_iter().enumerate() {
        offer(&mut queue, key, offset as u64);
    }
    assert_eq!(keys(&queue.take(start, 10)), [("a", 0), ("b", 2)], "one of each contact");
    assert_eq!(queue.settle("a", refused(), Some(3), start), Settled::Later);
    assert_eq!(queue.settle("b", Answer::Delivered, Some(3), start), Settled::Done);
    assert!(queue.take(start, 10).is_empty(), "a pauses");
    let mut now = queue.ready_at(start).unwrap();
    assert!(now > start);
    let minute = Duration::from_secs(60);
    assert_eq!((queue.trouble(), queue.refused_for(minute, now)), (None, None));
    assert_eq!(queue.refused_for(minute, start + minute), Some((1, "422")));
    queue.take(now, 10);
    assert_eq!(queue.settle("a", refused(), Some(3), now), Settled::Later);
    now = queue.ready_at(now).unwrap();
    assert_eq!(queue.take(now, 10)[0].attempt, 3);
    let parked = Settled::Park { version: 0, attempts: 3, why: "422".to_owned() };
    assert_eq!(queue.settle("a", refused(), Some(3), now), parked);
    queue.pass("a");
    assert_eq!(queue.refused_for(minute, start + minute), None);
    assert_eq!(keys(&queue.take(now, 10)), [("a", 1)], "the next one goes on, with new attempts");
}

#[test]
fn a_sink_that_is_down_pauses_all_and_uses_up_no_attempt() {
    let (mut queue, mut now) = (Queue::default(), Instant::now());
    for (offset, key) in ["a", "b", "c"].into_iter().enumerate() {
        offer(&mut queue, key, offset as u64);
    }
    for next in queue.take(now, 10) {
        queue.settle(&next.key, down(), Some(2), now);
    }
    let mut pauses = Vec::new();
    for _ in 0..10 {
        assert!(queue.take(now, 10).is_empty());
        let ready = queue.ready_at(now).unwrap();
        pauses.push((ready - now).as_secs());
        now = ready;
        let probe = queue.take(now, 10);
        assert_eq!((probe.len(), probe[0].attempt), (1, 1), "one asks whether it is back");
        queue.settle(&probe[0].key, down(), Some(2), now);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
    now = queue.ready_at(now).unwrap();
    let probe = queue.take(now, 10);
    queue.settle(&probe[0].key, Answer::Delivered, Some(2), now);
    assert_eq!(queue.take(now, 10).len(), 2, "then all go on");
}

#[test]
fn one_change_that_says_that_the_sink_is_down_does_not_stop_the_others() {
    let (mut queue, mut now) = (Queue::default(), Instant::now());
    offer(&mut queue, "a", 0);
    let mut answers = Vec::new();
    for _ in 0..3 {
        assert_eq!(queue.take(now, 10).len(), 1);
        answers.push(queue.settle("a", down(), Some(2), now));
        now = queue.ready_at(now).unwrap();
    }
    assert!(!queue.has_probe(now), "more is read, though the sink is down");
    assert_eq!(answers, [Settled::Later, Settled::Later, Settled::Later], "nobody knows better");
    offer(&mut queue, "b", 1);
    offer(&mut queue, "c", 2);
    assert!(queue.has_probe(now));
    assert_eq!(keys(&queue.take(now, 10)), [("b", 1)], "another one is asked");
    queue.settle("b", Answer::Delivered, Some(2), now);
    assert_eq!(keys(&queue.take(now, 10)), [("a", 0), ("c", 2)]);
    queue.settle("c", Answer::Delivered, Some(2), now);
    assert_eq!(queue.settle("a", down(), Some(2), now), Settled::Later);
    assert!(!queue.is_down_now(), "it pauses by itself");
    offer(&mut queue, "d", 3);
    assert_eq!(keys(&queue.take(now, 10)), [("d", 3)]);
    queue.settle("d", Answer::Delivered, Some(2), now);
    now = queue.ready_at(now).unwrap();
    queue.take(now, 10);
    let parked = Settled::Park { version: 0, attempts: 2, why: "503".to_owned() };
    assert_eq!(queue.settle("a", down(), Some(2), now), parked);
}

#[test]
fn what_the_sink_asks_for_is_waited_within_bounds() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    offer(&mut queue, "a", 0);
    queue.take(now, 1);
    let answer = Answer::Down { why: "429".to_owned(), after: Some(Duration::from_secs(6)) };
    queue.settle("a", answer, None, now);
    assert_eq!(queue.ready_at(now), Some(now + Duration::from_secs(6)));
}

#[test]
fn keys_and_bytes_are_bounded() {
    let mut queue = Queue::default();
    let mut offered = 0;
    while queue.has_room() {
        offer(&mut queue, &format!("{offered:036}"), offered);
        offered += 1;
    }
    assert!((500..=KEYS_MAX as u64).contains(&offered), "{offered}");
    let mut long = Queue::default();
    let mut offered = 0;
    while long.has_room() {
        offer(&mut long, &format!("{offered:0500}"), offered);
        offered += 1;
    }
    assert!(offered < 100, "{offered} long ones do not fit into one entry");
}

/// A journal, a follower of it that is killed at any time, and what was delivered.
#[derive(Default)]
struct World {
    journal: Vec<String>,
    queue: Queue<u64>,
    read: usize,
    /// As it was written down: position, what waits.
    written: (usize, Vec<(String, Place)>),
    /// Every change that was delivered or parked, by key, in that order.
    done: BTreeMap<String, Vec<u64>>,
    under_way: Vec<(String, u64)>,
}

#[derive(Clone, Debug)]
enum Step {
    Append(u8),
    Read(u8),
    Take(u8),
    Answer(u8),
    Pass(u16),
    Write,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..5u8).prop_map(Step::Append),
        4 => (1..6u8).prop_map(Step::Read),
        4 => (1..4u8).prop_map(Step::Take),
        6 => (0..6u8).prop_map(Step::Answer),
        2 => (1..2_000u16).prop_map(Step::Pass),
        2 => Just(Step::Write),
        1 => Just(Step::Kill),
    ]
}

impl World {
    fn read(&mut self, count: usize, now: Instant) {
        let wanted = self.queue.to_read_again(now);
        let again = self.journal.iter().enumerate().take(self.read).filter(|(offset, key)| {
            wanted.get(*key).is_some_and(|first| place(*offset as u64) >= *first)
        });
        let found =
            again.map(|(offset, key)| (picked(key, offset as u64), place(offset as u64), 0));
        // Sometimes not all of it is read in one go.
        let end = if count.is_multiple_of(3) { self.read / 2 } else { self.read } as u64;
        let found = found.filter(|(_, at, _)| at.offset.0 < end).collect();
        let cut = wanted.iter().filter(|_| end < self.read as u64);
        let cut = cut.map(|(key, first)| (key.clone(), place(end).max(*first))).collect();
        self.queue.read_again(&wanted, found, &cut);
        for _ in 0..count {
            let Some(key) = self.journal.get(self.read).filter(|_| self.queue.has_room()) else {
                return;
            };
            offer(&mut self.queue, key, self.read as u64);
            self.read += 1;
        }
    }

    fn take(&mut self, max: usize, now: Instant) {
        for next in self.queue.take(now, max) {
            assert!(
                self.under_way.iter().all(|(key, _)| *key != next.key),
                "two of {} are under way",
                next.key
            );
            self.under_way.push((next.key, *next.item));
        }
    }

    fn answer(&mut self, answer: Answer, now: Instant) {
        let Some((key, offset)) = self.under_way.pop() else {
            return;
        };
        let is_delivered = answer == Answer::Delivered;
        match self.queue.settle(&key, answer, Some(2), now) {
            Settled::Done => assert!(is_delivered),
            Settled::Later => return,
            Settled::Park { .. } => self.queue.pass(&key),
        }
        self.done.entry(key).or_default().push(offset);
    }

    fn kill(&mut self) {
        self.queue = Queue::default();
        self.under_way.clear();
        self.read = self.written.0;
        for (key, place) in &self.written.1 {
            self.queue.owe(key, *place);
        }
    }

    fn step(&mut self, step: &Step, now: &mut Instant) {
        match step {
            // Many of one key, so that more come than are held.
            Step::Append(key) => {
                let times = if *key == 0 { 20 } else { 1 };
                self.journal.extend(std::iter::repeat_n(format!("k{key}"), times));
            }
            Step::Read(count) => self.read(usize::from(*count) * 8, *now),
            Step::Take(max) => self.take((*max).into(), *now),
            Step::Answer(0) => self.answer(refused(), *now),
            Step::Answer(1) => self.answer(down(), *now),
            Step::Answer(_) => self.answer(Answer::Delivered, *now),
            Step::Pass(seconds) => *now += Duration::from_secs((*seconds).into()),
            Step::Write => {
                let owed = self.queue.owed().map(|(key, at)| (key.to_owned(), at));
                self.written = (self.read, owed.collect());
            }
            Step::Kill => self.kill(),
        }
        // What is passed and not owed is done.
        let owed: BTreeMap<&str, Place> = self.queue.owed().collect();
        for (offset, key) in self.journal.iter().enumerate().take(self.read) {
            let is_owed = owed.get(key.as_str()).is_some_and(|at| place(offset as u64) >= *at);
            let is_done = self.done.get(key).is_some_and(|all| all.contains(&(offset as u64)));
            assert!(is_owed || is_done, "{key} at {offset} is neither owed nor done");
        }
    }

    fn finish(&mut self, now: &mut Instant) {
        for _ in 0..100_000 {
            self.read(64, *now);
            self.take(8, *now);
            if self.under_way.is_empty() && self.queue.len() == 0 && self.read == self.journal.len()
            {
                return;
            }
            if self.under_way.is_empty()
                && let Some(ready) = self.queue.ready_at(*now)
            {
                *now = ready.max(*now);
            }
            while !self.under_way.is_empty() {
                self.answer(Answer::Delivered, *now);
            }
        }
        panic!("it never ends: {:?}", self.queue);
    }
}

proptest! {
    #[test]
    fn every_change_is_done_in_its_order_whatever_happens(steps in prop::collection::vec(step(), 1..200)) {
        let (mut world, mut now) = (World::default(), Instant::now());
        for step in &steps {
            world.step(step, &mut now);
        }
        world.finish(&mut now);
        for (key, done) in &world.done {
            let all: BTreeSet<u64> = (0..world.journal.len() as u64)
                .filter(|offset| world.journal[*offset as usize] == *key)
                .collect();
            prop_assert_eq!(&done.iter().copied().collect::<BTreeSet<_>>(), &all);
            // After a kill some come again; what came never comes behind what follows it for the first time.
            let mut greatest = None;
            for offset in done {
                if greatest.is_none_or(|greatest| *offset > greatest) {
                    let next = all.iter().find(|it| greatest.is_none_or(|greatest| **it > greatest));
                    prop_assert_eq!(next, Some(offset), "{} was passed over", key);
                    greatest = Some(*offset);
                }
            }
            prop_assert_eq!(done.last(), all.last(), "the newest comes last");
        }
        prop_assert_eq!(world.queue.bytes, 0);
        prop_assert_eq!((world.queue.held, world.queue.key_bytes), (0, 0));
    }
}
