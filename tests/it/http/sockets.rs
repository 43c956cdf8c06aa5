//! What only a socket can do: slow clients, too large heads, the drain.

use std::net::SocketAddr;
use std::time::Duration;

use contactd::auth::Role;
use contactd::config::ProxyConfig;
use contactd::http::{Api, ConnectionBounds, ServeOptions, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::fixture::Fixture;
use crate::support::access;

/// No wait in here may be longer.
const DEADLINE: Duration = Duration::from_secs(20);

/// So many connections, all of which one address may have.
pub(super) fn bounds(max: usize) -> ConnectionBounds {
    ConnectionBounds { max, of_address_max: max, proxies: ProxyConfig::default() }
}

pub(super) struct Served {
    pub(super) address: SocketAddr,
    shutdown: CancellationToken,
    ended: JoinHandle<()>,
}

pub(super) async fn served(fixture: &Fixture, header_timeout: Duration) -> Served {
    let router = fixture.router_with(|limits| limits.request_timeout = Duration::from_millis(200));
    let options = ServeOptions {
        first_byte_timeout: DEADLINE,
        header_timeout,
        drain_timeout: Duration::from_secs(5),
        connections: bounds(8),
        head_bytes_max: 32 * 1024,
        streams_max: 100,
        write_timeout: DEADLINE,
        tls: None,
    };
    Served::start(router, options).await
}

impl Served {
    pub(super) async fn start(router: Api, options: ServeOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let serving = serve(listener, router, options, shutdown.clone());
        #[expect(clippy::disallowed_methods, reason = "the test itself waits for it")]
        let ended = tokio::spawn(async move { serving.await.unwrap() });
        Self { address, shutdown, ended }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends, and reads until the server closes.
    async fn exchange(&self, text: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The server may close before it has read everything.
        let _ = stream.write_all(text).await;
        read_to_end(&mut stream).await
    }

    pub(super) fn shutdown(&self) {
        self.shutdown.cancel();
    }

    pub(super) async fn end(self) {
        self.shutdown();
        tokio::time::timeout(DEADLINE, self.ended).await.expect("the drain ends").unwrap();
    }
}

/// Everything up to the connection's end, which must come.
pub(super) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let reading = stream.read_to_end(&mut bytes);
    // A reset after the answer is no matter.
    let _ = tokio::time::timeout(DEADLINE, reading).await.expect("the server closes");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_head_that_does_not_come_is_408_and_an_idle_connection_just_closed() {
    let fixture = Fixture::with_contacts(1);
    let served = served(&fixture, Duration::from_millis(100)).await;
    let answer = served.exchange(b"GET /livez HTTP/1.1\r\nhost: x\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"code\":\"REQUEST_TIMEOUT\""), "{answer}");
    assert_eq!(served.exchange(b"").await, "");
    let answer = served.exchange(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.contains("408"), "{answer}");
    served.end().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let fixture = Fixture::with_contacts(1);
    let served = served(&fixture, Duration::from_secs(5)).await;
    let key = access::key(Role::Editor);
    let head = format!(
        "POST /api/contacts HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\ncontent-length: 10\r\n\r\nabc"
    );
    let answer = served.exchange(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"code\":\"REQUEST_TIMEOUT\""), "{answer}");
    served.end().await;
}

#[tokio::test]
async fn who_sends_all_before_reading_is_told_why_it_is_too_much() {
    let fixture = Fixture::with_contacts(1);
    let served = served(&fixture, Duration::from_secs(5)).await;
    let body = vec![b' '; 16 << 20];
    let wanted =
        format!("x-api-key: {}\r\ncontent-length: {}", access::key(Role::Editor), body.len());
    let endless = format!("x-long: {}", "y".repeat(100_000));
    for (headers, status) in [(wanted, "413"), (endless, "431")] {
        let mut stream = served.connect().await;
        let head = format!("POST /api/contacts HTTP/1.1\r\nhost: x\r\n{headers}\r\n\r\n");
        stream.write_all(&[head.as_bytes(), &body].concat()).await.expect("all of it is taken");
        stream.shutdown().await.unwrap();
        let answer = read_to_end(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    served.end().await;
}

#[tokio::test]
async fn heads_too_large_for_the_buffer_are_431() {
    let fixture = Fixture::with_contacts(1);
    let served = served(&fixture, Duration::from_secs(5)).await;
    let mut head = b"GET /livez HTTP/1.1\r\nhost: x\r\n".to_vec();
    head.extend_from_slice(b"x-long: ");
    head.extend(std::iter::repeat_n(b'y', 100_000));
    head.extend_from_slice(b"\r\n\r\n");
    let answer = served.exchange(&head).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let mut head = b"GET /livez HTTP/1.1\r\nhost: x\r\n".to_vec();
    for number in 0..150 {
        head.extend_from_slice(format!("x-{number}: y\r\n").as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    let answer = served.exchange(&head).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let answer = served.exchange(b"\x16\x03\x01 this is TLS\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    served.end().await;
}

#[tokio::test]
async fn the_drain_answers_what_is_under_way_and_closes_what_is_idle() {
    let fixture = Fixture::with_contacts(1);
    let served = served(&fixture, Duration::from_secs(5)).await;
    let mut idle = served.connect().await;
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let mut busy = served.connect().await;
    let ahead = fixture.position_ahead().encode();
    let key = access::key(Role::Viewer);
    let head = format!(
        "GET /api/contacts/c000000 HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\nposition: {ahead}\r\n\r\n"
    );
    busy.write_all(head.as_bytes()).await.unwrap();
    fixture.until_one_waits().await;
    served.shutdown.cancel();
    fixture.rename("c000000", "Later");
    let answer = read_to_end(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("Later"), "{answer}");
    read_to_end(&mut idle).await;
    served.end().await;
}
