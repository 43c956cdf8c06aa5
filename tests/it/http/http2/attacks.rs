//! What nobody sends who means well. Whoever does loses the connection or the request; others go on.

use std::time::Duration;

use contactd::auth::Role;
use contactd::http::ServeOptions;

use super::super::fixture::Fixture;
use super::raw::{
    ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS,
    PING, RST_STREAM, RawClient, SETTINGS, frame, get,
};
use super::{DEADLINE, Secure};
use crate::support::access;

const SOON: Duration = Duration::from_millis(100);
/// Long enough to see what waits for it.
const NOT_AT_ONCE: Duration = Duration::from_secs(1);
const WHOLE: u8 = END_STREAM | END_HEADERS;
const INITIAL_WINDOW_SIZE: u16 = 4;

async fn assert_others_go_on(secure: &Secure) {
    let answer = secure.client().await.get("/livez", &[]).await.unwrap();
    assert_eq!(answer.status, 200);
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

#[tokio::test]
async fn who_takes_requests_back_all_the_time_is_sent_away() {
    let fixture = Fixture::with_contacts(1);
    let api = fixture.router_with(|limits| limits.position_wait = DEADLINE);
    let test = "who_takes_requests_back_all_the_time_is_sent_away";
    let Some(secure) = Secure::start(test, api, |_| {}).await else { return };
    let (key, ahead) = (access::key(Role::Viewer), fixture.position_ahead().encode());
    let read = get("/api/contacts/c000000", &[("x-api-key", &key), ("position", &ahead)]);
    // Each is under way when it is taken back, so that none is refused before it begins; it counts as four.
    let mut client = RawClient::connect(&secure, &[]).await;
    let waiting = "contactd_pool_taken{pool=\"waiting_reads\"}";
    for number in 0..26 {
        client.send(&frame(HEADERS, WHOLE, 2 * number + 1, &read)).await.unwrap();
        fixture.until_metric(waiting, 1).await;
        client.send(&reset(2 * number + 1)).await.unwrap();
        fixture.until_metric(waiting, 0).await;
    }
    assert_eq!(client.farewell().await, Some(ENHANCE_YOUR_CALM));
    // All at once.
    let mut client = RawClient::connect(&secure, &[]).await;
    let burst = |number: u32| {
        [frame(HEADERS, WHOLE, 2 * number + 1, &read), reset(2 * number + 1)].concat()
    };
    let _ = client.send(&(0..1000).flat_map(burst).collect::<Vec<u8>>()).await;
    assert_eq!(client.farewell().await, Some(ENHANCE_YOUR_CALM));
    fixture.until_metric(waiting, 0).await;
    assert_others_go_on(&secure).await;
    secure.served.end().await;
}

#[tokio::test]
async fn a_head_without_an_end_is_not_read_for_ever() {
    let fixture = Fixture::with_contacts(1);
    let test = "a_head_without_an_end_is_not_read_for_ever";
    let change = |options: &mut ServeOptions| options.header_timeout = SOON;
    let Some(secure) = Secure::start(test, fixture.router(), change).await else { return };
    let mut client = RawClient::connect(&secure, &[]).await;
    client.send(&frame(HEADERS, END_STREAM, 1, &get("/livez", &[]))).await.unwrap();
    // So few that all of it is read before the end, which else would take the farewell with it.
    let flood = frame(CONTINUATION, 0, 1, &[0, 1, b'x', 1, b'y']).repeat(100);
    client.send(&flood).await.unwrap();
    assert_eq!(client.farewell().await, Some(ENHANCE_YOUR_CALM));
    // And one that just does not come.
    let mut client = RawClient::connect(&secure, &[]).await;
    client.send(&frame(HEADERS, END_STREAM, 1, &get("/livez", &[]))).await.unwrap();
    assert_eq!(client.farewell().await, Some(0));
    assert_others_go_on(&secure).await;
    secure.served.end().await;
}

#[tokio::test]
async fn a_connection_without_requests_is_idle_though_it_pings() {
    let fixture = Fixture::with_contacts(1);
    let test = "a_connection_without_requests_is_idle_though_it_pings";
    let change = |options: &mut ServeOptions| options.header_timeout = SOON;
    let Some(secure) = Secure::start(test, fixture.router(), change).await else { return };
    let mut client = RawClient::connect(&secure, &[]).await;
    client.send(&frame(HEADERS, WHOLE, 1, &get("/livez", &[]))).await.unwrap();
    client.until(DATA).await;
    let pinging = async {
        loop {
            client.send(&frame(PING, 0, 0, &[7; 8])).await.ok()?;
            let frame = client.next().await?;
            if frame.kind == GOAWAY {
                return Some(frame.reason());
            }
        }
    };
    let ended = tokio::time::timeout(DEADLINE, pinging).await.expect("it is told to go");
    assert_eq!(ended, Some(0));
    secure.served.end().await;
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_given_up_and_the_others_are_not() {
    let fixture = Fixture::with_contacts(1);
    let test = "an_answer_that_nobody_takes_is_given_up_and_the_others_are_not";
    let change = |options: &mut ServeOptions| options.write_timeout = NOT_AT_ONCE;
    let Some(secure) = Secure::start(test, fixture.router(), change).await else { return };
    let taken = "contactd_pool_taken{pool=\"streams_unknown\"}";
    // No window at all, and one that is far smaller than the answer.
    for window in [0, 1000] {
        let mut client = RawClient::connect(&secure, &[(INITIAL_WINDOW_SIZE, window)]).await;
        for stream in [1, 3] {
            client.send(&frame(HEADERS, WHOLE, stream, &get("/openapi.json", &[]))).await.unwrap();
        }
        fixture.until_metric(taken, 1).await;
        let given_up = [client.until(RST_STREAM).await, client.until(RST_STREAM).await];
        assert!(given_up.iter().all(|reset| reset.reason() == CANCEL), "{given_up:?}");
        let mut streams = given_up.map(|reset| reset.stream);
        streams.sort_unstable();
        assert_eq!(streams, [1, 3]);
        assert_eq!(client.ping().await.flags, ACK, "the connection goes on");
    }
    fixture.until_metric(taken, 0).await;
    secure.served.end().await;
}

#[tokio::test]
async fn floods_of_what_must_be_answered_end_with_who_does_not_read() {
    let fixture = Fixture::with_contacts(1);
    let test = "floods_of_what_must_be_answered_end_with_who_does_not_read";
    let change = |options: &mut ServeOptions| options.write_timeout = SOON;
    let Some(secure) = Secure::start(test, fixture.router(), change).await else { return };
    for flood in [frame(PING, 0, 0, &[7; 8]), frame(SETTINGS, 0, 0, &[])] {
        let mut client = RawClient::connect(&secure, &[]).await;
        let flood = flood.repeat(10_000);
        while client.send(&flood).await.is_ok() {}
        assert_others_go_on(&secure).await;
    }
    fixture.until_metric("contactd_pool_taken{pool=\"connections\"}", 0).await;
    secure.served.end().await;
}
