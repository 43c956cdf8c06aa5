//! A store in a temporary directory with contacts in it, and the router over it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use contactd::config::{Config, EmbeddedLogConfig, Mode, Secret};
use contactd::domain::decode::Decoder;
use contactd::domain::fingerprint::Fingerprint;
use contactd::domain::merge::merge;
use contactd::domain::position::{Lane, LogIdentity, LogKind, NextOffset, Offset, Position};
use contactd::domain::record::RecordBatch;
use contactd::domain::rules::RuleSet;
use contactd::domain::verdict::Verdict;
use contactd::effects::dead_letters::{LetterDesk, LetterOptions, Topics};
use contactd::effects::feed::{Feed, FeedConfig};
use contactd::effects::follower::{Followers, Surroundings};
use contactd::effects::subscriptions::{FanOut, Signer, SubscriptionOptions};
use contactd::event_log::EventLog;
use contactd::event_log::embedded::{EmbeddedLog, EmbeddedOptions};
use contactd::files::export::Exports;
use contactd::http::{
    Api, HttpLimits, HttpState, IdempotencySecret, OpenStore, Readiness, Services, Writes, router,
};
use contactd::ingest::{
    Adoption, Commands, Control, Edits, Intake, IntakeOptions, Lease, Merging, PresentRules, Stamps,
};
use contactd::shared_state::SharedState;
use contactd::store::{EntryMeta, LaneProgress, Reader, StoreConfig, Writer, open};
use contactd::telemetry::Metrics;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use xxhash_rust::xxh3::xxh3_64;

use crate::support::access;

const FINGERPRINT: Fingerprint = Fingerprint(42);
const FEED: FeedConfig = FeedConfig {
    heartbeat: Duration::from_millis(50),
    clients_max: 8,
    clients_per_principal_max: 4,
    snapshots_max: 4,
    buffer_bytes: 1 << 20,
    stall_timeout: Duration::from_secs(60),
    retry: Duration::from_millis(1500),
};
const LANE: Lane = Lane(0);
/// 2026-11-21T10:00:00Z
const START_MS: u64 = 1_795_255_200_000;

pub(super) struct Fixture {
    open: Option<(Mutex<Writer>, Reader)>,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    feed: Feed,
    decoder: Decoder,
    /// The next record's offset; an event each.
    next: AtomicU64,
    directory: TempDir,
}

fn identity() -> LogIdentity {
    let cluster = "test".to_owned();
    LogIdentity { kind: LogKind::Embedded, cluster, topic: "contacts".to_owned() }
}

/// What handlers reach of an open store; nothing follows the log that they append to.
pub(super) fn open_store(reader: &Reader, feed: &Feed, directory: &Path) -> OpenStore {
    let config = Config::built_in(Mode::Dev).unwrap().embedded_log;
    let path = directory.join(format!("log-{}", fastrand::u64(..)));
    let options = EmbeddedOptions::new(&EmbeddedLogConfig { path, ..config }, "contacts");
    let log = EventLog::Embedded(Arc::new(EmbeddedLog::open(options).unwrap()));
    feed.open(reader.clone());
    let control = Arc::new(Control::new(log.clone(), reader.clone()));
    let own = Arc::new(RuleSet::built_in().unwrap());
    let lease = Arc::new(Lease::alone(Arc::clone(&control), reader.dead_letters().instance()));
    let around = Surroundings::new(log.clone(), Arc::clone(&control), lease);
    let subscriptions = SubscriptionOptions {
        config: Config::built_in(Mode::Dev).unwrap().subscriptions,
        signer: Signer::new(vec![Secret::new("only for these tests")]),
    };
    let metrics = Metrics::new().unwrap().subscriptions.clone();
    let fan_out = FanOut::new(subscriptions, Arc::clone(&control), metrics);
    OpenStore {
        subscriptions: fan_out.desk(),
        followers: Arc::new(Followers::new(around)),
        acme: None,
        payments: None,
        imports: None,
        letters: letters(&log, reader, &control),
        queries: contactd::query::Queries::new(reader.clone()),
        merging: merging(&log, reader, directory, &control),
        writes: writes(&log, reader, directory),
        control,
        exports: Arc::new(Exports::new(reader.clone(), 8, &Metrics::new().unwrap())),
        feed: feed.clone(),
        rules: Arc::new(Adoption::new(log.clone(), reader.clone(), own)),
    }
}

fn letters(log: &EventLog, reader: &Reader, control: &Arc<Control>) -> Arc<LetterDesk> {
    let topics = Topics { contacts: "contacts".to_owned(), control: "control".to_owned() };
    let options =
        LetterOptions { topics, hops_max: 3, age_max: None, redrives_per_second_max: 10_000 };
    let (log, control) = (log.clone(), Arc::clone(control));
    let lease = Arc::new(Lease::alone(Arc::clone(&control), reader.dead_letters().instance()));
    let metrics = Arc::new(Metrics::new().unwrap());
    Arc::new(LetterDesk::new(log, control, lease, options, Box::new(|_| true), metrics))
}

/// Nobody works on them.
fn merging(
    log: &EventLog,
    reader: &Reader,
    directory: &Path,
    control: &Arc<Control>,
) -> Arc<Merging> {
    let commands = commands(log, reader, directory);
    let lease = Arc::new(Lease::alone(Arc::clone(control), reader.dead_letters().instance()));
    Arc::new(Merging::new(log.clone(), commands, Arc::clone(control), lease))
}

/// What is written is kept, and never applied: for that there are whole instances.
fn writes(log: &EventLog, reader: &Reader, directory: &Path) -> Writes {
    Writes {
        edits: Edits::new(commands(log, reader, directory)),
        secret: IdempotencySecret::derive(b"fixture"),
        require_if_match: false,
        wait: Duration::from_millis(150),
    }
}

fn commands(log: &EventLog, reader: &Reader, directory: &Path) -> Commands {
    let options = IntakeOptions {
        ack_timeout: Duration::from_secs(5),
        path: directory.to_owned(),
        min_free_bytes: 0,
    };
    let intake = Intake::new(log.clone(), None, options);
    intake.log_settled(|_| None);
    let rules = PresentRules::new(Arc::new(RuleSet::built_in().unwrap()));
    let (reader, stamps) = (reader.clone(), Stamps::in_memory());
    Commands::new(Arc::new(intake), reader, rules, stamps)
}

impl Fixture {
    /// Still opening its store.
    pub(super) fn not_open() -> Self {
        let metrics = Arc::new(Metrics::new().unwrap());
        Self {
            open: None,
            readiness: Arc::new(Readiness::new()),
            feed: Feed::new(FEED, &metrics),
            metrics,
            decoder: Decoder::default(),
            next: AtomicU64::new(0),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// `c000000`, `c000001` … called `Ada 0`, `Ada 1` …; each one whose number ends in 9 is deleted.
    pub(super) fn with_contacts(count: usize) -> Self {
        let mut fixture = Self::not_open();
        let options = StoreConfig::at(fixture.directory.path());
        let opened = open(options, Some(&identity()), &|_| {}).unwrap();
        fixture.open = Some((Mutex::new(opened.writer), opened.reader));
        for number in 0..count {
            let id = format!("c{number:06}");
            fixture.create(&id, &format!("Ada {number}"));
            if number % 10 == 9 {
                fixture.apply("contact.deleted", json!({ "id": id }));
            }
        }
        fixture
    }

    pub(super) fn create(&self, id: &str, first_name: &str) {
        let company = format!("Company {}", id.len());
        let data = json!({ "id": id, "firstName": first_name, "company": company });
        self.apply("contact.created", data);
    }

    pub(super) fn rename(&self, id: &str, first_name: &str) {
        self.apply("contact.updated", json!({ "id": id, "firstName": first_name }));
    }

    /// One event, one commit.
    pub(super) fn apply(&self, kind: &str, data: Value) {
        self.apply_late(kind, data, 0);
    }

    /// The same, of an event that took so long to come.
    pub(super) fn apply_late(&self, kind: &str, data: Value, late_ms: u64) {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let time = START_MS + number;
        let event = json!({
            "id": format!("e{number}"), "eventType": kind, "timestamp": time - late_ms,
            "source": "test", "data": data,
        });
        let key = data["id"].as_str().unwrap().as_bytes();
        let mut batch = RecordBatch::new(LANE);
        let value = event.to_string();
        let time = i64::try_from(time).unwrap();
        let none: [(&str, Option<&[u8]>); 0] = [];
        batch.push(Offset(number), time, Some(key), Some(value.as_bytes()), none.into_iter());
        let event = self.decoder.decode(&mut batch, 0).unwrap();
        let mut writer = self.open.as_ref().unwrap().0.lock();
        let mut body = Vec::new();
        let current = writer.contact(key).unwrap();
        let verdict = merge(current, &event, &batch.arena, time, self.decoder.limits(), &mut body);
        assert_eq!(verdict.unwrap(), Verdict::Applied);
        let meta = EntryMeta::of_event(&batch, &batch.records[0], &event);
        writer.image(&meta, Verdict::Applied, key, &body).unwrap();
        writer.advance(LANE, LaneProgress::after(&batch));
        writer.commit().unwrap();
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    fn reader(&self) -> &Reader {
        &self.open.as_ref().unwrap().1
    }

    /// A write that was taken here, and not by the log.
    pub(super) fn refuse(&self, event_id: &str, why: &str) {
        self.reader().expect(xxh3_64(event_id.as_bytes())).refused(why);
    }

    pub(super) fn position(&self) -> Position {
        self.reader().position()
    }

    /// Where it stands after one more event.
    pub(super) fn position_ahead(&self) -> Position {
        let mut position = self.position();
        position.next.insert(LANE, NextOffset(self.next.load(Ordering::SeqCst) + 1));
        position
    }

    pub(super) fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    pub(super) fn router(&self) -> Api {
        self.router_with(|_| {})
    }

    /// With the limits and address lists of a configuration.
    pub(super) fn router_as_configured(&self, config: &Config) -> Api {
        self.router_sharing(config, &SharedState::new(config, &self.metrics).unwrap())
    }

    /// The same, with limits that somebody else keeps up.
    pub(super) fn router_sharing(&self, config: &Config, shared: &SharedState) -> Api {
        let services = Services {
            limiter: Arc::clone(&shared.limiter),
            proxies: config.server.proxies.clone(),
            allow: config.allow.clone(),
            cors_origins: config.server.cors_origins.clone(),
            speaks_tls: config.server.tls.is_some(),
            has_page: config.page.enabled,
            ..Services::default()
        };
        self.router_of(HttpLimits::from(&config.server), services)
    }

    pub(super) fn router_with(&self, change: impl FnOnce(&mut HttpLimits)) -> Api {
        self.router_by(change, Services::default())
    }

    pub(super) fn router_by(
        &self,
        change: impl FnOnce(&mut HttpLimits),
        services: Services,
    ) -> Api {
        let mut limits = HttpLimits {
            request_timeout: Duration::from_secs(10),
            body_bytes_max: 1 << 20,
            uri_bytes_max: 8 * 1024,
            header_bytes_max: 16 * 1024,
            requests_max: 100,
            requests_per_principal_max: 100,
            bodies_bytes_max: 1 << 20,
            waiting_reads_max: 100,
            position_wait: Duration::from_millis(150),
        };
        change(&mut limits);
        self.router_of(limits, services)
    }

    pub(super) fn router_of(&self, limits: HttpLimits, mut services: Services) -> Api {
        let auth = || access::auth(self.directory.path(), &self.metrics);
        services.auth.get_or_insert_with(auth);
        let state = HttpState::new(
            limits,
            services,
            Arc::clone(&self.metrics),
            Arc::clone(&self.readiness),
        );
        if let Some((_, reader)) = &self.open {
            state.store_opened(open_store(reader, &self.feed, self.directory.path()));
        }
        state.set_following(|| FINGERPRINT, Some(identity()));
        router(state)
    }

    /// A sample of `/metrics`.
    pub(super) fn metric(&self, sample: &str) -> Option<usize> {
        let text = String::from_utf8(self.metrics.render().unwrap()).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        value.map(|value| value.parse().unwrap())
    }

    /// Until a sample has that value.
    pub(super) async fn until_metric(&self, sample: &str, value: usize) {
        let started = Instant::now();
        while self.metric(sample) != Some(value) {
            let found = self.metric(sample);
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "{sample} is {found:?}, not {value}"
            );
            tokio::task::yield_now().await;
        }
    }

    /// Until one read waits for its `Position`.
    pub(super) async fn until_one_waits(&self) {
        self.until_metric("contactd_pool_taken{pool=\"waiting_reads\"}", 1).await;
    }
}
