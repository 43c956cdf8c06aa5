//! An instance by itself: no Redis is configured, or it never came.

use std::time::{Duration, Instant};

use crate::config::{LimitsConfig, RateLimit};
use crate::shared_state::limiter::{AtOnce, Decision, Limiter};
use crate::shared_state::subject::{LimitClass, Subject};

fn limiter(read: &str, instances: u64) -> Limiter {
    let read = RateLimit::parse(read);
    assert!(read.is_some());
    let auth = RateLimit::parse("2/1m");
    let (account, sign_in, write, webhook) = (None, None, None, None);
    let config = LimitsConfig { auth, account, sign_in, read, write, webhook, instances };
    Limiter::new(&config, None)
}

#[track_caller]
fn decided(limiter: &Limiter, subject: &Subject<'_>, now: Instant) -> Decision {
    match limiter.at_once(LimitClass::Read, subject, now) {
        AtOnce::Decided(decision) => decision,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_burst_is_allowed_then_one_an_interval() {
    let limiter = limiter("10/10s", 1);
    let ada = Subject::Principal("user:ada");
    let now = Instant::now();
    for left in (0..10).rev() {
        let decision = decided(&limiter, &ada, now);
        assert!(decision.is_allowed);
        assert_eq!(decision.remaining, left);
        assert_eq!(decision.reset, Duration::from_secs(10 - left));
    }
    let decision = decided(&limiter, &ada, now);
    assert!(!decision.is_allowed);
    assert_eq!(decision.retry_after, Duration::from_secs(1));
    assert!(!decided(&limiter, &ada, now + Duration::from_micros(999_999)).is_allowed);
    assert!(decided(&limiter, &ada, now + Duration::from_secs(1)).is_allowed);
    assert!(decided(&limiter, &Subject::Principal("user:bob"), now).is_allowed);
}

#[test]
fn an_instance_alone_allows_its_part() {
    let limiter = limiter("10/10s", 5);
    let now = Instant::now();
    let allowed = |now| decided(&limiter, &Subject::Principal("key:ci"), now).is_allowed;
    assert!(allowed(now) && allowed(now));
    assert!(!allowed(now) && !allowed(now + Duration::from_millis(4999)));
    assert!(allowed(now + Duration::from_secs(5)));
}

#[test]
fn a_class_without_a_limit_is_not_counted() {
    let limiter = limiter("10/10s", 1);
    let subject = Subject::Principal("user:ada");
    let at_once = limiter.at_once(LimitClass::Write, &subject, Instant::now());
    assert!(matches!(at_once, AtOnce::Unlimited));
    assert!(limiter.policy(LimitClass::Write).is_none());
}

#[tokio::test]
async fn what_is_given_back_does_not_count() {
    let limiter = limiter("10/10s", 1);
    let office = Subject::Address([203, 0, 113, 1].into());
    for _ in 0..50 {
        assert!(limiter.check(LimitClass::Auth, &office).await.unwrap().is_allowed);
        limiter.give_back(LimitClass::Auth, &office).await;
    }
    for is_allowed in [true, true, false] {
        let decision = limiter.check(LimitClass::Auth, &office).await.unwrap();
        assert_eq!(decision.is_allowed, is_allowed);
    }
    limiter.give_back(LimitClass::Auth, &office).await;
    assert!(limiter.check(LimitClass::Auth, &office).await.unwrap().is_allowed);
}

/// How long one check takes, printed: `cargo test --release -- --ignored --nocapture a_check_costs`.
#[test]
#[ignore = "a measurement"]
fn a_check_costs() {
    let limiter = limiter("1000000/1s", 1);
    let names: Vec<String> = (0..1000).map(|number| format!("user:{number}")).collect();
    let started = Instant::now();
    let rounds = 2000;
    for _ in 0..rounds {
        for name in &names {
            let decision = decided(&limiter, &Subject::Principal(name), started);
            std::hint::black_box(decision);
        }
    }
    let checks = rounds * names.len() as u32;
    println!("{} ns a check", started.elapsed().as_nanos() / u128::from(checks));
}
