//! The whole program over a socket: what the harness itself promises.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::instance::Instance;
use crate::support::load::Load;
use crate::support::logs::{KafkaTopic, LANES};
use crate::support::services::{KAFKA, service};

#[tokio::test]
async fn an_event_on_the_log_is_answered_and_outlives_a_restart() {
    let instance = Instance::start().await;
    let event = json!({
        "id": "e1", "eventType": "contact.created", "timestamp": "2026-11-21T10:00:00Z",
        "source": "test", "data": {"id": "ada", "firstName": "Ada"},
    });
    instance.append(&event).await;
    let first = instance.until_contact("ada", |answer| answer.status == 200).await;
    assert_eq!(first.json()["firstName"], "Ada");
    let directory = instance.stop().await;
    let again = Instance::builder().start_on(directory).await;
    let second = again.client().get("/api/contacts/ada").await.expect(200);
    assert_eq!(second.json(), first.json());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_whose_records_are_all_gone_leaves_nothing_to_wait_for() {
    let test = "a_topic_whose_records_are_all_gone_leaves_nothing_to_wait_for";
    let Some(brokers) = service(KAFKA, test) else {
        return;
    };
    let topic = tokio::task::spawn_blocking(move || {
        let topic = KafkaTopic::unused(&brokers);
        topic.create(&[]);
        topic.append(Load::new(11, 50).take(100).into_iter().map(Into::into));
        topic.delete_records(&(0..LANES).map(|lane| (lane, -1)).collect::<BTreeMap<_, _>>());
        topic
    });
    let topic = topic.await.unwrap();
    let instance = Instance::builder().following(&topic).what_is_left().start().await;
    let metrics = instance.client().get("/metrics").await.expect(200);
    let metrics = String::from_utf8(metrics.body).unwrap();
    let lags: Vec<_> = metrics
        .lines()
        .filter(|line| line.starts_with("contactd_consumer_lag_records{"))
        .filter(|line| line.contains(&format!("topic=\"{}\"", topic.topic)))
        .collect();
    assert_eq!(lags.len(), usize::from(LANES), "{lags:?}");
    assert!(lags.iter().all(|lag| lag.ends_with(" 0")), "{lags:?}");
}

#[tokio::test]
async fn a_writes_position_is_waited_for_and_is_no_place_to_begin_at() {
    let instance = Instance::start().await;
    let client = instance.client();
    let made = client.post("/api/contacts", &json!({ "id": "ada", "firstName": "Ada" })).await;
    let position = made.expect(201).header("position").to_owned();
    let reading = client.clone().with("position", &position);
    let read = reading.get("/api/contacts/ada").await.expect(200);
    let after = format!("/api/feed?follow=false&after={position}");
    let refused = client.get(&after).await.expect(400);
    let text = String::from_utf8_lossy(&refused.body).into_owned();
    assert!(text.contains("Position of a write") && text.contains("GET"), "{text}");
    let again = client.clone().with("last-event-id", &position);
    again.get("/api/feed?follow=false").await.expect(400);
    let after = format!("/api/feed?follow=false&after={}", read.header("position"));
    client.get(&after).await.expect(200);
}

#[tokio::test]
async fn a_history_that_is_read_again_is_answered_from_memory() {
    let instance = Instance::start().await;
    let client = instance.client();
    client.post("/api/contacts", &json!({"id": "ada"})).await.expect(201);
    for number in 0..20 {
        client.patch("/api/contacts/ada", &json!({"phone": format!("{number}")})).await.expect(200);
    }
    // The last checkpoint is taken: nothing of it is in memory any more.
    let instance = Instance::builder().start_on(instance.stop().await).await;
    let client = instance.client();
    let hits = async || client.get("/api/stats").await.expect(200).json()["cache"]["hits"].as_u64();
    let history = async || client.get("/api/contacts/ada/history").await.expect(200).json();
    let first = history().await;
    assert_eq!(first["data"].as_array().unwrap().len(), 21);
    let before = hits().await.unwrap();
    assert_eq!(history().await, first);
    let after = hits().await.unwrap();
    assert!(after > before, "{before}, then {after}");
}
