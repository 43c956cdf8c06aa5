//! With a real Kafka: what is published, and what others have dead-lettered.

use std::collections::BTreeSet;

use serde_json::json;

use crate::cli::contactd;
use crate::support::instance::{Instance, until};
use crate::support::logs::{KafkaTopic, RawRecord};
use crate::support::services::{KAFKA, service};

use super::event;

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

async fn created(brokers: &str) -> KafkaTopic {
    let topic = KafkaTopic::unused(brokers);
    let made = topic.clone();
    off_thread(move || made.create(&[])).await;
    topic
}

/// A topic, and that of its dead letters with a setting.
async fn created_with_letters(
    brokers: &str,
    setting: (&'static str, &'static str),
) -> (KafkaTopic, KafkaTopic) {
    let topic = created(brokers).await;
    let letters = topic.dead_letters();
    let made = letters.clone();
    off_thread(move || made.create(&[setting])).await;
    (topic, letters)
}

async fn append(topic: &KafkaTopic, records: Vec<RawRecord>) {
    let topic = topic.clone();
    off_thread(move || topic.append(records.into_iter())).await;
}

async fn read(topic: &KafkaTopic, count: usize) -> Vec<RawRecord> {
    let topic = topic.clone();
    off_thread(move || topic.read(count)).await
}

fn bad(lane: u16, value: &[u8]) -> RawRecord {
    RawRecord {
        lane: Some(lane),
        key: Some(b"ada".to_vec()),
        value: Some(value.to_vec()),
        headers: vec![("trace".to_owned(), Some(vec![0xff, 0]))],
        timestamp_ms: 1_795_255_200_123,
    }
}

/// Names of the headers that are ours to add, as the AsyncAPI document has them.
fn described() -> BTreeSet<String> {
    let directory = tempfile::tempdir().unwrap();
    let output = contactd(directory.path()).arg("asyncapi").output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let headers = &document["components"]["schemas"]["dead-letter-headers"]["properties"];
    headers.as_object().unwrap().keys().cloned().collect()
}

fn added(record: &RawRecord) -> BTreeSet<String> {
    record.headers.iter().map(|(name, _)| name.clone()).filter(|name| name != "trace").collect()
}

#[tokio::test]
async fn letters_are_published_once_with_headers_that_connect_and_spring_read() {
    let Some(brokers) = service(KAFKA, "letters_are_published_once") else { return };
    let topic = created(&brokers).await;
    let large = vec![b'{'; 100_000];
    append(&topic, vec![bad(3, b"{\"id\": "), bad(1, &large)]).await;
    // Two instances, and each letter once.
    let one = Instance::builder().following(&topic).start().await;
    let other = Instance::builder().following(&topic).start().await;
    let dlq = topic.dead_letters();
    let published = read(&dlq, 2).await;
    let small = published.iter().find(|record| record.lane == Some(3)).expect("its own partition");
    assert_eq!(
        (small.key.as_deref(), small.value.as_deref()),
        (Some(&b"ada"[..]), Some(&b"{\"id\": "[..]))
    );
    assert_eq!(small.header("trace"), [0xff, 0]);
    assert_eq!(small.header("__connect.errors.topic"), topic.topic.as_bytes());
    assert_eq!(small.header("__connect.errors.partition"), b"3");
    assert_eq!(small.header("__connect.errors.offset"), b"0");
    assert_eq!(small.header("__connect.errors.stage"), b"VALUE_CONVERTER");
    assert_eq!(small.header("__connect.errors.exception.class.name"), b"contactd.malformed_json");
    assert_eq!(small.header("kafka_dlt-original-topic"), topic.topic.as_bytes());
    assert_eq!(small.header("kafka_dlt-original-partition"), 3_i32.to_be_bytes());
    assert_eq!(small.header("kafka_dlt-original-offset"), 0_i64.to_be_bytes());
    assert_eq!(small.header("kafka_dlt-original-timestamp"), 1_795_255_200_123_i64.to_be_bytes());
    assert_eq!(small.header("contactd_dead_letter_reason"), b"malformed_json");
    let id = format!("{}:3:0", topic.topic);
    assert_eq!(small.header("contactd_dead_letter_id"), id.as_bytes());
    let mut described = described();
    described.retain(|name| !name.starts_with("contactd_value_"));
    assert_eq!(added(small), described);
    // Only its head is kept here; the log still has the whole.
    let whole = published.iter().find(|record| record.lane == Some(1)).expect("the large one");
    assert_eq!(whole.value.as_deref(), Some(large.as_slice()));
    // The cursor outlives the instances.
    let directory = one.stop().await;
    other.stop().await;
    append(&topic, vec![bad(3, b"[")]).await;
    let again = Instance::builder().following(&topic).start_on(directory).await;
    assert_eq!(read(&dlq, 3).await.len(), 3);
    let figures = String::from_utf8(again.metrics.render().unwrap()).unwrap();
    assert!(
        figures.contains("contactd_dead_letters_published_total{reason=\"malformed_json\"} 1"),
        "{figures}"
    );
}

#[tokio::test]
async fn what_the_topic_refuses_for_its_size_goes_as_a_stub() {
    let Some(brokers) = service(KAFKA, "what_the_topic_refuses") else { return };
    let (topic, dlq) = created_with_letters(&brokers, ("max.message.bytes", "4000")).await;
    let mut random = fastrand::Rng::with_seed(7);
    let value: Vec<u8> = (0..20_000).map(|_| random.u8(..)).collect();
    append(&topic, vec![bad(0, &value), bad(0, b"{")]).await;
    let _instance = Instance::builder().following(&topic).start().await;
    let published = read(&dlq, 2).await;
    let (stubs, whole): (Vec<_>, Vec<_>) = published.iter().partition(|it| it.value.is_none());
    assert_eq!(stubs[0].header("contactd_value_length"), b"20000");
    assert_eq!(added(stubs[0]), described());
    assert_eq!(whole[0].value.as_deref(), Some(&b"{"[..]), "the other one is whole");
}

#[tokio::test]
async fn letters_that_are_kept_no_longer_before_they_could_be_published_are_published() {
    let Some(brokers) = service(KAFKA, "letters_that_are_kept_no_longer") else { return };
    // It takes nothing: there is one broker.
    let (topic, dlq) = created_with_letters(&brokers, ("min.insync.replicas", "2")).await;
    let instance = Instance::builder()
        .following(&topic)
        .with("dead_letters.retention_bytes", "1MiB")
        .start()
        .await;
    let figure = |name: &str| {
        let figures = String::from_utf8(instance.metrics.render().unwrap()).unwrap();
        let of_name = figures.lines().filter(|line| line.starts_with(name));
        of_name.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum::<f64>()
    };
    // Its turn has begun when the others come.
    append(&topic, vec![bad(0, b"{")]).await;
    let waiting = "contactd_follower_waiting_contacts{follower=\"dead_letters\"}";
    until("the first letter", async || (figure(waiting) >= 1.0).then_some(())).await;
    let value = [b'{'; 4000];
    append(&topic, (0..600).map(|_| bad(0, &value)).collect()).await;
    let client = instance.client();
    let last = format!("/api/dead-letters/{}:0:600", topic.topic);
    until("all letters, and a part of them gone", async || {
        let is_last = client.get(&last).await.status == 200;
        (is_last && figure("contactd_dead_letters{") < 500.0).then_some(())
    })
    .await;
    off_thread(move || dlq.set("min.insync.replicas", "1")).await;
    // The journal has them all the same.
    until("all are published", async || {
        (figure("contactd_dead_letters_published_total") >= 601.0).then_some(())
    })
    .await;
}

/// As Spring Kafka's recoverer and Kafka Connect's reporter leave them.
fn foreign(topic: &str) -> Vec<RawRecord> {
    let spring = RawRecord {
        lane: Some(0),
        key: Some(b"grace".to_vec()),
        value: Some(event("grace", 1, "Grace").to_string().into_bytes()),
        headers: vec![
            ("content-type".to_owned(), Some(b"application/json".to_vec())),
            ("trace".to_owned(), None),
            // Anybody may have written these.
            ("contactd_source".to_owned(), Some(b"forged".to_vec())),
            ("contactd_origin".to_owned(), Some(b"forged:0:1".to_vec())),
            ("contactd_principal".to_owned(), Some(b"user:forged".to_vec())),
            ("kafka_dlt-original-topic".to_owned(), Some(topic.as_bytes().to_vec())),
            ("kafka_dlt-original-partition".to_owned(), Some(2_i32.to_be_bytes().to_vec())),
            ("kafka_dlt-original-offset".to_owned(), Some(1042_i64.to_be_bytes().to_vec())),
            ("kafka_dlt-original-timestamp".to_owned(), Some(1_i64.to_be_bytes().to_vec())),
            ("springDeserializerExceptionValue".to_owned(), Some(vec![0xac, 0xed, 0, 5])),
        ],
        timestamp_ms: 1_795_255_200_000,
    };
    // Connect writes what it was given, often without a key.
    let connect = RawRecord {
        lane: Some(1),
        key: None,
        value: Some(event("edsger", 1, "Edsger").to_string().into_bytes()),
        headers: vec![
            ("__connect.errors.topic".to_owned(), Some(topic.as_bytes().to_vec())),
            ("__connect.errors.exception.message".to_owned(), Some(b"no".to_vec())),
        ],
        timestamp_ms: 1_795_255_200_000,
    };
    let hopped = RawRecord {
        headers: vec![("contactd_redrive_hops".to_owned(), Some(b"5".to_vec()))],
        ..connect.clone()
    };
    let hopeless = RawRecord { value: Some(b"<xml/>".to_vec()), ..spring.clone() };
    vec![spring, connect, hopped, hopeless]
}

#[tokio::test]
async fn records_that_spring_and_connect_dead_lettered_are_redriven_and_land_right() {
    let Some(brokers) = service(KAFKA, "records_that_spring_and_connect") else { return };
    let topic = created(&brokers).await;
    let source = created(&brokers).await;
    append(&source, foreign(&topic.topic)).await;
    let instance = Instance::builder().following(&topic).start().await;
    let redrive = async |more: &'static str| {
        let (topic, source, directory) =
            (topic.clone(), source.topic.clone(), instance.path().to_owned());
        let output = off_thread(move || {
            let mut command = contactd(&directory);
            command.env("KAFKA_BROKERS", &topic.brokers);
            command.env("CONTACTD_KAFKA__TOPIC", &topic.topic);
            command.env("CONTACTD_KAFKA__PARTITIONER", "murmur2");
            command
                .args(["dlq", "redrive", "--json", "--from-topic", &source])
                .args(more.split_whitespace());
            command.output().unwrap()
        })
        .await;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{told}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let dry = redrive("").await;
    assert_eq!(
        (&dry["records"], &dry["appended"], &dry["applied"]),
        (&json!(4), &json!(2), &json!(false))
    );
    assert_eq!(dry["refused"], json!({ "malformed_json": 1 }));
    assert_eq!(dry["leftOut"], json!({ "redriven too often": 1 }));
    let client = instance.client();
    assert_eq!(client.get("/api/contacts/grace").await.status, 404, "it was only said");
    for _ in 0..3 {
        redrive("--apply").await;
    }
    for (id, name) in [("grace", "Grace"), ("edsger", "Edsger")] {
        let found = instance.until_contact(id, |answer| answer.status == 200).await.json();
        assert_eq!((&found["firstName"], &found["version"]), (&json!(name), &json!(1)));
        assert_ne!(found["source"], "forged");
    }
    // What is hopeless stays where it is.
    let stats = client.get("/api/stats").await.expect(200).json();
    assert_eq!(stats["events"]["verdicts"]["dead_lettered"], 0);
}
