//! What an ordinary client meets: bodies, heads, streams, the drain.

use axum::body::Bytes;
use axum::http::{Method, StatusCode};
use contactd::auth::Role;
use contactd::http::ConnectionBounds;
use h2::Reason;

use super::super::fixture::Fixture;
use super::{Answer, Client, DEADLINE, Secure, received, request};
use crate::support::access;

const KIB: usize = 1024;

/// A request whose body has begun and does not end.
async fn unfinished(client: &Client, path: &str, key: &str, bytes: usize) -> Held {
    let mut requests = client.requests.clone().ready().await.unwrap();
    let headers = [("x-api-key", key), ("content-type", "application/json")];
    let (response, mut stream) =
        requests.send_request(request(Method::POST, path, &headers), false).unwrap();
    stream.send_data(Bytes::from(vec![b' '; bytes]), false).unwrap();
    Held { response, _stream: stream }
}

struct Held {
    response: h2::client::ResponseFuture,
    _stream: h2::SendStream<Bytes>,
}

impl Held {
    async fn answer(self) -> Answer {
        received(self.response).await.unwrap()
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408_and_holds_up_no_other_request() {
    let fixture = Fixture::with_contacts(1);
    let api = fixture.router_with(|limits| {
        limits.request_timeout = std::time::Duration::from_millis(300);
    });
    let test = "a_body_that_does_not_come_is_408_and_holds_up_no_other_request";
    let Some(secure) = Secure::start(test, api, |_| {}).await else { return };
    let client = secure.client().await;
    let held = unfinished(&client, "/api/contacts", &access::key(Role::Editor), 3).await;
    let key = access::key(Role::Viewer);
    let read = client.get("/api/contacts/c000000", &[("x-api-key", &key)]).await.unwrap();
    assert_eq!(read.status, StatusCode::OK);
    let answer = held.answer().await;
    assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT, "{}", answer.body);
    // One that no route wants is not waited for.
    let unwanted = unfinished(&client, "/livez", "", 3).await.answer().await;
    assert_eq!(unwanted.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(!unwanted.headers.contains_key("connection"));
    assert_eq!(client.get("/livez", &[]).await.unwrap().status, StatusCode::OK);
    secure.served.end().await;
}

#[tokio::test]
async fn the_bodies_of_its_requests_have_one_budget() {
    let fixture = Fixture::with_contacts(1);
    let api = fixture.router_with(|limits| {
        limits.request_timeout = DEADLINE;
        (limits.body_bytes_max, limits.bodies_bytes_max) = (128 * KIB, 1024 * KIB);
    });
    let test = "the_bodies_of_its_requests_have_one_budget";
    let Some(secure) = Secure::start(test, api, |_| {}).await else { return };
    let client = secure.client().await;
    let first = unfinished(&client, "/api/webhooks", "", 40 * KIB).await;
    // Of its growth by doubling, all but what nobody counts.
    fixture.until_metric("contactd_pool_taken{pool=\"bodies_unknown\"}", 56 * KIB).await;
    let second = unfinished(&client, "/api/webhooks", "", 120 * KIB).await.answer().await;
    assert_eq!(second.status, StatusCode::SERVICE_UNAVAILABLE, "{}", second.body);
    assert!(second.body.contains("OVERLOADED"), "{}", second.body);
    // One that says how much it will be is not begun.
    let mut requests = client.requests.clone().ready().await.unwrap();
    let large = request(Method::POST, "/api/webhooks", &[("content-length", "200000")]);
    let (large, sending) = requests.send_request(large, false).unwrap();
    assert_eq!(received(large).await.unwrap().status, StatusCode::PAYLOAD_TOO_LARGE);
    drop((client, requests, first, sending));
    fixture.until_metric("contactd_pool_taken{pool=\"bodies_unknown\"}", 0).await;
    secure.served.end().await;
}

#[tokio::test]
async fn heads_too_large_and_two_hosts_are_refused() {
    let fixture = Fixture::with_contacts(1);
    let test = "heads_too_large_and_two_hosts_are_refused";
    let Some(secure) = Secure::start(test, fixture.router(), |_| {}).await else { return };
    let client = secure.client().await;
    let names: Vec<String> = (0..150).map(|number| format!("x-{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "y")).collect();
    for length in [20 * KIB, 60 * KIB] {
        let long = "y".repeat(length);
        let answer = client.get("/livez", &[("x-long", &long)]).await.unwrap();
        assert_eq!(answer.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "{length}");
    }
    let answer = client.get("/livez", &many).await.unwrap();
    assert_eq!(answer.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let answer = client.get("/livez", &[("host", "other")]).await.unwrap();
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.body);
    let answer = client.get("/livez", &[("host", "127.0.0.1")]).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    secure.served.end().await;
}

#[tokio::test]
async fn streams_beyond_the_part_of_an_address_are_refused_and_may_come_again() {
    let fixture = Fixture::with_contacts(1);
    let api = fixture.router_with(|limits| limits.position_wait = DEADLINE);
    let test = "streams_beyond_the_part_of_an_address_are_refused_and_may_come_again";
    let change = |options: &mut contactd::http::ServeOptions| {
        options.connections = ConnectionBounds { of_address_max: 2, ..options.connections.clone() };
    };
    let Some(secure) = Secure::start(test, api, change).await else { return };
    let client = secure.client().await;
    let (key, ahead) = (access::key(Role::Viewer), fixture.position_ahead().encode());
    let headers = [("x-api-key", key.as_str()), ("position", ahead.as_str())];
    // From now on it is known.
    assert_eq!(
        client.get("/api/contacts/c000000", &headers[..1]).await.unwrap().status,
        StatusCode::OK
    );
    let waiting = || client.get("/api/contacts/c000000", &headers);
    let (first, second, third) = (waiting(), waiting(), waiting());
    let taken = "contactd_pool_taken{pool=\"streams\"}";
    let rest = async {
        fixture.until_metric(taken, 2).await;
        let refused = client.get("/livez", &[]).await.unwrap_err();
        assert_eq!(refused.reason(), Some(Reason::REFUSED_STREAM));
        assert_eq!(
            fixture.metric("contactd_pool_refused_total{full=\"part\",pool=\"streams\"}"),
            Some(1)
        );
        fixture.rename("c000000", "Later");
    };
    let (first, second, third, ()) = tokio::join!(first, second, third, rest);
    for answer in [first, second, third] {
        assert!(answer.unwrap().body.contains("Later"));
    }
    fixture.until_metric(taken, 0).await;
    assert_eq!(client.get("/livez", &[]).await.unwrap().status, StatusCode::OK);
    secure.served.end().await;
}

#[tokio::test]
async fn the_drain_answers_what_is_under_way_and_says_goodbye() {
    let fixture = Fixture::with_contacts(1);
    let api = fixture.router_with(|limits| limits.position_wait = DEADLINE);
    let test = "the_drain_answers_what_is_under_way_and_says_goodbye";
    let Some(secure) = Secure::start(test, api, |_| {}).await else { return };
    let (client, idle) = (secure.client().await, secure.client().await);
    assert_eq!(idle.get("/livez", &[]).await.unwrap().status, StatusCode::OK);
    let (key, ahead) = (access::key(Role::Viewer), fixture.position_ahead().encode());
    let headers = [("x-api-key", key.as_str()), ("position", ahead.as_str())];
    let busy = client.get("/api/contacts/c000000", &headers);
    let ending = async {
        fixture.until_one_waits().await;
        secure.served.shutdown();
        tokio::time::timeout(DEADLINE, idle.ended).await.expect("its end").unwrap().unwrap();
        fixture.rename("c000000", "Later");
    };
    let (busy, ()) = tokio::join!(busy, ending);
    assert!(busy.unwrap().body.contains("Later"));
    tokio::time::timeout(DEADLINE, client.ended).await.expect("its end").unwrap().unwrap();
    secure.served.end().await;
}

#[tokio::test]
async fn who_shows_no_credential_gives_way_to_a_newcomer() {
    let fixture = Fixture::with_contacts(1);
    let test = "who_shows_no_credential_gives_way_to_a_newcomer";
    let change = |options: &mut contactd::http::ServeOptions| options.connections.max = 2;
    let Some(secure) = Secure::start(test, fixture.router(), change).await else { return };
    let (known, silent) = (secure.client().await, secure.client().await);
    let key = access::key(Role::Viewer);
    let ask = async |client: &Client| {
        client
            .get("/api/contacts/c000000", &[("x-api-key", &key)])
            .await
            .map(|answer| answer.status)
    };
    assert_eq!(ask(&known).await.unwrap(), StatusCode::OK);
    assert_eq!(silent.get("/livez", &[]).await.unwrap().status, StatusCode::OK);
    let newcomer = secure.client().await;
    assert_eq!(ask(&newcomer).await.unwrap(), StatusCode::OK);
    let _ = tokio::time::timeout(DEADLINE, silent.ended).await.expect("it gave way");
    assert_eq!(ask(&known).await.unwrap(), StatusCode::OK);
    // All are known now: a probe is answered, and its connection told to end.
    let probe = secure.client().await;
    assert_eq!(probe.get("/livez", &[]).await.unwrap().status, StatusCode::OK);
    tokio::time::timeout(DEADLINE, probe.ended).await.expect("its end").unwrap().unwrap();
    secure.served.end().await;
}
