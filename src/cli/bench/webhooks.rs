//! `bench webhooks`: signed POST → log → 2xx, beside a bare handler that verifies the same signature
//! and appends to a log of its own, in the same run.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use clap::Args;

use crate::app::now_ms;
use crate::config::{Config, Mode};
use crate::event_log::NewRecord;
use crate::event_log::kafka::{BareProducer, KafkaLog, TopicPlan};
use crate::ingest::sign_acme;

use super::super::offline::open_log;
use super::super::output::show;
use super::super::settings::SettingsArgs;
use super::bare::{Bare, Measured, print_beside_limit, rate};
use super::bare_http::{Append, serve_bare_webhooks};
use super::drain::own_log;
use super::http_load::{Answered, Load};
use super::start::Instance;
use super::world::{runtime, seconds};

const SECRET: &str = "a secret for as long as a benchmark takes";
const TOPIC: &str = "contactd-bench-webhooks";
/// Partitions of both topics or logs.
const PARTITIONS: u16 = 8;
/// What both topics keep.
const RETENTION_MS: u64 = 3_600_000;
/// Requests that are signed before each measurement; what a sender's CPU costs is not asked for.
const SIGNED: usize = 100_000;
/// How long the bare handler's producer gathers records for a batch, in ms; the better one counts.
const LINGERS: [&str; 2] = ["0", "1"];

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct WebhooksArgs {
    /// Connections at once, each waiting for its answer
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..))]
    connections: u64,
    /// Contacts that the events are about
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    contacts: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How often; the medians are shown
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct BareWebhooksArgs {
    address: SocketAddr,
    #[arg(long)]
    linger: String,
}

/// The process that the limit is measured with.
pub(super) fn bare(settings: &SettingsArgs, args: &BareWebhooksArgs) -> anyhow::Result<()> {
    let config = settings.load(Mode::Serve, Vec::new())?;
    let append = if config.follows_kafka() {
        let producer = BareProducer::new(&config.kafka, &args.linger)?;
        let append: Append = Arc::new(move |body| {
            let producer = producer.clone();
            Box::pin(async move { producer.append(&key(&body), &body).await })
        });
        append
    } else {
        let log = open_log(&config)?;
        let append: Append = Arc::new(move |body| {
            let log = log.clone();
            let key = key(&body).to_vec();
            let record = NewRecord { key, value: Some(body.into()), ..NewRecord::default() };
            Box::pin(async move { log.append(vec![record]).await.is_ok() })
        });
        append
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(args.address).await?;
        Ok(serve_bare_webhooks(listener, SECRET, append).await?)
    })
}

/// Spreads records over lanes as contacts' ids do, for who does not look into a body.
fn key(body: &[u8]) -> [u8; 8] {
    xxhash_rust::xxh3::xxh3_64(body).to_le_bytes()
}

pub(super) fn run(settings: &SettingsArgs, args: &WebhooksArgs) -> anyhow::Result<()> {
    let directory = tempfile::tempdir().context("making a temporary directory")?;
    let (ours, bare) = (directory.path().join("ours"), directory.path().join("bare"));
    let own = own_settings(settings, TOPIC, &ours)?;
    let bare = own_settings(settings, &format!("{TOPIC}-bare"), &bare)?;
    let is_kafka = own.load(Mode::Serve, Vec::new())?.follows_kafka();
    let mut instance = Instance::serving(&own, &ours, SECRET)?;
    let runtime = runtime()?;
    let http = reqwest::Client::new();
    runtime.block_on(instance.until_ready(&http, None))?;
    let lingers = if is_kafka { &LINGERS[..] } else { &LINGERS[..1] };
    let mut limits: Vec<Vec<Answered>> = vec![Vec::new(); lingers.len()];
    let mut rounds = Vec::new();
    for _ in 0..args.rounds {
        for (limits, linger) in limits.iter_mut().zip(lingers) {
            let bare = Bare::start(&bare, "bare-webhooks", &["--linger", linger])?;
            limits.push(load(bare.address, args).run(|| false)?);
        }
        rounds.push(load(instance.address(), args).run(|| false)?);
        // What is still to be applied would slow down what is measured next.
        runtime.block_on(instance.until_idle(&http))?;
    }
    let limit = limits.into_iter().max_by(|a, b| rate(a).total_cmp(&rate(b))).unwrap_or_default();
    let place = if is_kafka { "Kafka, acks=all" } else { "the embedded log, fsynced" };
    show(format_args!(
        "signed webhooks onto {place}: {} connections, median of {} rounds\n",
        args.connections, args.rounds
    ));
    let bare = format!("bare handler, HMAC and {}", if is_kafka { "producer" } else { "log" });
    print_beside_limit(&[Measured(&bare, &limit), Measured("contactd", &rounds)]);
    Ok(())
}

/// The user's settings with a log of the benchmark's own, and the secret.
fn own_settings(settings: &SettingsArgs, topic: &str, path: &Path) -> anyhow::Result<SettingsArgs> {
    let mut own = own_log(settings, topic.to_owned(), PARTITIONS, path)?;
    own.path = Some(path.to_owned());
    own.set.push(("acme.webhook_secret".to_owned(), SECRET.to_owned()));
    let config: Config = own.load(Mode::Serve, Vec::new())?;
    if config.follows_kafka() {
        let plan =
            TopicPlan { retention_ms: Some(RETENTION_MS), ..TopicPlan::contacts(PARTITIONS, None) };
        KafkaLog::open(&config.kafka)?.ensure_topic(plan)?;
    }
    Ok(own)
}

/// Requests with an event each, no two alike.
fn load(address: SocketAddr, args: &WebhooksArgs) -> Load {
    let requests = signed(args.contacts);
    let next = AtomicUsize::new(0);
    Load {
        address,
        connections: args.connections,
        time: seconds(args.seconds),
        render: Arc::new(move |_, out| {
            let place = next.fetch_add(1, Ordering::Relaxed) % requests.len().max(1);
            out.extend_from_slice(requests.get(place).map_or(&[], Vec::as_slice));
        }),
        also_good: 200,
    }
}

fn signed(contacts: u32) -> Vec<Vec<u8>> {
    let now = now_ms();
    let time = (now / 1000).to_string();
    let request = |number: usize| {
        let contact = fastrand::u32(..contacts);
        let body = format!(
            r#"{{"id":"bench-{now}-{number}","eventType":"contact.updated","timestamp":{now},"version":{number},"data":{{"id":"bench-{contact}","acme_first_name":"Ada","acme_last_name":"Lovelace","acme_email":"ada.{number}@example.com","acme_phone":"+44 20 7946 0000"}}}}"#
        );
        let signature = sign_acme(SECRET, &time, body.as_bytes());
        format!(
            "POST /api/webhooks HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             x-acme-timestamp: {time}\r\nx-acme-signature: {signature}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    };
    (0..SIGNED).map(request).collect()
}
