//! What holds for one subscriber, whatever it answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::domain::position::{Lane, NextOffset, Offset, Position};

use super::channel::{Channel, HELD_MAX, Manner, Outcome, Settled};
use super::message::{Message, id_of, place_of};
use super::schedule::{ATTEMPTS_MAX, DISABLED_AFTER};
use super::standing::{Part, Standing, earlier};
use super::subscription::{Content, Filter, Orders, Since, State, Subscription};

fn subscription() -> Subscription {
    Subscription {
        id: "sub_1".to_owned(),
        url: "https://example.com".to_owned(),
        description: String::new(),
        filter: Filter { events: vec!["*".to_owned()], ..Filter::default() },
        send: Content::default(),
        rate: None,
        ordered: false,
        state: State::Active,
        since: Since::default(),
        secrets: Vec::new(),
        from: String::new(),
        created_at_ms: 0,
        created_by: "user:ada".to_owned(),
        orders: Orders::default(),
    }
}

fn message(offset: u64, key: &str) -> Arc<Message> {
    Arc::new(Message::test(&subscription(), 0).about((Lane(0), Offset(offset)), key))
}

fn down() -> Outcome {
    Outcome::Down { why: "it answered 503".to_owned(), after: None }
}

/// A channel with its own time.
struct Told {
    channel: Channel,
    now: Instant,
    ms: u64,
}

impl Told {
    fn new() -> Self {
        Self { channel: Channel::default(), now: Instant::now(), ms: 1_000_000 }
    }

    fn offer(&mut self, offsets: std::ops::Range<u64>) {
        offsets.for_each(|offset| self.channel.offer(message(offset, "ada"), 0));
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.ms += u64::try_from(time.as_millis()).unwrap();
    }

    fn take(&mut self, ordered: bool) -> Option<(u64, u64)> {
        let manner = Manner { ordered, ..Manner::default() };
        let next = self.channel.take(self.now, manner, false)?;
        Some((next.turn, next.message.place.1.0))
    }

    fn settle(&mut self, turn: u64, outcome: Outcome) -> Settled {
        self.channel.settle(turn, outcome, (self.now, self.ms), 0.5)
    }
}

#[test]
fn who_takes_everything_gets_more_at_once_and_who_hangs_gets_no_more() {
    let mut told = Told::new();
    told.offer(0..100);
    let (turn, _) = told.take(false).unwrap();
    assert_eq!(told.take(false), None, "the first one tells whether it takes any");
    told.settle(turn, Outcome::Done);
    let taken: Vec<_> = std::iter::from_fn(|| told.take(false)).collect();
    assert_eq!(taken.len(), 2);
    taken.into_iter().for_each(|(turn, _)| _ = told.settle(turn, Outcome::Done));
    let taken: Vec<_> = std::iter::from_fn(|| told.take(false)).collect();
    assert_eq!(taken.len(), 8);
    told.settle(taken[0].0, Outcome::Done);
    told.pass(Duration::from_millis(250));
    assert_eq!(told.take(false), None, "seven have not been answered for a while");
}

#[test]
fn one_that_is_down_is_tried_by_the_schedule_and_disabled_after_five_days() {
    let mut told = Told::new();
    told.offer(0..3);
    let began = told.ms;
    let mut pauses = Vec::new();
    let why = loop {
        let (turn, _) = told.take(false).expect("it is tried");
        match told.settle(turn, down()) {
            Settled::Later(pause) => {
                assert_eq!(told.take(false), None);
                pauses.push(pause.as_secs());
                told.pass(pause);
            }
            Settled::Disable(why) => break why,
            other => panic!("{other:?}"),
        }
    };
    let hours = |hours: u64| hours * 3_600;
    let first = [5, 300, 1_800, hours(2), hours(5), hours(10), hours(14), hours(20), hours(24)];
    assert_eq!(pauses[..9], first);
    assert!(pauses[9..].iter().all(|pause| *pause == hours(24)), "{pauses:?}");
    assert!(u128::from(told.ms - began) >= DISABLED_AFTER.as_millis());
    assert!(why.contains("five days") && why.contains("503"), "{why}");
}

#[test]
fn a_message_that_alone_is_not_taken_is_given_up_after_ten_attempts() {
    let mut told = Told::new();
    told.offer(0..2);
    for attempt in 1..=ATTEMPTS_MAX {
        let (turn, offset) = told.take(false).unwrap();
        assert_eq!(offset, u64::from(attempt == 2), "attempt {attempt}");
        if offset == 1 {
            told.settle(turn, Outcome::Done);
            told.pass(Duration::from_secs(100 * 3_600));
            let (turn, _) = told.take(false).unwrap();
            told.settle(turn, Outcome::Refused("it answered 422".to_owned()));
        } else {
            let settled = told.settle(turn, Outcome::Refused("it answered 422".to_owned()));
            let is_last = attempt == ATTEMPTS_MAX;
            assert_eq!(settled == Settled::GivenUp, is_last, "attempt {attempt}");
        }
        assert!(told.channel.down.is_none(), "the subscriber is none the worse");
        if attempt > 1 {
            told.pass(Duration::from_secs(100 * 3_600));
        }
    }
    assert_eq!(told.channel.len(), 0);
}

#[test]
fn a_message_that_is_answered_with_an_error_while_others_are_taken_is_at_fault_itself() {
    let mut told = Told::new();
    told.offer(0..2);
    let (bad, _) = told.take(false).unwrap();
    assert!(matches!(told.settle(bad, down()), Settled::Later(_)));
    told.pass(Duration::from_secs(6));
    let (other, offset) = told.take(false).unwrap();
    assert_eq!(offset, 1, "another one tells whether it is back");
    told.settle(other, Outcome::Done);
    let (again, _) = told.take(false).unwrap();
    assert_eq!(again, bad);
    assert!(matches!(told.settle(again, down()), Settled::Later(_)));
    assert!(told.channel.down.is_none());
}

#[test]
fn what_is_shed_was_never_tried_and_one_is_left_to_try() {
    let mut told = Told::new();
    told.offer(0..5);
    let places = told.channel.shed();
    assert_eq!(places.iter().map(|(_, offset)| offset.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let (turn, _) = told.take(false).unwrap();
    told.settle(turn, down());
    assert!(told.channel.shed().is_empty() && told.channel.len() == 1);
}

#[test]
fn a_rate_is_kept() {
    let mut told = Told::new();
    told.offer(0..10);
    let manner = Manner { ordered: false, apart: Duration::from_millis(100) };
    let mut count = 0;
    for _ in 0..50 {
        if let Some(next) = told.channel.take(told.now, manner, false) {
            told.settle(next.turn, Outcome::Done);
            count += 1;
        }
        told.pass(Duration::from_millis(10));
    }
    assert_eq!(count, 5);
}

#[test]
fn an_id_names_one_place_of_one_log() {
    let place = (Lane(3), Offset(17));
    let id = id_of(0xabc, place);
    assert_eq!((place_of(&id, 0xabc), place_of(&id, 0xabd)), (Some(place), None));
    for bad in ["msg_0000000000000abc_3_017", "msg_0000000000000abc_3", "msg_test_1", ""] {
        assert_eq!(place_of(bad, 0xabc), None, "{bad}");
    }
}

fn position(next: &[(u16, u64)]) -> Position {
    let next = next.iter().map(|(lane, next)| (Lane(*lane), NextOffset(*next)));
    Position::of_lanes(7, next.collect())
}

#[test]
fn the_journal_is_kept_for_what_any_of_them_is_owed() {
    let standing = |at: Option<Position>, waiting: &[(u16, u64)]| Standing {
        at: at.map(|at| at.encode()),
        waiting: waiting.iter().map(|(lane, at)| (Lane(*lane), Offset(*at), 2)).collect(),
        ..Standing::default()
    };
    let all = BTreeMap::from([
        ("behind".to_owned(), standing(Some(position(&[(0, 50), (1, 9)])), &[])),
        ("refused".to_owned(), standing(None, &[(1, 4)])),
        ("disabled".to_owned(), standing(Some(position(&[(0, 1), (1, 1)])), &[])),
        ("sound".to_owned(), standing(None, &[])),
    ]);
    let everything = position(&[(0, u64::MAX), (1, u64::MAX)]);
    let part = Part::of(all, &everything, |id| id != "disabled");
    assert_eq!(part.position, Some(position(&[(0, 50), (1, 4)]).encode()));
    assert_eq!(earlier(position(&[(0, 5)]), position(&[(1, 5)])), position(&[]));
    let none = BTreeMap::from([("sound".to_owned(), standing(None, &[]))]);
    assert_eq!(Part::of(none, &everything, |_| true).position, None);
}

#[test]
fn what_is_written_down_fits_a_control_entry_however_much_is_owed() {
    let lanes: Vec<_> = (0..64).map(|lane| (lane, 1 << 40)).collect();
    let standing = |number: u64| {
        let mut standing = Standing { failures: 3, ..Standing::default() };
        standing.at = Some(position(&lanes).encode());
        standing.waiting =
            (0..64).map(|at| (Lane(1), Offset((1 << 40) + at + number), 9)).collect();
        standing.set_why(&"é".repeat(1_000));
        standing
    };
    let all = (0..40).map(|number| (format!("sub_{number:032}"), standing(number)));
    let part = Part::of(all.collect(), &position(&[]), |_| true);
    let bytes = part.encode();
    assert!(bytes.len() <= crate::domain::control::VALUE_BYTES_MAX, "{}", bytes.len());
    let read: Part = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(read.subscriptions.len(), 40);
    let first = read.subscriptions.values().next().unwrap().position().unwrap();
    assert!(first.next_of(Lane(1)).0 <= 1 << 40, "what waits is read again");
}

proptest! {
    /// Whatever is answered: a message is done once, none is lost, and in order none overtakes another.
    #[test]
    fn nothing_is_lost_and_nothing_overtakes(
        ordered in any::<bool>(),
        answers in proptest::collection::vec((0..4_u8, 0..8_usize, 0..60_u64), 1..200),
    ) {
        let mut told = Told::new();
        let (mut offered, mut done): (u64, Vec<u64>) = (0, Vec::new());
        let mut under_way: Vec<(u64, u64)> = Vec::new();
        let key = |offset: u64| ["ada", "bob", "eve"][offset as usize % 3];
        for (answer, which, seconds) in answers {
            while told.channel.has_room() && told.channel.len() < 12 {
                told.channel.offer(message(offered, key(offered)), 0);
                offered += 1;
            }
            under_way.extend(std::iter::from_fn(|| told.take(ordered)));
            prop_assert_eq!(under_way.len(), told.channel.under_way);
            prop_assert!(told.channel.len() <= HELD_MAX);
            if !under_way.is_empty() {
                let (turn, offset) = under_way.remove(which % under_way.len());
                let outcome = match answer {
                    0 => down(),
                    1 => Outcome::Refused("no".to_owned()),
                    _ => Outcome::Done,
                };
                let settled = told.settle(turn, outcome);
                if matches!(settled, Settled::Done | Settled::GivenUp) {
                    prop_assert!(!done.contains(&offset));
                    let earlier = done.iter().filter(|at| key(**at) == key(offset));
                    prop_assert!(!ordered || earlier.max().is_none_or(|at| *at < offset));
                    done.push(offset);
                }
            }
            told.pass(Duration::from_secs(seconds));
        }
        let mut all: Vec<u64> = told.channel.places().map(|((_, at), _)| at.0).collect();
        all.extend(&done);
        all.sort_unstable();
        prop_assert_eq!(all, (0..offered).collect::<Vec<_>>());
    }
}
