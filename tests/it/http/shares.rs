//! What clients share: who has its whole part of it is told to come back, and everybody else is served.

use std::convert::Infallible;
use std::future::{Future as _, poll_fn};
use std::net::Ipv4Addr;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Request;
use contactd::auth::Role;
use futures_util::future::maybe_done;
use futures_util::stream::{self, StreamExt as _};

use super::client::{Answer, get_with, send};
use super::fixture::Fixture;
use crate::support::access;

const DEADLINE: Duration = Duration::from_secs(20);

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

/// Nobody applies it, so that it waits.
fn write(_: &Fixture) -> Request<Body> {
    let write = Request::post("/api/contacts").header("content-type", "application/json");
    write.body(Body::from(r#"{"firstName":"Ada"}"#)).unwrap()
}

fn wait(fixture: &Fixture) -> Request<Body> {
    let mut read = get("/api/contacts/c000000");
    let ahead = fixture.position_ahead().encode();
    read.headers_mut().insert("position", ahead.parse().unwrap());
    read
}

fn listen(_: &Fixture) -> Request<Body> {
    let mut feed = get("/api/feed");
    feed.headers_mut().insert("accept", "text/event-stream".parse().unwrap());
    feed
}

fn listen_to_all(_: &Fixture) -> Request<Body> {
    let mut feed = get("/api/feed?snapshot=true");
    feed.headers_mut().insert("accept", "text/event-stream".parse().unwrap());
    feed
}

/// Some of it comes, and then nothing more.
fn write_slowly(_: &Fixture) -> Request<Body> {
    let some = Ok::<_, Infallible>(Bytes::from(vec![b' '; 100 << 10]));
    let body = stream::once(async { some }).chain(stream::pending());
    let write = Request::post("/api/contacts").header("content-type", "application/json");
    write.body(Body::from_stream(body)).unwrap()
}

#[tokio::test]
async fn who_has_its_whole_part_is_refused_and_others_are_served() {
    let (full, other) = (access::key(Role::Editor), access::key(Role::Admin));
    for (pool, count, part, request) in [
        ("requests", 4, 4, write as fn(&Fixture) -> Request<Body>),
        ("waiting_reads", 4, 4, wait),
        ("feed_clients", 4, 4, listen),
        ("feed_snapshots", 1, 1, listen_to_all),
        // The first 8 KiB are not counted.
        ("bodies", 1, 120 << 10, write_slowly),
    ] {
        let fixture = Fixture::with_contacts(1);
        // More than is read ahead for who takes nothing of it.
        (0..12).for_each(|number| fixture.create(&format!("l{number}"), &"x".repeat(40 << 10)));
        let router = fixture.router_with(|limits| {
            (limits.requests_max, limits.requests_per_principal_max) = (32, 4);
            (limits.waiting_reads_max, limits.position_wait) = (32, DEADLINE);
            limits.body_bytes_max = 128 << 10;
        });
        let ask = |key: &str| {
            let mut request = request(&fixture);
            request.headers_mut().insert("x-api-key", key.parse().unwrap());
            router.answer(Ipv4Addr::LOCALHOST.into(), request)
        };
        let mut held: Vec<_> = (0..count).map(|_| Box::pin(maybe_done(ask(&full)))).collect();
        let taken = format!("contactd_pool_taken{{pool=\"{pool}\"}}");
        let filled = poll_fn(|context| {
            for one in &mut held {
                let _ = one.as_mut().poll(context);
            }
            if fixture.metric(&taken) == Some(part) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        });
        tokio::time::timeout(DEADLINE, filled).await.expect("its whole part is taken");

        let refused = ask(&full).await;
        assert_eq!((refused.status().as_u16(), pool), (503, pool));
        assert_eq!(refused.headers()["retry-after"], "1", "{pool}");
        let refusals = format!("contactd_pool_refused_total{{full=\"part\",pool=\"{pool}\"}}");
        // Who waits for a moment is refused at each look.
        let refused = fixture.metric(&refusals);
        assert!(refused.is_some_and(|refused| refused > 0), "{pool}");
        // Others, at the same address too, and then once more.
        let mut others = Box::pin(maybe_done(ask(&other)));
        poll_fn(|context| Poll::Ready(others.as_mut().poll(context).is_ready())).await;
        let read = [("x-api-key", other.as_str())];
        get_with(&router, "/api/contacts/c000000", &read).await.expect(200);
        let all = format!("contactd_pool_refused_total{{full=\"all\",pool=\"{pool}\"}}");
        assert_eq!((fixture.metric(&refusals), fixture.metric(&all)), (refused, Some(0)), "{pool}");
        drop((held, others));
        fixture.until_metric(&taken, 0).await;
        let read = [("x-api-key", full.as_str())];
        get_with(&router, "/api/contacts/c000000", &read).await.expect(200);
    }
}

#[tokio::test]
async fn a_full_part_of_the_requests_says_whose_it_is_and_how_many() {
    let fixture = Fixture::with_contacts(1);
    let router = fixture.router_with(|limits| limits.requests_per_principal_max = 1);
    let (_, refused): (Answer, Answer) =
        tokio::join!(send(&router, write(&fixture)), send(&router, get("/api/stats")));
    let body = refused.expect_error(503, "OVERLOADED").json();
    assert_eq!(body["error"]["details"]["limit"], "requests");
    assert_eq!(body["error"]["details"]["max"], 1);
}
