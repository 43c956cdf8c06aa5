//! Redis stopped, paused, slow: limits go on, nobody waits, it comes back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use contactd::shared_state::LimitClass;

use super::{DEADLINE, Instance, as_written, eventually};
use crate::support::redis::{OwnRedis, SlowProxy};

/// `redis.timeout` in these tests, and what a busy machine may add to it.
const TIMEOUT: Duration = Duration::from_millis(300);
const SLACK: Duration = Duration::from_millis(700);
const TEXT: &str = "redis.timeout = \"300ms\"\nlimits.write = \"1000000/1s\"\nlimits.read = \"1000000/1s\"\n\
                    limits.webhook = \"12/1h\"\nlimits.instances = 3";

/// Checks until Redis is given up; none waits longer than a call to it may take.
async fn until_given_up(instance: &Instance) {
    let started = Instant::now();
    while instance.shared.limiter.is_shared() {
        assert!(started.elapsed() < DEADLINE, "Redis is not given up");
        let asked = Instant::now();
        assert!(instance.check(LimitClass::Write, "user:ada").await.is_allowed);
        let took = asked.elapsed();
        assert!(took < TIMEOUT + SLACK, "a check took {took:?}");
    }
    instance.until_shared(false).await;
}

/// Without Redis a check is a matter of memory.
async fn is_fast(instance: &Instance) {
    let started = Instant::now();
    assert_eq!(instance.allowed(LimitClass::Write, "user:ada", 10_000).await, 10_000);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn stopped_and_started_again() {
    let Some(mut redis) = OwnRedis::start("stopped_and_started_again") else {
        return;
    };
    let instance = Instance::connected(redis.address(), TEXT).await;
    assert_eq!(instance.allowed(LimitClass::Webhook, "before", 20).await, 12);
    redis.stop();
    until_given_up(&instance).await;
    is_fast(&instance).await;
    // A third of the limit each; and who has used up all of it is given nothing anew.
    assert_eq!(instance.allowed(LimitClass::Webhook, "new", 20).await, 4);
    assert_eq!(instance.allowed(LimitClass::Webhook, "before", 20).await, 0);
    redis.start_again();
    instance.until_shared(true).await;
    assert_eq!(instance.allowed(LimitClass::Webhook, "newer", 20).await, 12);
}

#[tokio::test]
async fn paused_with_its_connections_open() {
    let Some(redis) = OwnRedis::start("paused_with_its_connections_open") else {
        return;
    };
    let instance = Instance::connected(redis.address(), TEXT).await;
    redis.pause();
    until_given_up(&instance).await;
    is_fast(&instance).await;
    redis.resume();
    instance.until_shared(true).await;
}

#[tokio::test]
async fn paused_while_nobody_asks() {
    let Some(redis) = OwnRedis::start("paused_while_nobody_asks") else {
        return;
    };
    let instance = Instance::connected(redis.address(), TEXT).await;
    redis.pause();
    instance.until_shared(false).await;
    redis.resume();
    instance.until_shared(true).await;
}

#[tokio::test]
async fn so_slow_that_it_is_of_no_use() {
    let Some(redis) = OwnRedis::start("so_slow_that_it_is_of_no_use") else {
        return;
    };
    let proxy = SlowProxy::before(redis.address()).await;
    let instance = Instance::connected(proxy.address(), TEXT).await;
    proxy.delay(TIMEOUT * 4);
    until_given_up(&instance).await;
    is_fast(&instance).await;
    // It still connects, and is still of no use.
    let tried = proxy.connections();
    eventually("it tries again", async || proxy.connections() > tried + 1).await;
    assert!(!instance.shared.limiter.is_shared());
    proxy.delay(Duration::ZERO);
    instance.until_shared(true).await;
}

#[tokio::test]
async fn slow_within_its_time_it_is_used() {
    let Some(redis) = OwnRedis::start("slow_within_its_time_it_is_used") else {
        return;
    };
    let proxy = SlowProxy::before(redis.address()).await;
    let text = "limits.webhook = \"3/1h\"";
    let instance = Instance::connected(proxy.address(), text).await;
    proxy.delay(Duration::from_millis(20));
    assert_eq!(instance.allowed(LimitClass::Webhook, "x", 5).await, 3);
    assert!(instance.shared.limiter.is_shared());
}

#[tokio::test]
async fn never_there() {
    // A port that nobody listens on.
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let instance = Instance::start(nobody, TEXT);
    is_fast(&instance).await;
    instance.until_shared(false).await;
}

#[tokio::test]
async fn a_wrong_password_is_an_outage() {
    let Some(redis) = OwnRedis::start("a_wrong_password_is_an_outage") else {
        return;
    };
    assert!(redis.ask("CONFIG SET requirepass right").contains("OK"));
    let port = redis.address().port();
    let with = |password: &str| {
        let redis = format!("redis.host = \"127.0.0.1\"\nredis.port = {port}");
        Instance::start_with(&as_written(&format!(
            "{redis}\nredis.password = {password:?}\n{TEXT}"
        )))
    };
    let wrong = with("wrong");
    let right = with("right");
    right.until_shared(true).await;
    wrong.until_shared(false).await;
    is_fast(&wrong).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn emptied_again_and_again_under_load() {
    let Some(redis) = OwnRedis::start("emptied_again_and_again_under_load") else {
        return;
    };
    let one = Instance::connected(redis.address(), TEXT).await;
    let two = Instance::connected(redis.address(), TEXT).await;
    let end = Instant::now() + Duration::from_secs(2);
    let load = async |instance: &Instance, class| {
        let mut checks = 0;
        while Instant::now() < end {
            assert!(instance.check(class, "user:ada").await.is_allowed);
            checks += 1;
            // A lease is memory only, and would keep the others from their turn.
            tokio::task::yield_now().await;
        }
        checks
    };
    let flushing = tokio::task::spawn_blocking(move || {
        while Instant::now() < end {
            redis.flush();
        }
        assert!(redis.ask("SCRIPT FLUSH").contains("OK"));
        redis
    });
    let loads = tokio::join!(
        load(&one, LimitClass::Read),
        load(&one, LimitClass::Write),
        load(&two, LimitClass::Read),
        load(&two, LimitClass::Write),
    );
    assert!([loads.0, loads.1, loads.2, loads.3].iter().all(|checks| *checks > 10), "{loads:?}");
    let _redis = flushing.await.unwrap();
    one.until_shared(true).await;
    assert_eq!(one.allowed(LimitClass::Webhook, "x", 6).await, 6);
    assert_eq!(two.allowed(LimitClass::Webhook, "x", 12).await, 6);
}
