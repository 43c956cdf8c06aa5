//! An instance that may only read the log follows what is there, and waits where it would have to say
//! something first.

use std::time::Duration;

use serde_json::json;

use super::event;
use crate::support::instance::{Builder, Instance, until};
use crate::support::logs::KafkaTopic;
use crate::support::services::{KAFKA, service};
use crate::support::wait::wait_until;

const TEST: &str = "who_may_only_read_follows_and_waits_for_others_to_found_the_log";
const PATIENCE: Duration = Duration::from_secs(60);

/// Signed in as a user who may only read the topic.
fn reading(topic: &KafkaTopic) -> Option<Builder> {
    if !topic.make_readable(TEST) {
        return None;
    }
    let brokers = service("CONTACTD_TEST_KAFKA_SASL_SSL_PLAIN", TEST)?;
    let following = KafkaTopic { brokers, topic: topic.topic.clone() };
    let builder = Instance::builder()
        .following(&following)
        .with("kafka.security_protocol", "sasl_ssl")
        .with("kafka.ssl_ca_location", service("CONTACTD_TEST_KAFKA_CA", TEST)?)
        .with("kafka.sasl_username", service("CONTACTD_TEST_KAFKA_READER", TEST)?)
        .with("kafka.sasl_password", service("CONTACTD_TEST_KAFKA_PASSWORD", TEST)?);
    Some(builder)
}

#[test]
#[cfg(feature = "tls")]
fn who_may_only_read_follows_and_waits_for_others_to_found_the_log() {
    let Some(brokers) = service(KAFKA, TEST) else { return };
    let topic = KafkaTopic::unused(&brokers);
    topic.create(&[]);
    let Some(builder) = reading(&topic) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let reader = builder.begin(tempfile::tempdir().unwrap());
    let client = reader.client();
    runtime.block_on(until("it says what it waits for", async || {
        let ready = client.get("/readyz?verbose").await;
        let text = String::from_utf8_lossy(&ready.body).into_owned();
        (ready.status == 503 && text.contains("may not write")).then_some(())
    }));
    let writer = runtime.block_on(Instance::builder().following(&topic).start());
    topic.append([event("created", "c1", 1, r#""firstName":"Ada""#).into()].into_iter());
    wait_until(PATIENCE, "the reader follows", || {
        runtime.block_on(client.get("/api/contacts/c1")).status == 200
    });
    runtime.block_on(reader.until_ready());
    let before: i64 = topic.ends().iter().sum();
    // It waits in the outbox for the right to be given.
    let renamed = json!({ "firstName": "B" });
    runtime.block_on(client.patch("/api/contacts/c1", &renamed)).expect(202);
    assert_eq!(topic.ends().iter().sum::<i64>(), before);
    runtime.block_on(reader.stop());
    runtime.block_on(writer.stop());
}
