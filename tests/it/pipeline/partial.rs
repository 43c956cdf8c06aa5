//! A store whose log has gone on without it: it answers reads, says so, and writes nothing, until it
//! is restored or declared to be what the log goes on from.

use std::collections::BTreeMap;
use std::time::Duration;

use contactd::domain::partitioner::Partitioner;
use serde_json::json;

use super::event;
use crate::support::answer::Answer;
use crate::support::bridge;
use crate::support::instance::{Instance, until};
use crate::support::logs::{KafkaTopic, LANES, RawRecord};
use crate::support::services::{KAFKA, service};
use crate::support::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(60);

fn events(number: u64) -> Vec<RawRecord> {
    let name = format!(r#""firstName":"name {number}""#);
    let one = |contact: u64| event("updated", &format!("contact-{contact}"), number, &name).into();
    (0..40).map(one).collect()
}

/// All that the topic holds now is dropped.
fn drop_all(topic: &KafkaTopic) {
    let ends = topic.ends().into_iter().enumerate();
    topic.delete_records(&ends.map(|(lane, end)| (lane as u16, end)).collect::<BTreeMap<_, _>>());
}

/// One whose contact has its home elsewhere.
fn stray() -> RawRecord {
    let lane = (Partitioner::Murmur2.lane(b"stray", LANES).0 + 1) % LANES;
    RawRecord { lane: Some(lane), ..event("updated", "stray", 1, r#""firstName":"Ada""#).into() }
}

/// One of another topic, spread over its partitions.
fn input_event(number: u64) -> RawRecord {
    let record: RawRecord = event("updated", &format!("input-{number}"), 1, "").into();
    RawRecord { lane: Some((number % u64::from(LANES)) as u16), ..record }
}

/// How many events of the input this instance has bridged.
fn bridged(instance: &Instance, input: &KafkaTopic) -> u64 {
    let labels = format!("{{outcome=\"event\",topic=\"{}\"}}", input.topic);
    let figure = instance.figure(&format!("contactd_bridge_records_total{labels}"));
    figure.map_or(0, |figure| figure.parse().unwrap())
}

async fn name_of(instance: &Instance, contact: &str) -> Option<String> {
    let answer = instance.client().get(&format!("/api/contacts/{contact}")).await;
    answer.status.is_success().then(|| answer.json()["firstName"].as_str().unwrap().to_owned())
}

/// Waits until it says that it is partial, and holds it to what that means.
async fn assert_partial(instance: &Instance, why: &str) {
    let client = instance.client();
    let ready = until("it is partial", async || {
        let answer = client.get("/readyz").await;
        String::from_utf8_lossy(&answer.body).contains("is partial").then_some(answer)
    });
    let ready = ready.await.expect(503);
    let text = String::from_utf8_lossy(&ready.body).into_owned();
    assert!(text.contains(why), "{text}");
    let read = client.get("/api/contacts/contact-1").await.expect(200);
    assert_eq!(read.header("contactd-partial"), "true");
    let stats = client.get("/api/stats").await.expect(200).json();
    assert!(stats["partial"].as_str().is_some_and(|said| said.contains("partial")), "{stats}");
    let written = client.put("/api/contacts/contact-1", &json!({ "firstName": "Ada" })).await;
    let written = written.expect(503);
    assert!(String::from_utf8_lossy(&written.body).contains("is partial"));
}

#[test]
fn a_store_that_retention_overtook_answers_reads_until_it_is_the_base() {
    const TEST: &str = "a_store_that_retention_overtook_answers_reads_until_it_is_the_base";
    let Some(brokers) = service(KAFKA, TEST) else { return };
    let topic = KafkaTopic::unused(&brokers);
    topic.create(&[]);
    let input = bridge::input(&topic, "input", &[]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let builder = || Instance::builder().following(&topic).with("bridge.topics", &input.topic);
    let [away, whole] = [(); 2].map(|()| runtime.block_on(builder().start()));
    topic.append(events(1).into_iter());
    for instance in [&away, &whole] {
        wait_until(PATIENCE, "all are there", || {
            (0..40).all(|contact| {
                let name = runtime.block_on(name_of(instance, &format!("contact-{contact}")));
                name.as_deref() == Some("name 1")
            })
        });
    }
    let directory = runtime.block_on(away.stop());
    topic.append(events(2).into_iter());
    wait_until(PATIENCE, "the other one goes on", || {
        runtime.block_on(name_of(&whole, "contact-1")).as_deref() == Some("name 2")
    });
    // It works for all: what only a store may do that knows everything is its own from now on.
    runtime.block_on(until("it has all roles", async || {
        let shown = whole.client().get("/api/followers/rehoming").await.json();
        (shown["here"] == true).then_some(())
    }));
    input.append([input_event(0)].into_iter());
    wait_until(PATIENCE, "it bridges", || bridged(&whole, &input) == 1);
    drop_all(&topic);
    topic.append(events(3).into_iter());
    let away = builder().begin(directory);
    runtime.block_on(assert_partial(&away, "--accept-gap --sole"));
    assert_eq!(runtime.block_on(name_of(&away, "contact-1")).as_deref(), Some("name 1"));
    // Again after a restart, and then somebody says that nobody has more.
    let directory = runtime.block_on(away.stop());
    let away = builder().begin(directory);
    runtime.block_on(assert_partial(&away, "--accept-gap --sole"));
    let directory = runtime.block_on(away.stop());
    let base = runtime.block_on(builder().what_is_left().start_on(directory));
    wait_until(PATIENCE, "it goes on", || {
        runtime.block_on(name_of(&base, "contact-1")).as_deref() == Some("name 3")
    });
    let patched =
        runtime.block_on(base.client().patch("/api/contacts/contact-1", &json!({ "title": "T" })));
    patched.expect(200);
    // A store that does not come from it refuses, while it runs and after a restart.
    runtime.block_on(assert_partial(&whole, "was given the base"));
    // Partial while it runs, it leaves to others what it did for all.
    topic.append([stray()].into_iter());
    let is_home = |answer: &Answer| answer.status == 200;
    runtime.block_on(base.until_contact("stray", is_home));
    let before = bridged(&base, &input);
    input.append((1..41).map(input_event));
    wait_until(PATIENCE, "the base bridges all", || bridged(&base, &input) == before + 40);
    let directory = runtime.block_on(whole.stop());
    let whole = builder().begin(directory);
    runtime.block_on(assert_partial(&whole, "was given the base"));
    // The base itself needs nobody's word any more.
    let directory = runtime.block_on(base.stop());
    let base = runtime.block_on(builder().start_on(directory));
    assert_eq!(runtime.block_on(name_of(&base, "contact-1")).as_deref(), Some("name 3"));
    runtime.block_on(base.stop());
    runtime.block_on(whole.stop());
}
