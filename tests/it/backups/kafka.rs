//! Backups of an instance that follows a Kafka topic: restored, it goes on from the topic, and what was erased since
//! stays erased.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::running::{builder, contactd, restored};
use super::{refused, succeeds};
use crate::support::instance::Instance;
use crate::support::logs::KafkaTopic;
use crate::support::services::{KAFKA, service};

/// What waits for brokers, off the threads that must not.
fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}

async fn with_contacts(topic: &KafkaTopic) -> Instance {
    let instance = builder().following(topic).start().await;
    let client = instance.client().with("if-none-match", "*");
    for name in ["ada", "bob"] {
        let body = json!({ "firstName": name, "email": format!("{name}@example.com") });
        client.put(&format!("/api/contacts/{name}"), &body).await.expect(201);
    }
    instance
}

/// What a backup that was made before does not have.
async fn write_on(instance: &Instance) {
    let client = instance.client();
    client.delete("/api/contacts/ada?erase=true").await.expect(204);
    client
        .clone()
        .with("if-none-match", "*")
        .put("/api/contacts/eve", &json!({ "firstName": "Eve" }))
        .await
        .expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_since_stays_erased_and_nobody_is_answered_before() {
    const TEST: &str = "what_was_erased_since_stays_erased_and_nobody_is_answered_before";
    let Some(brokers) = service(KAFKA, TEST) else { return };
    let topic = KafkaTopic::unused(&brokers);
    apart(|| topic.create(&[]));
    let instance = with_contacts(&topic).await;
    let home = tempfile::tempdir().unwrap();
    let kept = home.path().join("kept");
    let made = contactd(home.path(), &instance, &["backup", &kept.display().to_string()]).await;
    succeeds(&made);
    write_on(&instance).await;
    let (target, output) = restored(&kept, Some(&topic));
    succeeds(&output);
    let again = builder().following(&topic).begin(target);
    let first = loop {
        let answer = again.client().get("/api/contacts/ada?includeDeleted=true").await;
        if answer.status != 503 {
            break answer;
        }
    };
    assert_eq!(first.expect(200).json()["email"], Value::Null, "erased before it is answered");
    again.until_ready().await;
    again.client().get("/api/contacts/eve").await.expect(200);
    again.client().patch("/api/contacts/bob", &json!({ "title": "B" })).await.expect(200);
    instance.until_contact("bob", |answer| answer.json()["title"] == "B").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_the_topic_no_longer_reaches_back_to_is_not_served() {
    const TEST: &str = "a_backup_that_the_topic_no_longer_reaches_back_to_is_not_served";
    let Some(brokers) = service(KAFKA, TEST) else { return };
    let topic = KafkaTopic::unused(&brokers);
    apart(|| topic.create(&[]));
    let instance = with_contacts(&topic).await;
    let home = tempfile::tempdir().unwrap();
    let kept = home.path().join("kept");
    succeeds(&contactd(home.path(), &instance, &["backup", &kept.display().to_string()]).await);
    write_on(&instance).await;
    drop(instance);
    apart(|| {
        let ends = topic.ends().into_iter().enumerate();
        let ends: BTreeMap<u16, _> = ends.map(|(lane, end)| (lane as u16, end)).collect();
        topic.delete_records(&ends);
    });
    let (target, output) = restored(&kept, Some(&topic));
    succeeds(&output);
    let node = topic.followed_by(crate::support::node::Node::new(target.path()));
    node.start("").wait().assert_refused(&["restored from a backup", "--accept-gap --sole"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_topic_is_refused_and_adopted_where_it_is_said() {
    const TEST: &str = "another_topic_is_refused_and_adopted_where_it_is_said";
    let Some(brokers) = service(KAFKA, TEST) else { return };
    let topic = KafkaTopic::unused(&brokers);
    apart(|| topic.create(&[]));
    let instance = with_contacts(&topic).await;
    let home = tempfile::tempdir().unwrap();
    let kept = home.path().join("kept");
    let kept_text = kept.display().to_string();
    succeeds(&contactd(home.path(), &instance, &["backup", &kept_text]).await);
    drop(instance);
    let other = KafkaTopic::unused(&brokers);
    apart(|| other.create(&[]));
    let (target, output) = restored(&kept, Some(&other));
    refused(&output, 5, &[&topic.topic, &other.topic, "--adopt"]);
    assert!(std::fs::read_dir(target.path()).unwrap().next().is_none());
    // Adopted, the records are held against the topic's own at the start.
    let node = other.followed_by(crate::support::node::Node::new(&home.path().join("adopted")));
    let arguments = ["restore", &kept_text, "--adopt"];
    succeeds(&node.command(&arguments).output().unwrap());
    node.catch_up("").assert_refused(&["the log was cut or re-created"]);
}
