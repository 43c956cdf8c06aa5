//! A subscriber that answers as it is told, or not at all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::Mutex;
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::instance::until;

/// How it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manner {
    /// With a status, further headers and a body.
    Answers(u16, &'static str, &'static str),
    /// With 422 to messages about one contact, else with 200.
    Refuses(&'static str),
    /// Never.
    Hangs,
    /// By closing the connection, and nothing else.
    Closes,
    /// By resetting it.
    Resets,
    /// With 200 and a body without end.
    Floods,
    /// With half of an answer.
    Breaks,
    /// With 200 after a time.
    After(Duration),
}

pub const OK: Manner = Manner::Answers(200, "", "thank you");

/// A message as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    head: String,
    body: String,
    pub at: Instant,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        let found = self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        });
        found.unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn text(&self) -> &str {
        &self.body
    }

    pub fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }

    pub fn contact(&self) -> String {
        self.json()["data"]["contact"]["id"].as_str().unwrap_or_default().to_owned()
    }

    pub fn version(&self) -> u64 {
        self.json()["data"]["contact"]["version"].as_u64().unwrap()
    }

    /// By how many of its signatures a secret signed it.
    pub fn signatures_by(&self, secret: &str) -> usize {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let (id, time) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        let mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        let mac = mac.chain_update(format!("{id}.{time}.{}", self.body));
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        self.header("webhook-signature").split(' ').filter(|one| *one == expected).count()
    }
}

#[derive(Default)]
struct Shared {
    received: Mutex<Vec<Received>>,
    manner: Mutex<Option<Manner>>,
}

pub struct Subscriber {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    /// Ends with it.
    _serving: JoinSet<()>,
}

impl Subscriber {
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (address, shared) = (listener.local_addr().unwrap(), Arc::new(Shared::default()));
        let (own, mut serving) = (Arc::clone(&shared), JoinSet::new());
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&own)));
            }
        });
        Self { address, shared, _serving: serving }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }

    pub fn behaves(&self, manner: Manner) {
        *self.shared.manner.lock() = Some(manner);
    }

    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().clone()
    }

    /// Waits until so many have come.
    pub async fn has(&self, count: usize) -> Vec<Received> {
        let what = format!("{count} messages have come");
        until(&what, async || Some(self.received()).filter(|all| all.len() >= count)).await
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut buffer = Vec::new();
    loop {
        let Some(received) = message(&mut stream, &mut buffer).await else {
            return;
        };
        let contact = received.contact();
        shared.received.lock().push(received);
        let manner = shared.manner.lock().clone().unwrap_or(OK);
        let answer = |status: u16, headers: &str, body: &str| {
            format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
        };
        let text = match manner {
            Manner::Answers(status, headers, body) => answer(status, headers, body),
            Manner::Refuses(id) if id == contact => answer(422, "", "not this one"),
            Manner::Refuses(_) => answer(200, "", ""),
            Manner::After(time) => {
                tokio::time::sleep(time).await;
                answer(200, "", "")
            }
            Manner::Hangs => return std::future::pending().await,
            Manner::Closes => return,
            Manner::Resets => {
                stream.set_zero_linger().unwrap();
                return;
            }
            Manner::Breaks => {
                let _ = stream.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\nhal").await;
                return;
            }
            Manner::Floods => {
                let head = b"HTTP/1.1 200 X\r\ncontent-length: 9999999999\r\n\r\n";
                let _ = stream.write_all(head).await;
                while stream.write_all(&[b'x'; 64 << 10]).await.is_ok() {}
                return;
            }
        };
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn message(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Received> {
    loop {
        if let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
            });
            let whole = end + 4 + length.unwrap_or(0);
            if buffer.len() >= whole {
                let body = String::from_utf8(buffer[end + 4..whole].to_vec()).unwrap();
                buffer.drain(..whole);
                return Some(Received { head, body, at: Instant::now() });
            }
        }
        let mut piece = [0; 16 << 10];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => buffer.extend_from_slice(&piece[..count]),
        }
    }
}
