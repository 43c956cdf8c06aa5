//! 429 and its fields, and who is refused by address.

use std::net::SocketAddr;

use axum::body::Body;
use axum::http::Request;
use contactd::config::{FileText, Mode, Sources, load};
use contactd::http::Api;

use super::client::{Answer, Peer, get, send};
use super::fixture::Fixture;

pub(super) fn configured(fixture: &Fixture, text: &str) -> Api {
    let mut sources = Sources::new(Mode::Dev);
    sources.file = Some(FileText { name: "test.toml".to_owned(), text: text.to_owned() });
    fixture.router_as_configured(&load(&sources).unwrap())
}

/// From an address, as the socket says, and with what a proxy says.
async fn get_from(router: &Api, path: &str, peer: &str, forwarded_for: Option<&str>) -> Answer {
    let peer: SocketAddr = peer.parse().unwrap();
    let mut request = Request::get(path);
    if let Some(client) = forwarded_for {
        request = request.header("x-forwarded-for", client);
    }
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(Peer(peer.ip()));
    send(router, request).await
}

#[tokio::test]
async fn every_answer_of_a_limited_route_says_how_far_the_limit_goes() {
    let fixture = Fixture::with_contacts(1);
    let router = configured(&fixture, "limits.read = \"3/1h\"");
    for (path, status, left) in [
        ("/api/contacts/c000000", 200, 2),
        ("/api/contacts/none", 404, 1),
        ("/api/contacts", 200, 0),
    ] {
        let answer = get(&router, path).await.expect(status);
        assert_eq!(answer.header("ratelimit-policy"), "\"read\";q=3;w=3600");
        let used = (3 - left) * 1200;
        assert_eq!(answer.header("ratelimit"), format!("\"read\";r={left};t={used}"));
    }
    let answer = get(&router, "/api/contacts/c000000").await.expect(429);
    assert_eq!(answer.code(), "RATE_LIMITED");
    assert_eq!(answer.header("retry-after"), "1200");
    assert_eq!(answer.header("ratelimit"), "\"read\";r=0;t=1200");
    assert_eq!(answer.header("cache-control"), "no-store");
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!(message, "too many reads; try again in 1200 s");
    let metrics = String::from_utf8(get(&router, "/metrics").await.expect(200).body).unwrap();
    assert!(metrics.contains("contactd_rate_limited_total{class=\"read\"} 1\n"));
    assert!(metrics.contains("contactd_rate_limited_total{class=\"auth\"} 0\n"));
    assert!(metrics.contains("contactd_rate_limit_backend{backend=\"instance\"} 1\n"));
}

#[tokio::test]
async fn probes_and_unknown_paths_have_no_limit() {
    let fixture = Fixture::with_contacts(1);
    let router = configured(&fixture, "limits.read = \"1/1h\"");
    for _ in 0..5 {
        let answer = get(&router, "/livez").await.expect(200);
        assert!(!answer.headers.contains_key("ratelimit"));
        get(&router, "/api/kontakte").await.expect(404);
    }
}

#[tokio::test]
async fn clients_are_told_apart_by_address_and_only_trusted_proxies_name_them() {
    let fixture = Fixture::with_contacts(1);
    let text = "limits.auth = \"1/1h\"\nserver.trusted_proxies = [\"10.0.0.0/8\"]";
    let router = configured(&fixture, text);
    let try_from = async |peer: &str, forwarded_for: Option<&str>| {
        let mut request = Request::post("/api/auth/login");
        if let Some(client) = forwarded_for {
            request = request.header("x-forwarded-for", client);
        }
        let mut request = request.body(Body::empty()).unwrap();
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(Peer(peer.ip()));
        send(&router, request).await.status.as_u16()
    };
    assert_eq!(try_from("203.0.113.1:9", None).await, 415);
    assert_eq!(try_from("203.0.113.1:10", Some("203.0.113.77")).await, 429);
    assert_eq!(try_from("10.0.0.1:9", Some("203.0.113.1")).await, 429);
    assert_eq!(try_from("10.0.0.1:9", Some("203.0.113.2")).await, 415);
    assert_eq!(try_from("10.0.0.1:9", Some("1.1.1.1, 203.0.113.2")).await, 429);
    assert_eq!(try_from("[2001:db8::1]:9", None).await, 415);
    assert_eq!(try_from("[2001:db8::2]:9", None).await, 429);
}

#[tokio::test]
async fn only_addresses_that_are_named_get_at_the_metrics() {
    let fixture = Fixture::with_contacts(1);
    let text = "allow.metrics = [\"10.0.0.0/8\", \"::1\"]";
    let router = configured(&fixture, text);
    get_from(&router, "/metrics", "10.9.8.7:1", None).await.expect(200);
    get_from(&router, "/metrics", "[::1]:1", None).await.expect(200);
    get_from(&router, "/metrics", "[::ffff:10.9.8.7]:1", None).await.expect(200);
    let answer = get_from(&router, "/metrics", "192.0.2.1:1", Some("10.9.8.7")).await.expect(403);
    assert_eq!(answer.code(), "ADDRESS_NOT_ALLOWED");
    get_from(&router, "/livez", "192.0.2.1:1", None).await.expect(200);
}
