//! What no route does on purpose: a panic.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::get;

use super::edge;
use super::router::{Api, endpoints, router};
use super::services::Optional;
use super::{HttpLimits, HttpState, Readiness, Services};
use crate::telemetry::Metrics;

pub(super) fn state() -> HttpState {
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
    let livez = endpoints(Optional::ALL).filter(|endpoint| endpoint.path == "/livez").collect();
    let route = edge::around(get(panics), &state, "/livez", livez);
    let pools = ["connections", "streams", "streams_unknown"];
    let api = Api::new(Router::new().route("/livez", route), state.clone(), pools);
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

#[tokio::test]
async fn series_stay_bounded_whatever_is_asked() {
    let state = state();
    let api = router(state.clone());
    for number in 0..2000 {
        let method = format!("M{number}");
        let request = Request::builder().method(method.as_str()).uri(format!("/x/{number}"));
        let request = request.body(Body::empty()).unwrap();
        let response = api.answer(IpAddr::V4(Ipv4Addr::LOCALHOST), request).await;
        assert_eq!(response.status(), 404);
    }
    let metrics = String::from_utf8(state.metrics().render().unwrap()).unwrap();
    let series = metrics.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series < 2500, "{series} series");
}
