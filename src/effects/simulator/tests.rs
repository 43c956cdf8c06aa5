//! Retries and the ring of what is remembered, without a network.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::header::{HeaderMap, HeaderValue, RETRY_AFTER};

use super::deliver::{Policy, retry_after};
use super::history::{Attempt, Delivery, History, Status, Trigger};
use crate::outbound::Allowed;
use crate::simulate::Manner;

const POLICY: Policy = Policy {
    attempts_max: 5,
    pause: Duration::from_millis(100),
    pause_max: Duration::from_millis(500),
};

#[test]
fn pauses_double_up_to_their_bound_and_are_spread() {
    let pause = |attempt, chance| POLICY.pause(attempt, None, chance).map(|it| it.as_millis());
    assert_eq!([1, 2, 3, 4].map(|attempt| pause(attempt, 1.0).unwrap()), [100, 200, 400, 500]);
    assert_eq!([1, 2, 3, 4].map(|attempt| pause(attempt, 0.0).unwrap()), [50, 100, 200, 250]);
    assert_eq!(pause(5, 1.0), None);
    assert!(POLICY.pause(usize::MAX - 1, None, 1.0).is_none());
}

#[test]
fn what_the_target_asks_for_is_obeyed_within_the_bound() {
    let pause = |asked: u64| POLICY.pause(1, Some(Duration::from_millis(asked)), 1.0).unwrap();
    assert_eq!([0, 300, 10_000].map(|asked| pause(asked).as_millis()), [100, 300, 500]);
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    // Fri, 20 Nov 2026 10:00:00 GMT
    let now = UNIX_EPOCH + Duration::from_secs(1_795_168_800);
    let asked = |text: &'static str, now: SystemTime| {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
        retry_after(&headers, now).map(|asked| asked.as_secs())
    };
    assert_eq!(asked("7", now), Some(7));
    assert_eq!(asked("Fri, 20 Nov 2026 10:00:09 GMT", now), Some(9));
    assert_eq!(asked("Fri, 20 Nov 2026 09:00:00 GMT", now), Some(0));
    for nothing in ["", "soon", "-1", "1.5"] {
        assert_eq!(asked(nothing, now), None, "{nothing}");
    }
}

fn delivery(history: &mut History) -> Delivery {
    let allowed = Allowed { hosts: vec!["*".to_owned()], ..Allowed::default() };
    let target = allowed.target("http://example.com/").unwrap();
    let made = Delivery::new("e", "contact.updated", &target, Manner::AsIs, Trigger::Write, b"{}");
    history.add(made)
}

fn attempt() -> Attempt {
    Attempt {
        at: String::new(),
        status: Some(200),
        latency_ms: 1.0,
        response: None,
        response_is_cut: false,
        error: None,
        retry_in_ms: None,
    }
}

#[test]
fn the_newest_are_remembered_and_pages_neither_skip_nor_repeat() {
    let mut history = History::new(5);
    let made: Vec<Delivery> = (0..8).map(|_| delivery(&mut history)).collect();
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = history.page(2, before);
        assert_eq!(page.total, 5);
        seen.extend(page.deliveries.into_iter().map(|one| one.id));
        // What comes meanwhile is before the first page.
        delivery(&mut history);
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    let newest: Vec<String> = made.iter().rev().map(|one| one.id.clone()).collect();
    // The ring moves on under the reader: what it forgets is not shown.
    assert_eq!(seen[..4], newest[..4]);
    assert!(history.by_id(&made[0].id).is_none());
}

#[test]
fn an_attempt_of_what_is_forgotten_is_forgotten_too() {
    let mut history = History::new(2);
    let first = delivery(&mut history);
    let second = delivery(&mut history);
    delivery(&mut history);
    history.note(first.number, Status::Delivered, attempt());
    history.note(second.number, Status::Delivered, attempt());
    let second = history.by_id(&second.id).unwrap();
    assert_eq!((second.status, second.attempts.len()), (Status::Delivered, 1));
    assert!(history.page(10, None).deliveries[0].attempts.is_empty());
}
