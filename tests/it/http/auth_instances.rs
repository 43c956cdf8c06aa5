//! Sign-ins on two instances that follow one Kafka: what one ends, the other refuses.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::access::PASSWORD;
use crate::support::client::Client;
use crate::support::instance::Instance;
use crate::support::logs::KafkaTopic;
use crate::support::services::{KAFKA, service};

const REDIS: &str = "CONTACTD_TEST_REDIS";

async fn pair(client: &Client, path: &str, body: serde_json::Value) -> Option<(String, String)> {
    let answer = client.clone().anonymous().post(path, &body).await;
    if answer.status != 200 {
        assert_eq!(answer.status, 401, "{}", String::from_utf8_lossy(&answer.body));
        return None;
    }
    let json = answer.json();
    let text = |name: &str| json[name].as_str().unwrap().to_owned();
    Some((text("accessToken"), text("refreshToken")))
}

async fn login(client: &Client) -> (String, String) {
    let body = json!({ "username": "viewer", "password": PASSWORD });
    pair(client, "/api/auth/login", body).await.expect("signed in")
}

async fn refresh(client: &Client, token: &str) -> Option<(String, String)> {
    pair(client, "/api/auth/refresh", json!({ "refreshToken": token })).await
}

async fn status(client: &Client, token: &str) -> u16 {
    client.clone().with_token(token).get("/api/auth/me").await.status.as_u16()
}

async fn two_instances(brokers: &str, redis: Option<&str>) {
    let topic = KafkaTopic::unused(brokers);
    let made = topic.clone();
    tokio::task::spawn_blocking(move || made.create(&[])).await.unwrap();
    let start = async || {
        let builder = Instance::builder().following(&topic).with("limits.auth", "off");
        let builder = builder.with("kafka.control_topic", format!("{}.control", topic.topic));
        let builder = match redis {
            None => builder,
            Some(redis) => builder
                .with("redis.url", format!("redis://{redis}"))
                .with("redis.key_prefix", format!("{}:", topic.topic)),
        };
        builder.start().await
    };
    let (one, other) = (start().await, start().await);
    let (here, there) = (one.client(), other.client());
    // What was made here a moment ago is good there.
    let (access, token) = login(&here).await;
    assert_eq!(status(&there, &access).await, 200);
    let (access, token) = refresh(&there, &token).await.unwrap_or_else(|| panic!("{token}"));
    let (access, _) = refresh(&here, &token).await.unwrap_or_else(|| panic!("{access}"));
    // Ended here, refused there.
    assert_eq!(status(&there, &access).await, 200);
    let out = here.clone().with_token(&access).post("/api/auth/logout", &json!({})).await;
    out.expect(204);
    let began = Instant::now();
    while status(&there, &access).await != 401 {
        assert!(began.elapsed() < Duration::from_secs(2), "still good on the other instance");
    }
    // Both at once, with one token: the same successor, good on either.
    let (_, mut token) = login(&here).await;
    for _ in 0..5 {
        let (first, second) = tokio::join!(refresh(&here, &token), refresh(&there, &token));
        let (first, second) = (first.expect("refreshed"), second.expect("refreshed"));
        assert_eq!(first.1, second.1);
        assert_eq!((status(&there, &first.0).await, status(&here, &second.0).await), (200, 200));
        token = first.1;
    }
}

#[tokio::test]
async fn signed_out_on_one_instance_is_refused_by_the_other_within_two_seconds() {
    let test = "signed_out_on_one_instance_is_refused_by_the_other_within_two_seconds";
    if let Some(brokers) = service(KAFKA, test) {
        two_instances(&brokers, None).await;
    }
}

#[tokio::test]
async fn signed_out_on_one_instance_is_refused_by_the_other_with_redis_too() {
    let test = "signed_out_on_one_instance_is_refused_by_the_other_with_redis_too";
    if let (Some(brokers), Some(redis)) = (service(KAFKA, test), service(REDIS, test)) {
        two_instances(&brokers, Some(&redis)).await;
    }
}
