//! A control topic whose records are gone after seconds: what stood there is restated, and whoever begins
//! later comes to the same entries.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli::contactd;
use crate::support::access::PASSWORD;
use crate::support::client::Client;
use crate::support::instance::{Builder, Instance, until};
use crate::support::logs::KafkaTopic;
use crate::support::services::{KAFKA, service};

/// Kafka gives up a closed segment when all of it is that old.
const SHORT: [(&str, &str); 3] = [
    ("retention.ms", "12000"),
    ("segment.ms", "1000"),
    ("message.timestamp.type", "LogAppendTime"),
];

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

async fn topics(brokers: &str, control: &'static [(&'static str, &'static str)]) -> KafkaTopic {
    let topic = KafkaTopic::unused(brokers);
    let made = topic.clone();
    off_thread(move || {
        made.create(&[]);
        made.control().create_single(control);
    })
    .await;
    topic
}

fn builder(topic: &KafkaTopic) -> Builder {
    Instance::builder().following(topic).with("limits.auth", "off").with("jwt.expiration", "10m")
}

async fn login(client: &Client) -> (String, String) {
    let body = json!({ "username": "viewer", "password": PASSWORD });
    let answer = client.clone().anonymous().post("/api/auth/login", &body).await.expect(200).json();
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    (text("accessToken"), text("refreshToken"))
}

async fn refresh(client: &Client, token: &str) -> (u16, Value) {
    let body = json!({ "refreshToken": token });
    let answer = client.clone().anonymous().post("/api/auth/refresh", &body).await;
    (answer.status.as_u16(), answer.json())
}

async fn status(client: &Client, token: &str) -> u16 {
    client.clone().with_token(token).get("/api/auth/me").await.status.as_u16()
}

async fn log_out(client: &Client, token: &str) {
    client.clone().with_token(token).post("/api/auth/logout", &json!({})).await.expect(204);
}

/// Entries' digest and how far the control lane is applied.
async fn control_state(client: &Client) -> (Value, Value) {
    let stats = client.get("/api/stats").await.expect(200).json();
    (stats["controlDigest"].clone(), stats["nextOffsets"]["control"].clone())
}

/// Waits until two instances have applied the same control records; their digests.
async fn digests(one: &Client, other: &Client) -> (Value, Value) {
    until("both have applied the same", async || {
        let (here, at) = control_state(one).await;
        let (there, also_at) = control_state(other).await;
        (at == also_at && !at.is_null()).then_some((here, there))
    })
    .await
}

async fn until_cut(topic: &KafkaTopic, below: i64) {
    until(&format!("the broker drops control records below {below}"), async || {
        let control = topic.control();
        let low = off_thread(move || control.watermarks().0).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        (low >= below).then_some(())
    })
    .await
}

#[tokio::test]
async fn who_begins_after_retention_has_cut_the_control_topic_has_the_same_entries() {
    let test = "who_begins_after_retention_has_cut_the_control_topic";
    let Some(brokers) = service(KAFKA, test) else { return };
    let topic = topics(&brokers, &SHORT).await;
    let one = builder(&topic).start().await;
    let here = one.client();
    // Before retention has cut anything: signed in, signed out, refreshed.
    let (access, token) = login(&here).await;
    let (revoked, gone) = login(&here).await;
    log_out(&here, &revoked).await;
    let (_, used) = login(&here).await;
    assert_eq!(refresh(&here, &used).await.0, 200);
    let high = off_thread({
        let control = topic.control();
        move || control.watermarks().1
    })
    .await;
    until_cut(&topic, high).await;
    // Nothing of that is left but what was restated.
    let other = builder(&topic).start().await;
    let there = other.client();
    assert_eq!((status(&there, &access).await, status(&there, &revoked).await), (200, 401));
    assert_eq!(refresh(&there, &gone).await.0, 401);
    assert_eq!(refresh(&there, &token).await.0, 200);
    let (one_digest, other_digest) = digests(&here, &there).await;
    assert_eq!(one_digest, other_digest);
    // What the new one ends, the old one refuses.
    log_out(&there, &access).await;
    until("it is refused there", async || (status(&here, &access).await == 401).then_some(()))
        .await;
}

#[tokio::test]
async fn a_control_topic_that_was_cut_for_everybody_waits_and_is_filled_from_a_store() {
    let test = "a_control_topic_that_was_cut_for_everybody";
    let Some(brokers) = service(KAFKA, test) else { return };
    let topic = topics(&brokers, &[]).await;
    let one = builder(&topic).start().await;
    let here = one.client();
    let (access, token) = login(&here).await;
    let (revoked, _) = login(&here).await;
    log_out(&here, &revoked).await;
    let directory = one.stop().await;
    // The topic is made anew, as by mistake.
    let control = topic.control();
    off_thread(move || {
        control.delete();
        // A topic of that name is there until the broker has done it.
        let end = Instant::now() + Duration::from_secs(30);
        while std::panic::catch_unwind(|| control.create_single(&[])).is_err() {
            assert!(Instant::now() < end, "the topic can't be made anew");
        }
    })
    .await;
    let refused = builder(&topic).begin(directory);
    let client = refused.client();
    let why = until("it says what is wrong", async || {
        let answer = client.get("/readyz?verbose").await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        text.contains("adopt-control").then_some(text)
    })
    .await;
    assert!(why.contains("control"), "{why}");
    // Contacts are read all the same; nobody signs in.
    client.get("/api/contacts").await.expect(200);
    let body = json!({ "username": "viewer", "password": PASSWORD });
    let answer = client.clone().anonymous().post("/api/auth/login", &body).await;
    assert_ne!(answer.status, 200);
    let directory = refused.stop().await;
    let path = directory.path().to_owned();
    let adopting = topic.clone();
    off_thread(move || {
        let adopt = |more: &[&str]| {
            let mut command = contactd(&path);
            command.args(["topics", "adopt-control"]).args(more);
            command.env("CONTACTD_STORE__PATH", &path);
            command.env("KAFKA_BROKERS", &adopting.brokers);
            command.env("CONTACTD_KAFKA__TOPIC", &adopting.topic);
            command.env("CONTACTD_KAFKA__CONTROL_TOPIC", adopting.control().topic);
            command.env("JWT_SECRET", crate::support::access::JWT_SECRET);
            command.output().expect("it runs")
        };
        let asked = adopt(&[]);
        assert!(String::from_utf8_lossy(&asked.stderr).contains("--yes"), "{asked:?}");
        let done = adopt(&["--yes"]);
        assert!(done.status.success(), "{done:?}");
    })
    .await;
    let again = builder(&topic).start_on(directory).await;
    let new = builder(&topic).start().await;
    let (here, there) = (again.client(), new.client());
    for client in [&here, &there] {
        assert_eq!((status(client, &access).await, status(client, &revoked).await), (200, 401));
    }
    assert_eq!(refresh(&there, &token).await.0, 200);
    let (one_digest, other_digest) = digests(&here, &there).await;
    assert_eq!(one_digest, other_digest);
}

#[tokio::test]
async fn who_knows_not_all_entries_is_not_ready_and_writes_none() {
    let test = "who_knows_not_all_entries_is_not_ready_and_writes_none";
    let Some(brokers) = service(KAFKA, test) else { return };
    let topic = topics(&brokers, &[]).await;
    let one = builder(&topic).start().await;
    let (_, token) = login(&one.client()).await;
    let directory = one.stop().await;
    let control = topic.control();
    off_thread(move || control.delete_records(&[(0, -1)].into())).await;
    let other = builder(&topic).begin(tempfile::tempdir().unwrap());
    let client = other.client();
    until("it says that it waits", async || {
        let answer = client.get("/readyz?verbose").await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        (answer.status == 503 && text.contains("adopt-control")).then_some(())
    })
    .await;
    let body = json!({ "username": "viewer", "password": PASSWORD });
    let answer = client.clone().anonymous().post("/api/auth/login", &body).await;
    assert_eq!(answer.status, 503, "{}", String::from_utf8_lossy(&answer.body));
    // The first one had read everything, and goes on.
    let one = builder(&topic).start_on(directory).await;
    assert_eq!(refresh(&one.client(), &token).await.0, 200);
}
