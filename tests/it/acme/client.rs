//! The client: tokens, patience, and answers that are none.

use std::sync::Arc;
use std::time::Duration;

use contactd::acme::mock::MockOptions;
use contactd::acme::{AcmeClient, AcmeError, Patience};
use contactd::config::Secret;
use contactd::telemetry::AcmeCall;
use contactd::telemetry::Metrics;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use crate::support::acme::{API_KEY, MockAcme};

fn client(acme: &MockAcme, key: &str) -> (AcmeClient, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new().unwrap());
    let timeout = Duration::from_millis(500);
    let client = AcmeClient::new(&acme.url(), Secret::new(key), timeout, metrics.acme.clone());
    (client.unwrap(), metrics)
}

fn logins(acme: &MockAcme) -> u64 {
    acme.stats().requests.get(&AcmeCall::Login).map_or(0, |login| login.values().sum())
}

#[tokio::test]
async fn one_sign_in_serves_all_until_its_token_is_about_to_end() {
    let acme = MockAcme::start_with(MockOptions { token_seconds: 61, ..MockAcme::options() });
    let (client, _) = client(&acme, API_KEY);
    let asked = (0..20).map(|_| client.get("ada", Patience::Once));
    assert!(join_all(asked).await.into_iter().all(|answer| answer == Ok(None)));
    assert_eq!(logins(&acme), 1);
    // A minute before its end it is replaced: after a second.
    tokio::time::sleep_until(Instant::now() + Duration::from_millis(1_100)).await;
    assert_eq!(client.get("ada", Patience::Once).await, Ok(None));
    assert_eq!(logins(&acme), 2);
}

#[tokio::test]
async fn a_token_that_ends_in_mid_flow_is_replaced_once() {
    let acme = MockAcme::start();
    acme.put("ada", json!({ "acme_first_name": "Ada" }));
    let (client, metrics) = client(&acme, API_KEY);
    client.get("ada", Patience::Once).await.unwrap().unwrap();
    acme.mock.revoke_tokens().unwrap();
    let asked = (0..20).map(|_| client.get("ada", Patience::Once));
    assert!(join_all(asked).await.into_iter().all(|answer| answer.unwrap().is_some()));
    assert_eq!(logins(&acme), 2);
    acme.set_faults(json!({ "failRate": 1, "failStatus": 401, "kinds": ["get"] }));
    let refused = client.get("ada", Patience::Once).await.unwrap_err();
    assert_eq!(refused.to_string(), "Acme answered 401 injected");
    assert_eq!(logins(&acme), 3);
    let text = String::from_utf8(metrics.render().unwrap()).unwrap();
    assert!(text.contains("contactd_acme_requests_total{kind=\"login\",result=\"done\"} 3\n"));
}

#[tokio::test]
async fn another_key_lets_nobody_in() {
    let acme = MockAcme::start();
    let (client, _) = client(&acme, "another key");
    let refused = client.get("ada", Patience::Once).await.unwrap_err();
    assert_eq!(refused.to_string(), "Acme answered 401 unauthorized");
    assert!(!refused.blames_request());
}

#[tokio::test]
async fn answers_that_are_none_are_told_apart() {
    let acme = MockAcme::start();
    acme.put("ada", json!({ "acme_first_name": "Ada" }));
    let (client, _) = client(&acme, API_KEY);
    client.get("ada", Patience::Once).await.unwrap();
    acme.set_faults(json!({ "failRate": 1, "failStatus": 200, "html": true }));
    let html = client.get("ada", Patience::Once).await.unwrap_err();
    assert!(matches!(html, AcmeError::NotAcme { status: 200, .. }), "{html}");
    acme.set_faults(json!({ "failRate": 1, "failStatus": 404, "html": true }));
    let elsewhere = client.get("ada", Patience::Once).await.unwrap_err();
    assert!(matches!(elsewhere, AcmeError::NotAcme { status: 404, .. }), "{elsewhere}");
    acme.set_faults(json!({ "failRate": 1, "failStatus": 502, "html": true }));
    let away = client.get("ada", Patience::Once).await.unwrap_err();
    assert_eq!(away.to_string(), "Acme answered 502 -");
    acme.set_faults(json!({ "cutRate": 1 }));
    let half = client.get("ada", Patience::Once).await.unwrap_err();
    assert!(matches!(half, AcmeError::Unreachable(_)), "{half}");
    acme.set_faults(json!({ "noAnswerRate": 1 }));
    let none = client.get("ada", Patience::Once).await.unwrap_err();
    assert_eq!(none, AcmeError::TimedOut { ms: 500 });
}

#[tokio::test]
async fn acme_is_asked_again_when_it_says_so_while_there_is_time() {
    let acme = MockAcme::start();
    let (client, _) = client(&acme, API_KEY);
    client.get("ada", Patience::Once).await.unwrap();
    let limited =
        json!({ "failRate": 1, "failStatus": 429, "retryAfter": 1, "times": 2, "kinds": ["get"] });
    acme.set_faults(limited.clone());
    let until = |seconds| Patience::Until(Instant::now() + Duration::from_secs(seconds));
    assert_eq!(client.get("ada", until(30)).await, Ok(None));
    assert_eq!(acme.stats().requests[&AcmeCall::Get]["429"], 2);
    acme.set_faults(limited);
    let refused = client.get("ada", Patience::Once).await.unwrap_err();
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(1)));
    assert_eq!(client.get("ada", until(0)).await.unwrap_err(), refused);
}
