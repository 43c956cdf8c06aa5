//! Subscriptions: who wants to be told of changes is, signed, whatever else goes wrong.

mod failing;
mod samples;
pub(crate) mod subscriber;
mod telling;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::instance::{Builder, Instance, until};

use subscriber::Subscriber;

const PATH: &str = "/api/subscriptions";

fn builder() -> Builder {
    Instance::builder()
        .with("subscriptions.require_https", "false")
        .with("subscriptions.networks", "127.0.0.1")
}

/// A subscription to a subscriber, and its secret.
async fn subscribe(client: &Client, subscriber: &Subscriber, wish: Value) -> (String, String) {
    let mut wish = wish;
    wish["url"] = json!(subscriber.url());
    let made = client.post(PATH, &wish).await.expect(201).json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("id"), text("secret"))
}

async fn create(client: &Client, id: &str) {
    client.post("/api/contacts", &json!({"id": id, "firstName": "Ada"})).await.expect(201);
}

async fn rename(client: &Client, id: &str, name: &str) {
    let path = format!("/api/contacts/{id}");
    client.patch(&path, &json!({"firstName": name})).await.expect(200);
}

/// Waits until the subscription is as it should be.
async fn until_it(client: &Client, id: &str, is_right: impl Fn(&Value) -> bool) -> Value {
    let path = format!("{PATH}/{id}");
    until("the subscription is as it should be", async || {
        let shown = client.get(&path).await.expect(200).json();
        is_right(&shown).then_some(shown)
    })
    .await
}

/// What is remembered of the messages to it, the newest first.
async fn deliveries(client: &Client, id: &str) -> Vec<Value> {
    let page = client.get(&format!("{PATH}/{id}/deliveries")).await.expect(200).json();
    page["data"].as_array().unwrap().clone()
}
