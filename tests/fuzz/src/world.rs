//! The router over a store with a few contacts, and one request's bytes answered by it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use contactd::auth::Auth;
use contactd::config::{Config, EmbeddedLogConfig, FlagSetting, Mode, Secret, Sources, load};
use contactd::domain::decode::Decoder;
use contactd::domain::fingerprint::Fingerprint;
use contactd::domain::limits::Limits;
use contactd::domain::merge::merge;
use contactd::domain::position::Lane;
use contactd::domain::rules::RuleSet;
use contactd::domain::sources;
use contactd::domain::verdict::Verdict;
use contactd::effects::dead_letters::{LetterDesk, LetterOptions, Topics};
use contactd::effects::feed::{Feed, FeedConfig};
use contactd::effects::follower::{Followers, Surroundings};
use contactd::effects::subscriptions::{FanOut, Signer, SubscriptionOptions};
use contactd::event_log::EventLog;
use contactd::event_log::embedded::{EmbeddedLog, EmbeddedOptions};
use contactd::files::export::Exports;
use contactd::http::{
    Api, HttpLimits, HttpState, IdempotencySecret, OpenStore, Readiness, ServeOptions, Services,
    WebhookIntake, Writes, router, serve_stream,
};
use contactd::ingest::{
    Adoption, Commands, Control, Edits, Intake, IntakeOptions, Lease, Merging, PresentRules,
    Stamps, Webhooks,
};
use contactd::shared_state::SharedState;
use contactd::store::{self, EntryMeta, LaneProgress, Opened, Reader, StoreConfig, Writer};
use contactd::telemetry::Metrics;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::time::timeout;

use crate::keyed::{SECRET, STANDARD_SECRET, hex};
use crate::{directory, records};

/// What the key of an admin is.
pub const ADMIN_KEY: &str = "ck_fuzz_admin-and-nothing-else";
/// Of the user `ada`, and of no password.
pub const PASSWORD_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$Y29udGFjdGQgZGVjb3kgIQ$\
     OFtq7oJ6mJbkW0gq9h4oWcFVnnl0qA6wGm5l3kqJp1E";
/// What takes longer is a write that nobody applies, or has no end.
const PATIENCE: Duration = Duration::from_millis(2);

/// A configuration that signs with what is known here, and knows an admin and a viewer.
pub fn config() -> Config {
    let users = directory().join("users.toml");
    let created = "created = \"2026-11-21T10:00:00.000Z\"";
    let hash = hex(&Sha256::digest(ADMIN_KEY));
    let text = format!(
        "[[user]]\nname = \"ada\"\nroles = [\"viewer\"]\npassword = \"{PASSWORD_HASH}\"\n{created}\n\
         [[key]]\nname = \"admin\"\nroles = [\"admin\"]\nprefix = \"ck_fuzz\"\nsha256 = \"{hash}\"\n{created}\n"
    );
    std::fs::write(&users, text).expect("a file of users");
    let path = directory().display().to_string();
    let flags = [
        ("store.path", path.as_str()),
        ("jwt.secret", SECRET),
        ("source.acme.secret", SECRET),
        ("source.acme.binary_cloudevents", "true"),
        ("source.body.secret", SECRET),
        ("source.body.signature", "acme-body"),
        ("source.standard.secret", STANDARD_SECRET),
        ("source.standard.signature", "standard"),
    ];
    let flag = |(key, value): (&str, &str)| FlagSetting {
        flag: "fuzz".to_owned(),
        key: key.to_owned(),
        value: value.to_owned(),
    };
    let flags = flags.into_iter().map(flag).collect();
    load(&Sources { flags, ..Sources::new(Mode::Serve) }).expect("a right configuration")
}

/// The sources of [`config`].
pub fn webhooks() -> Webhooks {
    Webhooks::new(&config().webhooks, rules()).expect("right secrets")
}

/// What is understood without any configuration.
pub fn decoder() -> Decoder {
    Decoder::new(sources::Sources::built_in(), Limits::default())
}

fn rules() -> PresentRules {
    PresentRules::new(Arc::new(RuleSet::built_in().expect("the built-in rules")))
}

/// The router, its runtime and all behind it.
pub struct World {
    api: Api,
    options: ServeOptions,
    runtime: tokio::runtime::Runtime,
    _writer: Writer,
}

impl World {
    /// A store with three contacts, one of them deleted.
    pub fn new() -> Self {
        let (config, metrics) = (config(), Arc::new(Metrics::new().expect("metrics")));
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().expect("a runtime");
        let _inside = runtime.enter();
        let log =
            EmbeddedLogConfig { path: directory().join("log"), ..config.embedded_log.clone() };
        let log = EmbeddedLog::open(EmbeddedOptions::new(&log, "contacts")).expect("a log");
        let log = EventLog::Embedded(Arc::new(log));
        let identity = log.identity().expect("its identity");
        let options = StoreConfig::at(&directory().join("store"));
        let opened = store::open(options, Some(&identity), &|_| {}).expect("a store");
        let Opened { mut writer, reader, .. } = opened;
        fill(&mut writer);
        let shared = SharedState::default();
        let auth = Auth::new(&config, &shared, Arc::clone(&metrics)).expect("users");
        let webhooks = WebhookIntake::new(webhooks(), intake(&log));
        let services = Services {
            auth: Some(Arc::new(auth)),
            limiter: shared.limiter,
            webhooks: Some(webhooks),
            ..Services::default()
        };
        let mut limits = HttpLimits::from(&config.server);
        limits.position_wait = Duration::from_millis(1);
        let readiness = Arc::new(Readiness::new());
        let state = HttpState::new(limits, services, Arc::clone(&metrics), readiness);
        state.store_opened(open_store(&log, &reader, &metrics));
        state.set_following(|| Fingerprint(42), Some(identity));
        let options = ServeOptions::new(&config.server, 16);
        drop(_inside);
        Self { api: router(state), options, runtime, _writer: writer }
    }

    /// What is answered to these bytes, until nothing more comes for a moment.
    pub fn answer(&self, request: &[u8]) -> Vec<u8> {
        let (ours, theirs) = duplex(1 << 16);
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let served = serve_stream(theirs, address, self.api.clone(), &self.options);
        let asked = async {
            let (mut read, mut write) = tokio::io::split(ours);
            let mut answer = Vec::new();
            let answered = async {
                while let Ok(Ok(1..)) = timeout(PATIENCE, read.read_buf(&mut answer)).await {}
            };
            // Who asks for so much that nobody reads it all is cut off.
            tokio::select! {
                ((), _) = async { tokio::join!(answered, write.write_all(request)) } => {}
                () = tokio::time::sleep(1000 * PATIENCE) => {}
            }
            answer
        };
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                answer = asked => answer,
                () = async { served.await; std::future::pending().await } => Vec::new(),
            }
        })
    }
}

fn fill(writer: &mut Writer) {
    let (decoder, lane) = (decoder(), Lane(0));
    for (number, kind) in ["created", "created", "deleted"].into_iter().enumerate() {
        let text = format!(
            r#"{{"id":"e{number}","eventType":"contact.{kind}","timestamp":{number},"source":"acme","data":{{"id":"c{number}","firstName":"Ada","email":"ada@example.com","plan":{{"a":[1]}}}}}}"#
        );
        let id = format!("c{number}").into_bytes();
        let mut batch = records::batch(&records::bytes(&[(id.clone(), vec![], text.into_bytes())]));
        let event = decoder.decode(&mut batch, 0).expect("an event");
        let mut body = Vec::new();
        merge(None, &event, &batch.arena, 0, decoder.limits(), &mut body).expect("a contact");
        let meta = EntryMeta::of_event(&batch, &batch.records[0], &event);
        writer.image(&meta, Verdict::Applied, &id, &body).expect("an image");
        writer.advance(lane, LaneProgress::after(&batch));
        writer.commit().expect("a commit");
    }
}

fn intake(log: &EventLog) -> Arc<Intake> {
    let options = IntakeOptions {
        ack_timeout: Duration::from_secs(5),
        path: directory().to_owned(),
        min_free_bytes: 0,
    };
    let intake = Intake::new(log.clone(), None, options);
    intake.log_settled(|_| None);
    Arc::new(intake)
}

/// What is written is kept, and never applied.
fn open_store(log: &EventLog, reader: &Reader, metrics: &Arc<Metrics>) -> OpenStore {
    let control = Arc::new(Control::new(log.clone(), reader.clone()));
    let commands = || Commands::new(intake(log), reader.clone(), rules(), Stamps::in_memory());
    let lease = || Arc::new(Lease::alone(Arc::clone(&control), reader.dead_letters().instance()));
    let feed = FeedConfig {
        heartbeat: Duration::from_secs(15),
        clients_max: 4,
        clients_per_principal_max: 4,
        snapshots_max: 4,
        buffer_bytes: 1 << 20,
        stall_timeout: Duration::from_secs(60),
        retry: Duration::from_millis(1500),
    };
    let feed = Feed::new(feed, metrics);
    feed.open(reader.clone());
    let topics = Topics { contacts: "contacts".to_owned(), control: "control".to_owned() };
    let letters = LetterDesk::new(
        log.clone(),
        Arc::clone(&control),
        lease(),
        LetterOptions { topics, hops_max: 3, age_max: None, redrives_per_second_max: 1_000 },
        Box::new(|_| true),
        Arc::clone(metrics),
    );
    let own = Arc::new(RuleSet::built_in().expect("the built-in rules"));
    let around = Surroundings::new(log.clone(), Arc::clone(&control), lease());
    let subscriptions = SubscriptionOptions {
        config: Config::built_in(Mode::Dev).expect("the built-in configuration").subscriptions,
        signer: Signer::new(vec![Secret::new("only for these tests")]),
    };
    let fan_out = FanOut::new(subscriptions, Arc::clone(&control), metrics.subscriptions.clone());
    OpenStore {
        subscriptions: fan_out.desk(),
        followers: Arc::new(Followers::new(around)),
        acme: None,
        payments: None,
        imports: None,
        queries: contactd::query::Queries::new(reader.clone()),
        writes: Writes {
            edits: Edits::new(commands()),
            secret: IdempotencySecret::derive(b"fuzz"),
            require_if_match: false,
            wait: Duration::from_millis(1),
        },
        merging: Arc::new(Merging::new(log.clone(), commands(), Arc::clone(&control), lease())),
        letters: Arc::new(letters),
        exports: Arc::new(Exports::new(reader.clone(), 4, metrics)),
        feed,
        rules: Arc::new(Adoption::new(log.clone(), reader.clone(), own)),
        control,
    }
}
