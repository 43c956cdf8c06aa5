//! Inputs of the bridge: topics beside a contact log's, and how far their group has come.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use serde_json::{Value, json};

use super::logs::{KafkaTopic, LANES, RawRecord};
use super::node::Node;
use super::wait::wait_until;

/// Of the first record of every load.
pub const TIME: i64 = 1_790_000_000_000;
/// How long a broker may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A topic whose name begins with the contact log's.
#[track_caller]
pub fn input(contacts: &KafkaTopic, name: &str, settings: &[(&str, &str)]) -> KafkaTopic {
    let topic = format!("{}.{name}", contacts.topic);
    let input = KafkaTopic { brokers: contacts.brokers.clone(), topic };
    input.create(settings);
    input
}

/// The node, bridging these topics and patterns. A killed member's partitions are given to others as
/// soon as brokers allow.
#[must_use]
pub fn bridging(node: Node, topics: &[&str]) -> Node {
    node.with("bridge.topics", topics.join(","))
        .with("kafka.properties.session_timeout_ms", 6_000)
        .with("telemetry.log", "warn,contactd=info")
}

/// What is known of an input; its name has dots, so no variable can say it.
#[must_use]
pub fn knowing(node: Node, topic: &str, key: &str, value: &str) -> Node {
    node.flag("--set").flag(&format!("input.{topic}.{key}={value}"))
}

/// An event, appended to a partition of one's choice with a key of one's choice.
pub fn raw(lane: u16, key: Option<&str>, value: Option<Vec<u8>>, timestamp_ms: i64) -> RawRecord {
    let key = key.map(|key| key.as_bytes().to_vec());
    RawRecord { lane: Some(lane), key, value, timestamp_ms, ..RawRecord::default() }
}

/// Waits until the contact log's bridge has committed everything that the inputs hold.
#[track_caller]
pub fn wait_until_bridged(contacts: &KafkaTopic, inputs: &[&KafkaTopic], deadline: Duration) {
    let group = format!("contactd.bridge.{}", contacts.topic);
    wait_until_committed(&contacts.brokers, &group, inputs, deadline);
}

/// The same of any group.
#[track_caller]
pub fn wait_until_committed(
    brokers: &str,
    group: &str,
    inputs: &[&KafkaTopic],
    deadline: Duration,
) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .create()
        .expect("a consumer");
    wait_until(deadline, "all inputs are bridged", || behind(&consumer, inputs) == Some(0));
}

/// Records that are not committed; none: the brokers don't say.
fn behind(consumer: &BaseConsumer, inputs: &[&KafkaTopic]) -> Option<i64> {
    let mut list = TopicPartitionList::new();
    let mut end = 0;
    for input in inputs {
        for lane in 0..i32::from(LANES) {
            list.add_partition(&input.topic, lane);
            end += consumer.fetch_watermarks(&input.topic, lane, ANSWER).ok()?.1;
        }
    }
    let committed = consumer.committed_offsets(list, ANSWER).ok()?;
    let elements = committed.elements();
    let committed = elements.iter().map(|element| match element.offset() {
        Offset::Offset(offset) => offset,
        _ => 0,
    });
    Some(end - committed.sum::<i64>())
}

/// Everything that a stopped store holds, by id.
#[track_caller]
pub fn export(node: &Node) -> BTreeMap<String, Value> {
    let exported =
        node.command(&["store", "export", "--include-deleted"]).output().expect("an export");
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let lines = String::from_utf8(exported.stdout).expect("an export");
    let contacts =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("an export"));
    contacts
        .map(|contact| (contact["id"].as_str().expect("an export").to_owned(), contact))
        .collect()
}

/// A load whose order and number show in every contact: its `number`th event sets the name to that
/// number, and each one that is applied once raises the version by one.
#[derive(Debug, Default)]
pub struct Counted {
    numbers: u64,
}

impl Counted {
    const CONTACTS: u64 = 24;

    /// The next events of all contacts; a part of these has no times.
    pub fn next(&mut self) -> Vec<RawRecord> {
        self.numbers += 1;
        let number = self.numbers;
        (0..Self::CONTACTS).map(|contact| Self::event(contact, number)).collect()
    }

    fn event(contact: u64, number: u64) -> RawRecord {
        let id = format!("contact-{contact}");
        let mut value = json!({ "id": format!("{id}-{number}"), "eventType": "contact.updated",
            "source": "acme", "data": { "id": id, "firstName": number.to_string() } });
        if !contact.is_multiple_of(3) {
            value["timestamp"] = json!(TIME + number as i64);
        }
        let value = Some(value.to_string().into_bytes());
        RawRecord { lane: None, ..raw(0, Some(&id), value, TIME + number as i64) }
    }

    #[track_caller]
    pub fn assert_whole(&self, contacts: &BTreeMap<String, Value>) {
        if let Some(wrong) = self.wrong(contacts) {
            panic!("not every event has had its effect once: {wrong}");
        }
    }

    /// A contact that has had an event twice, or not at all, or in another order.
    pub fn wrong(&self, contacts: &BTreeMap<String, Value>) -> Option<String> {
        if contacts.len() as u64 != Self::CONTACTS {
            return Some(format!("{} contacts", contacts.len()));
        }
        let last = self.numbers.to_string();
        let is_wrong = |contact: &&Value| {
            contact["version"] != self.numbers || contact["firstName"] != last.as_str()
        };
        let wrong = contacts.values().find(is_wrong);
        wrong.map(|contact| format!("after {} events each: {contact}", self.numbers))
    }

    /// Events so far.
    pub fn total(&self) -> u64 {
        Self::CONTACTS * self.numbers
    }
}
