//! Topics that others follow, with a real Kafka.

use std::time::{Duration, Instant};

use contactd::domain::partitioner::Partitioner;
use serde_json::{Value, json};

use super::event;
use crate::support::instance::{Instance, until};
use crate::support::logs::{KafkaTopic, LANES, RawRecord};
use crate::support::node::Node;
use crate::support::services::{KAFKA, service};

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn beside(topic: &KafkaTopic, name: &str) -> KafkaTopic {
    KafkaTopic { brokers: topic.brokers.clone(), topic: format!("{}.{name}", topic.topic) }
}

async fn created(brokers: &str) -> KafkaTopic {
    let topic = KafkaTopic::unused(brokers);
    let made = topic.clone();
    off_thread(move || made.create(&[])).await;
    topic
}

async fn read(topic: &KafkaTopic, count: usize) -> Vec<RawRecord> {
    let topic = topic.clone();
    off_thread(move || topic.read_at_least(count)).await
}

fn value(record: &RawRecord) -> Value {
    record.value.as_deref().map_or(Value::Null, |value| serde_json::from_slice(value).unwrap())
}

fn header<'r>(record: &'r RawRecord, name: &str) -> &'r str {
    std::str::from_utf8(record.header(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_on_both_topics_within_a_second_as_cloud_events() {
    const TEST: &str = "a_change_is_on_both_topics_within_a_second_as_cloud_events";
    let Some(brokers) = service(KAFKA, TEST) else { return };
    let topic = created(&brokers).await;
    let (state, changes) = (beside(&topic, "state"), beside(&topic, "changes"));
    // Of two instances one publishes; the topics are made, with as many partitions.
    let builder = Instance::builder()
        .following(&topic)
        .with("publish.state", &state.topic)
        .with("publish.changes", &changes.topic);
    let instance = builder.clone().start().await;
    let _other = builder.start().await;
    let client = instance.client();
    let running = async || {
        let list = client.get("/api/followers").await.expect(200).json();
        let is_up = |name| {
            let all = list["data"].as_array().unwrap().iter();
            all.clone().any(|it| it["name"] == name && it["state"] == "running")
        };
        (is_up("publish_state") && is_up("publish_changes")).then_some(())
    };
    until("both are taken", running).await;
    let made = client.post("/api/contacts", &json!({ "id": "ada", "firstName": "Ada" })).await;
    made.expect(201);
    let began = Instant::now();
    let [told] = read(&changes, 1).await.try_into().unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(told.key.as_deref(), Some(&b"ada"[..]));
    assert_eq!(told.lane, Some(Partitioner::Murmur2.lane(b"ada", LANES).0), "as the contact log");
    for (name, expected) in [
        ("ce_specversion", "1.0"),
        ("ce_type", "contact.created"),
        ("ce_source", "/contactd/api"),
        ("ce_subject", "ada"),
        ("ce_subjectversion", "1"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(header(&told, name), expected);
    }
    let body = value(&told);
    assert_eq!(
        (&body["contact"]["firstName"], &body["change"]["source"]),
        (&json!("Ada"), &json!("api"))
    );
    assert_eq!(header(&told, "ce_time"), body["change"]["timestamp"]);
    let [first] = read(&state, 1).await.try_into().unwrap();
    assert_eq!(value(&first), client.get("/api/contacts/ada").await.expect(200).json());
    assert_eq!((first.lane, header(&first, "ce_type")), (told.lane, "contact.state"));
    client.delete("/api/contacts/ada").await.expect(204);
    let states = read(&state, 2).await;
    let last = states.last().unwrap();
    assert_eq!((last.value.as_deref(), header(last, "ce_subjectversion")), (None, "2"));
    assert_eq!(header(read(&changes, 2).await.last().unwrap(), "ce_type"), "contact.deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_that_were_there_before_are_on_the_topic_of_states_and_an_erased_one_is_null() {
    const TEST: &str = "contacts_that_were_there_before_are_on_the_topic_of_states";
    let Some(brokers) = service(KAFKA, TEST) else { return };
    let topic = KafkaTopic::unused(&brokers);
    let (state, changes) = (beside(&topic, "state"), beside(&topic, "changes"));
    // The contact log is on this disk: Kafka is only told.
    let instance = Instance::start().await;
    for number in 0..50 {
        instance.append(&event(&format!("c{number}"), "acme", 1)).await;
    }
    let client = instance.client();
    instance.until_contact("c49", |answer| answer.status == 200).await;
    client.delete("/api/contacts/c7?erase=true").await.expect(204);
    let directory = instance.stop().await;
    let publishing = Instance::builder()
        .with("kafka.brokers", &brokers)
        .with("publish.state", &state.topic)
        .with("publish.changes", &changes.topic)
        .start_on(directory)
        .await;
    let states = read(&state, 50).await;
    let erased = states.iter().filter(|record| record.key.as_deref() == Some(b"c7"));
    assert!(erased.clone().count() > 0 && erased.clone().all(|record| record.value.is_none()));
    publishing.append(&event("c1", "acme", 2)).await;
    let [change] = read(&changes, 1).await.try_into().unwrap();
    assert_eq!(value(&change)["contact"]["title"], "t2");
    assert_eq!(header(&change, "ce_source"), "/contactd/acme");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_would_lose_what_is_published_is_refused_at_the_start_and_mended() {
    const TEST: &str = "a_topic_that_would_lose_what_is_published_is_refused_at_the_start";
    let Some(brokers) = service(KAFKA, TEST) else { return };
    let topic = created(&brokers).await;
    let (state, changes) = (beside(&topic, "state"), beside(&topic, "changes"));
    let (made, compacted) = (state.clone(), changes.clone());
    off_thread(move || {
        made.create(&[("cleanup.policy", "compact,delete")]);
        compacted.create(&[("cleanup.policy", "compact")]);
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    off_thread(move || {
        let node = topic.followed_by(Node::new(&directory.path().join("store")));
        let both = node.clone().with("publish.changes", &changes.topic);
        let only = node.with("publish.state", &state.topic);
        both.start("").wait().assert_refused(&[
            &changes.topic,
            "cleanup.policy=compact",
            "needs delete",
        ]);
        only.start("").wait().assert_refused(&[
            &state.topic,
            "compact,delete",
            "topics ensure --yes",
        ]);
        let ensured = only.command(&["topics", "ensure"]).output().unwrap();
        assert!(!ensured.status.success(), "{ensured:?}");
        let ensured = only.command(&["topics", "ensure", "--yes"]).output().unwrap();
        let said = String::from_utf8_lossy(&ensured.stderr).into_owned();
        assert!(
            said.contains(&format!("{}: cleanup.policy set to compact", state.topic)),
            "{said}"
        );
        only.catch_up_soundly();
        // What is read is never published to.
        let own = only.with("publish.state", &topic.topic).start("").wait();
        own.assert_refused(&["publish.state is", "which is the topic of contacts"]);
    })
    .await;
}
