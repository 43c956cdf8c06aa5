//! A whole contactd in this process: log, worker, HTTP on a socket of its own, ended with the test.
//!
//! ```text
//! Instance::builder().with("server.require_if_match", "true").start().await ─► client() ─► Answer
//! ```
//!
//! Each has a directory, a configuration and metrics of its own. `also_on` starts another one that
//! follows the same Kafka topic; `stop` gives the directory back, to be started on again.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use contactd::app::{self, RunOptions, WorkerOptions};
use contactd::auth::Role;
use contactd::config::{Config, FlagSetting, Mode, Sources, load};
use contactd::event_log::{Ack, EventLog, NewRecord};
use contactd::telemetry::Metrics;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::access;
use super::answer::Answer;
use super::client::Client;
use super::logs::KafkaTopic;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What it is started with.
#[derive(Clone, Debug)]
pub struct Builder {
    settings: Vec<(String, String)>,
    mode: Mode,
    worker: WorkerOptions,
}

/// One that runs.
pub struct Instance {
    pub address: SocketAddr,
    /// Where `/metrics` is.
    pub metrics_address: SocketAddr,
    pub metrics: Arc<Metrics>,
    log: EventLog,
    stop: CancellationToken,
    running: Option<JoinHandle<anyhow::Result<()>>>,
    directory: Option<TempDir>,
}

impl Builder {
    /// Sets a key of the configuration.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.settings.push((key.to_owned(), value.to_string()));
        self
    }

    /// As `contactd dev`, without its demo events.
    #[must_use]
    pub fn dev(mut self) -> Self {
        self.mode = Mode::Dev;
        self
    }

    /// As `--accept-gap --sole`.
    #[must_use]
    pub fn what_is_left(mut self) -> Self {
        self.worker.accepts_gap = true;
        self
    }

    /// Follows that topic instead of an embedded log.
    #[must_use]
    pub fn following(self, topic: &KafkaTopic) -> Self {
        self.with("log.kind", "kafka")
            .with("kafka.brokers", &topic.brokers)
            .with("kafka.topic", &topic.topic)
            .with("kafka.control_topic", format!("{}.control", topic.topic))
            .with("kafka.partitioner", "murmur2")
    }

    /// Starts it on an empty directory, and returns when it is ready.
    pub async fn start(self) -> Instance {
        let directory = tempfile::tempdir().expect("a temporary directory");
        self.start_on(directory).await
    }

    /// Starts it on a directory that another one had.
    pub async fn start_on(self, directory: TempDir) -> Instance {
        let instance = self.begin(directory);
        instance.until_ready().await;
        instance
    }

    /// Starts it, and returns as soon as it listens.
    pub fn begin(self, directory: TempDir) -> Instance {
        let config = self.config(directory.path());
        access::write_users(&config.auth.users_file);
        let log = app::open_log(&config).expect("a log");
        let (tell, told) = sync_channel(1);
        let stop = CancellationToken::new();
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let options = RunOptions {
            log: Some(log.clone()),
            stop: Some(stop.clone()),
            metrics: Some(Arc::clone(&metrics)),
            worker: self.worker,
            started: Some(Box::new(move |started: &app::Started| {
                tell.send(started.clone()).expect("the test waits for it");
            })),
            ..RunOptions::default()
        };
        let running = std::thread::spawn(move || app::run(config, options));
        let Ok(started) = told.recv_timeout(PATIENCE) else {
            panic!("it did not start: {:?}", running.join());
        };
        let (running, directory) = (Some(running), Some(directory));
        let (address, metrics_address) = (started.address, started.metrics);
        Instance { address, metrics_address, metrics, log, stop, running, directory }
    }

    fn config(&self, directory: &Path) -> Config {
        let path = directory.display().to_string();
        let settings = [
            ("store.path", path.as_str()),
            ("server.listen", "127.0.0.1:0"),
            ("server.lame_duck", "0"),
            ("log.kind", "embedded"),
            ("jwt.secret", access::JWT_SECRET),
            ("store.cache_bytes", "4MiB"),
            ("store.sled_cache_bytes", "8MiB"),
            ("store.dirty_bytes_max", "1MiB"),
            ("store.checkpoint_interval", "200ms"),
            ("store.min_free_bytes", "0"),
            ("store.ballast_bytes", "0"),
        ];
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let flags = settings.into_iter().chain(self.settings.iter().cloned());
        let flag = |(key, value)| FlagSetting { flag: "test".to_owned(), key, value };
        let flags = flags.map(flag).collect();
        let read_secret = |path: &Path| std::fs::read_to_string(path);
        let sources = Sources { flags, read_secret: &read_secret, ..Sources::new(self.mode) };
        load(&sources).expect("a right configuration")
    }
}

impl Instance {
    /// With nothing set yet: an embedded log, a small store.
    pub fn builder() -> Builder {
        Builder { settings: Vec::new(), mode: Mode::Serve, worker: WorkerOptions::default() }
    }

    /// As it comes.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// With the key of an admin.
    pub fn client(&self) -> Client {
        Client::new(self.address).with_role(Role::Admin)
    }

    /// A figure, by its name and labels.
    pub fn figure(&self, sample: &str) -> Option<String> {
        let text = String::from_utf8(self.metrics.render().expect("figures")).expect("text");
        let found = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        found.map(str::to_owned)
    }

    /// Its data directory.
    pub fn path(&self) -> &Path {
        self.directory.as_ref().expect("it has a directory").path()
    }

    /// The log that it follows, to append to.
    pub fn log(&self) -> &EventLog {
        &self.log
    }

    /// Appends an event as a producer does: keyed by its contact.
    pub async fn append(&self, event: &Value) -> Ack {
        let id = event["data"]["id"].as_str().expect("data.id");
        self.append_bytes(id, event.to_string().as_bytes()).await
    }

    /// Appends whatever it is.
    pub async fn append_bytes(&self, key: &str, value: &[u8]) -> Ack {
        let record = NewRecord {
            key: key.as_bytes().to_vec(),
            value: Some(value.to_vec()),
            headers: Vec::new(),
            timestamp_ms: i64::try_from(app::now_ms()).expect("a time"),
            lane: None,
        };
        let acks = self.log.append(vec![record]).await.expect("an acknowledgement");
        acks[0]
    }

    /// Waits for `/readyz` to say yes.
    pub async fn until_ready(&self) {
        let client = self.client();
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = client.get("/readyz?verbose").await;
            if answer.status.is_success() {
                return;
            }
            let why = String::from_utf8_lossy(&answer.body);
            assert!(Instant::now() < end, "not ready within {PATIENCE:?}: {why}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Asks for the contact until it is there and `is_right`.
    pub async fn until_contact(&self, id: &str, is_right: impl Fn(&Answer) -> bool) -> Answer {
        let client = self.client();
        let path = format!("/api/contacts/{id}");
        until(&format!("{path} is as it should be"), async || {
            let answer = client.get(&path).await;
            is_right(&answer).then_some(answer)
        })
        .await
    }

    /// Ends it as a signal does, and gives the directory back.
    pub async fn stop(mut self) -> TempDir {
        self.stop.cancel();
        let running = self.running.take().expect("it runs");
        let ended = tokio::task::spawn_blocking(move || running.join()).await;
        ended.expect("it is waited for").expect("it does not panic").expect("it ends well");
        self.directory.take().expect("it has a directory")
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(running) = self.running.take() {
            let ended = running.join();
            let is_sound = matches!(ended, Ok(Ok(())));
            if std::thread::panicking() && !is_sound {
                eprintln!("it did not end well: {ended:?}");
            }
            assert!(std::thread::panicking() || is_sound, "it did not end well: {ended:?}");
        }
    }
}

/// Until a process that was just started is ready.
pub async fn until_ready(address: SocketAddr) {
    until("it is ready", async || {
        let ready = reqwest::get(format!("http://{address}/readyz")).await.ok()?;
        ready.status().is_success().then_some(())
    })
    .await;
}

/// What `look` finds at last, asked again and again; fails at the deadline.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "waited {PATIENCE:?} in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
