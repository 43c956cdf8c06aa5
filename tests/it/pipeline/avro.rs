//! Avro topics and their registry, on a real Kafka.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::event;
use crate::support::bridge::{
    TIME, bridging, export, input, knowing, raw, wait_until_bridged, wait_until_committed,
};
use crate::support::instance::Instance;
use crate::support::logs::{KafkaTopic, LANES, RawRecord};
use crate::support::node::Node;
use crate::support::registry::{TestRegistry, framed};
use crate::support::services::{KAFKA, service};
use crate::support::wait::{wait_for, wait_until};

const PATIENCE: Duration = Duration::from_secs(90);
const KEY: u32 = 10;

/// A change event of a row, in its first form or with a column more.
fn envelope(has_phone: bool) -> Value {
    let text = |name: &str| json!({ "name": name, "type": ["null", "string"], "default": null });
    let mut columns = vec![json!({ "name": "id", "type": "long" }), text("first_name")];
    if has_phone {
        columns.push(text("phone"));
    }
    let row = json!({ "type": "record", "name": "Row", "fields": columns });
    let source = json!({ "type": "record", "name": "Source", "fields": [
        { "name": "ts_us", "type": { "type": "long", "logicalType": "timestamp-micros" } }] });
    json!({ "type": "record", "name": "Envelope", "namespace": "crm", "fields": [
        { "name": "before", "type": ["null", row] }, { "name": "after", "type": ["null", "Row"] },
        { "name": "source", "type": source }, { "name": "op", "type": "string" }] })
}

fn long(number: i64) -> Vec<u8> {
    let mut bits = ((number << 1) ^ (number >> 63)).cast_unsigned();
    let mut out = Vec::new();
    while bits > 0x7f {
        out.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    out.push(bits as u8);
    out
}

fn text(text: &str) -> Vec<u8> {
    [long(text.len() as i64), text.as_bytes().to_vec()].concat()
}

/// An update at second `at` of the load.
fn change(id: i64, name: &str, phone: Option<&str>, at: i64) -> Vec<u8> {
    let phone = phone.map_or(Vec::new(), |phone| [vec![2], text(phone)].concat());
    let name = [vec![2], text(name)].concat();
    let time = long(TIME * 1000 + at * 1_000_000);
    [vec![0, 2], long(id), name, phone, time, text("u")].concat()
}

fn record(lane: u16, id: i64, value: Option<Vec<u8>>) -> RawRecord {
    let key = Some(framed(KEY, &long(id)));
    RawRecord { key, ..raw(lane, None, value, TIME) }
}

/// A topic of rows, another one of our own events, and their registry.
struct World {
    registry: TestRegistry,
    rows: KafkaTopic,
    others: KafkaTopic,
    group: String,
    instance: Instance,
    runtime: Runtime,
}

impl World {
    fn start(brokers: &str) -> Self {
        let registry = TestRegistry::start();
        registry.add(1, &envelope(false));
        registry.add(2, &envelope(true));
        registry.add(
            KEY,
            &json!({ "type": "record", "name": "Key", "fields": [
            { "name": "id", "type": "long" }] }),
        );
        let topics = [KafkaTopic::unused(brokers), KafkaTopic::unused(brokers)];
        topics.iter().for_each(|topic| topic.create(&[]));
        let [rows, others] = topics;
        let (runtime, group) = (Runtime::new().unwrap(), format!("group-{}", rows.topic));
        let starting = Instance::builder()
            .with("kafka.brokers", brokers)
            .with("bridge.topics", format!("{},{}", rows.topic, others.topic))
            .with("bridge.group", &group)
            .with(&format!("input.{}.source", rows.topic), "crm")
            .with("source.crm.preset", "debezium")
            .with("schema_registry.url", registry.url())
            .with("schema_registry.unknown_wait", "0s")
            .start();
        let instance = runtime.block_on(starting);
        Self { registry, rows, others, group, instance, runtime }
    }

    fn until(&self, id: &str, name: &str) -> Value {
        let is_right = |answer: &crate::support::answer::Answer| answer.json()["firstName"] == name;
        self.runtime.block_on(self.instance.until_contact(id, is_right)).json()
    }

    fn get(&self, path: &str) -> Value {
        self.runtime.block_on(self.instance.client().get(path)).json()
    }

    fn until_figure(&self, figure: &str) {
        wait_until(PATIENCE, figure, || {
            let text = String::from_utf8(self.instance.metrics.render().unwrap()).unwrap();
            text.lines().any(|line| line == figure)
        });
    }

    fn until_bridged(&self) {
        let (group, topics) = (&self.group, [&self.rows, &self.others]);
        wait_until_committed(&self.rows.brokers, group, &topics, PATIENCE);
    }

    fn letters(&self) -> Vec<(String, Value)> {
        // 503 until the archive was read.
        let page = self.get("/api/dead-letters?limit=200");
        let letters = page["data"].as_array().cloned().unwrap_or_default();
        let named = |letter: Value| (letter["reason"].as_str().unwrap().to_owned(), letter);
        letters.into_iter().map(named).collect()
    }
}

#[test]
fn a_topic_waits_for_its_registry_and_others_go_on() {
    const TEST: &str = "a_topic_waits_for_its_registry_and_others_go_on";
    let Some(brokers) = service(KAFKA, TEST) else { return };
    let world = World::start(&brokers);
    world.rows.append(
        [
            record(0, 7, Some(framed(1, &change(7, "Ada", None, 1)))),
            record(0, 7, Some(framed(2, &change(7, "Augusta", Some("123"), 2)))),
            // A tombstone, which says nothing more.
            record(0, 7, None),
        ]
        .into_iter(),
    );
    let contact = world.until("7", "Augusta");
    assert_eq!((&contact["phone"], &contact["version"]), (&json!("123"), &json!(2)));
    world.until_bridged();

    world.registry.set_away(true);
    world.registry.add(3, &envelope(true));
    let behind = 40;
    world.rows.append(
        [
            record(0, 8, Some(framed(3, &change(8, "Grace", Some("1"), 1)))),
            // Behind it, of a schema that is known.
            record(0, 7, Some(framed(1, &change(7, "Lovelace", None, 3)))),
            record(1, 9, Some(framed(2, &change(9, "Edith", Some("2"), 1)))),
        ]
        .into_iter()
        .chain(
            (0..behind).map(|at| record(0, 7, Some(framed(1, &change(7, "Later", None, 4 + at))))),
        ),
    );
    world.others.append(
        [event("updated", "other", 1, r#""firstName":"Other""#)].into_iter().map(Into::into),
    );
    world.until("9", "Edith");
    world.until("other", "Other");
    let topic = &world.rows.topic;
    world.until_figure(&format!("contactd_bridge_waiting_partitions{{topic=\"{topic}\"}} 1"));
    world.until_figure(&format!("contactd_bridge_lag_records{{topic=\"{topic}\"}} {}", behind + 2));
    world.until_figure("contactd_dependency_up{dependency=\"schema_registry\"} 0");
    let ready = world.runtime.block_on(world.instance.client().get("/readyz?verbose"));
    assert_eq!(ready.status, 200);
    let ready = ready.json().to_string();
    for words in [format!("{topic} waits for schema 3"), world.registry.url()] {
        assert!(ready.contains(&words), "no {words:?} in {ready}");
    }
    assert_eq!(world.get("/api/contacts/7")["firstName"], "Augusta");

    world.registry.set_away(false);
    world.until("8", "Grace");
    let contact = world.until("7", "Later");
    world.until_bridged();
    assert_eq!(contact["phone"], "123");
    world.until_figure(&format!("contactd_bridge_waiting_partitions{{topic=\"{topic}\"}} 0"));
    world.until_figure(&format!("contactd_bridge_lag_records{{topic=\"{topic}\"}} 0"));
    // What was read twice was appended once.
    let events = format!("{{outcome=\"event\",topic=\"{topic}\"}} {}", 5 + behind);
    world.until_figure(&format!("contactd_bridge_records_total{events}"));
    wait_until(PATIENCE, "the archive is read", || {
        world.runtime.block_on(world.instance.client().get("/api/dead-letters")).status == 200
    });
    assert!(world.letters().is_empty());
    world.runtime.block_on(world.instance.stop());
}

#[test]
fn what_can_not_be_decoded_is_kept_as_it_came_and_decoded_when_it_is_redriven() {
    const TEST: &str = "what_can_not_be_decoded_is_kept_as_it_came_and_decoded_when_it_is_redriven";
    let Some(brokers) = service(KAFKA, TEST) else { return };
    let world = World::start(&brokers);
    let whole = change(7, "Ada", None, 1);
    let unknown = framed(99, &change(6, "Grace", None, 1));
    world.registry.add_answer(98, &json!({ "schema": "syntax", "schemaType": "PROTOBUF" }));
    world.registry.add_answer(97, &json!({ "schema": "{" }));
    world.registry.add_answer(96, &json!({ "schema": "{}", "schemaType": "JSON" }));
    let bare =
        r#"{"op":"u","after":{"id":5,"first_name":"Bare"},"source":{"ts_ms":1763719200000}}"#;
    world.rows.append(
        [
            record(0, 6, Some(unknown.clone())),
            record(0, 7, Some(framed(1, &whole[..whole.len() - 1]))),
            record(0, 7, Some(framed(1, &[&whole[..], b"x"].concat()))),
            record(0, 7, Some(framed(98, b"\x00\x0a\x01a"))),
            record(0, 7, Some(framed(97, b"x"))),
            record(0, 5, Some(framed(96, bare.as_bytes()))),
            record(0, 7, Some(framed(1, &whole))),
        ]
        .into_iter(),
    );
    world.until("7", "Ada");
    world.until("5", "Bare");
    let letters = wait_for(PATIENCE, "all are kept", || {
        Some(world.letters()).filter(|letters| letters.len() >= 5)
    });
    let mut reasons: Vec<&str> = letters.iter().map(|(reason, _)| reason.as_str()).collect();
    reasons.sort_unstable();
    let malformed = "malformed_avro";
    let expected = [malformed, malformed, "protobuf_framing", "schema_unknown", "unusable_schema"];
    assert_eq!(reasons, expected);
    let (_, letter) = letters.iter().find(|(reason, _)| reason == "schema_unknown").unwrap();
    assert_eq!(letter["valueLength"], unknown.len());
    assert!(letter["detail"].as_str().unwrap().contains("schema 99"), "{letter}");

    world.registry.add(99, &envelope(false));
    let order = json!({ "reason": "schema_unknown" });
    let redriven = world.instance.client();
    let redriven = world.runtime.block_on(redriven.post("/api/dead-letters/redrive", &order));
    let job = redriven.expect(201).json();
    let path = format!("/api/dead-letters/redrives/{}", job["id"].as_str().unwrap());
    wait_until(PATIENCE, "the redrive is done", || world.get(&path)["state"] == "done");
    world.until("6", "Grace");
    assert_eq!(world.letters().len(), 5);
    world.runtime.block_on(world.instance.stop());
}

#[test]
fn partitions_that_wait_change_hands_and_are_not_forgotten() {
    const TEST: &str = "partitions_that_wait_change_hands_and_are_not_forgotten";
    let Some(brokers) = service(KAFKA, TEST) else { return };
    let dir = tempfile::tempdir().unwrap();
    let contacts = KafkaTopic::unused(&brokers);
    contacts.create(&[]);
    let rows = input(&contacts, "rows", &[]);
    let registry = TestRegistry::start();
    registry.set_away(true);
    registry.add(1, &envelope(false));
    let load = |round: i64| {
        (0..LANES).map(move |lane| {
            let id = i64::from(lane);
            let value = Some(framed(1, &change(id, &format!("name {round}"), None, round)));
            RawRecord {
                key: Some(format!("{{\"id\":{id}}}").into_bytes()),
                ..raw(lane, None, value, TIME)
            }
        })
    };
    (0..20).for_each(|round| rows.append(load(round)));
    let member = |name: &str| {
        let node = contacts.followed_by(Node::new(&dir.path().join(name)));
        let node = bridging(node, &[&rows.topic]).with("schema_registry.url", registry.url());
        knowing(node.with("source.crm.preset", "debezium"), &rows.topic, "source", "crm")
    };
    let (first, second) = (member("first"), member("second"));
    let mut one = first.start("");
    one.wait_until_it_says(PATIENCE, "dependency does not answer");
    let two = second.start("");
    one.wait_until_it_says(PATIENCE, "gave a partition up");
    wait_until(PATIENCE, "the other waits too", || {
        two.stderr().contains("dependency does not answer")
    });
    assert!(two.stop().status.success());
    wait_until(PATIENCE, "all partitions are back", || {
        one.stderr().matches("bridging a partition").count() > usize::from(LANES)
    });
    registry.set_away(false);
    wait_until_bridged(&contacts, &[&rows], PATIENCE);
    let ended = one.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    first.catch_up_soundly();
    let contacts = export(&first);
    assert_eq!(contacts.len(), usize::from(LANES));
    for contact in contacts.values() {
        assert_eq!((&contact["firstName"], &contact["version"]), (&json!("name 19"), &json!(20)));
    }
}
