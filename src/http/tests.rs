//! What no route does on purpose: a panic.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::get;

use super::{Api, HttpLimits, HttpState, Readiness, Services};
use crate::telemetry::Metrics;

fn state() -> HttpState {
    let limits = HttpLimits {
        request_timeout: Duration::from_secs(5),
        body_bytes_max: 1024,
        uri_bytes_max: 1024,
        header_bytes_max: 1024,
        requests_max: 8,
        requests_per_principal_max: 1,
        bodies_bytes_max: 1 << 20,
        waiting_reads_max: 8,
        position_wait: Duration::from_secs(1),
    };
    HttpState::new(
        limits,
        Services::default(),
        Arc::new(Metrics::new().unwrap()),
        Arc::new(Readiness::new()),
    )
}

async fn panics() {
    panic!("the key is swordfish");
}

#[tokio::test]
async fn a_panic_is_500_that_says_nothing_of_it() {
    let state = state();
    let api = Api::new(Router::new().route("/livez", get(panics)), state.clone());
    let request = Request::get("/livez").body(Body::empty()).unwrap();
    let response = api.answer(IpAddr::V4(Ipv4Addr::LOCALHOST), request).await;
    assert_eq!(response.status(), 500);
    let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    // A word that no timestamp and no request id can hold by chance.
    assert!(body.contains("INTERNAL_ERROR") && !body.contains("swordfish"), "{body}");
    assert!(!body.contains("the key"), "{body}");
    let metrics = String::from_utf8(state.metrics().render().unwrap()).unwrap();
    assert!(metrics.contains("http_server_active_requests 0\n"));
}

#[test]
fn series_stay_bounded_whatever_is_asked() {
    use super::route_no::RouteNo;
    use axum::http::{Method, StatusCode};
    let state = state();
    for number in 0..2000 {
        let method = Method::from_bytes(format!("M{number}").as_bytes()).unwrap();
        let path = format!("/x/{number}");
        let route = RouteNo::of_path(&path);
        let took = Duration::from_millis(1);
        state.request_metrics().observe(&method, route, StatusCode::NOT_FOUND, took);
    }
    let metrics = String::from_utf8(state.metrics().render().unwrap()).unwrap();
    let series = metrics.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series < 2500, "{series} series");
}
