//! `bench subscriptions`: how soon subscribers are told, how many messages a second go to one, and what many
//! with filters cost.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::app::now_ms;
use crate::auth::local_key;
use crate::domain::timestamp::parse_rfc3339_us;

use super::super::output::show;
use super::super::settings::SettingsArgs;
use super::super::value_parsers::rate;
use super::start::Instance;
use super::table::{print, quantile, thousands};
use super::usage::{cpu_seconds_of, resident_bytes};
use super::world::{World, runtime};

/// Before the time at which the change came onto the log.
const RECORDED: &[u8] = b"\"recordedAt\":\"";
const THANKS: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
/// What all messages to one may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long an instance settles before its memory and CPU are looked at.
const SETTLE: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct SubscriptionsArgs {
    /// Subscriptions with filters that let nothing through
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=1000))]
    subscriptions: u16,
    /// Changes a second while they are there
    #[arg(long, default_value_t = 2_000.0, value_parser = rate)]
    rate: f64,
    /// Changes a second while it is measured how soon one is told
    #[arg(long, default_value_t = 500.0, value_parser = rate)]
    told_rate: f64,
    /// For how long each
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Messages to one subscriber, as fast as it takes them
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    messages: u32,
}

/// A subscriber that takes everything, and what it was told.
#[derive(Default)]
struct Told {
    messages: AtomicU64,
    /// Milliseconds from the log to here, while it is asked for.
    delays: Mutex<Option<Vec<f64>>>,
}

/// One instance, asked as its admin.
struct Asked {
    http: reqwest::Client,
    url: String,
    key: String,
}

pub(super) fn run(settings: &SettingsArgs, args: &SubscriptionsArgs) -> anyhow::Result<()> {
    let mut rows = runtime()?.block_on(many(args))?;
    for ordered in [false, true] {
        let a_second = one(settings, args, ordered)?;
        let how = if ordered { "in order" } else { "without order" };
        rows.push(vec![format!("messages a second to one, {how}"), thousands(a_second)]);
    }
    let SubscriptionsArgs { subscriptions, rate, told_rate, seconds, .. } = args;
    show(format_args!(
        "told at {told_rate} changes/s, {subscriptions} with filters at {rate} changes/s, {seconds} s each\n"
    ));
    print(&["", ""], &rows);
    Ok(())
}

/// How soon one is told, and what many cost.
async fn many(args: &SubscriptionsArgs) -> anyhow::Result<Vec<Vec<String>>> {
    let (told, address, _serving) = listen().await?;
    let time = Duration::from_secs(args.seconds);
    let delays = {
        let (_instance, asked, _directory) = dev(args.told_rate).await?;
        asked.subscribe(address, json!({})).await?;
        tokio::time::sleep(SETTLE).await;
        *told.delays.lock() = Some(Vec::new());
        tokio::time::sleep(time).await;
        let mut delays = told.delays.lock().take().unwrap_or_default();
        delays.sort_by(f64::total_cmp);
        delays
    };
    let (instance, asked, _directory) = dev(args.rate).await?;
    let process = instance.id().to_string();
    tokio::time::sleep(SETTLE).await;
    let spent = async || {
        let before = cpu_seconds_of(&process);
        tokio::time::sleep(time).await;
        (cpu_seconds_of(&process) - before) / time.as_secs_f64()
    };
    let (cpu_before, before) = (spent().await, resident_bytes(instance.id()));
    for number in 0..args.subscriptions {
        let filter = json!({ "events": ["contact.*"], "sources": [format!("none-{number}")] });
        asked.subscribe(address, filter).await?;
    }
    tokio::time::sleep(SETTLE).await;
    let (cpu_after, after) = (spent().await, resident_bytes(instance.id()));
    let count = f64::from(args.subscriptions);
    let memory = after.saturating_sub(before) as f64 / count / 1e3;
    let cpu = (cpu_after - cpu_before).max(0.0) / count;
    let delay = |share| format!("{:.0} ms", quantile(&delays, share));
    Ok(vec![
        vec!["from the log to a subscriber, p50".to_owned(), delay(0.5)],
        vec!["p99".to_owned(), delay(0.99)],
        vec!["max".to_owned(), delay(1.0)],
        vec!["CPU of the instance without any".to_owned(), format!("{:.1} %", cpu_before * 100.0)],
        vec!["CPU of one with a filter".to_owned(), format!("{:.4} %", cpu * 100.0)],
        vec![
            "memory of one with a filter, the changes' included".to_owned(),
            format!("{memory:.1} KB"),
        ],
    ])
}

/// Messages a second to one subscriber.
fn one(settings: &SettingsArgs, args: &SubscriptionsArgs, ordered: bool) -> anyhow::Result<f64> {
    let mut settings = settings.clone();
    for (key, value) in [("require_https", "false"), ("networks", "127.0.0.1")] {
        settings.set.push((format!("subscriptions.{key}"), value.to_owned()));
    }
    let world = World::new(&settings, args.messages)?;
    let instance = world.start(None)?;
    runtime()?.block_on(async {
        let (told, address, _serving) = listen().await?;
        let asked = Asked::of(&instance, world.path())?;
        let id = asked.subscribe(address, json!({ "ordered": ordered })).await?;
        let since = json!({ "since": "1970-01-01T00:00:00Z" });
        asked.post(&format!("/api/subscriptions/{id}/recover"), &since).await?;
        let began = Instant::now();
        loop {
            let messages = told.messages.load(Ordering::Relaxed);
            if messages >= u64::from(args.messages) {
                return Ok(messages as f64 / began.elapsed().as_secs_f64());
            }
            if began.elapsed() > PATIENCE {
                bail!("only {messages} messages came within {PATIENCE:?}");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
}

async fn dev(rate: f64) -> anyhow::Result<(Instance, Asked, tempfile::TempDir)> {
    let directory = tempfile::tempdir().context("making a temporary directory")?;
    let mut instance =
        Instance::start(&["dev", "--rate", &rate.to_string()], Some(directory.path()))?;
    instance.until_ready(&reqwest::Client::new(), None).await?;
    let asked = Asked::of(&instance, directory.path())?;
    Ok((instance, asked, directory))
}

impl Asked {
    fn of(instance: &Instance, directory: &Path) -> anyhow::Result<Self> {
        let key = local_key(directory).context("the instance has left no key")?;
        let url = format!("http://{}", instance.address());
        Ok(Self { http: reqwest::Client::new(), url, key: key.expose().to_owned() })
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.http.post(format!("{}{path}", self.url)).header("x-api-key", &self.key);
        let answer = request.json(body).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        if !status.is_success() {
            bail!("{path} answers {status}: {text}");
        }
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// The id of a new one.
    async fn subscribe(&self, to: SocketAddr, mut wish: Value) -> anyhow::Result<String> {
        if let Some(members) = wish.as_object_mut() {
            members.insert("url".to_owned(), json!(format!("http://{to}/")));
        }
        let made = self.post("/api/subscriptions", &wish).await?;
        let id = made.get("id").and_then(Value::as_str);
        Ok(id.context("a subscription without an id")?.to_owned())
    }
}

async fn listen() -> anyhow::Result<(Arc<Told>, SocketAddr, JoinSet<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (told, address) = (Arc::new(Told::default()), listener.local_addr()?);
    let mut serving = JoinSet::new();
    let own = Arc::clone(&told);
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(take(stream, Arc::clone(&own)));
        }
    });
    Ok((told, address, serving))
}

/// Takes all that comes by one connection.
async fn take(mut stream: TcpStream, told: Arc<Told>) {
    let _ = stream.set_nodelay(true);
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 16 << 10]);
    while let Ok(count) = stream.read(&mut piece).await
        && count > 0
    {
        bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
        while let Some(end) = end_of(&bytes) {
            told.messages.fetch_add(1, Ordering::Relaxed);
            if let Some(delays) = told.delays.lock().as_mut()
                && let Some(at) = recorded_ms(bytes.get(..end).unwrap_or_default())
            {
                delays.push(now_ms().saturating_sub(at) as f64);
            }
            bytes.drain(..end);
            if stream.write_all(THANKS).await.is_err() {
                return;
            }
        }
    }
}

/// Where the first whole request ends.
fn end_of(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(bytes.get(..head)?).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let end = head + length.unwrap_or(0);
    (bytes.len() >= end).then_some(end)
}

/// When the change of a message came onto the log.
fn recorded_ms(bytes: &[u8]) -> Option<u64> {
    let at = bytes.windows(RECORDED.len()).position(|window| window == RECORDED)?;
    let time = bytes.get(at + RECORDED.len()..)?.split(|byte| *byte == b'"').next()?;
    parse_rfc3339_us(time).map(|us| us / 1000)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_request_ends_where_its_length_says() {
        let one = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPOST";
        assert_eq!(super::end_of(one), Some(one.len() - 4));
        assert_eq!(super::end_of(&one[..one.len() - 5]), None);
    }
}
