//! How the process stands, told to readiness, metrics and `/healthz` as it comes about.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::apply::Progress;
use crate::auth::Auth;
use crate::backup::Backups;
use crate::config::Config;
use crate::domain::control::ControlLimits;
use crate::domain::founding::Founding;
use crate::domain::position::{CONTROL_LANE, Lane, LogIdentity, NextOffset};
use crate::effects::feed::Feed;
use crate::effects::simulator::Simulator;
use crate::effects::subscriptions::FanOut;
use crate::event_log::{ConsumerStatus, EventLog};
use crate::files::export::Exports;
use crate::http::{HttpState, OpenStore, Readiness, Writes};
use crate::ingest::{Adoption, Commands, Control, Intake, Lease, RulesStanding};
use crate::payments::PaymentDesk;
use crate::query::{CursorKeys, Queries};
use crate::schema_registry::SchemaRegistry;
use crate::store::{OpenProgress, REHOMING, Reader};
use crate::telemetry::{Dependency, DependencyDown, DependencyUp, LaneLag, Metrics, OutboxGauges};

use super::WorkerError;
use super::acme::AcmeSetup;
use super::clock::clock_note;
use super::dead_letters::{Letters, age_seconds};
use super::followers::{FollowerTasks, rehoming};
use super::imports::ImportTasks;
use super::roles::Roles;
use super::rules::told;
use super::store_figures::store_figures;
use super::subscriptions::{SubscriptionSetup, open_subscriptions};
use super::systemd::Supervisor;

/// Behind and without progress for this long is not ready.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// The parts of readiness.
const STORE: &str = "store";
const LOG: &str = "log";
const APPLY: &str = "apply";
/// Only once it was told to end.
const PROCESS: &str = "process";
/// Only with Kafka, where it is a topic of its own.
const CONTROL: &str = "control";
/// What contacts' homes follow from.
const FOUNDING: &str = "founding";
/// What follows from what was applied; only a note.
const FOLLOWERS: &str = "followers";
/// Only a note.
const BACKUP: &str = "backup";
/// Topics that wait for their schema registry; only a note.
const SCHEMAS: &str = "schemas";
/// Only a note.
const SIGN_INS: &str = "sign_ins";
const FULL: &str =
    "nobody can sign in until some of the sign-ins and other control entries have ended";
/// Other producers' open transactions; only a note.
const TRANSACTIONS: &str = "transactions";
/// How this machine's clock agrees with the log's; only a note.
const CLOCK: &str = "clock";
const UNSETTLED: &str = "the control topic no longer holds its beginning: waiting until another instance has \
                         restated what stood there; where there is none, `contactd topics \
                         adopt-control` does it from a store";

/// Subscriptions that fail; only a note.
const SUBSCRIPTIONS: &str = "subscriptions";
/// By what records are judged.
const RULES: &str = "rules";

/// Passes on how the process stands.
#[derive(Clone)]
pub(super) struct Watch {
    pub(super) readiness: Arc<Readiness>,
    pub(super) http: HttpState,
    pub(super) metrics: Arc<Metrics>,
    pub(super) feed: Feed,
    /// Exports at once.
    pub(super) exports_max: usize,
    /// Whether the log is one that others run.
    pub(super) is_kafka: bool,
    /// Signs the cursors of lists.
    pub(super) cursor_keys: CursorKeys,
    /// Who may do what.
    pub(super) auth: Arc<Auth>,
    /// The data directory.
    pub(super) store_path: PathBuf,
    /// What its disk must have left.
    pub(super) min_free_bytes: u64,
    /// Of control records, for the figures.
    pub(super) control_topic: String,
    pub(super) reader: Arc<std::sync::OnceLock<Reader>>,
    pub(super) intake: Arc<Intake>,
    /// Where it is on.
    pub(super) simulator: Option<Arc<Simulator>>,
    /// Where it is configured.
    pub(super) acme: Option<AcmeSetup>,
    /// Makes backups, once the store is open.
    pub(super) backups: Arc<Backups>,
    pub(super) letters: Letters,
    /// Where one is configured.
    pub(super) registry: Option<Arc<SchemaRegistry>>,
    pub(super) followers: FollowerTasks,
    pub(super) subscriptions: SubscriptionSetup,
    pub(super) imports: ImportTasks,
    /// What only one instance does at a time, and this instance's part in it; once the store is open.
    pub(super) roles: Roles,
    /// Whether payments are on.
    pub(super) has_payments: bool,
    /// Cancelled when the store turns out not to know everything.
    pub(super) partial: CancellationToken,
    /// Whoever started the process.
    pub(super) supervisor: Arc<Supervisor>,
}

impl Watch {
    pub(super) fn starting(&self, config: &Config) {
        self.readiness.waiting(STORE, "the store is not open yet");
        let log = if self.is_kafka {
            format!("asking {} for topic {}", config.kafka.brokers.join(","), config.kafka.topic)
        } else {
            "the log is not open yet".to_owned()
        };
        self.readiness.waiting(LOG, log);
        self.readiness.waiting(APPLY, "nothing is applied yet");
        if let Some(registry) = self.registry.clone() {
            self.readiness.note(SCHEMAS, move || registry.note());
        }
        let backups = Arc::clone(&self.backups);
        self.readiness.note(BACKUP, move || backups.note());
        let (intake, readiness) = (Arc::clone(&self.intake), Arc::clone(&self.readiness));
        self.metrics.on_scrape(move |metrics| {
            metrics.process.set_ready(readiness.report().is_ready());
            if let Some(outbox) = intake.outbox() {
                let oldest_age_seconds = outbox.oldest_ms().map_or(0.0, age_seconds);
                let (records, bytes) = (outbox.records(), outbox.bytes());
                metrics.set_outbox(OutboxGauges { records, bytes, oldest_age_seconds });
            }
        });
    }

    /// The supervisor is told how the process is, until it ends.
    pub(super) fn supervised(
        &self,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        Arc::clone(&self.supervisor).run(Arc::clone(&self.readiness), stop)
    }

    pub(super) fn told_to_end(&self, lame_duck: Duration) {
        self.supervisor.stopping();
        let seconds = lame_duck.as_secs_f64();
        tracing::info!(seconds, "told to end: not ready, and answering until balancers know");
        self.readiness.waiting(
            PROCESS,
            format!("told to end; requests are answered for {seconds} s, then the listener closes"),
        );
    }

    pub(super) fn draining(&self) {
        self.supervisor.stopping();
        self.readiness.waiting(PROCESS, "the process is ending");
    }

    pub(super) fn new_store_waits(&self) {
        self.readiness.waiting(STORE, "a new store is made when the log has been reached");
    }

    pub(super) fn opening(&self, progress: &OpenProgress) {
        self.readiness.waiting(STORE, progress.to_string());
    }

    pub(super) fn catching_up_restored(&self) {
        let why = "restored from a backup: what the log has had since is applied before anybody is answered";
        tracing::info!(why, "the store is open");
        self.readiness.waiting(STORE, why);
    }

    /// Not before the store is open: only then it is sure that the directory is ours.
    fn let_in(&self) {
        if let Err(error) = self.auth.publish_local_key(&self.store_path) {
            tracing::warn!(%error, "commands on this machine will need --key");
        }
        if self.auth.knows_nobody() {
            tracing::warn!(
                "there are no users and no API keys yet; `contactd user add` and `contactd key \
                 create` make them"
            );
        }
    }

    pub(super) fn store_open(
        &self,
        reader: Reader,
        log: &EventLog,
        commands: &Commands,
        writes: Writes,
        rules: &Arc<Adoption>,
    ) {
        self.feed.open(reader.clone());
        let control = Arc::new(Control::new(log.clone(), reader.clone()));
        self.auth.store_opened(Arc::clone(&control));
        self.let_in();
        let (lease, merging) = self.roles.open(self.is_kafka, log, &control, commands.clone());
        self.clock(&lease);
        let acme = self.acme.clone().map(|acme| acme.open(reader.clone()));
        let (own, others) = ((&control, &lease), (self.simulator.as_ref(), acme.as_ref()));
        let fan_out = self.subscriptions_open(&control);
        let followers = self.followers.open(log, own, &merging, others, &fan_out, &self.metrics);
        let (noted, shown) = (Arc::clone(&followers), Arc::clone(&followers));
        self.readiness.note(FOLLOWERS, move || noted.note());
        self.readiness.look(REHOMING, move || rehoming(&shown));
        let letters = self.letters.open(log.clone(), Arc::clone(&control), lease, &self.metrics);
        let (intake, edits) = (Arc::clone(&self.intake), writes.edits.clone());
        let own = Arc::clone(&control);
        let imports = self.imports.open(reader.clone(), intake, own, edits, &self.metrics);
        self.http.store_opened(OpenStore {
            queries: Queries::new(reader.clone()).with_cursor_keys(self.cursor_keys.clone()),
            writes,
            merging,
            control,
            exports: Arc::new(Exports::new(reader.clone(), self.exports_max, &self.metrics)),
            feed: self.feed.clone(),
            letters,
            followers,
            subscriptions: fan_out.desk(),
            imports,
            acme,
            payments: self.payment_desk(commands),
            rules: Arc::clone(rules),
        });
        let _ = self.reader.set(reader.clone());
        self.watch_store(reader, Arc::clone(rules));
    }

    fn watch_store(&self, reader: Reader, rules: Arc<Adoption>) {
        self.metrics.on_scrape(move |metrics| {
            if let Some(standing) = rules.standing() {
                let RulesStanding { newest, lacking, differences, .. } = &standing;
                metrics.rules.set(newest.number, lacking.len(), !differences.is_empty());
            }
        });
        let room = reader.clone();
        self.readiness.note(SIGN_INS, move || {
            let (entries, bytes) = room.control_size();
            ControlLimits::default()
                .refuses_sign_ins(entries, bytes)
                .then(|| format!("{FULL}: {entries} entries of {bytes} bytes"))
        });
        let health = reader.clone();
        self.readiness.look(STORE, move || {
            health.health().map_err(|error| error.to_string())?;
            health.waits_for().map_or_else(|| Ok(health.journal_damage()), Err)
        });
        let (data, min_free_bytes) = (self.store_path.clone(), self.min_free_bytes);
        self.metrics.on_scrape(move |metrics| {
            if let Ok(stats) = reader.stats() {
                metrics.set_store(&store_figures(&stats, &data, min_free_bytes));
                metrics.payments.set_payments(&reader.payment_counts());
                let (entries, bytes) = stats.control_entries;
                let taken = ControlLimits::default().taken(entries, bytes);
                metrics.control.set_entries((entries, bytes), taken);
            }
        });
    }

    fn subscriptions_open(&self, control: &Arc<Control>) -> FanOut {
        let fan_out = open_subscriptions(&self.subscriptions, control, &self.metrics);
        let (noted, measured) = (fan_out.desk(), fan_out.desk());
        self.readiness.note(SUBSCRIPTIONS, move || noted.note());
        self.metrics.on_scrape(move |_| measured.measure());
        fan_out
    }

    fn payment_desk(&self, commands: &Commands) -> Option<Arc<PaymentDesk>> {
        let metrics = self.metrics.payments.clone();
        self.has_payments.then(|| Arc::new(PaymentDesk::new(commands.clone(), metrics)))
    }

    /// Which of the clocks is wrong nobody can tell from here, so it is only said.
    fn clock(&self, lease: &Arc<Lease>) {
        let (noted, scraped) = (Arc::clone(lease), Arc::clone(lease));
        self.readiness.note(CLOCK, move || clock_note(noted.log_ahead_ms()?));
        self.metrics.on_scrape(move |metrics| {
            metrics.control.set_log_ahead(scraped.log_ahead_ms().unwrap_or(0));
        });
    }

    /// What is asked for before would be judged by rules that are about to go.
    pub(super) fn rules_unsettled(&self) {
        self.readiness.waiting(RULES, "this instance's rules are being adopted");
    }

    pub(super) fn rules_settled(&self, rules: &Arc<Adoption>) {
        let shown = Arc::clone(rules);
        self.readiness.note(RULES, move || shown.standing().map(|standing| told(&standing)));
    }

    /// A checkpoint was written.
    pub(super) fn checkpointed(&self) {
        if let Some(Ok(stats)) = self.reader.get().map(Reader::stats) {
            let took = stats.checkpoint_took.as_secs_f64();
            self.metrics.stage_checkpoint.observe(took);
        }
    }

    pub(super) fn waiting_for_log(&self, error: &WorkerError) {
        let why = error.to_string();
        self.metrics.retried("log_unavailable");
        if self.is_kafka {
            DependencyDown { dependency: Dependency::Kafka, error: &why }.emit(&self.metrics);
        } else {
            tracing::warn!(error = why, "waiting for the log");
        }
        self.readiness.waiting(LOG, why);
    }

    /// Contacts are followed without control records.
    pub(super) fn control_refused(&self, why: &str) {
        tracing::error!(why, "no control records: sessions, revocations and cursors don't work");
        self.readiness.waiting(CONTROL, format!("{why}; mend it and restart"));
    }

    /// The store does not know everything: reads say so, and nothing else is done.
    pub(super) fn partial(&self, why: &str) {
        tracing::error!(why, "reads are answered, nothing is written");
        self.partial.cancel();
        self.intake.block(why);
        self.http.set_partial(why);
        self.readiness.waiting(APPLY, why);
    }

    fn watch_log(&self, log: EventLog, consumer: Arc<ConsumerStatus>) {
        let intake = Arc::clone(&self.intake);
        self.readiness.check(LOG, move || match (log.trouble(), consumer.trouble()) {
            (Some(why), _) => Err(why),
            // Reads are answered, and events are kept: nothing that a balancer could better.
            (None, Some(why)) if consumer.is_gone() || !intake.outbox_takes_more() => Err(why),
            (None, _) => Ok(()),
        });
    }

    pub(super) fn following(
        &self,
        log: &EventLog,
        identity: &LogIdentity,
        founding: &Founding,
        consumer: Arc<ConsumerStatus>,
        progress: Arc<Progress>,
        is_partial: bool,
    ) {
        if self.is_kafka {
            DependencyUp(Dependency::Kafka).emit(&self.metrics);
        }
        let rules = self.reader.get().cloned();
        self.http.set_following(
            move || rules.as_ref().map(|reader| reader.rules().fingerprint()).unwrap_or_default(),
            Some(identity.clone()),
        );
        let high = Arc::clone(&consumer);
        self.http.set_on_log(move |lane, offset| {
            high.lane(lane).is_some_and(|status| offset.0 < status.high.load(Ordering::Acquire))
        });
        let founded = founding.to_string();
        self.readiness.note(FOUNDING, move || Some(founded.clone()));
        if !is_partial {
            self.followers.begin();
            let (status, home) = (Arc::clone(&consumer), *founding);
            self.intake.log_settled(move |key| {
                Some(NextOffset(status.lane(home.home(key))?.high.load(Ordering::Acquire)))
            });
        }
        self.watch_log(log.clone(), Arc::clone(&consumer));
        if self.is_kafka {
            let trouble = Arc::clone(&consumer);
            self.metrics.on_scrape(move |metrics| {
                metrics.set_dependency_up(Dependency::Kafka, trouble.trouble().is_none());
            });
        }
        if self.is_kafka && consumer.lane(CONTROL_LANE).is_some() {
            let (trouble, reader) = (Arc::clone(&consumer), self.reader.get().cloned());
            self.readiness.check(CONTROL, move || match trouble.control_trouble() {
                Some(why) => Err(why),
                None if reader.as_ref().is_some_and(Reader::is_control_unsettled) => {
                    Err(UNSETTLED.to_owned())
                }
                None => Ok(()),
            });
        }
        let held = Arc::clone(&consumer);
        self.readiness.note(TRANSACTIONS, move || held.held());
        let Some(reader) = self.reader.get().cloned() else {
            return;
        };
        let lanes = self.metrics.lanes(&identity.topic, founding.lanes);
        let control_lane = self.metrics.lanes(&self.control_topic, 1);
        let lag = Lag { consumer, reader };
        let scraped = lag.clone();
        self.metrics.on_scrape(move |_| {
            let mut lags = scraped.lanes();
            let control = lags.pop_if(|lag| lag.lane == CONTROL_LANE);
            lanes.set_lags(&lags);
            let control = control.map(|lag| LaneLag { lane: Lane(0), ..lag });
            control_lane.set_lags(control.as_slice());
        });
        if is_partial {
            return;
        }
        let stuck = Mutex::new(Stuck::new());
        self.readiness.check(APPLY, move || stuck.lock().check(&lag, &progress));
    }
}

/// How far the store is behind the log.
#[derive(Clone)]
struct Lag {
    consumer: Arc<ConsumerStatus>,
    reader: Reader,
}

impl Lag {
    /// None while nobody says where the log ends.
    fn lanes(&self) -> Vec<LaneLag> {
        if self.consumer.trouble().is_some() {
            return Vec::new();
        }
        let position = self.reader.position();
        let age = self.reader.record_time_ms().map_or(0.0, age_seconds);
        self.consumer
            .lanes()
            .into_iter()
            .map(|(lane, status)| {
                let records = status.behind(position.next.get(&lane).copied());
                LaneLag { lane, records, seconds: age }
            })
            .collect()
    }

    /// What could be applied: not what another producer's open transaction holds back.
    fn records(&self) -> u64 {
        let position = self.reader.position();
        let lanes = self.consumer.lanes();
        lanes
            .into_iter()
            .map(|(lane, at)| at.behind_readable(position.next.get(&lane).copied()))
            .sum()
    }
}

/// Whether applying gets on, looked at whenever readiness is asked for.
struct Stuck {
    caught_up_once: bool,
    was_behind: bool,
    records: u64,
    /// When it was first seen behind at this number of records.
    since: Instant,
}

impl Stuck {
    fn new() -> Self {
        Self { caught_up_once: false, was_behind: false, records: 0, since: Instant::now() }
    }

    fn check(&mut self, lag: &Lag, progress: &Progress) -> Result<(), String> {
        if let Some(marker) = progress.impassable() {
            return Err(marker.to_string());
        }
        if let Some(why) = progress.paused() {
            return Err(format!("applying is paused and tried again: {why}"));
        }
        let behind = lag.records();
        let records = progress.records();
        if records != self.records || !self.was_behind {
            self.records = records;
            self.since = Instant::now();
        }
        self.was_behind = behind > 0;
        self.caught_up_once |= behind == 0 && lag.consumer.is_caught_up();
        if !self.caught_up_once {
            return Err(format!("catching up: {behind} records behind"));
        }
        let still = self.since.elapsed();
        if still >= STUCK_AFTER {
            return Err(format!(
                "{behind} records behind, and none applied for {} s",
                still.as_secs()
            ));
        }
        Ok(())
    }
}
