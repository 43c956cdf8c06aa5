//! What browsers look for: other origins, compression, and the headers that keep them careful.

use std::io::Read as _;

use axum::http::Method;

use super::client::{Answer, ask, get, get_with};
use super::fixture::Fixture;
use super::limits::configured;

const PAGE: &str = "https://app.example.com";

#[tokio::test]
async fn pages_of_other_origins_are_told_nothing_unless_configured() {
    let fixture = Fixture::with_contacts(1);
    let router = fixture.router();
    let origin = [("origin", PAGE), ("access-control-request-method", "GET")];
    let answer = get_with(&router, "/api/contacts", &origin).await.expect(200);
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
    let answer = ask(&router, Method::OPTIONS, "/api/contacts", &origin).await.expect(204);
    assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control")));
}

#[tokio::test]
async fn a_configured_origin_may_ask_and_read_and_another_may_not() {
    let fixture = Fixture::with_contacts(1);
    let router = configured(&fixture, "server.cors_origins = [\"https://app.example.com\"]");
    let asks =
        |origin: &'static str| [("origin", origin), ("access-control-request-method", "GET")];
    let path = "/api/contacts/c000000";
    let answer = ask(&router, Method::OPTIONS, path, &asks(PAGE)).await.expect(204);
    assert_eq!(answer.header("access-control-allow-origin"), PAGE);
    assert!(answer.header("access-control-allow-methods").contains("GET"));
    assert!(answer.header("access-control-allow-headers").contains("authorization"));
    assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    let answer = ask(&router, Method::OPTIONS, path, &asks("https://evil.example")).await;
    assert!(!answer.headers.contains_key("access-control-allow-methods"));
    for (path, status) in [(path, 200), ("/api/contacts/none", 404), ("/none", 404)] {
        let answer = get_with(&router, path, &[("origin", PAGE)]).await.expect(status);
        assert_eq!(answer.header("access-control-allow-origin"), PAGE, "{path}");
        assert!(answer.header("access-control-expose-headers").contains("etag"));
        assert!(varies_by(&answer, "origin"), "{path}");
        let answer = get_with(&router, path, &[("origin", "https://evil.example")]).await;
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{path}");
        assert!(varies_by(&answer, "origin"), "{path}");
    }
}

#[tokio::test]
async fn a_star_is_for_every_page() {
    let fixture = Fixture::with_contacts(1);
    let router = configured(&fixture, "server.cors_origins = \"*\"");
    let answer = get_with(&router, "/api/contacts", &[("origin", "https://x.y")]).await.expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(!varies_by(&answer, "origin"));
}

fn varies_by(answer: &Answer, name: &str) -> bool {
    answer.headers.get_all("vary").iter().any(|value| value.to_str().unwrap().contains(name))
}

#[tokio::test]
async fn long_answers_are_compressed_for_who_takes_it() {
    let fixture = Fixture::with_contacts(50);
    let router = fixture.router();
    let path = "/api/contacts?limit=40";
    let plain = get(&router, path).await.expect(200);
    assert!(!plain.headers.contains_key("content-encoding"));
    assert!(varies_by(&plain, "accept-encoding"));
    let packed = get_with(&router, path, &[("accept-encoding", "gzip, br")]).await.expect(200);
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert!(varies_by(&packed, "accept-encoding"));
    assert!(packed.body.len() < plain.body.len() / 3, "{} bytes", packed.body.len());
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(packed.body.as_slice()).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
}

#[tokio::test]
async fn short_answers_and_those_with_a_version_stay_as_they_are() {
    let fixture = Fixture::with_contacts(2);
    fixture.create("long", &"Ada ".repeat(1000));
    let router = fixture.router();
    let gzip = [("accept-encoding", "gzip")];
    for path in ["/livez", "/api/contacts/c000000", "/api/contacts/long"] {
        let answer = get_with(&router, path, &gzip).await.expect(200);
        assert!(!answer.headers.contains_key("content-encoding"), "{path}");
    }
    let tag = get(&router, "/api/contacts/long").await.header("etag").to_owned();
    assert!(tag.starts_with('"'), "{tag}");
    let head = ask(&router, Method::HEAD, "/api/contacts?limit=200", &gzip).await.expect(200);
    assert!(head.body.is_empty() && !head.headers.contains_key("content-encoding"));
}

#[tokio::test]
async fn a_compressed_description_has_a_weak_tag_that_is_known_again() {
    let fixture = Fixture::with_contacts(0);
    let router = fixture.router();
    let answer = get_with(&router, "/openapi.json", &[("accept-encoding", "gzip")]).await;
    let tag = answer.expect(200).header("etag").to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    get_with(&router, "/openapi.json", &[("if-none-match", &tag)]).await.expect(304);
}

#[tokio::test]
async fn every_answer_has_what_keeps_browsers_careful() {
    let fixture = Fixture::with_contacts(1);
    let router = fixture.router();
    for (path, status) in [("/api/contacts/c000000", 200), ("/none", 404), ("/metrics", 200)] {
        let answer = get(&router, path).await.expect(status);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        let policy = answer.header("content-security-policy");
        assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'");
        assert!(!answer.headers.contains_key("strict-transport-security"));
    }
}
