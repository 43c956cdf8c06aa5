//! HTTP/2 over TLS: what clients do with it, and that what bounds HTTP/1 bounds it too.

mod attacks;
mod bounds;
mod raw;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use contactd::auth::Role;
use contactd::http::{Api, ServeOptions, Tls};
use h2::client::SendRequest;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::fixture::Fixture;
use super::sockets::{Served, bounds as connection_bounds};
use super::tls::{certificate, trusting_by};
use crate::support::access;
use crate::support::instance::Instance;
use crate::support::services::skip;

const DEADLINE: Duration = Duration::from_secs(20);

/// Serves over TLS with a certificate of its own.
struct Secure {
    served: Served,
    connector: TlsConnector,
    directory: TempDir,
}

/// None, and said, where no certificate can be made.
fn directory_with_certificate(test: &str) -> Option<TempDir> {
    let directory = tempfile::tempdir().unwrap();
    if certificate(directory.path()) {
        return Some(directory);
    }
    skip(test, "there is no openssl command (apt-get install openssl)");
    None
}

impl Secure {
    async fn start(test: &str, api: Api, change: impl FnOnce(&mut ServeOptions)) -> Option<Self> {
        let directory = directory_with_certificate(test)?;
        let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
        let mut options = ServeOptions {
            first_byte_timeout: DEADLINE,
            header_timeout: DEADLINE,
            write_timeout: DEADLINE,
            drain_timeout: DEADLINE,
            connections: connection_bounds(8),
            head_bytes_max: 32 * 1024,
            streams_max: 100,
            tls: Some(Arc::new(Tls::load(&cert, &key).unwrap())),
        };
        change(&mut options);
        let served = Served::start(api, options).await;
        Some(Self { served, connector: trusting_by(&cert, &["h2"]), directory })
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        tls_to(&self.connector, self.served.address).await
    }

    async fn client(&self) -> Client {
        Client::over(self.connect().await).await
    }
}

async fn tls_to(connector: &TlsConnector, address: std::net::SocketAddr) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    let stream =
        connector.connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    stream
}

/// One connection of the h2 crate's client.
struct Client {
    requests: SendRequest<Bytes>,
    ended: JoinHandle<Result<(), h2::Error>>,
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Client {
    async fn over(stream: TlsStream<TcpStream>) -> Self {
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        #[expect(clippy::disallowed_methods, reason = "it is the connection")]
        let ended = tokio::spawn(connection);
        Self { requests, ended }
    }

    /// Sends a request whole, and waits for all of its answer.
    async fn send(&self, request: Request<()>, body: Option<&[u8]>) -> Result<Answer, h2::Error> {
        let mut requests = self.requests.clone().ready().await?;
        let (response, mut stream) = requests.send_request(request, body.is_none())?;
        if let Some(body) = body {
            stream.send_data(Bytes::copy_from_slice(body), true)?;
        }
        received(response).await
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer, h2::Error> {
        self.send(request(Method::GET, path, headers), None).await
    }
}

async fn received(response: h2::client::ResponseFuture) -> Result<Answer, h2::Error> {
    let receiving = async {
        let (head, mut stream) = response.await?.into_parts();
        let mut body = Vec::new();
        while let Some(bytes) = stream.data().await {
            let bytes = bytes?;
            stream.flow_control().release_capacity(bytes.len())?;
            body.extend_from_slice(&bytes);
        }
        let body = String::from_utf8(body).unwrap();
        Ok(Answer { status: head.status, headers: head.headers, body })
    };
    tokio::time::timeout(DEADLINE, receiving).await.expect("an answer")
}

fn request(method: Method, path: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(format!("https://127.0.0.1{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

#[tokio::test]
async fn requests_share_a_connection_and_are_answered_as_by_http_1() {
    let fixture = Fixture::with_contacts(100);
    let test = "requests_share_a_connection_and_are_answered_as_by_http_1";
    let Some(secure) = Secure::start(test, fixture.router(), |_| {}).await else { return };
    let client = secure.client().await;
    let (viewer, editor) = (access::key(Role::Viewer), access::key(Role::Editor));
    let key = [("x-api-key", viewer.as_str())];
    let one = client.get("/api/contacts/c000000", &key);
    let list = client.get("/api/contacts?limit=100", &key);
    let nobody = client.get("/api/contacts/nobody", &key);
    let document = client.get("/openapi.json", &[]);
    let (one, list, nobody, document) = tokio::join!(one, list, nobody, document);
    let (one, list, nobody) = (one.unwrap(), list.unwrap(), nobody.unwrap());
    assert_eq!((one.status, nobody.status), (StatusCode::OK, StatusCode::NOT_FOUND));
    assert!(one.body.contains("\"Ada 0\""), "{}", one.body);
    assert_eq!(one.headers["content-length"], one.body.len().to_string());
    assert!(one.headers["date"].to_str().unwrap().ends_with(" GMT"), "{:?}", one.headers);
    assert!(one.headers.contains_key("etag") && one.headers.contains_key("x-request-id"));
    let list: Value = serde_json::from_str(&list.body).unwrap();
    assert_eq!(list["data"].as_array().unwrap().len(), 90);
    assert!(document.unwrap().body.len() > 100_000, "more than a window");
    let head =
        client.send(request(Method::HEAD, "/api/contacts/c000000", &key), None).await.unwrap();
    assert_eq!(head.headers["content-length"], one.body.len().to_string());
    assert_eq!(head.body, "");
    let written = [("x-api-key", editor.as_str()), ("content-type", "application/json")];
    let written = request(Method::POST, "/api/contacts", &written);
    let more = json!({ "note": "y".repeat(30_000) });
    let body = json!({ "firstName": "Grace", "attributes": more }).to_string();
    let written = client.send(written, Some(body.as_bytes())).await.unwrap();
    assert_eq!(written.status, StatusCode::ACCEPTED, "{}", written.body);
    secure.served.end().await;
}

#[tokio::test]
async fn a_feed_is_one_of_its_requests() {
    let Some(directory) = directory_with_certificate("a_feed_is_one_of_its_requests") else {
        return;
    };
    let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    let instance = Instance::builder()
        .with("server.tls_certificate", cert.display().to_string())
        .with("server.tls_key", key.display().to_string())
        .begin(tempfile::tempdir().unwrap());
    let connector = trusting_by(&cert, &["h2"]);
    let client = Client::over(tls_to(&connector, instance.address).await).await;
    let started = std::time::Instant::now();
    while client.get("/readyz", &[]).await.unwrap().status != StatusCode::OK {
        assert!(started.elapsed() < DEADLINE, "it is not ready");
    }
    let admin = access::key(Role::Admin);
    let headers = [("x-api-key", admin.as_str()), ("content-type", "application/json")];
    let mut requests = client.requests.clone().ready().await.unwrap();
    let feed = request(Method::GET, "/api/feed", &headers[..1]);
    let (response, _) = requests.send_request(feed, true).unwrap();
    let mut feed = response.await.unwrap();
    assert_eq!(feed.status(), StatusCode::OK);
    let body = json!({ "id": "c1", "firstName": "Ada" }).to_string();
    let written = request(Method::POST, "/api/contacts", &headers);
    let written = client.send(written, Some(body.as_bytes())).await.unwrap();
    assert_eq!(written.status, StatusCode::CREATED, "{}", written.body);
    let mut told = String::new();
    let telling = async {
        while !told.contains("\"Ada\"") {
            let bytes = feed.body_mut().data().await.expect("the feed goes on").unwrap();
            feed.body_mut().flow_control().release_capacity(bytes.len()).unwrap();
            told.push_str(&String::from_utf8_lossy(&bytes));
        }
    };
    tokio::time::timeout(DEADLINE, telling).await.expect("the change is told");
}

#[tokio::test]
async fn curl_speaks_it_and_http_1_1_where_that_is_asked_for() {
    let fixture = Fixture::with_contacts(1);
    let test = "curl_speaks_it_and_http_1_1_where_that_is_asked_for";
    let Some(secure) = Secure::start(test, fixture.router(), |_| {}).await else { return };
    let url = format!("https://{}/livez", secure.served.address);
    let cert = secure.directory.path().join("cert.pem");
    for (flag, version) in [("--http2", "2 200"), ("--http1.1", "1.1 200")] {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", flag]);
        curl.arg("--cacert").arg(&cert).arg(&url);
        let output = tokio::task::spawn_blocking(move || curl.output()).await.unwrap();
        let Ok(output) = output else {
            skip(test, "there is no curl command (apt-get install curl)");
            return;
        };
        assert_eq!(String::from_utf8_lossy(&output.stdout), version, "{output:?}");
    }
    secure.served.end().await;
}

#[tokio::test]
async fn without_tls_nobody_speaks_it() {
    let fixture = Fixture::with_contacts(1);
    let served = super::sockets::served(&fixture, DEADLINE).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(raw::PREFACE).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("its end");
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{answer:?}");
    served.end().await;
}
