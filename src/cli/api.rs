//! The running instance's API, as commands ask it.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use reqwest::header::{ACCEPT, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio_util::bytes::Bytes;

use crate::config::Config;
use crate::domain::texts::percent_encoded;

use super::exit::Failure;
use super::instance::{self, Instance, InstanceArgs};
use super::output;

/// Entries that the API gives at once.
pub(super) const PAGE: usize = 200;
/// How long the instance may take.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// How long an answer may take that is read as it comes, and how long nothing of it may.
const STREAM_WAIT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const PART_WAIT: Duration = Duration::from_secs(600);

/// Bytes of a file that are sent at once, and how long all of it may take.
const PIECE: usize = 256 << 10;
const UPLOAD_WAIT: Duration = Duration::from_secs(60 * 60);

/// Tries where patience is asked for; the first pause and the longest.
const ATTEMPTS_MAX: u32 = 5;
const PAUSE: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(60));

/// A way to ask one instance.
pub(super) struct Api {
    instance: Instance,
    runtime: tokio::runtime::Runtime,
}

impl Api {
    /// Of the configured instance, or another one.
    pub(super) fn new(config: &Config, args: &InstanceArgs) -> anyhow::Result<Self> {
        let instance = Instance::new(config, args, ANSWER_WAIT)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { instance, runtime })
    }

    pub(super) fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::GET, path, None)
    }

    /// A list's entries, page after page: `limit` at most, filtered by `pairs`.
    pub(super) fn list(
        &self,
        path: &str,
        pairs: &[(&str, &str)],
        limit: usize,
    ) -> anyhow::Result<Vec<Value>> {
        let mut entries = Vec::new();
        let mut cursor: Option<String> = None;
        while entries.len() < limit {
            let mut at = format!("{path}?limit={}", (limit - entries.len()).min(PAGE));
            let cursor_pair = cursor.as_deref().map(|cursor| ("cursor", cursor));
            for (name, value) in pairs.iter().copied().chain(cursor_pair) {
                at.push_str(&format!("&{name}={}", percent_encoded(value)));
            }
            let mut page = self.get(&at)?;
            if let Some(Value::Array(data)) = page.get_mut("data").map(Value::take) {
                entries.extend(data);
            }
            cursor = page.pointer("/meta/nextCursor").and_then(Value::as_str).map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        Ok(entries)
    }

    pub(super) fn post(&self, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        self.ask(Method::POST, path, body)
    }

    /// The same, and again while the instance or what stands behind it asks for patience.
    pub(super) fn post_patiently(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let mut pause = PAUSE.0;
        for _ in 1..ATTEMPTS_MAX {
            let answer = self.exchange(&Method::POST, path, Some(body))?;
            if !answer.may_pass() {
                return self.judged(answer);
            }
            let wait = answer.retry_after.map_or(pause, Duration::from_secs).min(PAUSE.1);
            let why = answer.json.pointer("/error/message").and_then(Value::as_str);
            let why = why.map_or_else(|| answer.status.to_string(), str::to_owned);
            output::tell(format_args!("{why}: again in {} s", wait.as_secs()));
            // The connection, which may be closed meanwhile, is looked after.
            self.runtime.block_on(tokio::time::sleep(wait));
            pause = (pause * 2).min(PAUSE.1);
        }
        self.ask(Method::POST, path, Some(body))
    }

    /// Sends a file as it is, piece by piece, however long that takes.
    pub(super) fn upload(&self, path: &str, file: File) -> anyhow::Result<Value> {
        let pieces = std::iter::from_fn(move || {
            let mut piece = Vec::with_capacity(PIECE);
            match (&file).take(PIECE as u64).read_to_end(&mut piece) {
                Ok(0) => None,
                Ok(_) => Some(Ok(piece)),
                Err(error) => Some(Err(error)),
            }
        });
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        let request = self.request(&Method::POST, path).timeout(UPLOAD_WAIT).body(body);
        self.judged(self.answered(request)?)
    }

    /// Writes what is answered in this media type to a file.
    pub(super) fn download(&self, path: &str, accept: &str, to: &mut File) -> anyhow::Result<()> {
        let request = self.request(&Method::GET, path).header(ACCEPT, accept).timeout(UPLOAD_WAIT);
        let url = &self.instance.url;
        self.runtime.block_on(async {
            let lost = |error: reqwest::Error| instance::unreachable(url, &error);
            let mut response = request.send().await.map_err(lost)?;
            if !response.status().is_success() {
                return Err(Failure::Data(format!("{url} answers {}", response.status())).into());
            }
            while let Some(piece) = response.chunk().await.map_err(lost)? {
                to.write_all(&piece)?;
            }
            Ok(())
        })
    }

    pub(super) fn patch(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.ask(Method::PATCH, path, Some(body))
    }

    pub(super) fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::DELETE, path, None)
    }

    /// The answer's JSON; null where it has no body.
    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        self.judged(self.exchange(&method, path, body)?)
    }

    fn exchange(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        // URLs have no such segments: another path would be asked for.
        let mut segments = path.split('?').next().unwrap_or_default().split('/').skip(1);
        if let Some(id) = segments.find(|segment| matches!(*segment, "" | "." | "..")) {
            return Err(Failure::Usage(format!("\"{id}\" can't be an id: no path has it")).into());
        }
        let request = self.request(method, path);
        self.answered(match body {
            Some(body) => request.json(body),
            None => request,
        })
    }

    fn request(&self, method: &Method, path: &str) -> reqwest::RequestBuilder {
        let Instance { url, key, client, .. } = &self.instance;
        let request = client.request(method.clone(), format!("{url}{path}"));
        match key {
            Some(key) => request.header("X-API-Key", key.expose()),
            None => request,
        }
    }

    fn answered(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Answer> {
        let url = &self.instance.url;
        let answered = self.runtime.block_on(async {
            let response = request.send().await?;
            let retry_after = response.headers().get(RETRY_AFTER);
            let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
            Ok::<_, reqwest::Error>((response.status(), retry_after, response.bytes().await?))
        });
        let (status, retry_after, body) =
            answered.map_err(|error| instance::unreachable(url, &error))?;
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Ok(Answer { status, retry_after, json })
    }

    /// Where it is.
    pub(super) fn url(&self) -> &str {
        &self.instance.url
    }

    /// An answer that may be longer than memory, read as it comes.
    pub(super) fn stream(&self, path: &str) -> anyhow::Result<Streamed<'_>> {
        let Instance { url, key, client, .. } = &self.instance;
        let mut request = client.get(format!("{url}{path}")).timeout(STREAM_WAIT);
        if let Some(key) = key {
            request = request.header("X-API-Key", key.expose());
        }
        let answered = self.runtime.block_on(async {
            let head = tokio::time::timeout(ANSWER_WAIT, request.send()).await;
            let response = match head {
                Ok(response) => response?,
                Err(_) => return Ok(None),
            };
            if response.status().is_success() {
                return Ok(Some(Ok(response)));
            }
            let (status, body) = (response.status(), response.bytes().await?);
            let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
            Ok::<_, reqwest::Error>(Some(Err(Answer { status, retry_after: None, json })))
        });
        match answered.map_err(|error| instance::unreachable(url, &error))? {
            Some(Ok(response)) => {
                Ok(Streamed { runtime: &self.runtime, response, part: Bytes::new() })
            }
            Some(Err(answer)) => {
                self.judged(answer)?;
                Err(Failure::Unreachable(format!("{url} answers nothing")).into())
            }
            None => Err(Failure::Unreachable(format!("{url} does not answer in time")).into()),
        }
    }

    fn judged(&self, Answer { status, json, .. }: Answer) -> anyhow::Result<Value> {
        if status.is_success() {
            return Ok(json);
        }
        let Instance { url, key, .. } = &self.instance;
        let told = json.pointer("/error/message").and_then(Value::as_str);
        let told = told.map_or_else(|| format!("{url} answers {status}"), str::to_owned);
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Failure::Refused(instance::refused(url, key.is_some()))
            }
            StatusCode::BAD_REQUEST => Failure::Usage(told),
            status if status.is_client_error() => Failure::Data(told),
            _ => Failure::Unreachable(told),
        }
        .into())
    }
}

/// The body of an answer, part by part.
pub(super) struct Streamed<'a> {
    runtime: &'a tokio::runtime::Runtime,
    response: reqwest::Response,
    part: Bytes,
}

impl io::Read for Streamed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.part.is_empty() {
            let response = &mut self.response;
            let next = async { tokio::time::timeout(PART_WAIT, response.chunk()).await };
            match self.runtime.block_on(next) {
                Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "nothing comes")),
                Ok(Err(error)) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, error)),
                Ok(Ok(None)) => return Ok(0),
                Ok(Ok(Some(part))) => self.part = part,
            }
        }
        let taken = self.part.split_to(buffer.len().min(self.part.len()));
        if let Some(room) = buffer.get_mut(..taken.len()) {
            room.copy_from_slice(&taken);
        }
        Ok(taken.len())
    }
}

/// What the instance said.
struct Answer {
    status: StatusCode,
    /// In seconds.
    retry_after: Option<u64>,
    json: Value,
}

impl Answer {
    /// Whether trying again may help: what Acme refuses it refuses again.
    fn may_pass(&self) -> bool {
        let acme = self.json.pointer("/error/details/acmeStatus").and_then(Value::as_u64);
        let is_refused = acme.is_some_and(|status| (300..500).contains(&status) && status != 429);
        matches!(self.status.as_u16(), 429 | 502..=504) && !is_refused
    }
}

/// A member's text, or nothing.
pub(super) fn text<'j>(json: &'j Value, name: &str) -> &'j str {
    json.get(name).and_then(Value::as_str).unwrap_or_default()
}
