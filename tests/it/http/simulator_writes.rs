//! Webhooks after writes: they tell of the write itself, so that hearing of it changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use contactd::domain::verdict::Verdict;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::instance::{Instance, until};

const SECRET: &str = "a-secret-that-Acme-and-contactd-share";
const HISTORY: &str = "/api/simulator/webhooks/history?limit=200";

async fn instance() -> Instance {
    Instance::builder()
        .with("simulator.enabled", "true")
        .with("simulator.fire_on_writes", "true")
        .with("acme.webhook_secret", SECRET)
        .start()
        .await
}

/// Every kind of write of one contact, and some of others; returns how many changed something.
async fn write_all(client: &Client) -> usize {
    let body =
        json!({"id": "ada", "firstName": "Ada", "attributes": {"tier": "gold", "n": [1, 2]}});
    let made = client.post("/api/contacts", &body).await.expect(201);
    client
        .patch("/api/contacts/ada", &json!({"title": "Countess", "phone": "1"}))
        .await
        .expect(200);
    client.patch("/api/contacts/ada", &json!({"phone": null})).await.expect(200);
    let read = client.get("/api/contacts/ada").await.expect(200);
    let matching = client.clone().with("if-match", read.header("etag"));
    matching.patch("/api/contacts/ada", &json!({"company": "Analytical"})).await.expect(200);
    client.put("/api/contacts/ada", &json!({"lastName": "Lovelace"})).await.expect(200);
    client.delete("/api/contacts/ada").await.expect(204);
    client.post("/api/contacts/ada/restore", &json!({})).await.expect(200);
    client.post("/api/contacts", &json!({"id": "bob", "email": "b@example.com"})).await.expect(201);
    client.post("/api/contacts/ada/merge", &json!({"from": "bob"})).await.expect(200);
    client
        .post("/api/contacts", &json!({"id": "gone", "email": "g@example.com"}))
        .await
        .expect(201);
    // After the erasure it would not be told any more.
    until("all so far are told of", async || {
        let page = client.get(HISTORY).await.expect(200).json();
        let data = page["data"].as_array()?;
        (data.len() == 11 && data.iter().all(|it| it["status"] == "delivered")).then_some(())
    })
    .await;
    client.delete("/api/contacts/gone?erase=true").await.expect(204);
    // Nothing changed: nothing to tell.
    client.patch("/api/contacts/ada", &json!({})).await.expect(200);
    drop(made);
    12
}

/// All that could show that something happened.
async fn shown(client: &Client) -> Vec<(String, Value, Value)> {
    let mut shown = Vec::new();
    for id in ["ada", "bob", "gone"] {
        let path = format!("/api/contacts/{id}?includeDeleted=true");
        let contact = client.get(&path).await.expect(200);
        let history = client.get(&format!("/api/contacts/{id}/history")).await.expect(200);
        shown.push((contact.header("etag").to_owned(), contact.json(), history.json()));
    }
    shown
}

async fn verdicts(client: &Client) -> BTreeMap<String, u64> {
    let stats: Answer = client.get("/api/stats").await.expect(200);
    let verdicts = stats.json()["events"]["verdicts"].clone();
    serde_json::from_value(verdicts).unwrap()
}

#[tokio::test]
async fn hearing_of_our_own_writes_changes_nothing() {
    let instance = instance().await;
    let client = instance.client();
    let writes = write_all(&client).await;
    let before = shown(&client).await;
    let all = until("every write is told of", async || {
        let page = client.get(HISTORY).await.expect(200).json();
        let data = page["data"].as_array().unwrap().clone();
        let done = data.iter().filter(|it| it["status"] == "delivered").count();
        (done >= writes && done == data.len()).then_some(data)
    })
    .await;
    assert_eq!(all.len(), writes);
    assert!(all.iter().all(|it| it["trigger"] == "write"));
    // Each was taken in, and applied to nothing.
    let duplicate = Verdict::Duplicate.as_str();
    until("every webhook has its verdict", async || {
        let verdicts = verdicts(&client).await;
        let received: u64 = verdicts.values().sum();
        (received >= 2 * writes as u64).then_some(())
    })
    .await;
    let verdicts = verdicts(&client).await;
    assert_eq!(
        (verdicts["applied"], verdicts[duplicate]),
        (writes as u64, writes as u64),
        "{verdicts:?}"
    );
    assert_eq!(shown(&client).await, before);
    told_as_it_was(&client, &all).await;
}

/// Each webhook carries the id, time and version of its write, and the contact after it.
async fn told_as_it_was(client: &Client, all: &[Value]) {
    let bodies = all.iter().map(|it| it["body"].as_str().unwrap());
    let (erased, bodies): (Vec<_>, Vec<_>) = bodies.partition(|body| body.is_empty());
    assert_eq!(erased.len(), 1, "of what was erased");
    let events: Vec<Value> =
        bodies.iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    let history = client.get("/api/contacts/ada/history").await.expect(200).json();
    for change in history["data"].as_array().unwrap() {
        let event = events.iter().find(|event| event["id"] == change["eventId"]).expect("told of");
        assert_eq!(event["timestamp"], change["timestamp"]);
        assert_eq!(event["version"], change["version"]);
        let kind = match change["eventType"].as_str().unwrap() {
            "contact.restored" => "contact.created",
            kind => kind,
        };
        assert_eq!(event["eventType"], kind);
        assert_eq!(event["data"]["id"], "ada");
        if kind != "contact.deleted" {
            assert_eq!(event["data"]["acme_first_name"], change["contact"]["firstName"]);
            assert_eq!(event["data"]["acme_title"], change["contact"]["title"]);
            assert_eq!(event["data"]["tier"], change["contact"]["attributes"]["tier"]);
        }
    }
}

#[tokio::test]
async fn what_others_say_is_not_told_of_and_neither_is_the_past() {
    let instance = instance().await;
    let client = instance.client();
    let event = json!({
        "id": "e1", "eventType": "contact.created", "timestamp": "2026-11-21T10:00:00Z",
        "source": "acme", "data": {"id": "eve", "firstName": "Eve"},
    });
    instance.append(&event).await;
    instance.until_contact("eve", |answer| answer.status == 200).await;
    client.post("/api/contacts", &json!({"id": "ada"})).await.expect(201);
    let told = async |client: &Client, count: usize| {
        until("the write is told of", async || {
            let page = client.get(HISTORY).await.expect(200).json();
            let data = page["data"].as_array().unwrap().clone();
            (data.len() >= count).then_some(data)
        })
        .await
    };
    let all = told(&client, 1).await;
    assert_eq!((all.len(), &all[0]["eventType"]), (1, &json!("contact.created")));
    assert!(all[0]["body"].as_str().unwrap().contains("\"ada\""));
    // The next start tells of what is written then.
    let directory = instance.stop().await;
    let again = Instance::builder()
        .with("simulator.enabled", "true")
        .with("simulator.fire_on_writes", "true")
        .with("acme.webhook_secret", SECRET)
        .start_on(directory)
        .await;
    let client = again.client();
    client.post("/api/contacts", &json!({"id": "bob"})).await.expect(201);
    let all = told(&client, 1).await;
    assert_eq!(all.len(), 1);
    assert!(all[0]["body"].as_str().unwrap().contains("\"bob\""));
}

/// Answers what connects, once it is told to; until then it says nothing.
async fn answering(target: TcpListener, answers: Arc<AtomicBool>) {
    let mut silent = Vec::new();
    let mut answering = tokio::task::JoinSet::new();
    loop {
        let (mut connection, _) = target.accept().await.unwrap();
        if !answers.load(Ordering::SeqCst) {
            silent.push(connection);
            continue;
        }
        answering.spawn(async move {
            let mut request = [0; 16 << 10];
            let _ = connection.read(&mut request).await;
            let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = connection.write_all(ok).await;
        });
    }
}

#[tokio::test]
async fn a_target_that_is_silent_holds_up_no_write_and_is_told_of_all_later() {
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let instance = Instance::builder()
        .with("simulator.enabled", "true")
        .with("simulator.fire_on_writes", "true")
        .with("simulator.targets", "127.0.0.1")
        .with("simulator.networks", "127.0.0.0/8")
        .with("simulator.timeout", "200ms")
        .with("simulator.target", format!("http://{}/", target.local_addr().unwrap()))
        .with("acme.webhook_secret", SECRET)
        .start()
        .await;
    let answers = Arc::new(AtomicBool::new(false));
    let mut running = tokio::task::JoinSet::new();
    running.spawn(answering(target, Arc::clone(&answers)));
    let client = instance.client();
    for number in 0..40 {
        let body = json!({"id": format!("c{number}")});
        let answer = client.post("/api/contacts", &body);
        tokio::time::timeout(Duration::from_secs(5), answer).await.unwrap().expect(201);
    }
    let follower = "/api/followers/simulator_writes";
    until("it is stalled", async || {
        let shown = client.get(follower).await.expect(200).json();
        (shown["state"] == "stalled" && shown["lagSeconds"].as_f64()? > 0.0).then_some(())
    })
    .await;
    answers.store(true, Ordering::SeqCst);
    let shown = until("all are told", async || {
        let shown = client.get(follower).await.expect(200).json();
        (shown["delivered"].as_u64()? >= 40).then_some(shown)
    })
    .await;
    assert_eq!((&shown["parked"], &shown["trouble"]), (&json!(0), &json!(null)));
}

/// Takes nothing until it is told to, and remembers what it took.
async fn taking(target: TcpListener, takes: Arc<AtomicBool>, taken: Arc<Mutex<Vec<String>>>) {
    let take = async move |body: String| {
        if !takes.load(Ordering::SeqCst) {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        taken.lock().push(body);
        StatusCode::OK
    };
    axum::serve(target, Router::new().fallback(take)).await.unwrap();
}

#[tokio::test]
async fn what_was_erased_is_neither_sent_nor_shown_any_more() {
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let instance = Instance::builder()
        .with("simulator.enabled", "true")
        .with("simulator.fire_on_writes", "true")
        .with("simulator.targets", "127.0.0.1")
        .with("simulator.networks", "127.0.0.0/8")
        .with("simulator.target", format!("http://{}/", target.local_addr().unwrap()))
        .with("acme.webhook_secret", SECRET)
        .start()
        .await;
    let (takes, taken) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let mut running = tokio::task::JoinSet::new();
    running.spawn(taking(target, Arc::clone(&takes), Arc::clone(&taken)));
    let client = instance.client();
    let history = async || client.get(HISTORY).await.expect(200).json()["data"].clone();
    let written = json!({"id": "ada", "lastName": "Lovelace"});
    client.post("/api/contacts", &written).await.expect(201);
    let asked = json!({
        "eventType": "contact.updated", "data": {"id": "ada", "acme_last_name": "Lovelace"},
    });
    let sent = client.post("/api/simulator/webhooks", &asked).await.expect(202);
    until("both were tried", async || {
        let all = history().await;
        let all = all.as_array()?;
        assert!(all.iter().all(|it| it["body"].as_str().unwrap().contains("Lovelace")), "{all:?}");
        (all.len() == 2 && all.iter().all(|it| it["attempts"][0]["status"] == 503)).then_some(())
    })
    .await;
    client.delete("/api/contacts/ada?erase=true").await.expect(204);
    let shown = history().await.to_string();
    assert!(!shown.contains("Lovelace"), "{shown}");
    let path = sent.header("location").to_owned();
    let one = client.get(&path).await.expect(200).json();
    assert_eq!((&one["body"], &one["attempts"][0]["response"]), (&json!(""), &Value::Null));
    takes.store(true, Ordering::SeqCst);
    let told = until("the erasure is told", async || {
        let taken = taken.lock().clone();
        let is_end = |body: &String| body.contains("contact.deleted") && body.contains("cmd_");
        taken.iter().any(is_end).then_some(taken)
    })
    .await;
    let of_write = |body: &&String| body.contains("contact.created");
    assert_eq!(told.iter().filter(of_write).count(), 0, "{told:?}");
    let all = history().await;
    let of_write = all.as_array().unwrap().iter().find(|it| it["eventType"] == "contact.created");
    assert_eq!(of_write.unwrap()["status"], "failed", "{all}");
    // Made anew it is told of again.
    let anew = client.clone().with("if-none-match", "*");
    anew.put("/api/contacts/ada", &json!({"lastName": "King"})).await.expect(201);
    until("the new one is told", async || {
        taken.lock().iter().any(|body| body.contains("King")).then_some(())
    })
    .await;
    assert!(history().await.to_string().contains("King"));
}
