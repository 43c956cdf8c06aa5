//! Probes, metrics, and the time before the store is open.

use serde_json::json;

use contactd::auth::Role;

use super::client::get;
use super::fixture::Fixture;
use crate::support::client::Client;
use crate::support::instance::Instance;

#[tokio::test]
async fn before_the_store_is_open_it_is_live_not_ready_and_says_how_far_it_is() {
    let fixture = Fixture::not_open();
    let router = fixture.router();
    fixture.readiness().waiting("store", "opening the store: 34 %");
    fixture.readiness().ready("log");
    get(&router, "/livez").await.expect(200);
    let answer = get(&router, "/readyz").await.expect(503);
    assert_eq!(answer.header("retry-after"), "1");
    let store = json!({ "ready": false, "reason": "opening the store: 34 %" });
    assert_eq!(answer.json(), json!({ "status": "not_ready", "parts": { "store": store } }));
    let answer = get(&router, "/readyz?verbose").await.expect(503);
    let parts = json!({ "store": store, "log": { "ready": true } });
    assert_eq!(answer.json(), json!({ "status": "not_ready", "parts": parts }));
    for path in ["/api/contacts/c1", "/api/contacts", "/api/contacts/c1/history", "/api/stats"] {
        let answer = get(&router, path).await.expect(503);
        assert_eq!(answer.code(), "NOT_READY");
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(answer.json()["error"]["message"], "opening the store: 34 %");
    }
    get(&router, "/metrics").await.expect(200);
    get(&router, "/healthz").await.expect(200);
}

#[tokio::test]
async fn ready_when_every_part_is() {
    let fixture = Fixture::with_contacts(1);
    let router = fixture.router();
    get(&router, "/readyz").await.expect(503);
    fixture.readiness().ready("store");
    fixture.readiness().check("log", || Err("no broker answers".to_owned()));
    let answer = get(&router, "/readyz").await.expect(503);
    assert_eq!(answer.json()["parts"]["log"]["reason"], "no broker answers");
    assert_eq!(answer.json()["parts"].as_object().unwrap().len(), 1);
    fixture.readiness().check("log", || Ok(()));
    let answer = get(&router, "/readyz").await.expect(200);
    assert_eq!(answer.json()["status"], "ready");
}

#[tokio::test]
async fn health_names_the_build_and_what_is_followed() {
    let fixture = Fixture::with_contacts(1);
    let router = fixture.router();
    let health = get(&router, "/healthz").await.expect(200).json();
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert!(health["commit"].is_string());
    assert_eq!(health["fingerprint"], "000000000000002a");
    assert_eq!(health["log"]["topic"], "contacts");
}

#[tokio::test]
async fn metrics_start_at_zero_and_count_by_route_and_never_by_path() {
    let fixture = Fixture::with_contacts(1);
    let router = fixture.router();
    let text = |answer: super::client::Answer| String::from_utf8(answer.body).unwrap();
    let before = text(get(&router, "/metrics").await.expect(200));
    for line in [
        "contactd_events_applied_total{result=\"applied\"} 0",
        "contactd_events_applied_total{result=\"dead_lettered\"} 0",
        "contactd_dead_letter_total{reason=\"malformed_json\"} 0",
        "contactd_cache_requests_total{result=\"hit\"} 0",
        "contactd_cache_requests_total{result=\"miss\"} 0",
        "contactd_batch_apply_duration_seconds_count{stage=\"journal\"} 0",
        "contactd_http_requests_failed_total{code=\"INTERNAL_ERROR\"} 0",
        "process_open_fds ",
    ] {
        assert!(before.contains(line), "{line} is missing from\n{before}");
    }
    get(&router, "/api/contacts/c000000").await.expect(200);
    get(&router, "/api/contacts/none").await.expect(404);
    get(&router, "/.env").await.expect(404);
    let after = text(get(&router, "/metrics").await.expect(200));
    let count = |status: u16, route: &str| {
        format!(
            "http_server_request_duration_seconds_count{{http_request_method=\"GET\",\
             http_response_status_code=\"{status}\",http_route=\"{route}\"}} 1\n"
        )
    };
    assert!(after.contains(&count(200, "/api/contacts/{id}")));
    assert!(after.contains(&count(404, "/api/contacts/{id}")));
    assert!(after.contains(&count(404, "unmatched")));
    assert!(!after.contains(".env") && !after.contains("c000000"));
    assert!(after.contains("http_server_active_requests 1\n"));
}

/// Most of it once were empty buckets of requests that nobody sends.
#[tokio::test]
async fn the_metrics_of_a_fresh_instance_are_small() {
    let instance = Instance::start().await;
    let metrics = instance.client().get("/metrics").await.expect(200).body;
    assert!(metrics.len() <= 60 << 10, "{} bytes", metrics.len());
    let text = String::from_utf8(metrics).unwrap();
    let routes = text.lines().filter(|line| line.starts_with("http_server_request_duration"));
    let others: Vec<&str> = routes.filter(|line| !line.contains("/readyz")).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[tokio::test]
async fn metrics_may_have_an_address_of_their_own() {
    let instance = Instance::builder()
        .with("telemetry.listen", "127.0.0.1:0")
        .with("telemetry.require_role", "true")
        .start()
        .await;
    assert_ne!(instance.metrics_address, instance.address);
    let own = Client::new(instance.metrics_address);
    own.get("/metrics").await.expect_error(401, "AUTHENTICATION_REQUIRED");
    let key = own.clone().with_role(Role::Metrics);
    let text = String::from_utf8(key.get("/metrics").await.expect(200).body).unwrap();
    assert!(text.contains("contactd_pool_max{pool=\"telemetry_connections\"} 64\n"), "{text}");
    for path in ["/livez", "/readyz", "/healthz"] {
        own.get(path).await.expect(200);
    }
    for path in ["/", "/docs", "/api/contacts"] {
        key.get(path).await.expect_error(404, "ROUTE_NOT_FOUND");
    }
    let elsewhere = instance.client().get("/metrics").await.expect_error(404, "ROUTE_NOT_FOUND");
    let message = elsewhere.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("telemetry.listen"), "{message}");
    let index = instance.client().get("/").await.expect(200).json();
    assert!(!index["routes"].as_array().unwrap().contains(&"/metrics".into()), "{index}");
}

#[tokio::test]
async fn stats_and_the_index_are_json() {
    let fixture = Fixture::with_contacts(10);
    let router = fixture.router();
    assert!(get(&router, "/api/stats").await.expect(200).json().is_object());
    let index = get(&router, "/").await.expect(200).json();
    assert!(index["routes"].as_array().unwrap().contains(&"/api/contacts/{id}".into()));
}
