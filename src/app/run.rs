//! From the first task to the last.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::auth::Auth;
use crate::config::Config;
use crate::effects::feed::{Feed, FeedOptions};
use crate::event_log::{EventLog, LogError};
use crate::http::{
    self, HttpLimits, HttpState, Readiness, ServeError, ServeOptions, Services, Tls, WebhookIntake,
};
use crate::ingest::OutboxError;
use crate::query::CursorKeys;
use crate::shared_state::SharedState;
use crate::telemetry::{Build, Metrics};

use super::bridge::run_bridge;
use super::dead_letters::Letters;
use super::demo::{self, DemoOptions};
use super::descriptors;
use super::log::open_log;
use super::partial::while_whole;
use super::permissions::warn_of_open_files;
use super::roles::Roles;
use super::setup::ApplySetup;
use super::simulator::open_simulator;
use super::watch::Watch;
use super::webhooks::{forward, open_webhooks, shut_outbox};
use super::worker::{Worker, WorkerError, WorkerOptions};

/// How long the end waits for the batch in hand and the last checkpoint; redo covers the rest.
const WORKER_DRAIN: Duration = Duration::from_secs(20);
/// How long the end waits for records that are on their way to the log.
const LOG_DRAIN: Duration = Duration::from_secs(5);

/// Called when the process has started.
pub type WhenStarted = Box<dyn FnOnce(&Started) + Send>;

/// What the process does besides following the log and answering.
#[derive(Default)]
pub struct RunOptions {
    /// Where to begin, when to end.
    pub worker: WorkerOptions,
    /// Demo events; none: none.
    pub demo: Option<DemoOptions>,
    /// The log to follow, for a caller that appends to it as well; none: as configured.
    pub log: Option<EventLog>,
    /// Ends the run as a signal does.
    pub stop: Option<CancellationToken>,
    /// Where the figures go, for a caller that wants to read them; none: the process's own.
    pub metrics: Option<Arc<Metrics>>,
    /// Called once the address is bound.
    pub started: Option<WhenStarted>,
}

/// What a person wants to know at the start.
#[derive(Clone, Debug)]
pub struct Started {
    /// Where HTTP is answered.
    pub address: SocketAddr,
    /// A contact to ask for, in a demo.
    pub contact: Option<String>,
}

/// Runs until a signal, the one-shot's end, or a failure.
///
/// # Errors
/// What kept it from starting or going on.
pub fn run(config: Config, options: RunOptions) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("http")
        .build()
        .context("can't start the runtime")?;
    runtime.block_on(life(Arc::new(config), options))
}

async fn life(config: Arc<Config>, options: RunOptions) -> anyhow::Result<()> {
    warn_of_open_files(&config.data_directories());
    let connections_max = descriptors::connections(config.server.connections_max);
    let setup = ApplySetup::new(&config)?;
    let log = match options.log {
        Some(log) => log,
        None => open_log(&config)?,
    };
    let metrics = match options.metrics {
        Some(metrics) => metrics,
        None => Arc::new(Metrics::new()?),
    };
    let shared = Arc::new(SharedState::new(&config, &metrics)?);
    let auth = Arc::new(Auth::new(&config, &shared, Arc::clone(&metrics))?);
    let tls = config.server.tls.as_ref().map(|tls| Tls::load(&tls.certificate, &tls.key));
    let tls = tls.transpose()?.map(Arc::new);
    let listener = TcpListener::bind(config.server.listen)
        .await
        .with_context(|| format!("can't listen on {}", config.server.listen))?;
    let address = listener.local_addr()?;
    let webhooks = open_webhooks(&config, &setup, log.clone())?;
    let intake = Arc::clone(&webhooks.intake);
    let watch = watch(&config, metrics, Arc::clone(&auth), &shared, webhooks, address)?;
    let stop = Stop::default();
    let users_stop = stop.shared.clone();
    // A run that ends when all is applied would leave the inputs half bridged.
    let is_one_shot = options.worker.until_caught_up;
    let bridge = (!is_one_shot).then(|| {
        let (config, rules) = (Arc::clone(&config), setup.present.clone());
        start(run_bridge(config, rules, log.clone(), watch.clone(), stop.bridge.clone()))
    });
    let worker = Worker {
        config: Arc::clone(&config),
        log: log.clone(),
        setup,
        options: options.worker,
        metrics: Arc::clone(&watch.metrics),
        watch: watch.clone(),
        commands: OnceLock::new(),
        runtime: tokio::runtime::Handle::current(),
        stop: stop.worker.clone(),
    };
    let router = http::router(watch.http.clone());
    let serving = ServeOptions { tls, ..ServeOptions::new(&config.server, connections_max) };
    let tasks = Tasks {
        http: start(http::serve(listener, router, serving, stop.http.clone())),
        users: start(async move { auth.run(users_stop).await }),
        shared: start(shared.run(stop.shared.clone())),
        feed: start(watch.feed.clone().run(stop.http.clone())),
        simulator: watch.simulator.clone().map(|one| start(one.run(stop.http.clone()))),
        worker: tokio::task::spawn_blocking(move || worker.run()),
        letters: start(letters(watch.clone(), stop.letters.clone())),
        // What waits is not this run's, which would end in the middle of it.
        outbox: if is_one_shot { None } else { forward(&intake, stop.outbox.clone()) },
        bridge,
        demo: options.demo.map(|demo| start(demo::run(log.clone(), demo, stop.demo.clone()))),
    };
    // Before anybody is told that it runs: a signal from then on is an orderly end.
    let signals = Signals::new()?;
    if let Some(started) = options.started {
        let contact = tasks.demo.is_some().then(demo::first_contact);
        started(&Started { address, contact });
    }
    let ended = tasks.run(&stop, options.stop.unwrap_or_default(), signals, &watch).await;
    stop.all();
    shut_log(log).await;
    shut_outbox(intake).await;
    ended
}

async fn letters(watch: Watch, stop: CancellationToken) {
    let letters = |stop: CancellationToken| {
        watch.roles.clone().run(watch.letters.clone().run(stop.clone()), stop)
    };
    while_whole(&watch.partial, &stop, letters).await
}

fn watch(
    config: &Config,
    metrics: Arc<Metrics>,
    auth: Arc<Auth>,
    shared: &SharedState,
    webhooks: WebhookIntake,
    own: SocketAddr,
) -> anyhow::Result<Watch> {
    let is_kafka = config.follows_kafka();
    metrics.set_build(Build::THIS, if is_kafka { "kafka" } else { "embedded" });
    let readiness = Arc::new(Readiness::new());
    let limits = HttpLimits::from(&config.server);
    let intake = Arc::clone(&webhooks.intake);
    let simulator = open_simulator(config, own, &metrics)?;
    let services = Services {
        auth: Some(Arc::clone(&auth)),
        metrics_need_role: config.telemetry.require_role,
        limiter: Arc::clone(&shared.limiter),
        proxies: config.server.proxies.clone(),
        allow: config.allow.clone(),
        cors_origins: config.server.cors_origins.clone(),
        speaks_tls: config.server.tls.is_some(),
        webhooks: Some(webhooks),
        simulator: simulator.clone(),
    };
    let watch = Watch {
        http: HttpState::new(limits, services, Arc::clone(&metrics), Arc::clone(&readiness)),
        feed: Feed::new(FeedOptions::from(&config.feed), &metrics),
        readiness,
        metrics,
        is_kafka,
        cursor_keys: cursor_keys(config),
        control_topic: config.kafka.control_topic.clone(),
        letters: Letters::new(config, Arc::clone(&auth)),
        auth,
        store_path: config.store.path.clone(),
        reader: Arc::new(OnceLock::new()),
        intake,
        simulator,
        roles: Roles::default(),
        partial: CancellationToken::new(),
    };
    watch.starting(config);
    Ok(watch)
}

/// Every instance with the same secret takes the cursors of the others.
fn cursor_keys(config: &Config) -> CursorKeys {
    let previous: Vec<&[u8]> =
        config.jwt.secret_previous.iter().map(|secret| secret.expose().as_bytes()).collect();
    match &config.jwt.secret {
        Some(secret) => CursorKeys::of_secrets(secret.expose().as_bytes(), &previous),
        None => CursorKeys::random(),
    }
}

/// The one place where tasks are started: each is waited for in [`Tasks::run`].
#[expect(clippy::disallowed_methods, reason = "its handle goes into the table of tasks")]
fn start<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(task)
}

/// The table of tasks; `commits` is the worker's own.
struct Tasks {
    http: JoinHandle<Result<(), ServeError>>,
    users: JoinHandle<()>,
    shared: JoinHandle<()>,
    feed: JoinHandle<()>,
    simulator: Option<JoinHandle<()>>,
    letters: JoinHandle<()>,
    worker: JoinHandle<Result<(), WorkerError>>,
    demo: Option<JoinHandle<Result<(), LogError>>>,
    outbox: Option<JoinHandle<Result<(), OutboxError>>>,
    bridge: Option<JoinHandle<Result<(), LogError>>>,
}

impl Tasks {
    /// Waits for a signal or the first task to end, then ends the others in their order.
    async fn run(
        mut self,
        stop: &Stop,
        told: CancellationToken,
        mut signals: Signals,
        watch: &Watch,
    ) -> anyhow::Result<()> {
        let first = tokio::select! {
            () = signals.recv() => First::Told,
            () = told.cancelled() => First::Told,
            worker = &mut self.worker => First::Worker(worker),
            users = &mut self.users => First::Failed(early("users", users.map(Ok::<_, ServeError>))),
            shared = &mut self.shared => First::Failed(early("shared_state", shared.map(Ok::<_, ServeError>))),
            http = &mut self.http => First::Failed(early("http", http)),
            feed = &mut self.feed => First::Failed(early("feed", feed.map(Ok::<_, Infallible>))),
            simulator = ended(&mut self.simulator) => First::Failed(early("simulator", simulator.map(Ok::<_, Infallible>))),
            letters = &mut self.letters => First::Failed(early("dead_letters", letters.map(Ok::<_, Infallible>))),
            demo = ended(&mut self.demo) => First::Failed(early("demo", demo)),
            outbox = ended(&mut self.outbox) => First::Failed(early("outbox", outbox)),
            bridge = ended(&mut self.bridge) => First::Failed(early("bridge", bridge)),
        };
        watch.draining();
        let second = start(end_at_second_signal());
        let result = match first {
            First::Worker(worker) => {
                stop.all();
                end_thread(self.outbox).await;
                end_thread(self.bridge).await;
                worker_result(worker)
            }
            First::Told => {
                tracing::info!("ending");
                stop.demo.cancel();
                stop.http.cancel();
                let served = self.http.await;
                stop.shared.cancel();
                stop.outbox.cancel();
                stop.bridge.cancel();
                stop.letters.cancel();
                let fed = self.feed.await;
                // Before the worker, which applies what they write down.
                let redriven = self.letters.await;
                stop.worker.cancel();
                let drained = drain_worker(self.worker).await;
                if let Some(outbox) = self.outbox {
                    outbox.await.context("the task outbox panicked")??;
                }
                if let Some(bridge) = self.bridge {
                    bridge.await.context("the task bridge panicked")??;
                }
                drained?;
                fed.context("the task feed panicked")?;
                if let Some(simulator) = self.simulator {
                    simulator.await.context("the task simulator panicked")?;
                }
                redriven.context("the task dead_letters panicked")?;
                Ok(served.context("the task http panicked")??)
            }
            First::Failed(error) => {
                stop.all();
                end_thread(self.outbox).await;
                end_thread(self.bridge).await;
                if let Err(also) = drain_worker(self.worker).await {
                    tracing::error!(error = %also, "the worker did not end well either");
                }
                Err(error)
            }
        };
        second.abort();
        result
    }
}

/// What asks for an orderly end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let wait_for = |kind| signal(kind).context("can't wait for a signal");
        Ok(Self {
            interrupt: wait_for(SignalKind::interrupt())?,
            terminate: wait_for(SignalKind::terminate())?,
        })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// What ends the process.
enum First {
    Told,
    Worker(Joined<Result<(), WorkerError>>),
    Failed(anyhow::Error),
}

/// One token a task, because they end one after the other.
#[derive(Default)]
struct Stop {
    demo: CancellationToken,
    http: CancellationToken,
    shared: CancellationToken,
    outbox: CancellationToken,
    bridge: CancellationToken,
    letters: CancellationToken,
    worker: CancellationToken,
}

/// However the run ends, a panic included: a thread that is not told to end keeps the process.
impl Drop for Stop {
    fn drop(&mut self) {
        self.all();
    }
}

impl Stop {
    fn all(&self) {
        let Self { demo, http, shared, outbox, bridge, letters, worker } = self;
        for token in [demo, http, shared, outbox, bridge, letters, worker] {
            token.cancel();
        }
    }
}

type Joined<T> = Result<T, tokio::task::JoinError>;

async fn ended<T>(task: &mut Option<JoinHandle<T>>) -> Joined<T> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

/// Waits for a thread that waits on the runtime, which is not to go before it.
async fn end_thread<T>(task: Option<JoinHandle<T>>) {
    // One that has ended may have been waited for already.
    if let Some(task) = task.filter(|task| !task.is_finished())
        && tokio::time::timeout(LOG_DRAIN, task).await.is_err()
    {
        tracing::warn!("a thread did not end in time");
    }
}

async fn drain_worker(worker: JoinHandle<Result<(), WorkerError>>) -> anyhow::Result<()> {
    match tokio::time::timeout(WORKER_DRAIN, worker).await {
        Ok(worker) => worker_result(worker),
        Err(_) => {
            tracing::warn!("ending without the last checkpoint; the next start redoes the journal");
            Ok(())
        }
    }
}

fn worker_result(worker: Joined<Result<(), WorkerError>>) -> anyhow::Result<()> {
    Ok(worker.context("the worker panicked")??)
}

fn early<E>(task: &str, ended: Joined<Result<(), E>>) -> anyhow::Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    match ended {
        Ok(Ok(())) => anyhow::anyhow!("the task {task} ended before it was told to"),
        Ok(Err(error)) => anyhow::Error::new(error).context(format!("the task {task} failed")),
        Err(error) => anyhow::Error::new(error).context(format!("the task {task} panicked")),
    }
}

async fn shut_log(log: EventLog) {
    let shut = tokio::task::spawn_blocking(move || log.shutdown());
    match tokio::time::timeout(LOG_DRAIN, shut).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!(%error, "the log did not end well"),
        Ok(Err(_)) | Err(_) => tracing::warn!("the log did not end in time"),
    }
}

/// Whoever asks twice does not want to wait: what is not checkpointed is redone at the next start.
async fn end_at_second_signal() {
    let Ok(mut signals) = Signals::new() else {
        return;
    };
    signals.recv().await;
    #[expect(clippy::disallowed_methods, reason = "as safe as kill -9, and asked for twice")]
    std::process::exit(1);
}
