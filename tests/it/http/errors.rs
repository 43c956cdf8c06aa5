//! Every way to be refused: status, stable code, format.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use contactd::auth::Role;
use contactd::http::Code;

use super::client::{ask, get, get_with, send};
use super::fixture::Fixture;
use crate::support::access;

#[test]
fn codes_are_stable_upper_case_and_each_its_own() {
    let texts: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(texts.len(), Code::ALL.len());
    let catalogue: Vec<String> = Code::ALL
        .iter()
        .map(|code| format!("{} {} {}", code.status().as_u16(), code.kind(), code.as_str()))
        .collect();
    insta::assert_snapshot!(catalogue.join("\n"));
}

#[tokio::test]
async fn an_unknown_path_is_404_in_our_format() {
    let fixture = Fixture::with_contacts(0);
    let router = fixture.router();
    let answer = get(&router, "/api/kontakte").await.expect(404);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    insta::assert_json_snapshot!(answer.stable_error());
    let answer = get(&router, "/api/contacts/").await.expect(404);
    assert_eq!(answer.code(), "ROUTE_NOT_FOUND");
}

#[tokio::test]
async fn problems_come_to_who_names_their_media_type() {
    let fixture = Fixture::with_contacts(0);
    let router = fixture.router();
    let accept = [("accept", "application/json, application/problem+json")];
    let answer = get_with(&router, "/api/contacts/none", &accept).await.expect(404);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    insta::assert_json_snapshot!(answer.stable_error());
}

#[tokio::test]
async fn a_wrong_method_is_405_with_those_there_are() {
    let fixture = Fixture::with_contacts(0);
    let router = fixture.router();
    for (path, allowed) in [
        ("/api/contacts", "GET,HEAD,POST"),
        ("/api/contacts/c1", "GET,HEAD,PUT,PATCH,DELETE"),
        ("/livez", "GET,HEAD"),
        ("/", "GET,HEAD"),
    ] {
        let answer = ask(&router, Method::TRACE, path, &[]).await.expect(405);
        assert_eq!(answer.header("allow"), allowed);
        assert_eq!(answer.code(), "METHOD_NOT_ALLOWED");
        let answer = ask(&router, Method::OPTIONS, path, &[]).await.expect(204);
        assert_eq!(answer.header("allow"), allowed);
    }
}

#[tokio::test]
async fn a_form_that_there_is_not_is_406() {
    let fixture = Fixture::with_contacts(1);
    let router = fixture.router();
    for path in ["/api/contacts/c000000", "/api/contacts", "/api/stats"] {
        let answer = get_with(&router, path, &[("accept", "text/csv")]).await.expect(406);
        assert_eq!(answer.code(), "NOT_ACCEPTABLE");
        get_with(&router, path, &[("accept", "text/html, */*;q=0.1")]).await.expect(200);
    }
}

#[tokio::test]
async fn parameters_that_there_are_not_are_named() {
    let fixture = Fixture::with_contacts(1);
    let router = fixture.router();
    let answer = get(&router, "/api/contacts?limit=5&lmit=3&Status=x&lmit=4").await.expect(400);
    insta::assert_json_snapshot!(answer.stable_error());
    let answer = get(&router, "/api/contacts?limit=5&limit=6").await.expect(400);
    assert_eq!(answer.code(), "INVALID_PARAMETER");
    for path in ["/api/contacts/c000000?x=1", "/api/stats?x", "/livez?x", "/healthz?x", "/?x"] {
        let answer = get(&router, path).await.expect(400);
        assert_eq!(answer.code(), "UNKNOWN_PARAMETER", "{path}");
    }
    for path in ["/api/contacts?sort=age", "/api/contacts?order=up", "/api/contacts?status=GONE"] {
        let answer = get(&router, path).await.expect(400);
        assert_eq!(answer.code(), "INVALID_PARAMETER", "{path}");
    }
}

#[tokio::test]
async fn too_large_a_body_is_413_announced_or_not() {
    let fixture = Fixture::with_contacts(1);
    let router = fixture.router();
    let announced = Request::post("/api/contacts")
        .header("content-length", (2 << 20).to_string())
        .body(Body::from(vec![b'x'; 2 << 20]));
    let answer = send(&router, announced.unwrap()).await.expect(413);
    assert_eq!(answer.code(), "BODY_TOO_LARGE");
    assert_eq!(answer.header("connection"), "close");
    let chunked = Body::new(Chunks(40));
    let answer = send(&router, Request::post("/api/contacts").body(chunked).unwrap()).await;
    assert_eq!(answer.expect(413).code(), "BODY_TOO_LARGE");
}

/// So many chunks of 64 KiB, of no announced size.
struct Chunks(usize);

impl hyper::body::Body for Chunks {
    type Data = axum::body::Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<axum::body::Bytes>, Infallible>>> {
        let Some(left) = self.0.checked_sub(1) else {
            return Poll::Ready(None);
        };
        self.0 = left;
        Poll::Ready(Some(Ok(hyper::body::Frame::data(vec![b'x'; 64 * 1024].into()))))
    }
}

#[tokio::test]
async fn too_long_a_path_is_414_and_too_many_headers_431() {
    let fixture = Fixture::with_contacts(0);
    let router = fixture.router();
    let path = format!("/api/contacts/{}", "x".repeat(9000));
    assert_eq!(get(&router, &path).await.expect(414).code(), "URI_TOO_LONG");
    let long = "y".repeat(17_000);
    let answer = get_with(&router, "/api/contacts", &[("x-long", &long)]).await.expect(431);
    assert_eq!(answer.code(), "HEADERS_TOO_LARGE");
}

#[tokio::test]
async fn the_clients_request_id_is_echoed_and_a_strange_one_replaced() {
    let fixture = Fixture::with_contacts(1);
    let router = fixture.router();
    for path in ["/api/contacts/c000000", "/none", "/livez"] {
        let answer = get_with(&router, path, &[("x-request-id", "job-17.3")]).await;
        assert_eq!(answer.header("x-request-id"), "job-17.3");
        let answer = get_with(&router, path, &[("x-request-id", "<script>")]).await;
        assert_eq!(answer.header("x-request-id").len(), 36);
    }
}

#[tokio::test]
async fn more_requests_than_allowed_are_503_but_probes_are_answered() {
    let fixture = Fixture::with_contacts(1);
    let router = fixture.router_with(|limits| limits.requests_max = 1);
    // Nobody applies it, so that it waits.
    let write = Request::post("/api/contacts")
        .header("content-type", "application/json")
        .body(Body::from(r#"{"firstName":"Ada"}"#));
    let (first, (second, probe)) = tokio::join!(send(&router, write.unwrap()), async {
        let second = get(&router, "/api/contacts/c000000").await;
        (second, get(&router, "/livez").await)
    });
    assert_eq!(second.code(), "OVERLOADED");
    assert_eq!(second.expect(503).header("retry-after"), "1");
    probe.expect(200);
    first.expect(202);
    get(&router, "/api/contacts/c000000").await.expect(200);
}

#[tokio::test]
async fn a_read_that_waits_takes_no_place_and_nobody_has_all_of_those_that_wait() {
    let fixture = Fixture::with_contacts(1);
    let router = fixture.router_with(|limits| {
        (limits.requests_max, limits.waiting_reads_max) = (1, 8);
        limits.position_wait = Duration::from_secs(60);
    });
    let ahead = fixture.position_ahead().encode();
    let headers = [("position", ahead.as_str())];
    let path = "/api/contacts/c000000";
    let viewer = access::key(Role::Viewer);
    let of_other = [("position", ahead.as_str()), ("x-api-key", viewer.as_str())];
    let waiting = get_with(&router, path, &headers);
    let others = get_with(&router, path, &of_other);
    let (waiting, others, refused) = tokio::join!(waiting, others, async {
        get(&router, path).await.expect(200);
        let refused = get_with(&router, path, &headers).await;
        fixture.rename("c000000", "Later");
        refused
    });
    assert_eq!(refused.expect(503).code(), "OVERLOADED");
    waiting.expect(200);
    others.expect(200);
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_503() {
    let fixture = Fixture::with_contacts(1);
    let router = fixture.router_with(|limits| {
        limits.request_timeout = Duration::from_millis(50);
        limits.position_wait = Duration::from_secs(60);
    });
    let ahead = fixture.position_ahead().encode();
    let answer = get_with(&router, "/api/contacts/c000000", &[("position", &ahead)]).await;
    assert_eq!(answer.expect(503).code(), "TOOK_TOO_LONG");
}
