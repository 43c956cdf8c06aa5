//! What clients see while something that contactd leans on is away: Kafka, Redis, a session.

use std::time::Duration;

use contactd::auth::{Accounts, Role};
use serde_json::json;

use crate::support::access::PASSWORD;
use crate::support::instance::{Instance, until};
use crate::support::logs::{KafkaTopic, TestLog};
use crate::support::redis::OwnRedis;
use crate::support::services::OwnBroker;
use crate::support::sse::SseClient;

async fn signed_in(instance: &Instance) -> String {
    let body = json!({ "username": "viewer", "password": PASSWORD });
    let answer = instance.client().anonymous().post("/api/auth/login", &body).await.expect(200);
    answer.json()["accessToken"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_while_kafka_is_away_is_kept_and_applied_when_it_is_back() {
    let test = "a_write_while_kafka_is_away_is_kept_and_applied_when_it_is_back";
    let started = tokio::task::spawn_blocking(move || OwnBroker::start(test)).await.unwrap();
    let Some(broker) = started else {
        return;
    };
    let topic = KafkaTopic::unused(&broker.address());
    let broker = tokio::task::spawn_blocking({
        let topic = topic.clone();
        move || {
            topic.create(&[]);
            broker
        }
    });
    let broker = broker.await.unwrap();
    let builder = Instance::builder().following(&topic).with("outbox.ack_timeout", "300ms");
    let instance = builder.start().await;
    let client = instance.client();
    let path = "/api/contacts/c1";
    let made = client.clone().with("if-none-match", "*");
    // The first one may take longer than that, and is forwarded then.
    assert!(made.put(path, &json!({ "firstName": "Ada" })).await.status.is_success());
    instance.until_contact("c1", |answer| answer.status == 200).await;
    let run = |action: &'static str, broker: OwnBroker| {
        tokio::task::spawn_blocking(move || {
            broker.run(action);
            broker
        })
    };
    let broker = run("kill", broker).await.unwrap();
    let answer = client.patch(path, &json!({ "firstName": "Augusta" })).await.expect(202);
    let event = answer.header("location");
    // Reads go on, and so does being alive and ready: there is room in the outbox.
    assert_eq!(client.get(path).await.expect(200).json()["firstName"], "Ada");
    client.get("/livez").await.expect(200);
    assert_eq!(client.get(event).await.expect(200).json()["status"], "pending");
    let _broker = run("start", broker).await.unwrap();
    let is_there = |answer: &crate::support::answer::Answer| {
        answer.status == 200 && answer.json()["firstName"] == "Augusta"
    };
    let contact = instance.until_contact("c1", is_there).await.json();
    assert_eq!(contact["version"], 2);
    let event = client.get(event).await.expect(200).json();
    // Forwarded at least once, applied once.
    assert_eq!(event["status"], "applied", "{event}");
}

/// Without an outbox the write may stand on the log all the same: the answer names who knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_was_not_acknowledged_is_answered_with_where_to_ask() {
    let mock = TestLog::mock();
    let TestLog::Mock(cluster) = &mock else { panic!("it is the mock cluster") };
    let topic = KafkaTopic { brokers: cluster.bootstrap_servers(), topic: "contacts".to_owned() };
    let builder = Instance::builder().following(&topic);
    let builder = builder.with("outbox.bytes_max", "0").with("outbox.ack_timeout", "300ms");
    let instance = builder.start().await;
    let client = instance.client();
    cluster.broker_down(1).unwrap();
    let written = client.post("/api/contacts", &json!({ "id": "c1", "firstName": "Ada" })).await;
    let written = written.expect_error(503, "WRITE_UNAVAILABLE");
    let event = written.header("location").to_owned();
    let error = written.json()["error"].clone();
    assert_eq!(error["details"]["event"], event.as_str(), "{error}");
    assert!(error["message"].as_str().is_some_and(|text| text.contains(&event)), "{error}");
    cluster.broker_up(1).unwrap();
    instance.until_contact("c1", |answer| answer.status == 200).await;
    assert_eq!(client.get(&event).await.expect(200).json()["status"], "applied");
}

#[tokio::test]
async fn an_emptied_redis_brings_no_token_back() {
    let Some(mut redis) = OwnRedis::start("an_emptied_redis_brings_no_token_back") else {
        return;
    };
    let builder = Instance::builder().with("redis.url", format!("redis://{}", redis.address()));
    let instance = builder.start().await;
    let token = signed_in(&instance).await;
    let other = signed_in(&instance).await;
    let client = instance.client().with_token(&token);
    client.get("/api/contacts").await.expect(200);
    client.post("/api/auth/logout", &json!({})).await.expect(204);
    let still = instance.client().with_token(&other);
    let all_is_as_before = async || {
        client.get("/api/contacts").await.expect_error(401, "TOKEN_REVOKED");
        still.get("/api/contacts").await.expect(200);
    };
    all_is_as_before().await;
    redis.flush();
    all_is_as_before().await;
    redis.stop();
    all_is_as_before().await;
    redis.start_again();
    all_is_as_before().await;
    // Nor does a restart beside an empty Redis.
    let directory = instance.stop().await;
    let builder = Instance::builder().with("redis.url", format!("redis://{}", redis.address()));
    let instance = builder.start_on(directory).await;
    let client = instance.client();
    client.clone().with_token(&token).get("/api/contacts").await.expect_error(401, "TOKEN_REVOKED");
    client.with_token(&other).get("/api/contacts").await.expect(200);
}

#[tokio::test]
async fn signing_out_ends_the_streams_of_that_sign_in() {
    let instance = Instance::builder().with("feed.heartbeat", "1s").start().await;
    let token = signed_in(&instance).await;
    let url = format!("http://{}/api/feed", instance.address);
    let stream = SseClient::signed_in(&url, &token).await;
    let mut stream = stream.unwrap_or_else(|answer| panic!("{}", answer.status()));
    let put = instance.client().with("if-none-match", "*");
    put.put("/api/contacts/c1", &json!({ "firstName": "Ada" })).await.expect(201);
    assert_eq!(stream.next_change().await.json()["contact"]["firstName"], "Ada");
    let client = instance.client().with_token(&token);
    client.post("/api/auth/logout", &json!({})).await.expect(204);
    put.put("/api/contacts/c2", &json!({ "firstName": "Grace" })).await.expect(201);
    let ended = tokio::time::timeout(Duration::from_secs(10), async {
        let mut last = None;
        while let Some(event) = stream.next().await {
            last = Some(event.event);
        }
        last
    });
    assert_eq!(ended.await.expect("the stream ends").as_deref(), Some("unauthorized"));
}

#[tokio::test]
async fn a_weak_hash_is_made_anew_when_its_user_signs_in() {
    let instance = Instance::start().await;
    let path = instance.path().join("users.toml");
    // Argon2id of PASSWORD at 8 MiB, 1 pass.
    let weak = crate::support::access::weak_hash();
    let text = std::fs::read_to_string(&path).unwrap();
    let viewer = Accounts::at(&path).list().unwrap().users;
    let viewer = viewer.iter().find(|user| user.name == Role::Viewer.as_str()).unwrap();
    std::fs::write(&path, text.replace(&viewer.password, &weak)).unwrap();
    let token = until("the file is read again", async || {
        let token = signed_in(&instance).await;
        let now = std::fs::read_to_string(&path).unwrap();
        (!now.contains(&weak)).then_some(token)
    })
    .await;
    instance.client().with_token(&token).get("/api/contacts").await.expect(200);
    let user = Accounts::at(&path).list().unwrap().users;
    let user = user.iter().find(|user| user.name == "viewer").unwrap();
    assert!(user.password.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", user.password);
    assert_ne!(user.password, viewer.password);
}
