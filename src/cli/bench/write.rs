//! `bench write`: writes over HTTP, each waited for until it is applied, over some connections.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::app::{self, RunOptions, now_ms};
use crate::auth::local_key;
use crate::config::{Mode, Secret};

use super::super::output::show;
use super::super::settings::{SettingsArgs, flag};
use super::table::{print, quantile};

/// Far longer than any start takes.
const READY_WITHIN: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct WriteArgs {
    /// Connections, each with one request under way
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// For how long
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

pub(super) fn run(settings: &SettingsArgs, args: &WriteArgs) -> anyhow::Result<()> {
    let directory = tempfile::tempdir().context("making a temporary directory")?;
    let path = directory.path().to_string_lossy();
    let config = settings.load(
        Mode::Serve,
        vec![
            flag("bench", "store.path", path),
            flag("bench", "embedded_log.path", ""),
            flag("bench", "server.listen", "127.0.0.1:0"),
            flag("bench", "server.lame_duck", "0"),
        ],
    )?;
    let store = config.store.path.clone();
    let place = if config.follows_kafka() { "Kafka" } else { "the embedded log" };
    let stop = CancellationToken::new();
    let (started, address) = sync_channel(1);
    let options = RunOptions {
        stop: Some(stop.clone()),
        started: Some(Box::new(move |at| {
            // Only this one message is ever sent.
            let _ = started.send(at.address);
        })),
        ..RunOptions::default()
    };
    let running = std::thread::spawn(move || app::run(config, options));
    let address = address.recv().context("the instance under measurement did not start")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(measure(address, &store, args));
    stop.cancel();
    running.join().map_err(|_| anyhow::anyhow!("the instance under measurement panicked"))??;
    let (mut millis, took) = measured?;
    millis.sort_by(f64::total_cmp);
    let rate = millis.len() as f64 / took.as_secs_f64();
    show(format_args!(
        "writes over HTTP onto {place}, each answered when it was applied: {} connections, {:.1} s\n",
        args.connections,
        took.as_secs_f64()
    ));
    let shares = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];
    let row = shares.iter().map(|(_, share)| format!("{:.1} ms", quantile(&millis, *share)));
    let head: Vec<&str> =
        ["", "writes/s"].into_iter().chain(shares.iter().map(|(name, _)| *name)).collect();
    let row = ["write".to_owned(), format!("{rate:.0}")].into_iter().chain(row).collect();
    print(&head, &[row]);
    Ok(())
}

async fn measure(
    address: SocketAddr,
    store: &Path,
    args: &WriteArgs,
) -> anyhow::Result<(Vec<f64>, Duration)> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let ready = format!("http://{address}/readyz");
    let deadline = Instant::now() + READY_WITHIN;
    while !http.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success()) {
        anyhow::ensure!(Instant::now() < deadline, "the instance did not get ready in 30 s");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let key = local_key(store).context("the instance left no key in its directory")?;
    let started = Instant::now();
    let ends = started + Duration::from_secs(args.seconds);
    let mut connections = tokio::task::JoinSet::new();
    for number in 0..args.connections {
        connections.spawn(write(address, key.clone(), number, ends));
    }
    let mut millis = Vec::new();
    while let Some(connection) = connections.join_next().await {
        millis.extend(connection??);
    }
    Ok((millis, started.elapsed()))
}

/// Makes contacts and changes each once; milliseconds of every write.
async fn write(
    address: SocketAddr,
    key: Secret,
    number: usize,
    ends: Instant,
) -> anyhow::Result<Vec<f64>> {
    let mut key = HeaderValue::from_str(key.expose())?;
    key.set_sensitive(true);
    let headers = HeaderMap::from_iter([(HeaderName::from_static("x-api-key"), key)]);
    let http = reqwest::Client::builder().no_proxy().default_headers(headers).build()?;
    let mut millis = Vec::new();
    // A topic may hold those of another run.
    let run = now_ms();
    for contact in 0_u64.. {
        let id = format!("bench-{run}-{number}-{contact}");
        let body = json!({
            "firstName": "Ada", "lastName": "Lovelace", "email": format!("{id}@example.com"),
            "company": "Analytical Engines",
        });
        let url = format!("http://{address}/api/contacts/{id}");
        let create = http.put(&url).header("If-None-Match", "*").json(&body);
        millis.push(timed(create).await?);
        let patch: Value = json!({ "title": "Countess" });
        millis.push(timed(http.patch(&url).json(&patch)).await?);
        if Instant::now() >= ends {
            break;
        }
    }
    Ok(millis)
}

async fn timed(request: reqwest::RequestBuilder) -> anyhow::Result<f64> {
    let started = Instant::now();
    let answer = request.send().await?;
    let status = answer.status();
    answer.bytes().await?;
    anyhow::ensure!(status.is_success() && status.as_u16() != 202, "a write was answered {status}");
    Ok(started.elapsed().as_secs_f64() * 1e3)
}
