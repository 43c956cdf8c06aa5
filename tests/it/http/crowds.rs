//! What clients do that nobody knows: hold connections, send bodies that nobody wants or that never
//! end, frame requests in ways that others read differently. Whoever is known is served meanwhile.

use std::time::Duration;

use contactd::auth::Role;
use contactd::config::ProxyConfig;
use contactd::http::{ConnectionBounds, HttpLimits, ServeOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::fixture::Fixture;
use super::sockets::{Served, read_to_end};
use crate::support::access;

const DEADLINE: Duration = Duration::from_secs(20);
const KIB: usize = 1024;

struct Bounds {
    max: usize,
    of_address_max: usize,
    first_byte_timeout: Duration,
}

const WIDE: Bounds = Bounds { max: 64, of_address_max: 64, first_byte_timeout: DEADLINE };

async fn served(fixture: &Fixture, bounds: Bounds, change: impl FnOnce(&mut HttpLimits)) -> Served {
    let router = fixture.router_with(|limits| {
        limits.request_timeout = DEADLINE;
        change(limits);
    });
    let Bounds { max, of_address_max, first_byte_timeout } = bounds;
    let options = ServeOptions {
        first_byte_timeout,
        header_timeout: DEADLINE,
        drain_timeout: Duration::ZERO,
        connections: ConnectionBounds { max, of_address_max, proxies: ProxyConfig::default() },
        head_bytes_max: 32 * KIB,
        streams_max: 100,
        write_timeout: DEADLINE,
        tls: None,
    };
    Served::start(router, options).await
}

impl Served {
    /// From an address of this machine, of which it has many.
    async fn connect_from(&self, last: u8) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, last], 0).into()).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    /// A connection of which nothing is known, and on which so much was sent.
    async fn holding(&self, last: u8, text: &[u8]) -> TcpStream {
        let mut stream = self.connect_from(last).await;
        stream.write_all(text).await.unwrap();
        stream
    }
}

/// The answer's head, and as much of its body as it says.
async fn answer(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let reading = async {
        loop {
            let mut some = [0; 4096];
            let count = stream.read(&mut some).await.unwrap();
            assert!(count > 0, "closed after {}", String::from_utf8_lossy(&read));
            read.extend_from_slice(&some[..count]);
            let text = String::from_utf8_lossy(&read).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if length.is_none_or(|length| body.len() >= length.parse::<usize>().unwrap()) {
                return text;
            }
        }
    };
    tokio::time::timeout(DEADLINE, reading).await.expect("an answer")
}

async fn ask(stream: &mut TcpStream, key: &str) -> String {
    let head = format!("GET /api/contacts/c000000 HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    answer(stream).await
}

fn post(path: &str, key: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n"
    )
}

#[tokio::test]
async fn a_body_that_no_route_wants_is_not_waited_for() {
    let fixture = Fixture::with_contacts(1);
    let served = served(&fixture, WIDE, |_| {}).await;
    let viewer = access::key(Role::Viewer);
    for (request, status) in [
        (post("/nope", "", 1000), "404"),
        (post("/livez", "", 1000), "405"),
        (post("/api/contacts", "none", 1000), "401"),
        (post("/api/contacts", &viewer, 1000), "403"),
        (post("/api/auth/logout", "none", 1000), "401"),
        (post("/livez", "", 1000).replace("POST", "GET"), "200"),
    ] {
        let mut stream = served.holding(1, (request.clone() + "{").as_bytes()).await;
        let answer = read_to_end(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}{answer}");
        assert!(answer.contains("connection: close"), "{request}{answer}");
    }
    // What is there already is thrown away, and the connection goes on.
    let mut stream = served.holding(1, (post("/nope", "", 4) + "body").as_bytes()).await;
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 404 "));
    assert!(ask(&mut stream, &viewer).await.starts_with("HTTP/1.1 200 "));
    // Who waits to be asked for it is not.
    let expecting = post("/nope", "", 4).replace("host: x", "host: x\r\nexpect: 100-continue");
    let answer = read_to_end(&mut served.holding(1, expecting.as_bytes()).await).await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    served.end().await;
}

#[tokio::test]
async fn bodies_on_their_way_take_no_place_of_a_request() {
    let fixture = Fixture::with_contacts(1);
    let served = served(&fixture, WIDE, |limits| limits.requests_max = 1).await;
    let mut held = Vec::new();
    for request in [
        post("/api/webhooks", "", 1000),
        post("/api/contacts", &access::key(Role::Editor), 1000),
        post("/api/auth/login", "", 1000),
    ] {
        held.push(served.holding(1, (request + "{").as_bytes()).await);
    }
    let mut stream = served.connect_from(1).await;
    for _ in 0..20 {
        let answer = ask(&mut stream, &access::key(Role::Viewer)).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    served.end().await;
}

#[tokio::test]
async fn the_bytes_of_all_bodies_are_bounded_and_nobody_has_them_all() {
    let fixture = Fixture::with_contacts(1);
    let served = served(&fixture, WIDE, |limits| {
        (limits.body_bytes_max, limits.bodies_bytes_max) = (128 * KIB, 1024 * KIB);
    })
    .await;
    let (request, most) = (post("/api/webhooks", "", 128 * KIB), vec![b' '; 100 * KIB]);
    let body = [request.as_bytes(), &most].concat();
    let mut held = Vec::new();
    let taken = "contactd_pool_taken{pool=\"bodies_unknown\"}";
    // An eighth is one of them; half of all is four.
    for last in 2..6 {
        held.push(served.holding(last, &body).await);
        fixture.until_metric(taken, (usize::from(last) - 1) * 120 * KIB).await;
    }
    for last in [2, 6] {
        let answer = read_to_end(&mut served.holding(last, &body).await).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("OVERLOADED") && answer.contains("retry-after: 1"), "{answer}");
    }
    // Who is known has the other half, and small bodies need none.
    let known = post("/api/contacts", &access::key(Role::Editor), most.len() + 2);
    let whole = [known.as_bytes(), &most, b"{}"].concat();
    let answered = answer(&mut served.holding(2, &whole).await).await;
    assert!(!answered.contains("OVERLOADED"), "{answered}");
    let small = post("/api/webhooks", "", 2) + "{}";
    let answered = answer(&mut served.holding(2, small.as_bytes()).await).await;
    assert!(!answered.contains("OVERLOADED"), "{answered}");
    drop(held);
    fixture.until_metric(taken, 0).await;
    served.end().await;
}

#[tokio::test]
async fn what_others_would_frame_differently_is_refused() {
    let fixture = Fixture::with_contacts(1);
    let served = served(&fixture, WIDE, |_| {}).await;
    let head = |rest: &str| format!("GET /livez HTTP/1.1\r\n{rest}\r\n\r\n");
    let chunked = |encoding: &str| {
        format!("POST /api/webhooks HTTP/1.1\r\nhost: x\r\n{encoding}\r\n\r\n0\r\n\r\n")
    };
    for (request, status) in [
        (head("x: y"), "400"),
        (head("host: x\r\nhost: y"), "400"),
        (head("host: x\r\nhost: x"), "400"),
        (chunked("transfer-encoding: chunked, chunked"), "400"),
        (chunked("transfer-encoding: chunked\r\ntransfer-encoding: chunked"), "400"),
        (chunked("transfer-encoding: gzip, chunked"), "501"),
        (chunked("transfer-encoding: gzip\r\ntransfer-encoding: chunked"), "501"),
    ] {
        let mut stream = served.holding(1, request.as_bytes()).await;
        let answer = answer(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}{answer}");
    }
    for request in [
        "GET /livez HTTP/1.0\r\n\r\n".to_owned(),
        head("host:"),
        head("host: x"),
        chunked("Transfer-Encoding: Chunked"),
    ] {
        let mut stream = served.holding(1, request.as_bytes()).await;
        let answer = answer(&mut stream).await;
        let is_taken = !answer.contains(" 400 ") && !answer.contains(" 501 ");
        assert!(is_taken || answer.contains("SIGNATURE"), "{request}{answer}");
    }
    served.end().await;
}

#[tokio::test]
async fn who_only_holds_connections_gives_way_to_who_comes() {
    let fixture = Fixture::with_contacts(1);
    let bounds = Bounds { max: 6, of_address_max: 2, ..WIDE };
    let served = served(&fixture, bounds, |_| {}).await;
    let viewer = access::key(Role::Viewer);
    let mut known = served.connect_from(1).await;
    assert!(ask(&mut known, &viewer).await.starts_with("HTTP/1.1 200 "));
    // Each in its own way, from many addresses.
    let mut held = Vec::new();
    for last in 2..30 {
        held.push(served.connect_from(last).await);
        held.push(served.holding(last, b"GET /livez HTTP/1.1\r\n").await);
        let body = post("/api/webhooks", "", 1000) + "{";
        held.push(served.holding(last, body.as_bytes()).await);
    }
    assert!(ask(&mut known, &viewer).await.starts_with("HTTP/1.1 200 "), "who is known stays");
    for last in 40..50 {
        let mut newcomer = served.connect_from(last).await;
        assert!(ask(&mut newcomer, &viewer).await.starts_with("HTTP/1.1 200 "));
        let mut probe = served.holding(last, b"GET /livez HTTP/1.0\r\n\r\n").await;
        assert!(read_to_end(&mut probe).await.contains(" 200 OK"));
    }
    // The first of those who hold them have long been told to go.
    let mut some = [0; 1];
    let ended = tokio::time::timeout(DEADLINE, held[0].read(&mut some)).await.expect("its end");
    assert!(matches!(ended, Ok(0) | Err(_)));
    drop(held);
    served.end().await;
}

#[tokio::test]
async fn where_all_are_known_probes_are_answered_and_others_told_to_come_back() {
    let fixture = Fixture::with_contacts(1);
    let bounds = Bounds { max: 2, of_address_max: 2, ..WIDE };
    let served = served(&fixture, bounds, |_| {}).await;
    let viewer = access::key(Role::Viewer);
    let mut known = Vec::new();
    for _ in 0..2 {
        let mut stream = served.connect_from(1).await;
        assert!(ask(&mut stream, &viewer).await.starts_with("HTTP/1.1 200 "));
        known.push(stream);
    }
    let probe = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    let answer = read_to_end(&mut served.holding(2, probe.as_bytes()).await).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close"),
        "{answer}"
    );
    let other = format!("GET /api/stats HTTP/1.1\r\nhost: x\r\nx-api-key: {viewer}\r\n\r\n");
    let answer = read_to_end(&mut served.holding(2, other.as_bytes()).await).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("OVERLOADED"), "{answer}");
    // One more of an address that has its part, all of it known: closed.
    assert_eq!(read_to_end(&mut served.connect_from(1).await).await, "");
    for stream in &mut known {
        assert!(ask(stream, &viewer).await.starts_with("HTTP/1.1 200 "));
    }
    served.end().await;
}

#[tokio::test]
async fn who_never_says_a_word_is_not_waited_for_long() {
    let fixture = Fixture::with_contacts(1);
    let bounds = Bounds { first_byte_timeout: Duration::from_millis(50), ..WIDE };
    let served = served(&fixture, bounds, |_| {}).await;
    let mut known = served.connect_from(1).await;
    let viewer = access::key(Role::Viewer);
    assert!(ask(&mut known, &viewer).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(read_to_end(&mut served.connect_from(1).await).await, "");
    assert!(ask(&mut known, &viewer).await.starts_with("HTTP/1.1 200 "), "it has spoken");
    served.end().await;
}
