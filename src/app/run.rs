//! From the first task to the last.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::join;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::auth::Auth;
use crate::backup::{Backups, Place};
use crate::config::{Config, ReloadConfig, ServerConfig};
use crate::effects::feed::Feed;
use crate::event_log::EventLog;
use crate::http::{
    self, HttpLimits, HttpState, Readiness, ServeOptions, Services, Tls, TlsError, WebhookIntake,
};
use crate::ingest::BridgeAgain;
use crate::query::CursorKeys;
use crate::shared_state::SharedState;
use crate::telemetry::{AccessLog, Build, Metrics};

use super::acme::open_acme;
use super::bridge::{open_registry, run_bridge};
use super::dead_letters::Letters;
use super::demo::{self, DemoOptions};
use super::descriptors;
use super::followers::FollowerTasks;
use super::imports::ImportTasks;
use super::log::open_log;
use super::partial::while_whole;
use super::permissions::warn_of_open_files;
use super::reload::{self, Changeable, ConfigSource, changeable, cursor_keys};
use super::roles::Roles;
use super::setup::ApplySetup;
use super::simulator::open_simulator;
use super::subscriptions::SubscriptionSetup;
use super::systemd::Supervisor;
use super::tasks::{STAGES, Stage, Tasks, failed};
use super::watch::Watch;
use super::webhooks::{open_webhooks, shut_outbox, start_forwarding};
use super::worker::{self, Worker, WorkerOptions};

/// How long the end waits for each stage, so for the batch in hand and the last checkpoint; redo covers
/// the rest.
const DRAIN: Duration = Duration::from_secs(20);
/// How long the end waits for records that are on their way to the log.
const LOG_DRAIN: Duration = Duration::from_secs(5);

/// Connections to the address that metrics have of their own.
const TELEMETRY_CONNECTIONS: usize = 64;

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
    /// Where the configuration may be read again; none: it is not.
    pub source: Option<ConfigSource>,
}

/// What a person wants to know at the start.
#[derive(Clone, Debug)]
pub struct Started {
    /// Where HTTP is answered.
    pub address: SocketAddr,
    /// Where `/metrics` is.
    pub metrics: SocketAddr,
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
    let ended = runtime.block_on(life(Arc::new(config), options));
    // What blocks for longer is given up, as it was told to end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

async fn listen(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("can't listen on {address}: stop whatever does, or set another ({setting})")
    })
}

/// Where HTTP is answered.
struct Listeners {
    api: TcpListener,
    /// Of `/metrics`, where it has an address of its own.
    telemetry: Option<TcpListener>,
}

impl Listeners {
    async fn bind(config: &Config) -> anyhow::Result<Self> {
        let api = listen(config.server.listen, "PORT, --listen").await?;
        let telemetry = match config.telemetry.listen {
            Some(address) => Some(listen(address, "telemetry.listen").await?),
            None => None,
        };
        Ok(Self { api, telemetry })
    }

    fn started(&self, contact: Option<String>) -> anyhow::Result<Started> {
        let address = self.api.local_addr()?;
        let metrics = self.telemetry.as_ref().map_or(Ok(address), TcpListener::local_addr)?;
        Ok(Started { address, metrics, contact })
    }

    /// Metrics are answered until the requests that are under way have ended.
    fn serve(self, tasks: &Tasks, state: &HttpState, options: ServeOptions, config: &ServerConfig) {
        if let Some(listener) = self.telemetry {
            let own = ServeOptions::new(config, TELEMETRY_CONNECTIONS);
            let own = ServeOptions { tls: options.tls.clone(), ..own };
            let router = http::telemetry_router(state.clone());
            tasks
                .start("telemetry", Stage::Behind, |stop| http::serve(listener, router, own, stop));
        }
        let router = http::router(state.clone());
        tasks.start("http", Stage::Front, |stop| http::serve(self.api, router, options, stop));
    }
}

async fn life(config: Arc<Config>, options: RunOptions) -> anyhow::Result<()> {
    warn_of_open_files(&config.data_directories());
    let connections_max = descriptors::connections(config.server.connections_max);
    let setup = ApplySetup::new(&config)?;
    let log = match options.log {
        Some(log) => log,
        None => open_log(&config)?,
    };
    let metrics = options.metrics.map_or_else(|| Metrics::new().map(Arc::new), Ok)?;
    let shared = Arc::new(SharedState::new(&config, &metrics)?);
    let auth = Arc::new(Auth::new(&config, &shared, Arc::clone(&metrics))?);
    let tls = open_tls(&config, &metrics)?;
    let listeners = Listeners::bind(&config).await?;
    let begun = listeners.started(options.demo.is_some().then(demo::first_contact))?;
    let webhooks = open_webhooks(&config, &setup, log.clone())?;
    let intake = Arc::clone(&webhooks.intake);
    let registry = open_registry(&config, &setup.present, &metrics)?;
    let is_one_shot = options.worker.until_caught_up;
    let followers = FollowerTasks::new(&config, &log, is_one_shot)?;
    let own = (registry, begun.address, followers);
    let cursor_keys = cursor_keys(&config);
    let by_signal = options.source.as_ref().is_some_and(|source| source.by_signal);
    let parts = Changeable {
        tls: tls.clone(),
        ..changeable((&auth, &shared), &webhooks, setup.present.clone(), cursor_keys.clone())
    };
    let reload = options.source.map(|source| reload::reload(source, &config, parts));
    let again = (cursor_keys, reload.clone());
    let watch =
        watch(&config, &setup, metrics, (Arc::clone(&auth), &shared), webhooks, own, again)?;
    let tasks = Tasks::new();
    // However the run ends, a panic included: a thread that is not told to end keeps the process.
    let _told = StopAtEnd(tasks.clone());
    start_front(&tasks, &watch, is_one_shot, options.demo.map(|demo| (demo, log.clone())));
    let serving = ServeOptions { tls, ..ServeOptions::new(&config.server, connections_max) };
    listeners.serve(&tasks, &watch.http, serving, &config.server);
    start_wanted(&tasks, &watch, reload.filter(|_| by_signal))?;
    tasks.start("users", Stage::Behind, |stop| async move { auth.run(stop).await });
    tasks.start("shared_state", Stage::Behind, |stop| shared.run(stop));
    tasks.start("dead_letters", Stage::Behind, |stop| letters(watch.clone(), stop));
    // A run that ends when all is applied would leave the inputs half bridged, and end in the middle of
    // what waits.
    if !is_one_shot {
        let (config, rules) = (Arc::clone(&config), setup.present.clone());
        tasks.start("bridge", Stage::Behind, |stop| {
            run_bridge(config, rules, log.clone(), watch.clone(), stop)
        });
        start_forwarding(&tasks, &intake)?;
    }
    start_worker(&tasks, &watch, &config, (log.clone(), setup), options.worker)?;
    // Before anybody is told that it runs: a signal from then on is an orderly end.
    let mut signals = Signals::new()?;
    if let Some(started) = options.started {
        started(&begun);
    }
    watch.supervisor.started();
    let early = first_end(&tasks, options.stop.unwrap_or_default(), &mut signals).await;
    let end = async {
        let early = lame_duck(&tasks, &watch, config.server.lame_duck, early).await;
        watch.draining();
        let ended = drain(&tasks, early, config.server.drain_timeout).await;
        shut_log(log).await;
        shut_outbox(intake).await;
        ended
    };
    tokio::select! {
        ended = end => ended,
        () = signals.recv() => at_once(),
    }
}

fn open_tls(config: &Config, metrics: &Metrics) -> Result<Option<Arc<Tls>>, TlsError> {
    let Some(files) = &config.server.tls else {
        return Ok(None);
    };
    let tls = Arc::new(Tls::load(&files.certificate, &files.key)?);
    let shown = Arc::clone(&tls);
    metrics.on_scrape(move |metrics| {
        if let Some(end) = shown.not_after() {
            metrics.process.set_certificate_end(end);
        }
    });
    Ok(Some(tls))
}

/// Tasks that the configuration, or the command, asks for.
fn start_wanted(
    tasks: &Tasks,
    watch: &Watch,
    reload_by_signal: Option<ReloadConfig>,
) -> anyhow::Result<()> {
    if let Some(reload) = reload_by_signal {
        tasks.start("reload", Stage::Front, |stop| reload::run(reload, stop));
    }
    if let Some(log) = watch.http.access_log() {
        tasks.start_thread("access_log", Stage::Behind, move |stop| log.run(&stop))?;
    }
    Ok(())
}

fn start_worker(
    tasks: &Tasks,
    watch: &Watch,
    config: &Arc<Config>,
    (log, setup): (EventLog, ApplySetup),
    options: WorkerOptions,
) -> anyhow::Result<()> {
    let worker = Worker {
        config: Arc::clone(config),
        log,
        setup,
        options,
        metrics: Arc::clone(&watch.metrics),
        watch: watch.clone(),
        commands: OnceLock::new(),
        runtime: tokio::runtime::Handle::current(),
        tasks: tasks.clone(),
        stop: tasks.stop(Stage::Apply),
    };
    tasks.start("supervisor", Stage::Apply, |stop| watch.supervised(stop));
    tasks.start_thread(worker::NAME, Stage::Apply, move |_| worker.run())
}

/// A task that ended although nobody told it to.
type EarlyEnd = (&'static str, anyhow::Result<()>);

/// Waits for a signal or the first task to end.
async fn first_end(
    tasks: &Tasks,
    told: CancellationToken,
    signals: &mut Signals,
) -> Option<EarlyEnd> {
    tokio::select! {
        () = signals.recv() => None,
        () = told.cancelled() => None,
        early = tasks.first_early() => Some(early),
    }
}

/// Told to end, the process is not ready first and answers all the same, so that balancers send nobody any
/// more by the time the listener closes.
async fn lame_duck(
    tasks: &Tasks,
    watch: &Watch,
    lasts: Duration,
    early: Option<EarlyEnd>,
) -> Option<EarlyEnd> {
    if early.is_some() || lasts.is_zero() {
        return early;
    }
    watch.told_to_end(lasts);
    tokio::select! {
        () = tokio::time::sleep(lasts) => None,
        early = tasks.first_early() => Some(early),
    }
}

fn start_front(
    tasks: &Tasks,
    watch: &Watch,
    is_one_shot: bool,
    demo: Option<(DemoOptions, EventLog)>,
) {
    // What waits is imported by the next run that does not end by itself.
    if !is_one_shot {
        tasks.start("imports", Stage::Front, |stop| imports(watch.clone(), stop));
    }
    if let Some((demo, log)) = demo {
        tasks.start("demo", Stage::Front, |stop| demo::run(log, demo, stop));
    }
    tasks.start("samples", Stage::Front, |stop| watch.http.clone().sample(stop));
    tasks.start("feed", Stage::Front, |stop| watch.feed.clone().run(stop));
    tasks.start("backups", Stage::Front, |stop| watch.backups.clone().run(stop));
    if let Some(simulator) = watch.simulator.clone() {
        tasks.start("simulator", Stage::Front, |stop| simulator.run(stop));
    }
}

async fn letters(watch: Watch, stop: CancellationToken) {
    let letters = |stop: CancellationToken| {
        let (letters, followers) = (watch.letters.clone(), watch.followers.clone());
        let resting = join(letters.run(stop.clone()), followers.run(stop.clone()));
        watch.roles.clone().run(async { _ = resting.await }, stop)
    };
    while_whole(&watch.partial, &stop, letters).await
}

async fn imports(watch: Watch, stop: CancellationToken) {
    let imports = |stop: CancellationToken| watch.imports.clone().run(stop);
    while_whole(&watch.partial, &stop, imports).await
}

fn watch(
    config: &Arc<Config>,
    setup: &ApplySetup,
    metrics: Arc<Metrics>,
    (auth, shared): (Arc<Auth>, &SharedState),
    webhooks: WebhookIntake,
    (bridge, own, followers): (BridgeAgain, SocketAddr, FollowerTasks),
    (cursor_keys, reload): (CursorKeys, Option<ReloadConfig>),
) -> anyhow::Result<Watch> {
    let is_kafka = config.follows_kafka();
    metrics.set_build(Build::THIS, if is_kafka { "kafka" } else { "embedded" });
    let readiness = Arc::new(Readiness::new());
    let limits = HttpLimits::from(&config.server);
    let intake = Arc::clone(&webhooks.intake);
    let simulator = open_simulator(config, own, &metrics)?;
    let acme = open_acme(config, &intake, &setup.present, &metrics)?;
    let place = Place::of(config);
    let backups = Backups::new(config.backup.clone(), place, metrics.backup.clone())?;
    let backups = Arc::new(backups);
    let access_log = config.telemetry.access_log.clone();
    let access_log = access_log.map(|to| Arc::new(AccessLog::new(to, metrics.access_log.clone())));
    let services = Services {
        auth: Some(Arc::clone(&auth)),
        metrics_need_role: config.telemetry.require_role,
        metrics_elsewhere: config.telemetry.listen.is_some(),
        limiter: Arc::clone(&shared.limiter),
        proxies: config.server.proxies.clone(),
        allow: config.allow.clone(),
        cors_origins: config.server.cors_origins.clone(),
        speaks_tls: config.server.tls.is_some(),
        webhooks: Some(webhooks),
        simulator: simulator.clone(),
        has_page: config.page.enabled,
        backups: Some(Arc::clone(&backups)),
        has_acme: acme.is_some(),
        access_log,
        reload,
        has_payments: config.payments.enabled,
    };
    let watch = Watch {
        http: HttpState::new(limits, services, Arc::clone(&metrics), Arc::clone(&readiness)),
        feed: Feed::new(config.feed, &metrics),
        exports_max: config.exports.running_max,
        readiness,
        metrics,
        is_kafka,
        cursor_keys,
        control_topic: config.kafka.control_topic.clone(),
        registry: bridge.registry.clone(),
        letters: Letters::new(config, Arc::clone(&auth), bridge),
        followers,
        subscriptions: SubscriptionSetup::of(config),
        imports: ImportTasks::new(config, Arc::clone(&auth), setup.present.clone()),
        auth,
        store_path: config.store.path.clone(),
        min_free_bytes: config.store.min_free_bytes,
        reader: Arc::new(OnceLock::new()),
        intake,
        simulator,
        acme,
        backups,
        roles: Roles::default(),
        has_payments: config.payments.enabled,
        partial: CancellationToken::new(),
        supervisor: Arc::new(Supervisor::from_environment()),
    };
    watch.starting(config);
    Ok(watch)
}

/// Ends the tasks in their order, whatever ended first.
async fn drain(
    tasks: &Tasks,
    early: Option<EarlyEnd>,
    drain_timeout: Duration,
) -> anyhow::Result<()> {
    let result = match early {
        None => {
            tracing::info!("ending");
            Ok(())
        }
        Some((name, result)) => {
            tasks.stop_all();
            match result {
                // All that was asked for is applied.
                Ok(()) if name == worker::NAME => Ok(()),
                Ok(()) => Err(anyhow::anyhow!("the task {name} ended before it was told to")),
                Err(error) => Err(failed(name, error)),
            }
        }
    };
    // All of them, whatever became of those before.
    let mut results = vec![result];
    for stage in STAGES {
        let limit = match stage {
            // Requests under way have their own time.
            Stage::Front => DRAIN.max(drain_timeout + Duration::from_secs(1)),
            Stage::Behind | Stage::Apply => DRAIN,
        };
        results.push(tasks.drain(stage, limit).await);
    }
    let mut errors = results.into_iter().filter_map(Result::err);
    let first = errors.next();
    for error in errors {
        tracing::error!("{error:#}");
    }
    first.map_or(Ok(()), Err)
}

/// However the run ends.
struct StopAtEnd(Tasks);

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.0.stop_all();
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

async fn shut_log(log: EventLog) {
    let shut = tokio::task::spawn_blocking(move || log.shutdown());
    match tokio::time::timeout(LOG_DRAIN, shut).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!(%error, "the log did not end well"),
        Ok(Err(_)) | Err(_) => tracing::warn!("the log did not end in time"),
    }
}

/// Whoever asks twice does not want to wait: what is not checkpointed is redone at the next start.
#[expect(clippy::disallowed_methods, reason = "as safe as kill -9, and asked for twice")]
fn at_once() -> ! {
    std::process::exit(1)
}
