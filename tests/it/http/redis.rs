//! Every route, while Redis is stopped, paused, slow and emptied.

use std::time::{Duration, Instant};

use axum::http::Method;

use super::client::ask;
use super::fixture::Fixture;
use crate::shared_state::{Instance, configured};
use crate::support::redis::OwnRedis;

const PATHS: [&str; 8] = [
    "/api/contacts/c000000",
    "/api/contacts",
    "/api/contacts/c000000/history",
    "/api/stats",
    "/livez",
    "/healthz",
    "/metrics",
    "/",
];

/// Asks every route and method; none may fail or be late because of Redis.
async fn all_answer(router: &contactd::http::Api, when: &str) {
    for path in PATHS {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let asked = Instant::now();
            let answer = ask(router, method.clone(), path, &[]).await;
            let (status, took) = (answer.status, asked.elapsed());
            assert!(!status.is_server_error(), "{when}: {method} {path} is {status}");
            assert!(took < Duration::from_millis(500), "{when}: {method} {path} took {took:?}");
        }
    }
}

#[tokio::test]
async fn no_route_fails_or_waits_whatever_becomes_of_redis() {
    let test = "no_route_fails_or_waits_whatever_becomes_of_redis";
    let Some(mut redis) = OwnRedis::start(test) else {
        return;
    };
    let fixture = Fixture::with_contacts(1);
    let shared = Instance::connected(redis.address(), "redis.timeout = \"50ms\"").await;
    let router = fixture.router_sharing(&configured(redis.address(), ""), &shared.shared);
    all_answer(&router, "up").await;
    redis.flush();
    all_answer(&router, "emptied").await;
    redis.pause();
    all_answer(&router, "paused").await;
    shared.until_shared(false).await;
    all_answer(&router, "given up").await;
    redis.resume();
    shared.until_shared(true).await;
    redis.stop();
    all_answer(&router, "stopped").await;
    redis.start_again();
    shared.until_shared(true).await;
    all_answer(&router, "back").await;
}
