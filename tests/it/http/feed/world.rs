//! An instance with a feed and sockets, whose commits a test cuts as it likes: two instances that
//! read the same log never have the same batches.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use contactd::apply::{DecodedBatch, Planner, Terms};
use contactd::domain::fingerprint::Fingerprint;
use contactd::domain::founding::Founding;
use contactd::domain::partitioner::Partitioner;
use contactd::domain::position::{Lane, LogIdentity, LogKind, Offset};
use contactd::domain::record::RecordBatch;
use contactd::domain::rules::{InForce, LaneRules, RuleSet};
use contactd::effects::feed::{Feed, FeedConfig};
use contactd::http::{HttpLimits, HttpState, Readiness, ServeOptions, Services};
use contactd::http::{router, serve};
use contactd::store::{Reader, StoreConfig, Writer, open};
use contactd::telemetry::Metrics;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::http::fixture::open_store;
use crate::http::sockets::bounds;
use crate::support::access;
use crate::support::sse::{SseClient, SseEvent};

pub(super) const LANES: u16 = 3;
const CONTACTS_A_LANE: u64 = 5;
/// 2026-11-21T10:00:00Z
const START_MS: u64 = 1_795_255_200_000;
const DEADLINE: Duration = Duration::from_secs(20);

pub(super) const FEED: FeedConfig = FeedConfig {
    heartbeat: Duration::from_millis(40),
    clients_max: 100,
    clients_per_principal_max: 100,
    snapshots_max: 4,
    buffer_bytes: 1 << 20,
    stall_timeout: Duration::from_secs(60),
    retry: Duration::from_millis(1500),
};

/// Commits, and answers over sockets.
pub(super) struct World {
    writer: Writer,
    pub(super) reader: Reader,
    planner: Planner,
    rules: LaneRules,
    next: [u64; LANES as usize],
    pub(super) feed: Feed,
    pub(super) metrics: Arc<Metrics>,
    pub(super) stop: CancellationToken,
    address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

fn identity(topic: &str) -> LogIdentity {
    let (kind, cluster) = (LogKind::Embedded, "test".to_owned());
    LogIdentity { kind, cluster, topic: topic.to_owned() }
}

/// The ids of a lane's contacts: it is their home.
pub(super) fn contacts(lane: u16) -> Vec<String> {
    let ids = (0..).map(|number| format!("contact {number}"));
    let at_home = ids.filter(|id| Partitioner::Murmur2.lane(id.as_bytes(), LANES).0 == lane);
    at_home.take(CONTACTS_A_LANE as usize).collect()
}

/// What stands on the log: a function of lane and offset alone. Every 11th record can't be read,
/// every 7th deletes.
fn record(lane: u16, offset: u64) -> (String, String) {
    let contacts = contacts(lane);
    let id = contacts[(offset % CONTACTS_A_LANE) as usize].clone();
    if offset % 11 == 10 {
        return (id, "no JSON".to_owned());
    }
    let kind = match offset {
        0..CONTACTS_A_LANE => "contact.created",
        offset if offset % 7 == 6 => "contact.deleted",
        _ => "contact.updated",
    };
    let data = json!({ "id": id, "firstName": format!("Ada {offset}"), "note": { "of": [lane] } });
    let event = json!({
        "id": format!("e-{lane}-{offset}"), "eventType": kind, "timestamp": START_MS + offset,
        "source": "test", "data": data,
    });
    (id, event.to_string())
}

/// The offsets of a lane that are changes.
pub(super) fn changes_of(lane: u16, from: u64, to: u64) -> impl Iterator<Item = (u64, u64)> {
    (from..to).filter(|offset| offset % 11 != 10).map(move |offset| (u64::from(lane), offset))
}

impl World {
    pub(super) async fn start(path: &Path) -> Self {
        Self::start_with(StoreConfig::at(path), FEED, "contacts").await
    }

    pub(super) async fn start_with(options: StoreConfig, feed: FeedConfig, topic: &str) -> Self {
        let path = options.path.clone();
        let opened = open(options, Some(&identity(topic)), &|_| {}).unwrap();
        let (writer, reader) = (opened.writer, opened.reader);
        let metrics = Arc::new(Metrics::new().unwrap());
        let feed = Feed::new(feed, &metrics);
        let auth = access::auth(&path, &metrics);
        let services = Services { auth: Some(auth), ..Services::default() };
        let limits = HttpLimits {
            // The stream must outlive it.
            request_timeout: Duration::from_millis(300),
            body_bytes_max: 1 << 20,
            uri_bytes_max: 8 * 1024,
            header_bytes_max: 16 * 1024,
            requests_max: 100,
            requests_per_principal_max: 100,
            bodies_bytes_max: 1 << 20,
            waiting_reads_max: 100,
            position_wait: Duration::from_millis(150),
        };
        let readiness = Arc::new(Readiness::new());
        let state = HttpState::new(limits, services, Arc::clone(&metrics), readiness);
        state.store_opened(open_store(&reader, &feed, &path));
        state.set_following(Fingerprint::default, Some(identity(topic)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = ServeOptions {
            first_byte_timeout: DEADLINE,
            header_timeout: DEADLINE,
            drain_timeout: Duration::from_secs(5),
            connections: bounds(200),
            head_bytes_max: 64 * 1024,
            streams_max: 100,
            write_timeout: DEADLINE,
            tls: None,
        };
        let serving = serve(listener, router(state), serving, stop.clone());
        let hub = feed.clone().run(stop.clone());
        #[expect(clippy::disallowed_methods, reason = "the test itself waits for them")]
        let tasks = vec![tokio::spawn(async { serving.await.unwrap() }), tokio::spawn(hub)];
        let next = std::array::from_fn(|lane| {
            reader.position().next.get(&Lane(lane as u16)).map_or(0, |next| next.0)
        });
        let planner = Planner::new(Terms::of(Founding::first(Partitioner::Murmur2, LANES)));
        let rules = Arc::new(RuleSet::built_in().unwrap());
        let rules = LaneRules::beginning_with(1, InForce::at_founding(rules));
        Self { writer, reader, planner, rules, next, feed, metrics, stop, address, tasks }
    }

    /// The next records of these lanes, in one commit.
    pub(super) fn commit(&mut self, lanes: &[(u16, u64)]) {
        for (lane, count) in lanes {
            let mut batch = RecordBatch::new(Lane(*lane));
            let next = &mut self.next[usize::from(*lane)];
            for offset in *next..*next + count {
                let (key, value) = record(*lane, offset);
                let time = i64::try_from(START_MS + offset).unwrap();
                let none: [(&str, Option<&[u8]>); 0] = [];
                let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
                batch.push(Offset(offset), time, key, value, none.into_iter());
            }
            *next += count;
            batch.next = contactd::domain::position::NextOffset(*next);
            let homes = Founding::first(Partitioner::Murmur2, LANES);
            let (decoded, _) =
                DecodedBatch::decode(&mut self.rules, homes, batch, Vec::new()).unwrap();
            self.planner.plan(&mut self.writer, &decoded).unwrap();
        }
        self.writer.commit().unwrap();
    }

    pub(super) fn writer(&mut self) -> &mut Writer {
        &mut self.writer
    }

    pub(super) fn next(&self, lane: u16) -> u64 {
        self.next[usize::from(lane)]
    }

    pub(super) fn position(&self) -> String {
        self.reader.position().encode()
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn url(&self, query: &str) -> String {
        format!("http://{}/api/feed{query}", self.address)
    }

    pub(super) async fn listen(&self, query: &str) -> SseClient {
        self.listen_with(query, &[]).await
    }

    pub(super) async fn listen_after(&self, id: &str) -> SseClient {
        self.listen_with("", &[("last-event-id", id)]).await
    }

    pub(super) async fn listen_with(&self, query: &str, headers: &[(&str, &str)]) -> SseClient {
        match SseClient::connect(&self.url(query), headers).await {
            Ok(client) => client,
            Err(answer) => panic!("{}: {}", answer.status(), answer.text().await.unwrap()),
        }
    }

    /// Status and code of an answer that is no stream.
    pub(super) async fn refused(&self, query: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let answer = SseClient::connect(&self.url(query), headers).await;
        let answer = answer.err().expect("no stream");
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        (status, body["error"]["code"].as_str().unwrap().to_owned())
    }

    /// Every contact, as the export has it.
    pub(super) fn export(&self) -> BTreeMap<String, Value> {
        let mut lines = Vec::new();
        self.reader.export(true, &mut lines).unwrap();
        let lines = String::from_utf8(lines).unwrap();
        lines.lines().map(|line| of_contact(serde_json::from_str(line).unwrap())).collect()
    }

    pub(super) async fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            tokio::time::timeout(DEADLINE, task).await.expect("it ends in time").unwrap();
        }
        drop(self.feed);
        self.writer.close().unwrap();
    }
}

fn of_contact(contact: Value) -> (String, Value) {
    (contact["id"].as_str().unwrap().to_owned(), contact)
}

/// What a client knows that keeps every contact it is told of.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    pub(super) contacts: BTreeMap<String, Value>,
}

impl Mirror {
    pub(super) fn take(&mut self, event: &SseEvent) {
        match event.event.as_str() {
            "snapshot" => self.contacts.clear(),
            "state" => {
                let (id, contact) = of_contact(event.json()["contact"].clone());
                assert!(self.contacts.insert(id, contact).is_none(), "a contact came twice");
            }
            "ready" => assert_eq!(event.json()["contacts"], self.contacts.len()),
            change if change.starts_with("contact.") => {
                let (id, contact) = of_contact(event.json()["contact"].clone());
                let before =
                    self.contacts.get(&id).map_or(0, |old| old["version"].as_u64().unwrap());
                assert_eq!(
                    contact["version"],
                    before + 1,
                    "a change of {id} is missing or doubled"
                );
                self.contacts.insert(id, contact);
            }
            other => panic!("{other}"),
        }
    }
}
