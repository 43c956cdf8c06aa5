//! A merge is ended whatever kills its instance between two of its steps, and takes along what came
//! meanwhile; one that fails lets the other go.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::logs::{RawRecord, TestLog};
use crate::support::node::Node;
use crate::support::wait::wait_for;

const PATIENCE: Duration = Duration::from_secs(60);
/// Of a contact; two of these texts are too much for one.
const CONTACT_BYTES_MAX: &str = "1KiB";

/// A node on a port of its own, over a log that is there while it is not.
struct World {
    log: TestLog,
    node: Node,
    port: u16,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let log = TestLog::embedded(&dir.path().join("log"));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let node = log
            .followed_by(Node::new(&dir.path().join("store")))
            .with("apply.contact_bytes_max", CONTACT_BYTES_MAX)
            .with("server.listen", format!("127.0.0.1:{port}"));
        Self { log, node, port, _dir: dir }
    }

    /// Status and body; none: nobody answers.
    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Option<(u16, Value)> {
        let key = std::fs::read_to_string(self.node.store.join("local.key")).ok()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let url = format!("http://127.0.0.1:{}{path}", self.port);
            let method = method.parse().unwrap();
            let request = reqwest::Client::new().request(method, url);
            let request = request.header("x-api-key", key.trim());
            let request = match path.ends_with("/merge") {
                true => request.header("idempotency-key", "k"),
                false => request,
            };
            let request = match body {
                Some(body) => {
                    request.header("content-type", "application/json").body(body.to_string())
                }
                None => request,
            };
            let answer = request.send().await.ok()?;
            let status = answer.status().as_u16();
            let body = answer.bytes().await.ok()?;
            Some((status, serde_json::from_slice(&body).unwrap_or_default()))
        })
    }

    /// Asked until it is answered so.
    #[track_caller]
    fn until(&self, status: u16, method: &str, path: &str, body: Option<&Value>) -> Value {
        let answer = wait_for(PATIENCE, &format!("{method} {path} is {status}"), || {
            self.ask(method, path, body.cloned()).filter(|(given, _)| *given == status)
        });
        answer.1
    }

    #[track_caller]
    fn create(&self, contact: &Value) {
        self.until(201, "POST", "/api/contacts", Some(contact));
    }

    /// An event, while no instance is there.
    fn event(&self, id: &str, kind: &str, data: &Value) {
        let mut data = data.clone();
        data["id"] = json!(id);
        let now_ms = i64::try_from(contactd::app::now_ms()).unwrap();
        let event = json!({"id": format!("late-{id}"), "eventType": format!("contact.{kind}"),
            "timestamp": now_ms, "source": "crm", "data": data});
        self.log.append([RawRecord {
            key: Some(id.as_bytes().to_vec()),
            value: Some(event.to_string().into_bytes()),
            timestamp_ms: now_ms,
            ..RawRecord::default()
        }]);
    }

    /// Two contacts, and a merge that the instance does not survive.
    #[track_caller]
    fn killed_at(point: &str, other: &Value) -> Self {
        let world = Self::new();
        let running = world.node.start(&format!("kill:{point}:1"));
        world.create(&json!({"id": "one", "attributes": {"a": "a".repeat(600)}}));
        world.create(other);
        assert_eq!(world.ask("POST", MERGE, Some(from_other())), None, "{point}");
        let exit = running.wait();
        assert!(exit.was_killed(), "{point}: {}: {}", exit.status, exit.stderr);
        world
    }

    #[track_caller]
    fn contact(&self, id: &str) -> Value {
        self.until(200, "GET", &format!("/api/contacts/{id}?includeDeleted=true"), None)
    }
}

const MERGE: &str = "/api/contacts/one/merge";

fn from_other() -> Value {
    json!({"from": "other"})
}

#[test]
fn a_merge_is_ended_whatever_kills_its_instance() {
    for point in ["merge_bound", "merge_taken_in", "merge_gave_way"] {
        let world = World::killed_at(point, &json!({"id": "other", "phone": "1"}));
        // Nobody asks again, and what came meanwhile is not lost.
        world.event("other", "updated", &json!({"company": "Engines"}));
        let running = world.node.start("");
        let other = wait_for(PATIENCE, &format!("{point}: the other gives way"), || {
            let (_, other) = world.ask("GET", "/api/contacts/other?includeDeleted=true", None)?;
            (other["status"] == "DELETED").then_some(other)
        });
        assert_eq!(other["attributes"]["mergedInto"], "one", "{point}");
        let survivor = world.until(200, "POST", MERGE, Some(&from_other()));
        assert_eq!(
            (&survivor["phone"], &survivor["attributes"]["mergedFrom"]),
            (&json!("1"), &json!(["other"])),
            "{point}"
        );
        if point != "merge_gave_way" {
            assert_eq!(survivor["company"], "Engines", "{point}");
        }
        assert_eq!(world.contact("one"), survivor, "{point}");
        // It is over: nothing holds the other any more.
        world.until(200, "POST", "/api/contacts/other/restore", None);
        world.until(204, "DELETE", "/api/contacts/other?erase=true", None);
        assert!(running.stop().status.success());
    }
}

#[test]
fn a_merge_whose_survivor_went_meanwhile_lets_the_other_go() {
    let world = World::killed_at("merge_bound", &json!({"id": "other", "phone": "1"}));
    world.event("one", "deleted", &json!({}));
    let running = world.node.start("");
    world.until(404, "POST", MERGE, Some(&from_other()));
    world.until(204, "DELETE", "/api/contacts/other?erase=true", None);
    assert_eq!(world.contact("one")["phone"], Value::Null);
    assert!(running.stop().status.success());
}

#[test]
fn a_merge_that_fails_lets_the_other_go_whatever_kills_its_instance() {
    let other = json!({"id": "other", "attributes": {"b": "b".repeat(600)}});
    let world = World::killed_at("merge_failed", &other);
    let running = world.node.start("");
    world.until(204, "DELETE", "/api/contacts/other?erase=true", None);
    assert_eq!(world.contact("one")["version"], 1);
    assert!(running.stop().status.success());
}
