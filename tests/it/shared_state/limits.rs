//! One limit for several instances.

use std::time::Duration;

use contactd::shared_state::LimitClass;

use super::Instance;
use crate::support::redis::OwnRedis;

#[tokio::test]
async fn two_instances_share_one_limit_to_the_request() {
    let Some(redis) = OwnRedis::start("two_instances_share_one_limit_to_the_request") else {
        return;
    };
    let text = "limits.write = \"20/1h\"";
    let one = Instance::connected(redis.address(), text).await;
    let two = Instance::connected(redis.address(), text).await;
    let mut allowed = 0;
    for _ in 0..30 {
        allowed += one.allowed(LimitClass::Write, "user:ada", 1).await;
        allowed += two.allowed(LimitClass::Write, "user:ada", 1).await;
    }
    assert_eq!(allowed, 20);
    let decision = two.check(LimitClass::Write, "user:ada").await;
    assert_eq!(decision.remaining, 0);
    let due = Duration::from_secs(180);
    assert!(decision.retry_after <= due && decision.retry_after > due / 2, "{decision:?}");
    assert_eq!(two.allowed(LimitClass::Write, "user:bob", 1).await, 1);
    let life: i64 = redis
        .ask("PTTL it:limit:write:user:ada")
        .trim_start_matches(':')
        .split("\r\n")
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=3_600_000).contains(&life), "a key lives no longer than it says anything");
}

#[tokio::test]
async fn a_refused_client_does_not_reach_redis_again_before_its_time() {
    let test = "a_refused_client_does_not_reach_redis_again_before_its_time";
    let Some(redis) = OwnRedis::start(test) else {
        return;
    };
    let one = Instance::connected(redis.address(), "limits.auth = \"2/1h\"").await;
    assert_eq!(one.allowed(LimitClass::Auth, "x", 3).await, 2);
    let before = redis.scripts_run();
    assert_eq!(one.allowed(LimitClass::Auth, "x", 500).await, 0);
    assert_eq!(redis.scripts_run(), before);
}

#[tokio::test]
async fn reads_ask_once_a_lease_and_all_leases_together_are_within_the_limit() {
    let test = "reads_ask_once_a_lease_and_all_leases_together_are_within_the_limit";
    let Some(redis) = OwnRedis::start(test) else {
        return;
    };
    let text = "limits.read = \"1000/1h\"";
    let one = Instance::connected(redis.address(), text).await;
    let two = Instance::connected(redis.address(), text).await;
    let before = redis.scripts_run();
    let first = one.allowed(LimitClass::Read, "user:ada", 500).await;
    assert_eq!(first, 500);
    // 5 % at a time.
    assert_eq!(redis.scripts_run() - before, 10);
    let second = two.allowed(LimitClass::Read, "user:ada", 600).await;
    assert_eq!(second, 500);
    let remaining = one.check(LimitClass::Read, "user:ada").await.remaining;
    assert_eq!(remaining, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_at_once_do_not_take_a_lease_each() {
    let Some(redis) = OwnRedis::start("requests_at_once_do_not_take_a_lease_each") else {
        return;
    };
    let text = "limits.read = \"400/1h\"";
    let one = Instance::connected(redis.address(), text).await;
    let two = Instance::connected(redis.address(), text).await;
    // 32 leases of 20 would be more than there is.
    let checks = (0..32).map(|_| one.check(LimitClass::Read, "user:ada"));
    let decisions = futures_util::future::join_all(checks).await;
    assert!(decisions.iter().all(|decision| decision.is_allowed));
    let others = two.allowed(LimitClass::Read, "user:ada", 400).await;
    assert!(others >= 400 - 32 - 20, "{others} are left for the other");
    let rest = one.allowed(LimitClass::Read, "user:ada", 400).await;
    assert_eq!(32 + others + rest, 400);
}

#[tokio::test]
async fn what_is_given_back_counts_nowhere() {
    let Some(redis) = OwnRedis::start("what_is_given_back_counts_nowhere") else {
        return;
    };
    let text = "limits.auth = \"3/1h\"";
    let one = Instance::connected(redis.address(), text).await;
    let two = Instance::connected(redis.address(), text).await;
    let office = contactd::shared_state::Subject::Principal("office");
    for _ in 0..10 {
        assert!(one.check(LimitClass::Auth, "office").await.is_allowed);
        one.shared.limiter.give_back(LimitClass::Auth, &office).await;
    }
    assert_eq!(two.allowed(LimitClass::Auth, "office", 5).await, 3);
}
