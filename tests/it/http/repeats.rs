//! `Idempotency-Key`: what is asked for twice is done once, and answered as the first time.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::instance::Instance;

fn keyed(client: &Client, key: &str) -> Client {
    client.clone().with("idempotency-key", key)
}

#[tokio::test]
async fn a_repeat_has_the_first_answer_whatever_happened_since() {
    let instance = Instance::start().await;
    let client = instance.client();
    let body = json!({"firstName": "Ada"});
    let first = keyed(&client, "k1").post("/api/contacts", &body).await.expect(201);
    let path = first.header("location").to_owned();
    client.patch(&path, &json!({"firstName": "Grace"})).await.expect(200);
    let again = keyed(&client, "k1").post("/api/contacts", &body).await.expect(201);
    assert_eq!(again.json(), first.json());
    for name in ["etag", "location"] {
        assert_eq!(again.header(name), first.header(name));
    }
    assert_eq!(client.get(&path).await.json()["version"], 2, "nothing was done");
    // Another key makes another contact.
    let other = keyed(&client, "k2").post("/api/contacts", &body).await.expect(201);
    assert_ne!(other.json()["id"], first.json()["id"]);
}

#[tokio::test]
async fn every_kind_of_write_is_repeated_safely() {
    let instance = Instance::start().await;
    let client = instance.client();
    client.post("/api/contacts", &json!({"id": "one", "title": "a"})).await.expect(201);
    let path = "/api/contacts/one";
    let patch = json!({"title": "b"});
    let first = keyed(&client, "p").patch(path, &patch).await.expect(200);
    client.patch(path, &json!({"title": "c"})).await.expect(200);
    let again = keyed(&client, "p").patch(path, &patch).await.expect(200);
    assert_eq!(again.json(), first.json());
    let put = json!({"company": "x"});
    let first = keyed(&client, "q").put(path, &put).await.expect(200);
    let again = keyed(&client, "q").put(path, &put).await.expect(200);
    assert_eq!(again.json(), first.json());
    keyed(&client, "d").delete(path).await.expect(204);
    keyed(&client, "d").delete(path).await.expect(204);
    client.delete(path).await.expect(404);
}

#[tokio::test]
async fn another_request_under_a_used_key_is_refused() {
    let instance = Instance::start().await;
    let client = keyed(&instance.client(), "k");
    client.post("/api/contacts", &json!({"firstName": "Ada"})).await.expect(201);
    let other = client.post("/api/contacts", &json!({"firstName": "Grace"})).await;
    other.expect_error(422, "IDEMPOTENCY_KEY_REUSED");
    for wrong in ["with blank", &"x".repeat(256)] {
        let client = keyed(&instance.client(), wrong);
        client.post("/api/contacts", &json!({})).await.expect_error(400, "INVALID_HEADER");
    }
}

#[tokio::test]
async fn repeats_at_once_do_it_once() {
    let instance = Instance::start().await;
    let client = keyed(&instance.client(), "k");
    let body = json!({"firstName": "Ada"});
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (client, body) = (client.clone(), body.clone());
        asked.spawn(async move { client.post("/api/contacts", &body).await });
    }
    let mut made: Vec<Value> = Vec::new();
    while let Some(answer) = asked.join_next().await {
        let answer = answer.unwrap();
        match answer.status.as_u16() {
            201 => made.push(answer.json()),
            _ => drop(answer.expect_error(409, "REQUEST_IN_FLIGHT")),
        }
    }
    assert!(!made.is_empty() && made.iter().all(|contact| *contact == made[0]));
    let list = instance.client().get("/api/contacts").await.expect(200).json();
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_repeat_after_a_restart_has_the_first_answer() {
    let instance = Instance::start().await;
    let body = json!({"firstName": "Ada"});
    let first = keyed(&instance.client(), "k").post("/api/contacts", &body).await.expect(201);
    let directory = instance.stop().await;
    let instance = Instance::builder().start_on(directory).await;
    let again = keyed(&instance.client(), "k").post("/api/contacts", &body).await.expect(201);
    assert_eq!(again.json(), first.json());
}

#[tokio::test]
async fn a_secret_of_its_own_keeps_the_keys_while_that_of_the_tokens_changes() {
    const OWN: &str = "Zk3Jx0b+8v1Yy5wz2m1bUq8rW4pQ7n9Lk0TzVfX2cH6s";
    const NEW: &str = "Xp7Jx0b+8v1Yy5wz2m1bUq8rW4pQ7n9Lk0TzVfX2cH6s";
    let body = json!({"firstName": "Ada"});
    let instance = Instance::builder().with("server.idempotency_secret", OWN).start().await;
    let first = keyed(&instance.client(), "k").post("/api/contacts", &body).await.expect(201);
    let directory = instance.stop().await;
    let changed = Instance::builder()
        .with("server.idempotency_secret", OWN)
        .with("jwt.secret", NEW)
        .with("jwt.secret_previous", crate::support::access::JWT_SECRET);
    let instance = changed.start_on(directory).await;
    let again = keyed(&instance.client(), "k").post("/api/contacts", &body).await.expect(201);
    assert_eq!(again.json(), first.json());
    let other = keyed(&instance.client(), "k").post("/api/contacts", &json!({})).await;
    other.expect_error(422, "IDEMPOTENCY_KEY_REUSED");
}

#[tokio::test]
async fn a_batch_is_repeated_as_a_whole() {
    let instance = Instance::start().await;
    let client = keyed(&instance.client(), "k");
    let body = json!([{"op": "create", "contact": {"firstName": "Ada"}},
                      {"op": "create", "contact": {"firstName": "Grace"}}]);
    let first = client.post("/api/contacts/batch", &body).await.expect(200).json();
    let again = client.post("/api/contacts/batch", &body).await.expect(200).json();
    assert_eq!(again, first);
    let list = instance.client().get("/api/contacts").await.expect(200).json();
    assert_eq!(list["data"].as_array().unwrap().len(), 2);
}
