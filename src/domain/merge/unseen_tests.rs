//! What a contact carries unseen: bounded, and a function of the set of events.

use std::collections::{BTreeMap, BTreeSet};

use super::join::settle_deletes;
use super::*;
use crate::domain::command::{Command, Condition, Intent};
use crate::domain::contact::Status;
use crate::domain::event::{EventKind, Patch};
use crate::domain::position::NextOffset;
use crate::domain::span::Span;

/// Deletes kept in the test of all orders, where 33 would be too many to try.
const FEW: usize = 3;
const UNSEEN_BYTES_MAX: usize = 4 << 10;
/// Unless `CONTACTD_UNSEEN_ROUNDS` says otherwise; `.ci/run --long` has a million.
const ROUNDS: u64 = 30_000;

fn clock(ts_us: u64) -> Clock {
    Clock { ts_us, version: None, hash: 7 }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Created(u64),
    Deleted(u64),
}

/// As joining does with them, one after the other.
fn settled(order: &[Life]) -> (Option<Clock>, Vec<Clock>) {
    let mut state = State::default();
    for life in order {
        match *life {
            Life::Created(at) => state.created = state.created.max(Some(clock(at))),
            Life::Deleted(at) => {
                if Some(clock(at)) > state.reset
                    && let Err(place) = state.deletes.binary_search(&clock(at))
                {
                    state.deletes.insert(place, clock(at));
                }
            }
        }
        settle_deletes(&mut state, FEW);
    }
    (state.reset, state.deletes)
}

/// What the rule says of the sets.
fn said(order: &[Life]) -> (Option<Clock>, Vec<Clock>) {
    let (mut deletes, mut created) = (BTreeSet::new(), None);
    for life in order {
        match *life {
            Life::Created(at) => created = created.max(Some(clock(at))),
            Life::Deleted(at) => _ = deletes.insert(clock(at)),
        }
    }
    let last_final = deletes.iter().rev().find(|delete| Some(**delete) < created);
    let floor = last_final.max(deletes.iter().rev().nth(FEW - 1)).copied();
    (floor, deletes.into_iter().filter(|delete| Some(*delete) > floor).collect())
}

/// Every order of what is left, behind what was taken.
fn orders(taken: &mut Vec<Life>, left: &mut Vec<Life>, each: &mut impl FnMut(&[Life])) {
    if left.is_empty() {
        return each(taken);
    }
    for place in 0..left.len() {
        let next = left.remove(place);
        taken.push(next);
        orders(taken, left, each);
        taken.pop();
        left.insert(place, next);
    }
}

#[test]
fn deletes_make_the_same_floor_in_every_order_and_number() {
    let lives = [2, 4, 6, 8, 10].map(Life::Deleted);
    let lives = [&lives[..], &[Life::Created(5), Life::Created(9)]].concat();
    let mut count = 0;
    for again in 0..=lives.len() {
        let mut all = lives.clone();
        // The last round has none twice.
        all.extend(lives.get(again));
        let expected = said(&all);
        orders(&mut Vec::new(), &mut all, &mut |order| {
            count += 1;
            assert_eq!(settled(order), expected, "{order:?}");
        });
    }
    assert_eq!(count, 7 * 40_320 + 5_040);
}

#[test]
fn a_restore_takes_deletes_back_for_good_and_keeps_the_floor() {
    let deleted = |ids: std::ops::Range<u64>| ids.map(Life::Deleted).collect::<Vec<_>>();
    let mut state = State::default();
    (state.reset, state.deletes) = settled(&[deleted(10..14), vec![Life::Created(9)]].concat());
    assert_eq!((state.reset, state.deletes.len()), (Some(clock(11)), 2));
    state.restored = Some(clock(20));
    settle_deletes(&mut state, FEW);
    assert_eq!((state.reset, state.deletes.len()), (Some(clock(11)), 0));
}

/// An event that says nothing.
fn silent(kind: EventKind, at: u64) -> Event {
    Event {
        kind,
        contact_id: Span::default(),
        is_id_given: true,
        event_id: Span::default(),
        source: Span::default(),
        timestamp: Some(at),
        body_hash: None,
        clock: Some(clock(at)),
        id_hash: 7,
        source_version: None,
        fields: [Patch::Absent; 6],
        attributes: Vec::new(),
        external_ids: Vec::new(),
        replaces: false,
        is_notice: false,
        payment: None,
        command: None,
    }
}

/// A contact and what it should be, from rules as plain as can be; no two clocks are equal.
#[derive(Default)]
struct Both {
    body: Option<Vec<u8>>,
    arena: Vec<u8>,
    out: Vec<u8>,
    created: u64,
    deletes: BTreeSet<u64>,
    horizon: u64,
    attributes: BTreeMap<String, (u64, Option<String>)>,
}

impl Both {
    fn event(
        &mut self,
        kind: EventKind,
        at: u64,
        attribute: Option<(&str, Option<&str>)>,
    ) -> Verdict {
        self.arena.clear();
        let mut put = |text: &str| {
            let span = Span::new(self.arena.len(), text.len());
            self.arena.extend_from_slice(text.as_bytes());
            span
        };
        let attributes = attribute.map(|(key, value)| {
            let value = value.map(&mut put);
            (put(key), value.map_or(Patch::Clear, Patch::Set))
        });
        let event = Event { attributes: attributes.into_iter().collect(), ..silent(kind, at) };
        let (body, limits) = (self.body.as_deref(), Limits::default());
        let verdict = merge(body, &event, &self.arena, 0, &limits, &mut self.out).unwrap();
        if !self.out.is_empty() {
            let body = self.body.get_or_insert_default();
            std::mem::swap(body, &mut self.out);
        }
        self.model(kind, at, attribute);
        verdict
    }

    fn model(&mut self, kind: EventKind, at: u64, attribute: Option<(&str, Option<&str>)>) {
        match kind {
            EventKind::Created => self.created = self.created.max(at),
            EventKind::Deleted => _ = self.deletes.insert(at),
            EventKind::Updated
            | EventKind::Restored
            | EventKind::Erased
            | EventKind::PaymentCreated
            | EventKind::PaymentSucceeded
            | EventKind::PaymentFailed
            | EventKind::PaymentRefunded => {}
        }
        // Enough of the greatest to know the floor by.
        while self.deletes.len() > 40 {
            self.deletes.pop_first();
        }
        if let Some((key, value)) = attribute {
            let known = self.attributes.get(key).map(|(at, _)| *at);
            if known.is_some_and(|known| at > known) || known.is_none() && at > self.horizon {
                self.attributes.insert(key.to_owned(), (at, value.map(str::to_owned)));
            }
        }
        let last_final = self.deletes.iter().rev().find(|delete| **delete < self.created);
        let floor = last_final.max(self.deletes.iter().rev().nth(32)).copied().unwrap_or(0);
        self.attributes.retain(|_, (at, _)| *at >= floor);
        loop {
            let cleared = self.attributes.iter().filter(|(_, (_, value))| value.is_none());
            let bytes: usize = cleared.clone().map(|(key, _)| key.len() + 28).sum();
            if cleared.clone().count() <= 64 && bytes <= 2 << 10 {
                break;
            }
            let (oldest, key) = cleared.map(|(key, (at, _))| (*at, key.clone())).min().unwrap();
            self.attributes.remove(&key);
            self.horizon = self.horizon.max(oldest);
        }
    }

    #[track_caller]
    fn compare(&self) {
        let view = ContactView::parse(self.body.as_deref().unwrap()).unwrap();
        let shown: Vec<_> = view.attributes().collect();
        let visible = self.attributes.iter();
        let expected: Vec<_> = visible
            .filter_map(|(key, (_, value))| Some((key.as_str(), value.as_deref()?)))
            .collect();
        assert_eq!(shown, expected);
        let is_dead = self.deletes.last().is_some_and(|last| *last > self.created);
        assert_eq!(view.status() == Status::Deleted, is_dead);
        let clocks = shown.len() * (1 + 25);
        let unseen = view.canonical().len() - view.values().len() - clocks;
        assert!(unseen <= UNSEEN_BYTES_MAX, "{unseen} bytes that nobody sees");
    }
}

#[test]
fn deletes_and_cleared_keys_do_not_grow_a_contact() {
    let mut both = Both::default();
    let mut random = fastrand::Rng::with_seed(20_261_129);
    let rounds = std::env::var("CONTACTD_UNSEEN_ROUNDS").ok();
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().expect("a number"));
    for round in 0..rounds {
        // Late by up to seven places, and never twice the same.
        let at = |step: u64| 8 + 4 * (round ^ random_of(round / 8)) + step;
        match random.u8(..8) {
            0..=2 => _ = both.event(EventKind::Deleted, at(0), None),
            3 if random.u8(..8) == 0 => _ = both.event(EventKind::Created, at(0), None),
            _ => {
                let key = format!("key-{}", random.u32(..200_000));
                let kept = random.u8(..64) == 0;
                both.event(EventKind::Updated, at(0), Some((&key, Some("1"))));
                if !kept {
                    both.event(EventKind::Updated, at(1), Some((&key, None)));
                }
            }
        }
        if round % 997 == 0 {
            both.compare();
        }
    }
    both.compare();
    assert!(both.horizon > 0, "some were forgotten");
}

/// Three bits that are the same for eight rounds.
fn random_of(stretch: u64) -> u64 {
    fastrand::Rng::with_seed(stretch).u64(..8)
}

#[test]
fn what_may_have_been_cleared_and_forgotten_is_stale() {
    let mut both = Both::default();
    for key in 0..200_u64 {
        both.event(EventKind::Updated, 1_000 + key, Some((&format!("key-{key}"), None)));
    }
    let horizon = both.horizon;
    assert!(horizon > 1_000);
    assert_eq!(both.event(EventKind::Updated, horizon, Some(("new", Some("1")))), Verdict::Stale);
    let newer = both.event(EventKind::Updated, 5_000, Some(("new", Some("1"))));
    assert_eq!(newer, Verdict::Applied);
    both.compare();
}

#[test]
fn what_of_a_command_may_have_been_cleared_and_forgotten_is_named() {
    let mut both = Both::default();
    for key in 0..200_u64 {
        both.event(EventKind::Updated, 1_000 + key, Some((&format!("key-{key}"), None)));
    }
    let arena = b"new1Ada";
    let (name, value, ada) = (Span::new(0, 3), Span::new(3, 1), Span::new(4, 3));
    let mut event = silent(EventKind::Updated, both.horizon);
    event.fields[0] = Patch::Set(ada);
    event.attributes = vec![(name, Patch::Set(value))];
    let command = Command {
        intent: Intent::Update,
        condition: Condition::default(),
        clears_attributes: false,
        merges_attributes: false,
        body_hash: [0; 16],
        is_keyed: false,
        lane_next: NextOffset(0),
        survivor: None,
        principal: None,
        request_id: None,
    };
    let times = CommandTimes { record_ms: 0, latest_us: u64::MAX };
    let (body, limits, mut out) = (both.body.as_deref(), Limits::default(), Vec::new());
    let verdict = decide(body, (&event, &command), arena, times, &limits, &mut out);
    assert_eq!(verdict, Ok(Verdict::Applied));
    let after = ContactView::parse(&out).unwrap();
    let named = [("firstName", true), ("new", true), ("gone", false)].into_iter();
    assert_eq!(superseded(named, &after, event.id_hash), ["new"]);
}
