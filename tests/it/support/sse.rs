//! Server-sent events over a real socket, parsed as the standard says (WHATWG HTML, section 9.2.6).

use std::collections::VecDeque;
use std::time::Duration;

use axum::http::HeaderName;
use contactd::auth::Role;
use serde_json::Value;

use super::access;

/// No wait for an event may be longer.
const DEADLINE: Duration = Duration::from_secs(20);

/// One event as a standard client hands it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SseEvent {
    pub event: String,
    pub data: String,
    /// The last event id at that moment.
    pub id: String,
}

impl SseEvent {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).expect("data is JSON")
    }

    /// Partition and offset of a change.
    #[track_caller]
    pub fn place(&self) -> (u64, u64) {
        let change = &self.json()["change"];
        let number = |name: &str| change[name].as_u64().expect("a number");
        (number("partition"), number("offset"))
    }

    pub fn is_change(&self) -> bool {
        self.event.starts_with("contact.") || self.event.starts_with("payment.")
    }
}

/// Bytes in, events out.
#[derive(Debug, Default)]
pub struct SseParser {
    line: Vec<u8>,
    event: String,
    data: String,
    id: String,
    pub retry_ms: Option<u64>,
    pub comments: u64,
}

impl SseParser {
    /// What the bytes complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<SseEvent> {
        let mut events = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' => {
                    let line = std::mem::take(&mut self.line);
                    let line = String::from_utf8(line).expect("the stream is UTF-8");
                    events.extend(self.end_line(&line));
                }
                b'\r' => panic!("the stream has CR, which would end a line"),
                byte => self.line.push(*byte),
            }
        }
        events
    }

    fn end_line(&mut self, line: &str) -> Option<SseEvent> {
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => self.comments += 1,
            "event" => self.event = value.to_owned(),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.id = value.to_owned(),
            "retry" => self.retry_ms = Some(value.parse().expect("retry is a number")),
            other => panic!("a field that the standard does not know: {other:?}"),
        }
        None
    }

    fn dispatch(&mut self) -> Option<SseEvent> {
        let (event, mut data) = (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
        data.pop()?;
        let event = if event.is_empty() { "message".to_owned() } else { event };
        Some(SseEvent { event, data, id: self.id.clone() })
    }

    pub fn last_event_id(&self) -> &str {
        &self.id
    }
}

/// A client of one's own, with connections of its own and the key of a viewer.
pub fn http() -> reqwest::Client {
    http_with("x-api-key", &access::key(Role::Viewer))
}

fn http_with(name: &'static str, value: &str) -> reqwest::Client {
    // The program's start does this; whoever comes first has done it for all.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let value = value.parse().expect("a header");
    let headers = std::iter::once((HeaderName::from_static(name), value)).collect();
    reqwest::Client::builder().default_headers(headers).build().expect("a client")
}

/// A client of a stream.
pub struct SseClient {
    response: reqwest::Response,
    pub parser: SseParser,
    ready: VecDeque<SseEvent>,
}

impl SseClient {
    /// Connects; `headers` besides what every client sends.
    pub async fn connect(url: &str, headers: &[(&str, &str)]) -> Result<Self, reqwest::Response> {
        Self::over(http(), url, headers).await
    }

    /// Connects with a key of one's own.
    pub async fn with_key(url: &str, key: &str) -> Result<Self, reqwest::Response> {
        Self::over(http_with("x-api-key", key), url, &[]).await
    }

    /// Connects with an access token.
    pub async fn signed_in(url: &str, token: &str) -> Result<Self, reqwest::Response> {
        Self::over(http_with("authorization", &format!("Bearer {token}")), url, &[]).await
    }

    async fn over(
        client: reqwest::Client,
        url: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, reqwest::Response> {
        let mut request = client.get(url).header("accept", "text/event-stream");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = tokio::time::timeout(DEADLINE, request.send());
        let response = response.await.expect("an answer in time").expect("an answer");
        if response.status() != 200 {
            return Err(response);
        }
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        assert!(!response.headers().contains_key("content-encoding"));
        Ok(Self { response, parser: SseParser::default(), ready: VecDeque::new() })
    }

    /// The next event; none when the server ended the stream.
    pub async fn next(&mut self) -> Option<SseEvent> {
        while self.ready.is_empty() {
            let bytes = tokio::time::timeout(DEADLINE, self.response.chunk()).await;
            // A connection that is cut is an end too.
            let bytes = bytes.expect("something within the deadline").ok()??;
            self.ready.extend(self.parser.push(&bytes));
        }
        self.ready.pop_front()
    }

    /// The next event that is a change.
    pub async fn next_change(&mut self) -> SseEvent {
        let event = self.next().await.expect("a change, not the end");
        assert!(event.is_change(), "{event:?}");
        event
    }

    /// So many changes.
    pub async fn changes(&mut self, count: usize) -> Vec<SseEvent> {
        let mut changes = Vec::with_capacity(count);
        while changes.len() < count {
            changes.push(self.next_change().await);
        }
        changes
    }

    /// Reads until the stream's last event id is this one.
    pub async fn until_id(&mut self, id: &str) -> Vec<SseEvent> {
        let mut events = Vec::new();
        loop {
            events.extend(self.ready.drain(..));
            if self.parser.last_event_id() == id {
                return events;
            }
            let bytes = tokio::time::timeout(DEADLINE, self.response.chunk()).await;
            let bytes = bytes.expect("something within the deadline");
            let bytes = bytes.expect("the connection stays").expect("the stream goes on");
            let more = self.parser.push(&bytes);
            self.ready.extend(more);
        }
    }
}
