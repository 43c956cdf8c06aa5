//! `bench latency`: events at a steady rate, some of them asked for over HTTP as soon as they are
//! acknowledged, with the `Position` that makes the read wait for them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::app::{self, RunOptions, now_ms};
use crate::auth::local_key;
use crate::config::{Mode, Secret};
use crate::domain::position::{LogIdentity, Position};
use crate::event_log::{EventLog, NewRecord};
use crate::simulate::{LoadGenerator, LoadOptions};

use super::super::offline::open_log;
use super::super::output::show;
use super::super::settings::{SettingsArgs, flag};
use super::super::value_parsers::rate;
use super::table::{print, quantile};

/// Events are appended in groups this often; the first of each group is asked for.
const TICK: Duration = Duration::from_millis(5);
/// Contacts that the events are about.
const CONTACTS: u32 = 20_000;

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct LatencyArgs {
    /// Events a second
    #[arg(long, default_value_t = 2000.0, value_parser = rate)]
    rate: f64,
    /// For how long
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

/// Where the run under measurement answers, and how events get to it.
#[derive(Clone)]
struct Target {
    address: SocketAddr,
    log: EventLog,
    identity: LogIdentity,
    http: reqwest::Client,
    /// Its data directory, which holds the key to it.
    store: PathBuf,
}

pub(super) fn run(settings: &SettingsArgs, args: &LatencyArgs) -> anyhow::Result<()> {
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
    let log = open_log(&config)?;
    let identity = log.identity()?;
    let place = if config.follows_kafka() { "Kafka" } else { "the embedded log" };
    let stop = CancellationToken::new();
    let (started, address) = sync_channel(1);
    let options = RunOptions {
        log: Some(log.clone()),
        stop: Some(stop.clone()),
        started: Some(Box::new(move |at| {
            // Only this one message is ever sent.
            let _ = started.send(at.address);
        })),
        ..RunOptions::default()
    };
    let store = config.store.path.clone();
    let running = std::thread::spawn(move || app::run(config, options));
    let address = address.recv().context("the instance under measurement did not start")?;
    let target = Target { address, log, identity, http: reqwest::Client::new(), store };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(measure(&target, args));
    stop.cancel();
    running.join().map_err(|_| anyhow::anyhow!("the instance under measurement panicked"))??;
    let mut millis = measured?;
    millis.sort_by(f64::total_cmp);
    show(format_args!(
        "{} events/s for {} s over {place}: from produce to read over HTTP, {} reads\n",
        args.rate,
        args.seconds,
        millis.len()
    ));
    let shares = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];
    let row = shares.iter().map(|(_, share)| format!("{:.1} ms", quantile(&millis, *share)));
    let head: Vec<&str> = std::iter::once("").chain(shares.iter().map(|(name, _)| *name)).collect();
    print(&head, &[std::iter::once("latency".to_owned()).chain(row).collect()]);
    Ok(())
}

async fn measure(target: &Target, args: &LatencyArgs) -> anyhow::Result<Vec<f64>> {
    wait_until_ready(target).await?;
    let key = local_key(&target.store).context("the instance left no key in its directory")?;
    let group = ((args.rate * TICK.as_secs_f64()).round() as usize).max(1);
    let mut generator = LoadGenerator::new(&LoadOptions {
        events: u64::MAX,
        contacts: CONTACTS,
        start_ms: now_ms(),
        ..LoadOptions::default()
    });
    // The producer's first record waits for connections that later ones find.
    produce_and_read(target.clone(), key.clone(), vec![generator.record_at(now_ms()).into()])
        .await?;
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(group as f64 / args.rate));
    let mut reads = tokio::task::JoinSet::new();
    let ends = Instant::now() + Duration::from_secs(args.seconds);
    while Instant::now() < ends {
        ticks.tick().await;
        let records = (0..group).map(|_| generator.record_at(now_ms()).into()).collect();
        reads.spawn(produce_and_read(target.clone(), key.clone(), records));
    }
    let mut millis = Vec::with_capacity(reads.len());
    while let Some(read) = reads.join_next().await {
        millis.push(read??);
    }
    Ok(millis)
}

/// Milliseconds from handing the group over to having read its first event's contact.
async fn produce_and_read(
    target: Target,
    key: Secret,
    records: Vec<NewRecord>,
) -> anyhow::Result<f64> {
    let id = records.first().map(|record| String::from_utf8_lossy(&record.key).into_owned());
    let id = id.context("an empty group")?;
    let started = Instant::now();
    let acks = target.log.append(records).await?;
    let first = acks.first().context("no acknowledgement")?;
    let log = target.identity.fingerprint();
    let position = Position::behind(log, first.lane, first.offset);
    let url = format!("http://{}/api/contacts/{id}?includeDeleted=true", target.address);
    let request = target.http.get(url).header("Position", position.encode());
    let answer = request.header("X-API-Key", key.expose()).send().await?;
    let answer = answer.error_for_status()?;
    answer.bytes().await?;
    Ok(started.elapsed().as_secs_f64() * 1e3)
}

async fn wait_until_ready(target: &Target) -> anyhow::Result<()> {
    let url = format!("http://{}/readyz", target.address);
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        if target.http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    anyhow::bail!("the instance under measurement did not get ready in 30 s")
}
