//! `bench start` and `bench recovery`: how long until an instance is of use, from nothing and
//! after a kill.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::Value;

use crate::auth::{kept_jwt_secret, local_key};
use crate::config::{Mode, Secret};
use crate::event_log::NewRecord;
use crate::simulate::{LoadGenerator, LoadOptions, START_MS};

use super::super::offline::open_log;
use super::super::output::show;
use super::super::progress;
use super::super::settings::{SettingsArgs, flag};
use super::fill::append_all;
use super::table::{median, print};
use super::world::runtime;

/// Between two looks at an instance.
const LOOK: Duration = Duration::from_millis(2);
/// Without a new event for so long, an instance has applied all.
const IDLE: Duration = Duration::from_millis(200);
/// What nothing that is waited for may take, a log to catch up with included.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct StartArgs {
    /// How often; the median is shown
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct RecoveryArgs {
    /// Contacts in the store that is killed
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    contacts: u32,
    /// Updates of them that follow; the kill comes half-way through
    #[arg(long, default_value_t = 400_000)]
    updates: u64,
}

/// An instance as a process of its own, killed when dropped.
pub(super) struct Instance {
    child: Child,
    address: SocketAddr,
    started: Instant,
    /// What it said, for when it fails.
    said: File,
    /// Its data directory.
    store: Option<PathBuf>,
}

impl Instance {
    pub(super) fn start(arguments: &[&str], path: Option<&Path>) -> anyhow::Result<Self> {
        Self::start_with(arguments, path, &jwt_secret()?)
    }

    pub(super) fn start_with(
        arguments: &[&str],
        path: Option<&Path>,
        secret: &str,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments);
        command.env_remove("KAFKA_BROKERS");
        Self::launch(command, path, secret)
    }

    /// `serve` under these settings, from wherever the log begins.
    pub(super) fn serving(
        settings: &SettingsArgs,
        path: &Path,
        secret: &str,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(settings.as_arguments()).args(["serve", "--accept-gap", "--sole"]);
        Self::launch(command, Some(path), secret)
    }

    fn launch(mut command: Command, path: Option<&Path>, secret: &str) -> anyhow::Result<Self> {
        // Free a moment ago; nobody else is expected to take it.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        command.arg("--listen").arg(address.to_string());
        if let Some(path) = path {
            command.arg("--path").arg(path);
        }
        let started = Instant::now();
        let said = tempfile::tempfile()?;
        let child = command
            // Gone with its data; `serve` must have one.
            .env("JWT_SECRET", secret)
            .env("CONTACTD_SERVER__LAME_DUCK", "0")
            .stdout(Stdio::null())
            .stderr(said.try_clone()?)
            .spawn()
            .context("starting the measured process")?;
        Ok(Self { child, address, started, said, store: path.map(Path::to_owned) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether all is applied, now.
    pub(super) fn is_ready(&self) -> bool {
        let asked = || {
            let mut stream = TcpStream::connect(self.address)?;
            stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
            let mut answer = [0; 12];
            stream.read_exact(&mut answer)?;
            io::Result::Ok(answer == *b"HTTP/1.1 200")
        };
        asked().unwrap_or(false)
    }

    /// Its process.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Seconds from the start until `/readyz` (or one part of it) is good.
    pub(super) async fn until_ready(
        &mut self,
        http: &reqwest::Client,
        part: Option<&str>,
    ) -> anyhow::Result<f64> {
        let url = format!("http://{}/readyz?verbose", self.address);
        let mut body = Value::Null;
        let since = Instant::now();
        loop {
            if let Ok(answer) = http.get(&url).send().await {
                let is_ready = answer.status().is_success();
                body = answer.json().await.unwrap_or_default();
                let is_part_ready = part
                    .and_then(|part| body.pointer(&format!("/parts/{part}/ready")))
                    .is_some_and(|ready| ready == &Value::Bool(true));
                if is_ready || is_part_ready {
                    return Ok(self.started.elapsed().as_secs_f64());
                }
            }
            self.wait(since).with_context(|| format!("waiting for {url}, which says {body}"))?;
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until nothing more comes to be applied.
    pub(super) async fn until_idle(&mut self, http: &reqwest::Client) -> anyhow::Result<()> {
        let mut before = None;
        let since = Instant::now();
        loop {
            let now = self.received(http).await?;
            if before.replace(now) == Some(now) {
                return Ok(());
            }
            self.wait(since)?;
            tokio::time::sleep(IDLE).await;
        }
    }

    async fn until_received(&mut self, http: &reqwest::Client, events: u64) -> anyhow::Result<()> {
        let since = Instant::now();
        while self.received(http).await.unwrap_or_default() < events {
            self.wait(since)?;
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Events that were applied so far.
    async fn received(&self, http: &reqwest::Client) -> anyhow::Result<u64> {
        // Left there as soon as the store is open.
        let key = self.store.as_deref().and_then(local_key);
        let key = key.as_ref().map_or("", Secret::expose);
        let url = format!("http://{}/api/stats", self.address);
        let body: Value = http.get(url).header("X-API-Key", key).send().await?.json().await?;
        let received = body.pointer("/events/received").and_then(Value::as_u64);
        received.context("the instance does not say what it received")
    }

    fn wait(&mut self, since: Instant) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let mut said = String::new();
            self.said.seek(SeekFrom::Start(0))?;
            self.said.read_to_string(&mut said)?;
            bail!("the measured process ended early: {status}; it said\n{said}");
        }
        anyhow::ensure!(since.elapsed() < PATIENCE, "that took longer than {PATIENCE:?}");
        Ok(())
    }
}

fn jwt_secret() -> anyhow::Result<String> {
    Ok(kept_jwt_secret(tempfile::tempdir()?.path())?.expose().to_owned())
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn run(args: &StartArgs) -> anyhow::Result<()> {
    let runtime = runtime()?;
    let http = reqwest::Client::new();
    let mut seconds = Vec::new();
    for _ in 0..args.rounds {
        let directory = tempfile::tempdir()?;
        let mut instance = Instance::start(&["dev"], Some(directory.path()))?;
        seconds.push(runtime.block_on(instance.until_ready(&http, None))?);
    }
    show(format_args!("`contactd dev` from nothing until ready, {} starts\n", args.rounds));
    let worst = seconds.iter().copied().fold(0.0, f64::max);
    print(
        &["", "median", "worst"],
        &[vec!["ready".into(), format!("{:.2} s", median(seconds)), format!("{worst:.2} s")]],
    );
    Ok(())
}

pub(super) fn recovery(settings: &SettingsArgs, args: &RecoveryArgs) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    fill(settings, directory.path(), args)?;
    let runtime = runtime()?;
    let http = reqwest::Client::new();
    let before = u64::from(args.contacts) + args.updates / 2;
    let bar = progress::bar(None, "applying up to the kill");
    bar.enable_steady_tick(progress::TICK);
    runtime.block_on(async {
        let mut instance = Instance::start(&["serve"], Some(directory.path()))?;
        instance.until_received(&http, before).await
    })?;
    bar.finish_and_clear();
    let (consuming, caught_up) = runtime.block_on(async {
        let mut instance = Instance::start(&["serve"], Some(directory.path()))?;
        let consuming = instance.until_ready(&http, Some("log")).await?;
        anyhow::Ok((consuming, instance.until_ready(&http, None).await?))
    })?;
    show(format_args!(
        "{} contacts, killed while {} updates were applied\n",
        args.contacts, args.updates
    ));
    print(
        &["", "after the start"],
        &[
            vec!["opened, redone and consuming".into(), format!("{consuming:.2} s")],
            vec!["caught up".into(), format!("{caught_up:.2} s")],
        ],
    );
    Ok(())
}

/// Every contact once, then updates as the load generator makes them.
fn fill(settings: &SettingsArgs, path: &Path, args: &RecoveryArgs) -> anyhow::Result<()> {
    let path = path.to_string_lossy();
    let flags = vec![
        flag("bench", "store.path", path),
        flag("bench", "embedded_log.path", ""),
        flag("bench", "log.kind", "embedded"),
    ];
    let log = open_log(&settings.load(Mode::Serve, flags)?)?;
    let total = u64::from(args.contacts) + args.updates;
    let bar = progress::bar(Some(total), "filling the log");
    let updates = LoadGenerator::new(&LoadOptions {
        events: args.updates,
        contacts: args.contacts,
        ..LoadOptions::default()
    });
    let ids = updates.clone();
    let created = (0..args.contacts).map(|rank| created(&ids.contact_id(rank)));
    append_all(&log, &bar, created.chain(updates.map(NewRecord::from)))
}

fn created(id: &str) -> NewRecord {
    let value = serde_json::json!({
        "id": format!("created-{id}"),
        "eventType": "contact.created",
        "timestamp": START_MS,
        "source": "acme",
        "data": {
            "id": id,
            "acme_first_name": "Ada",
            "acme_last_name": "Lovelace",
            "acme_email": format!("{id}@example.com"),
            "acme_phone": "+44 20 7946 0000",
            "acme_company": "Analytical Engines Ltd",
        },
    });
    NewRecord {
        key: id.as_bytes().to_vec(),
        value: Some(value.to_string().into_bytes()),
        headers: Vec::new(),
        timestamp_ms: i64::try_from(START_MS).unwrap_or(i64::MAX),
        lane: None,
    }
}
