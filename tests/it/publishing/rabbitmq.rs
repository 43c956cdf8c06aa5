//! Notifications, with a real RabbitMQ.

use serde_json::{Value, json};

use super::event;
use crate::support::instance::{Builder, Instance, until};
use crate::support::rabbitmq::{Queue, open};
use crate::support::services::{RABBITMQ, service};

/// An exchange and a queue that no other test uses.
fn unused() -> String {
    format!("contactd-it-{}-{:08x}", std::process::id(), fastrand::u32(..))
}

fn notifying(address: &str, exchange: &str) -> Builder {
    Instance::builder()
        .with("rabbitmq.url", format!("amqp://guest:guest@{address}"))
        .with("rabbitmq.exchange", exchange)
        .with("rabbitmq.timeout", "2s")
}

async fn follower(instance: &Instance) -> Value {
    instance.client().get("/api/followers/rabbitmq").await.expect(200).json()
}

/// Once the follower has begun: it tells what comes from then on.
async fn until_running(instance: &Instance) {
    let running = async || (follower(instance).await["state"] == "running").then_some(());
    until("the follower runs", running).await;
}

/// What the follower says is wrong.
async fn trouble(instance: &Instance) -> String {
    let why = async || Some(follower(instance).await["trouble"]["why"].as_str()?.to_owned());
    until("the follower has trouble", why).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_arrives_at_a_queue_bound_to_its_source_as_a_cloud_event() {
    const TEST: &str = "a_change_arrives_at_a_queue_bound_to_its_source_as_a_cloud_event";
    let Some(address) = service(RABBITMQ, TEST) else { return };
    let name = unused();
    let instance = notifying(&address, &name).start().await;
    until_running(&instance).await;
    let mut queue = Queue::bound(&address, &name, &name, "contact.*.acme").await;
    // No queue wants it: it is returned, which holds up nothing and is shown.
    instance.append(&event("bob", "crm", 1)).await;
    let noted = async || Some(follower(&instance).await["note"].as_str()?.to_owned());
    let note = until("a message was returned", noted).await;
    assert!(
        note.contains("1 messages were returned") && note.contains("contact.updated.crm"),
        "{note}"
    );
    assert_eq!(instance.figure("contactd_rabbitmq_returned_total").as_deref(), Some("1"));
    let noted = instance.client().get("/readyz?verbose=true").await.expect(200).json();
    let noted = &noted["parts"]["followers"];
    assert!(noted["note"].as_str().is_some_and(|note| note.contains("returned")), "{noted}");
    instance.append(&event("ada", "acme", 1)).await;
    let message = queue.next().await;
    assert_eq!(message.routing_key, "contact.updated.acme");
    assert!(message.is_persistent);
    assert_eq!(message.content_type, "application/json");
    for (attribute, expected) in [
        ("specversion", "1.0"),
        ("type", "contact.updated"),
        ("source", "/contactd/acme"),
        ("subject", "ada"),
        ("id", message.id.as_str()),
        ("subjectversion", "1"),
    ] {
        assert_eq!(message.attribute(attribute), expected);
    }
    assert_eq!(message.body["contact"]["title"], "t1");
    assert_eq!(message.body["change"]["eventId"], "ada-1");
    // Told once more, it has the id that it had.
    let replay = json!({ "time": "2026-01-01T00:00:00Z" });
    instance.client().post("/api/followers/rabbitmq/replay", &replay).await.expect(200);
    assert_eq!(queue.next().await.id, message.id);
    assert_eq!(follower(&instance).await["failures"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_before_an_erasure_is_not_told_after_it() {
    const TEST: &str = "what_was_said_before_an_erasure_is_not_told_after_it";
    let Some(address) = service(RABBITMQ, TEST) else { return };
    let name = unused();
    let instance = notifying(&address, &name).start().await;
    until_running(&instance).await;
    let mut queue = Queue::bound(&address, &name, &name, "#").await;
    let client = instance.client();
    client.post("/api/followers/rabbitmq/pause", &json!({})).await.expect(200);
    instance.append(&event("ada", "acme", 1)).await;
    instance.until_contact("ada", |answer| answer.status == 200).await;
    client.delete("/api/contacts/ada?erase=true").await.expect(204);
    client.post("/api/followers/rabbitmq/resume", &json!({})).await.expect(200);
    let message = queue.next().await;
    assert_eq!(message.attribute("type"), "contact.erased");
    assert_eq!(message.body["contact"]["title"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_rabbitmq_is_named_without_its_password() {
    const TEST: &str = "what_is_wrong_with_rabbitmq_is_named_without_its_password";
    let Some(address) = service(RABBITMQ, TEST) else { return };
    let (missing, taken) = (unused(), unused());
    let (_connection, channel) = open(&address).await;
    let (kind, options) =
        (lapin::ExchangeKind::Fanout, lapin::options::ExchangeDeclareOptions::default());
    let declared =
        channel.exchange_declare(taken.as_str().into(), kind, options, Default::default());
    declared.await.unwrap();
    let port = address.rsplit_once(':').unwrap().1;
    let nowhere = format!("amqp://guest:hunter2@127.0.0.1:{port}/nowhere");
    for (key, value, exchange, expected) in [
        ("rabbitmq.url", format!("amqp://guest:hunter2@{address}"), &missing, "can't be reached"),
        ("rabbitmq.url", nowhere, &missing, "can't be reached"),
        ("rabbitmq.url", "amqp://guest:hunter2@127.0.0.1:9".to_owned(), &missing, "refused"),
        ("rabbitmq.declare", "false".to_owned(), &missing, "no exchange"),
        ("rabbitmq.declare", "true".to_owned(), &taken, "inequivalent arg"),
    ] {
        let instance = notifying(&address, exchange).with(key, &value).start().await;
        until_running(&instance).await;
        instance.append(&event("ada", "acme", 1)).await;
        let why = trouble(&instance).await;
        assert!(why.contains(expected) && !why.contains("hunter2"), "{value}: {why}");
        assert_eq!(follower(&instance).await["parked"], 0, "an outage parks nothing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_with_whom_the_named_authorities_vouch_for() {
    const TEST: &str = "tls_is_spoken_with_whom_the_named_authorities_vouch_for";
    let Some(address) = service(RABBITMQ, TEST) else { return };
    let Some(authorities) = service("CONTACTD_TEST_RABBITMQ_CA", TEST) else { return };
    let port: u16 = address.rsplit_once(':').unwrap().1.parse().unwrap();
    let url = format!("amqps://guest:guest@localhost:{}", port + 1);
    let name = unused();
    let builder = notifying(&address, &name).with("rabbitmq.url", url);
    let stranger = builder.clone().start().await;
    until_running(&stranger).await;
    stranger.append(&event("ada", "acme", 1)).await;
    let why = trouble(&stranger).await;
    assert!(why.contains("certificate"), "{why}");
    let instance = builder.with("rabbitmq.ca_file", authorities).start().await;
    until_running(&instance).await;
    let mut queue = Queue::bound(&address, &name, &name, "contact.#").await;
    instance.append(&event("ada", "acme", 1)).await;
    assert_eq!(queue.next().await.attribute("subject"), "ada");
}
