//! Followers over HTTP: who may look, what is shown, and how orders are answered.

use std::time::Duration;

use contactd::auth::Role;
use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::instance::{Instance, until};

const FOLLOWER: &str = "/api/followers/simulator_writes";

async fn instance() -> Instance {
    let instance = Instance::builder()
        .with("simulator.enabled", "true")
        .with("simulator.fire_on_writes", "true")
        .with("acme.webhook_secret", "a-secret-that-Acme-and-contactd-share")
        .start()
        .await;
    let client = instance.client();
    until("the follower runs", async || {
        let shown = client.get(FOLLOWER).await.expect(200).json();
        (shown["state"] == "running").then_some(())
    })
    .await;
    instance
}

async fn delivered(client: &Client, count: u64) -> Value {
    until("it is delivered", async || {
        let shown = client.get(FOLLOWER).await.expect(200).json();
        (shown["delivered"].as_u64()? >= count).then_some(shown)
    })
    .await
}

#[tokio::test]
async fn a_follower_is_listed_paused_resumed_skipped_and_replayed() {
    let instance = instance().await;
    let client = instance.client();
    let list = client.get("/api/followers").await.expect(200).json();
    let names: Vec<&Value> =
        list["data"].as_array().unwrap().iter().map(|follower| &follower["name"]).collect();
    assert_eq!(names, ["rehoming", "simulator_writes", "subscriptions"]);
    client.post("/api/contacts", &json!({"id": "ada"})).await.expect(201);
    let shown = delivered(&client, 1).await;
    assert_eq!((&shown["here"], &shown["parked"]), (&json!(true), &json!(0)));
    let position = shown["position"].clone();

    let paused = client.post(&format!("{FOLLOWER}/pause"), &json!({})).await.expect(200).json();
    assert_eq!(paused["state"], "paused");
    assert!(paused["paused"]["by"].as_str().unwrap().starts_with("key:"), "{paused}");
    client.post("/api/contacts", &json!({"id": "bob"})).await.expect(201);
    let skipped = client.post(&format!("{FOLLOWER}/skip"), &json!({})).await.expect(200).json();
    assert_ne!(skipped["position"], position);
    client.post(&format!("{FOLLOWER}/resume"), &json!({})).await.expect(200);
    client.post("/api/contacts", &json!({"id": "eve"})).await.expect(201);
    let shown = delivered(&client, 2).await;
    assert_eq!(shown["delivered"], 2, "bob was skipped");

    let order = json!({ "time": "2020-01-01T00:00:00Z" });
    client.post(&format!("{FOLLOWER}/replay"), &order).await.expect(200);
    delivered(&client, 5).await;
    let order = json!({ "position": position });
    let answer = client.post(&format!("{FOLLOWER}/replay"), &order).await.expect(200).json();
    assert_eq!(answer["position"], position);
    delivered(&client, 7).await;
}

#[tokio::test]
async fn what_can_not_be_done_is_said() {
    let instance = instance().await;
    let client = instance.client();
    let refused = async |path: &str, body: Value, status: u16, code: &str| {
        let answer = client.post(&format!("/api/followers/{path}"), &body).await.expect(status);
        assert_eq!(answer.json()["error"]["code"], code, "{path}");
    };
    refused("nobody/pause", json!({}), 404, "FOLLOWER_NOT_FOUND").await;
    refused("simulator_writes/skip", json!({"contact": "ada"}), 409, "FOLLOWER_CONFLICT").await;
    refused("simulator_writes/replay", json!({}), 422, "VALIDATION_FAILED").await;
    refused("simulator_writes/replay", json!({"time": "soon"}), 422, "VALIDATION_FAILED").await;
    let foreign = json!({"position": "p1-000000000000feed-0.1"});
    refused("simulator_writes/replay", foreign, 410, "POSITION_GONE").await;
    refused("simulator_writes/parked/1:1/redrive", json!({}), 404, "PARKED_CHANGE_NOT_FOUND").await;
    let parked = client.get(&format!("{FOLLOWER}/parked")).await.expect(200).json();
    assert_eq!(parked["data"], json!([]));
    let editor = Client::new(instance.address).with_role(Role::Editor);
    editor.get("/api/followers").await.expect(403);
}

#[tokio::test]
async fn what_a_target_refuses_is_parked_told_and_redriven() {
    let target = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = target.local_addr().unwrap();
    let mut running = tokio::task::JoinSet::new();
    running.spawn(refusing(target));
    let instance = Instance::builder()
        .with("simulator.enabled", "true")
        .with("simulator.fire_on_writes", "true")
        .with("simulator.attempts_max", 1)
        .with("simulator.targets", "127.0.0.1")
        .with("simulator.networks", "127.0.0.0/8")
        .with("simulator.target", format!("http://{address}/"))
        .with("acme.webhook_secret", "a-secret-that-Acme-and-contactd-share")
        .start()
        .await;
    let client = instance.client();
    client.post("/api/contacts", &json!({"id": "bad"})).await.expect(201);
    client.post("/api/contacts", &json!({"id": "good"})).await.expect(201);
    delivered(&client, 1).await;
    let list = format!("{FOLLOWER}/parked");
    let change = until("it is parked", async || {
        let parked = client.get(&list).await.expect(200).json();
        parked["data"].get(0).cloned()
    })
    .await;
    assert_eq!((&change["contact"], &change["attempts"]), (&json!("bad"), &json!(1)));
    assert!(change["why"].as_str().unwrap().contains("422"), "{change}");
    let ready = client.get("/readyz?verbose").await.expect(200);
    let ready = String::from_utf8(ready.body).unwrap();
    assert!(ready.contains("simulator_writes has parked 1 changes"), "{ready}");
    let id = change["id"].as_str().unwrap();
    client.post(&format!("{list}/{id}/redrive"), &json!({})).await.expect(204);
    let again = until("it is parked once more", async || {
        let parked = client.get(&list).await.expect(200).json();
        parked["data"].get(0).filter(|it| it["at"] != change["at"]).cloned()
    })
    .await;
    assert_eq!(again["id"], change["id"]);
    client.delete(&format!("{list}/{id}")).await.expect(204);
    client.delete(&format!("{list}/{id}")).await.expect(404);
}

/// Takes what is not about the contact `bad`.
async fn refusing(target: tokio::net::TcpListener) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    loop {
        let (mut connection, _) = target.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            let read = connection.read_buf(&mut request);
            match tokio::time::timeout(Duration::from_secs(10), read).await {
                Ok(Ok(bytes)) if bytes > 0 => {}
                _ => break,
            }
        }
        let is_bad = String::from_utf8_lossy(&request).contains("\"bad\"");
        let status = if is_bad { "422 Unprocessable Entity" } else { "200 OK" };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let _ = connection.write_all(answer.as_bytes()).await;
    }
}
