//! What one instance revokes the others know, and nothing makes them forget it.

use std::time::{Duration, Instant};

use super::{Instance, eventually};
use crate::support::redis::OwnRedis;

const LIFE: Duration = Duration::from_secs(600);

async fn knows(instance: &Instance, id: &str) {
    eventually("the other instance knows", async || instance.shared.revocations.is_revoked(id))
        .await;
}

#[tokio::test]
async fn the_others_know_within_two_seconds_and_whoever_comes_later_too() {
    let test = "the_others_know_within_two_seconds_and_whoever_comes_later_too";
    let Some(redis) = OwnRedis::start(test) else {
        return;
    };
    let one = Instance::connected(redis.address(), "").await;
    let two = Instance::connected(redis.address(), "").await;
    one.shared.revocations.revoke("first", LIFE).await;
    knows(&two, "first").await;
    let started = Instant::now();
    two.shared.revocations.revoke("second", LIFE).await;
    assert!(two.shared.revocations.is_revoked("second"));
    knows(&one, "second").await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    let three = Instance::connected(redis.address(), "").await;
    knows(&three, "first").await;
    knows(&three, "second").await;
    assert!(!three.shared.revocations.is_revoked("third"));
    let life = redis.ask("PTTL it:revocations");
    assert!(!life.starts_with(":-"), "the stream has an end: {life}");
}

#[tokio::test]
async fn an_emptied_redis_brings_nothing_back_and_goes_on_telling() {
    let test = "an_emptied_redis_brings_nothing_back_and_goes_on_telling";
    let Some(redis) = OwnRedis::start(test) else {
        return;
    };
    let one = Instance::connected(redis.address(), "").await;
    let two = Instance::connected(redis.address(), "").await;
    one.shared.revocations.revoke("before", LIFE).await;
    knows(&two, "before").await;
    redis.flush();
    one.shared.revocations.revoke("after", LIFE).await;
    knows(&two, "after").await;
    assert!(one.shared.revocations.is_revoked("before"));
    assert!(two.shared.revocations.is_revoked("before"));
}

#[tokio::test]
async fn what_is_revoked_while_redis_is_away_is_told_when_it_is_back() {
    let test = "what_is_revoked_while_redis_is_away_is_told_when_it_is_back";
    let Some(mut redis) = OwnRedis::start(test) else {
        return;
    };
    let one = Instance::connected(redis.address(), "").await;
    let two = Instance::connected(redis.address(), "").await;
    redis.stop();
    let started = Instant::now();
    for number in 0..100 {
        one.shared.revocations.revoke(&format!("{number}"), LIFE).await;
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(one.shared.revocations.is_revoked("0"));
    redis.start_again();
    knows(&two, "0").await;
    knows(&two, "99").await;
}

#[tokio::test]
async fn a_paused_redis_holds_up_no_sign_out() {
    let Some(redis) = OwnRedis::start("a_paused_redis_holds_up_no_sign_out") else {
        return;
    };
    let one = Instance::connected(redis.address(), "redis.timeout = \"100ms\"").await;
    redis.pause();
    let started = Instant::now();
    for number in 0..20 {
        one.shared.revocations.revoke(&format!("{number}"), LIFE).await;
        assert!(one.shared.revocations.is_revoked(&format!("{number}")));
    }
    // Three late answers, and it is done without.
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    redis.resume();
    let two = Instance::connected(redis.address(), "redis.timeout = \"100ms\"").await;
    knows(&two, "19").await;
}
