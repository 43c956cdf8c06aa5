//! The guard, with a resolver that says what it is told to and a connector that notes where it was
//! to connect to: no packet leaves the loopback interface.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::domain::Class;

/// What a resolver answers, one after the other; the last one again and again.
type Answers = Arc<Mutex<Vec<Vec<IpAddr>>>>;

struct World {
    allowed: Allowed,
    answers: Answers,
    /// Where connections were to go.
    connected: Arc<Mutex<Vec<SocketAddr>>>,
    /// Where they went.
    listener: SocketAddr,
    /// For the one request that is answered.
    server: Option<TcpListener>,
}

impl World {
    async fn new(hosts: &[&str]) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        Self {
            allowed: Allowed { hosts, ..Allowed::default() },
            answers: Arc::default(),
            connected: Arc::default(),
            listener: server.local_addr().unwrap(),
            server: Some(server),
        }
    }

    fn resolving(self, answers: &[&[&str]]) -> Self {
        let parsed = |answer: &&[&str]| answer.iter().map(|at| at.parse().unwrap()).collect();
        *self.answers.lock() = answers.iter().map(parsed).collect();
        self
    }

    fn client(&self) -> Client {
        let answers = Arc::clone(&self.answers);
        let resolve: Resolve = Arc::new(move |_, _| {
            let mut answers = answers.lock();
            let answer =
                if answers.len() > 1 { Some(answers.remove(0)) } else { answers.first().cloned() };
            let answer = answer.ok_or_else(|| io::Error::other("no such host"));
            Box::pin(std::future::ready(answer))
        });
        let (connected, listener) = (Arc::clone(&self.connected), self.listener);
        let connect: Connect = Arc::new(move |address| {
            connected.lock().push(address);
            Box::pin(TcpStream::connect(listener))
        });
        Client::by(self.allowed.clone(), Duration::from_secs(10), 8, resolve, connect)
    }

    /// Posts, while the server answers one request with this text.
    async fn post(&mut self, url: &str, answer: &str) -> (Result<Answer, OutboundError>, String) {
        let client = self.client();
        let target = match client.target(url) {
            Ok(target) => target,
            Err(error) => return (Err(error), String::new()),
        };
        let server = self.server.take().unwrap();
        let answer = answer.to_owned();
        let serve = async {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"{}") {
                let mut buffer = [0; 1024];
                let read = stream.read(&mut buffer).await.unwrap();
                assert!(read > 0, "{}", String::from_utf8_lossy(&head));
                head.extend_from_slice(&buffer[..read]);
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(head).unwrap()
        };
        let sent = client.post(&target, &[], Bytes::from_static(b"{}"));
        let mut serve = std::pin::pin!(serve);
        let mut sent = std::pin::pin!(sent);
        // A refused request never reaches the server.
        let (result, head) = tokio::select! {
            result = &mut sent => (result, String::new()),
            head = &mut serve => (sent.await, head),
        };
        (result, head)
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn an_allowed_host_is_connected_to_at_the_checked_address() {
    let mut world = World::new(&["hooks.example.com"]).await.resolving(&[&["93.184.215.14"]]);
    let (answer, head) = world.post("http://Hooks.Example.com:8080/in?x=1", OK).await;
    let answer = answer.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (200, b"ok".as_slice()));
    assert_eq!(*world.connected.lock(), ["93.184.215.14:8080".parse::<SocketAddr>().unwrap()]);
    let head = head.to_lowercase();
    assert!(head.starts_with("post /in?x=1 http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nhost: hooks.example.com:8080\r\n"), "{head}");
}

#[tokio::test]
async fn a_name_that_points_inside_is_refused_and_nothing_is_connected_to() {
    for inside in [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "0.0.0.0",
        "::1",
        "fe80::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::1",
    ] {
        // Alone, and hidden behind one that is fine.
        for answer in [vec![inside], vec!["93.184.215.14", inside]] {
            let mut world = World::new(&["*"]).await.resolving(&[&answer]);
            let (refused, _) = world.post("https://rebind.example.com/", OK).await;
            let address = inside.parse().unwrap();
            let host = "rebind.example.com".to_owned();
            assert_eq!(refused.unwrap_err(), OutboundError::AddressNotAllowed { host, address });
            assert!(world.connected.lock().is_empty(), "{inside}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_changes_after_the_check_is_checked_again() {
    let answers: [&[&str]; 2] = [&["93.184.215.14"], &["127.0.0.1"]];
    let world = World::new(&["rebind.example.com"]).await.resolving(&answers);
    let client = world.client();
    let target = client.target("http://rebind.example.com/").unwrap();
    client.check(&target).await.unwrap();
    let sent = client.post(&target, &[], Bytes::from_static(b"{}")).await;
    assert!(matches!(sent, Err(OutboundError::AddressNotAllowed { .. })), "{sent:?}");
    assert!(world.connected.lock().is_empty());
}

#[tokio::test]
async fn the_name_is_asked_for_once_a_request() {
    let answers: [&[&str]; 2] = [&["93.184.215.14"], &["127.0.0.1"]];
    let mut world = World::new(&["rebind.example.com"]).await.resolving(&answers);
    let (answer, _) = world.post("http://rebind.example.com/", OK).await;
    assert_eq!(answer.unwrap().status.as_u16(), 200);
    assert_eq!(*world.connected.lock(), ["93.184.215.14:80".parse::<SocketAddr>().unwrap()]);
}

#[tokio::test]
async fn addresses_in_every_spelling_are_what_they_are() {
    let world = World::new(&["*"]).await;
    let client = world.client();
    for inside in [
        "http://127.0.0.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://[::1]/",
        "http://[::ffff:7f00:1]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://１２７.0.0.1/",
        "http://0/",
        "http://[fe80::1]/",
    ] {
        let refused = client.target(inside).unwrap_err();
        assert!(matches!(refused, OutboundError::AddressNotAllowed { .. }), "{inside}: {refused}");
        assert_eq!(refused.class(), Class::Poison);
    }
    assert!(client.target("http://93.184.215.14:8080/in").is_ok());
}

#[tokio::test]
async fn what_is_no_http_address_or_names_another_host_is_refused() {
    let world = World::new(&["example.com", "*.example.org", "203.0.113.7"]).await;
    let client = world.client();
    for wrong in [
        "",
        "example.com",
        "/api/webhooks",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http://user@example.com/",
        "http://user:word@example.com/",
        "http:///",
    ] {
        let refused = client.target(wrong).unwrap_err();
        let is_url = matches!(refused, OutboundError::Url { .. });
        // WHATWG takes the last one's path for a host.
        assert!(is_url || matches!(refused, OutboundError::HostNotAllowed { .. }), "{wrong}");
    }
    for other in [
        "http://example.net/",
        "http://xexample.com/",
        "http://example.com.evil.net/",
        "http://example.org/",
        "http://xexample.org/",
        "http://93.184.215.14/",
        "http://localhost/",
    ] {
        let refused = client.target(other).unwrap_err();
        assert!(matches!(refused, OutboundError::HostNotAllowed { .. }), "{other}: {refused}");
    }
    for fine in [
        "http://example.com/",
        "https://EXAMPLE.com:8443/x",
        "http://example.com./",
        "http://a.example.org/",
        "http://a.b.example.org/",
        "http://203.0.113.7/",
        "http://[::ffff:203.0.113.7]/",
    ] {
        assert!(client.target(fine).is_ok(), "{fine}");
    }
}

#[tokio::test]
async fn a_network_can_be_allowed() {
    let mut world = World::new(&["inside.example.com"]).await.resolving(&[&["10.1.2.3"]]);
    world.allowed.networks = vec!["10.1.0.0/16".parse().unwrap()];
    let (answer, _) = world.post("http://inside.example.com/", OK).await;
    assert!(answer.is_ok(), "{answer:?}");
    let mut world = World::new(&["inside.example.com"]).await.resolving(&[&["10.2.2.3"]]);
    world.allowed.networks = vec!["10.1.0.0/16".parse().unwrap()];
    let (refused, _) = world.post("http://inside.example.com/", OK).await;
    assert!(matches!(refused, Err(OutboundError::AddressNotAllowed { .. })), "{refused:?}");
}

#[tokio::test]
async fn this_instance_is_reached_by_its_webhooks_alone() {
    for (own, reached) in [
        ("127.0.0.1:3000", "127.0.0.1:3000"),
        ("0.0.0.0:3000", "127.0.0.1:3000"),
        ("[::]:3000", "[::1]:3000"),
    ] {
        let allowed = Allowed { own: Some(own.parse().unwrap()), ..Allowed::default() };
        let target = allowed.target("http://localhost:3000/api/webhooks").unwrap();
        assert_eq!(target.own(), Some(reached.parse().unwrap()));
        assert!(allowed.target("http://localhost:3000/api/webhooks/acme").is_ok());
        for other in [
            "http://localhost:3001/api/webhooks",
            "http://localhost:3000/api/contacts",
            "http://localhost:3000/api/webhooksx",
            "http://localhost:3000/api/webhooks/../contacts",
            "http://127.0.0.2:3000/api/webhooks",
            "http://localhost.example.com:3000/api/webhooks",
        ] {
            assert!(allowed.target(other).is_err(), "{other} of {own}");
        }
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let mut world = World::new(&["example.com"]).await.resolving(&[&["93.184.215.14"]]);
    let redirect = "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://169.254.169.254/\r\n\
                    content-length: 0\r\n\r\n";
    let (answer, _) = world.post("http://example.com/", redirect).await;
    assert_eq!(answer.unwrap().status.as_u16(), 307);
    assert_eq!(world.connected.lock().len(), 1);
}

#[tokio::test]
async fn a_long_answer_is_cut() {
    let mut world = World::new(&["example.com"]).await.resolving(&[&["93.184.215.14"]]);
    let long = format!("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}", "x".repeat(100));
    let (answer, _) = world.post("http://example.com/", &long).await;
    let answer = answer.unwrap();
    assert_eq!((answer.body.len(), answer.is_cut), (8, true));
}

#[tokio::test]
async fn what_is_not_found_or_no_http_may_be_tried_again() {
    let mut world = World::new(&["example.com"]).await;
    let (unresolved, _) = world.post("http://example.com/", OK).await;
    let unresolved = unresolved.unwrap_err();
    assert!(matches!(unresolved, OutboundError::Unresolved { .. }), "{unresolved}");
    assert_eq!(unresolved.class(), Class::Retry);
    let mut world = World::new(&["example.com"]).await.resolving(&[&["93.184.215.14"]]);
    let (no_http, _) = world.post("http://example.com/", "220 smtp.example.com\r\n\r\n").await;
    assert!(matches!(no_http, Err(OutboundError::Exchange(_))), "{no_http:?}");
}
