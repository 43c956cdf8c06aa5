//! Inputs of the bridge: topics beside a contact log's, and how far their group has come.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::logs::{KafkaTopic, LANES, RawRecord};
use super::node::Node;
use super::wait::wait_until;

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
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &contacts.brokers)
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
