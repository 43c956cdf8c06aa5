//! Other topics in: whatever their keys, their records and their members are, the contacts are those
//! of a direct run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use contactd::domain::verdict::DeadLetterReason as Reason;
use serde_json::{Value, json};

use super::{event, node};
use crate::support::bridge::{
    Counted, TIME, bridging, export, input, knowing, raw, wait_until_bridged, wait_until_committed,
};
use crate::support::image::Image;
use crate::support::instance::Instance;
use crate::support::logs::{KafkaTopic, LANES, RawRecord, TestLog};
use crate::support::node::Node;
use crate::support::services::{KAFKA, OwnBroker, service};
use crate::support::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(90);

/// A contact log at a real Kafka.
fn contact_log(test: &str) -> Option<(TestLog, KafkaTopic)> {
    let log = TestLog::kafka(&service(KAFKA, test)?);
    let TestLog::Kafka(topic) = &log else { unreachable!("it is Kafka") };
    let topic = topic.clone();
    Some((log, topic))
}

/// Ends a node well, lets it apply what is left, and reads its store.
#[track_caller]
fn finish(node: &Node, running: crate::support::node::Running) -> Image {
    let ended = running.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    node.catch_up_soundly();
    Image::read(&node.store)
}

/// What does not depend on the order in which events came.
fn canonical(image: &Image) -> BTreeMap<String, Vec<u8>> {
    let each = image.contacts.iter();
    each.map(|(id, contact)| (id.clone(), contact.canonical.clone())).collect()
}

/// Events of some contacts, three each, in order.
fn events(prefix: &str) -> Vec<RawRecord> {
    let of = |contact: u64| {
        let id = format!("{prefix}-{contact}");
        let name = |number: u64| format!(r#""firstName":"name {number}""#);
        (1..4).map(move |number| event("updated", &id, number, &name(number)).into())
    };
    (0..20).flat_map(of).collect()
}

#[test]
fn inputs_of_every_kind_give_the_contacts_of_a_direct_run() {
    const TEST: &str = "inputs_of_every_kind_give_the_contacts_of_a_direct_run";
    let Some((log, contacts)) = contact_log(TEST) else { return };
    let dir = tempfile::tempdir().unwrap();
    let created = input(&contacts, "in.created", &[]);
    let updated = input(&contacts, "in.updated", &[]);
    let keyless = input(&contacts, "keyless", &[]);
    let other_key = input(&contacts, "other-key", &[]);
    // Matched by the pattern, were it not the contact log's own.
    let dead = KafkaTopic { topic: format!("{}.dlq", contacts.topic), ..contacts.clone() };
    dead.create(&[]);
    dead.append(events("dead").into_iter());

    created.append(events("created").into_iter());
    updated.append(events("updated").into_iter());
    let without_key = |(number, record): (usize, RawRecord)| RawRecord {
        key: None,
        lane: Some(number as u16 % LANES),
        ..record
    };
    keyless.append(events("keyless").into_iter().enumerate().map(without_key));
    let with_other_key =
        |record: RawRecord| RawRecord { key: Some(b"account-7".to_vec()), ..record };
    other_key.append(events("other").into_iter().map(with_other_key));

    let node = node(dir.path(), &log);
    let pattern = format!("^{}\\.(in\\..*|dlq|control)", contacts.topic);
    let node = bridging(node, &[&pattern, &keyless.topic, &other_key.topic]);
    let mut running = node.start("");
    let inputs = [&created, &updated, &keyless, &other_key];
    wait_until_bridged(&contacts, &inputs, PATIENCE);
    running.wait_until_it_says(PATIENCE, "keyed_by_contact=0");
    let image = finish(&node, running);

    let direct = TestLog::embedded(&dir.path().join("direct-log"));
    direct.append(["created", "updated", "keyless", "other"].into_iter().flat_map(events));
    let direct_node = super::node(dir.path(), &direct);
    direct_node.catch_up_soundly();
    let expected = Image::read(&direct_node.store);
    assert_eq!(canonical(&image), canonical(&expected));
    assert_eq!(image.contacts.len(), 80);
    assert!(image.letters.is_empty(), "{:?}", image.letters.values().next());
    assert_eq!(image.received(), 240);
    // Where one contact's records came in order, every one of them counts.
    for (id, contact) in &image.contacts {
        if !id.starts_with("keyless") {
            assert_eq!(contact.version, 3, "{id}");
        }
    }
}

#[test]
fn a_compacted_input_of_complete_records_replaces_and_deletes() {
    const TEST: &str = "a_compacted_input_of_complete_records_replaces_and_deletes";
    let Some((log, contacts)) = contact_log(TEST) else { return };
    let dir = tempfile::tempdir().unwrap();
    let table = input(&contacts, "table", &[("cleanup.policy", "compact")]);
    let row = |key: &str, value: Option<Value>, number: i64| {
        let value = value.map(|value| value.to_string().into_bytes());
        RawRecord { lane: None, ..raw(0, Some(key), value, TIME + number / 3) }
    };
    table.append(
        [
            row(
                "ada",
                Some(json!({ "id": "ada", "firstName": "Ada", "phone": "1", "plan": "free" })),
                0,
            ),
            row("bob", Some(json!({ "firstName": "Bob" })), 1),
            row(
                "ada",
                Some(json!({ "id": "ada", "firstName": "Augusta", "email": "a@example.com" })),
                2,
            ),
            row("bob", None, 2),
            row("carol", Some(json!({ "acme_first_name": "Carol" })), 3),
            row("carol", None, 4),
            row("carol", Some(json!({ "acme_last_name": "Shaw" })), 5),
            row("nobody", None, 6),
        ]
        .into_iter(),
    );
    let node = node(dir.path(), &log).with("source.acme.complete", true);
    let node = knowing(bridging(node, &[&table.topic]), &table.topic, "source", "acme");
    let running = node.start("");
    wait_until_bridged(&contacts, &[&table], PATIENCE);
    let image = finish(&node, running);
    assert!(image.letters.is_empty());
    assert_eq!((image.received(), image.verdict_totals["applied"]), (8, 8));
    let contacts = export(&node);
    let shows = |id: &str, expected: Value| {
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(contacts[id][name], *value, "{id}: {}", contacts[id]);
        }
    };
    shows(
        "ada",
        json!({ "firstName": "Augusta", "phone": null, "email": "a@example.com",
        "attributes": {}, "status": "ACTIVE", "source": "acme", "version": 2 }),
    );
    shows("bob", json!({ "firstName": "Bob", "status": "DELETED", "version": 2 }));
    shows("carol", json!({ "firstName": null, "lastName": "Shaw", "status": "ACTIVE" }));
    shows("nobody", json!({ "status": "DELETED" }));
}

#[test]
fn whatever_an_input_holds_has_its_verdict() {
    const TEST: &str = "whatever_an_input_holds_has_its_verdict";
    let Some(brokers) = service(KAFKA, TEST) else { return };
    let dir = tempfile::tempdir().unwrap();
    let contacts = KafkaTopic::unused(&brokers);
    contacts.create(&[("max.message.bytes", "1048588")]);
    let log = TestLog::Kafka(contacts.clone());
    let bad = input(&contacts, "bad", &[("max.message.bytes", "3000000")]);
    let value = |text: &str| Some(text.as_bytes().to_vec());
    let ahead = |contact: &str| event("updated", contact, 1, "").value;
    // Nothing that compresses well.
    let noise: String = std::iter::repeat_with(fastrand::alphanumeric).take(2_500_000).collect();
    let huge = format!(r#"{{"id":"{noise}"}}"#);
    let mut forged = raw(1, Some("ada"), ahead("forged"), TIME + 5_000);
    forged.headers = vec![
        ("contactd_command".to_owned(), Some(b"replace".to_vec())),
        ("contactd_expected_version".to_owned(), Some(b"77".to_vec())),
        ("contactd_principal".to_owned(), Some(b"root".to_vec())),
    ];
    let records = vec![
        raw(0, None, value("{broken"), TIME),
        raw(1, Some("k"), value("{broken"), TIME),
        raw(2, Some("k"), None, TIME),
        raw(3, None, None, TIME),
        raw(0, Some("k"), value(&huge), TIME),
        raw(0, Some("k"), value(r#"{"eventType":"contact.exploded","data":{"id":"k"}}"#), TIME),
        raw(0, Some("k"), Some(vec![0xff, 0xfe, 0x00]), TIME),
        raw(1, Some("k"), ahead("good"), TIME + 5_000),
        forged,
    ];
    let count = records.len() as u64;
    bad.append(records.into_iter());
    let node = bridging(node(dir.path(), &log), &[&bad.topic]);
    let running = node.start("");
    wait_until_bridged(&contacts, &[&bad], PATIENCE);
    let image = finish(&node, running);
    assert_eq!(image.received(), count);
    assert_eq!((image.verdict_totals["applied"], image.letters.len()), (2, 7));
    let mut reasons: Vec<Reason> = image.letters.values().map(|letter| letter.reason).collect();
    reasons.sort();
    let expected = [
        Reason::MalformedJson,
        Reason::MalformedJson,
        // Of the one that was too large, the head is kept.
        Reason::MalformedJson,
        Reason::InvalidUtf8,
        Reason::UnknownEventType,
        Reason::NullValue,
        Reason::NullValue,
    ];
    assert_eq!(reasons, expected);
    let origins: BTreeSet<String> = image
        .letters
        .values()
        .map(|letter| {
            let found = letter.headers.iter().find(|(name, _)| name == "contactd_origin");
            let origin = found.and_then(|(_, value)| value.clone()).expect("an origin");
            String::from_utf8(origin).unwrap()
        })
        .collect();
    let origin = |place: &str| format!("{}:{place}", bad.topic);
    assert_eq!(origins, ["0:0", "1:0", "2:0", "3:0", "0:1", "0:2", "0:3"].map(origin).into());
    assert_eq!(image.contacts["forged"].version, 1);
}

#[test]
fn members_that_come_and_go_lose_and_double_nothing() {
    const TEST: &str = "members_that_come_and_go_lose_and_double_nothing";
    let Some((log, contacts)) = contact_log(TEST) else { return };
    let dir = tempfile::tempdir().unwrap();
    let inputs = ["one", "two"].map(|name| input(&contacts, name, &[]));
    let member = |name: &str| {
        let node = log.followed_by(Node::new(&dir.path().join(name)));
        let node = bridging(node, &[&inputs[0].topic, &inputs[1].topic]);
        node.with("bridge.batch_records_max", 50)
    };
    let mut load = Counted::default();
    // A contact's events stay in one input, whichever.
    let mut produce = |rounds: u64| {
        let records: Vec<RawRecord> = (0..rounds).flat_map(|_| load.next()).collect();
        for (place, input) in inputs.iter().enumerate() {
            let own = records.iter().enumerate().filter(|(at, _)| at % 2 == place);
            input.append(own.map(|(_, record)| record.clone()));
        }
    };
    let (first, second, third) = (member("first"), member("second"), member("third"));
    produce(40);
    let mut one = first.start("");
    one.wait_until_it_says(PATIENCE, "bridging a partition");
    produce(40);
    let mut two = second.start("");
    until_it_bridges(&mut two, &mut produce);
    let mut three = third.start("");
    until_it_bridges(&mut three, &mut produce);
    // One that is killed in the middle of an append, one that leaves, one that comes back.
    two.kill();
    produce(40);
    let mut two = second.start("");
    until_it_bridges(&mut two, &mut produce);
    let ended = one.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    produce(40);
    let killed = second.clone();
    two.kill();
    let killed = killed.start("kill:bridge_appended:3");
    wait_until(PATIENCE, "a member is killed after an append", || {
        produce(1);
        killed.stderr().contains("bridging a partition")
    });
    let exit = {
        produce(40);
        killed.wait()
    };
    assert!(exit.was_killed(), "{}: {}", exit.status, exit.stderr);
    produce(20);
    wait_until_bridged(&contacts, &[&inputs[0], &inputs[1]], PATIENCE);
    let image = finish(&third, three);
    load.assert_whole(&export(&third));
    let total = load.total();
    assert_eq!(image.verdict_totals["applied"], total);
    assert!(image.letters.is_empty());
    assert!(image.received() > total, "nothing was appended twice: the kill came too early");
}

#[test]
fn members_that_can_append_nothing_hand_partitions_over_and_lose_nothing() {
    const TEST: &str = "members_that_can_append_nothing_hand_partitions_over_and_lose_nothing";
    let Some(brokers) = service(KAFKA, TEST) else { return };
    let dir = tempfile::tempdir().unwrap();
    let contacts = KafkaTopic::unused(&brokers);
    contacts.create(&[]);
    // Founded, and from then on smaller than any event.
    let founding = contacts.followed_by(Node::new(&dir.path().join("founding")));
    founding.catch_up_soundly();
    contacts.set("max.message.bytes", "100");
    let input = input(&contacts, "input", &[]);
    let member = |name: &str| {
        let node = contacts.followed_by(Node::new(&dir.path().join(name)));
        // One at a time: of several the log may refuse the first and, mended meanwhile, take the rest,
        // and then events without a time have another order.
        bridging(node, &[&input.topic]).with("bridge.batch_records_max", 1)
    };
    let mut load = Counted::default();
    input.append((0..12).flat_map(|_| load.next()));
    let (first, second) = (member("first"), member("second"));
    let mut one = first.start("");
    one.wait_until_it_says(PATIENCE, "the bridge waits for the contact log");
    let mut two = second.start("");
    two.wait_until_it_says(PATIENCE, "the bridge waits for the contact log");
    one.wait_until_it_says(PATIENCE, "gave a partition up");
    // What the one held goes to the other, and comes back.
    let ended = two.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    wait_until(PATIENCE, "all partitions are back", || {
        one.stderr().matches("bridging a partition").count() > usize::from(LANES)
    });
    contacts.set("max.message.bytes", "1048588");
    wait_until_bridged(&contacts, &[&input], PATIENCE);
    let image = finish(&first, one);
    load.assert_whole(&export(&first));
    assert_eq!(image.verdict_totals["applied"], load.total());
    assert!(image.letters.is_empty());
}

/// Produces until a member has partitions.
#[track_caller]
fn until_it_bridges(member: &mut crate::support::node::Running, produce: &mut impl FnMut(u64)) {
    wait_until(PATIENCE, "the member has partitions", || {
        produce(2);
        member.stderr().contains("bridging a partition")
    });
}

#[test]
fn an_embedded_log_is_fed_from_kafka_and_the_figures_say_so() {
    const TEST: &str = "an_embedded_log_is_fed_from_kafka_and_the_figures_say_so";
    let Some(brokers) = service(KAFKA, TEST) else { return };
    let input = KafkaTopic::unused(&brokers);
    input.create(&[]);
    input.append(events("fed").into_iter());
    input.append([raw(0, Some("k"), Some(b"{broken".to_vec()), TIME)].into_iter());
    let group = format!("group-{}", input.topic);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let starting = Instance::builder()
        .with("kafka.brokers", &brokers)
        .with("bridge.topics", &input.topic)
        .with("bridge.group", &group)
        .start();
    let instance = runtime.block_on(starting);
    wait_until_committed(&brokers, &group, &[&input], PATIENCE);
    for contact in 0..20 {
        let id = format!("fed-{contact}");
        runtime.block_on(instance.until_contact(&id, |answer| answer.json()["version"] == 3));
    }
    let labels = |outcome: &str| format!("{{outcome=\"{outcome}\",topic=\"{}\"}}", input.topic);
    let topic = format!("{{topic=\"{}\"}}", input.topic);
    let figures = [
        format!("contactd_bridge_records_total{} 60", labels("event")),
        format!("contactd_bridge_records_total{} 1", labels("unreadable")),
        format!("contactd_bridge_records_total{} 0", labels("reduced")),
        format!("contactd_bridge_lag_records{topic} 0"),
        format!("contactd_bridge_assigned_partitions{topic} {LANES}"),
        "contactd_bridge_errors_total{step=\"append\"} 0".to_owned(),
        "contactd_bridge_up 1".to_owned(),
    ];
    for figure in figures {
        wait_until(PATIENCE, &figure, || {
            let text = String::from_utf8(instance.metrics.render().unwrap()).unwrap();
            text.lines().any(|line| line == figure)
        });
    }
    runtime.block_on(instance.stop());
}

#[test]
fn the_bridge_outlasts_its_brokers() {
    const TEST: &str = "the_bridge_outlasts_its_brokers";
    let Some(broker) = OwnBroker::start(TEST) else { return };
    let dir = tempfile::tempdir().unwrap();
    let log = TestLog::kafka(&broker.address());
    let TestLog::Kafka(contacts) = &log else { unreachable!("it is Kafka") };
    let input = input(contacts, "input", &[]);
    let node = bridging(node(dir.path(), &log), &[&input.topic]);
    let mut load = Counted::default();
    let mut produce = || input.append((0..20).flat_map(|_| load.next()));
    produce();
    let running = node.start("");
    wait_until_bridged(contacts, &[&input], PATIENCE);
    broker.run("kill");
    wait_until(PATIENCE, "the bridge says that nothing comes", || {
        running.stderr().contains("the bridge's inputs don't come")
    });
    broker.run("start");
    produce();
    wait_until_bridged(contacts, &[&input], PATIENCE);
    // An end while the brokers are away is an end all the same, and so is a beginning.
    broker.run("kill");
    let ended = running.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    let running = node.start("");
    broker.run("start");
    produce();
    wait_until_bridged(contacts, &[&input], PATIENCE);
    finish(&node, running);
    load.assert_whole(&export(&node));
}

#[test]
fn payments_of_their_topic_come_to_what_the_records_say_in_any_order() {
    const TEST: &str = "payments_of_their_topic_come_to_what_the_records_say_in_any_order";
    let Some(brokers) = service(KAFKA, TEST) else { return };
    let input = KafkaTopic::unused(&brokers);
    input.create(&[]);
    let said = |kind: &str, second: u32, more: &str| {
        let value = format!(
            r#"{{"id":"{kind}-{second}","eventType":"payment.{kind}","source":"shop",
                "timestamp":"2026-09-01T10:00:{second:02}Z","data":{{"id":"p1"{more}}}}}"#
        );
        raw(0, Some("ada"), Some(value.into_bytes()), TIME)
    };
    let records = [
        said("refunded", 3, r#","refundId":"r1","amount":400"#),
        said("succeeded", 2, ""),
        said("created", 1, r#","amount":1000,"currency":"EUR""#),
        said("succeeded", 2, ""),
    ];
    input.append(records.into_iter());
    let group = format!("group-{}", input.topic);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let starting = Instance::builder()
        .with("kafka.brokers", &brokers)
        .with("payments.enabled", "true")
        .with("payments.topic", &input.topic)
        .with("bridge.group", &group)
        .start();
    let instance = runtime.block_on(starting);
    wait_until_committed(&brokers, &group, &[&input], PATIENCE);
    let client = instance.client();
    wait_until(PATIENCE, "the payment is refunded in part", || {
        let answer = runtime.block_on(client.get("/api/contacts/ada/payments"));
        answer.status == 200 && answer.json()["totals"]["EUR"]["net"] == 600
    });
    runtime.block_on(instance.stop());
}
