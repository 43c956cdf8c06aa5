//! Dead letters over the API: looked at, redriven, discarded.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::instance::{Instance, until};

/// Waits until so many letters are listed; the page, newest first.
async fn until_letters(client: &Client, count: usize) -> Vec<Value> {
    until(&format!("{count} dead letters are listed"), async || {
        let page = client.get("/api/dead-letters?limit=200").await.expect(200).json();
        let letters = page["data"].as_array().expect("letters").clone();
        (letters.len() == count).then_some(letters)
    })
    .await
}

fn event(id: &str, first_name: &str) -> Value {
    json!({
        "id": format!("e-{id}"), "eventType": "contact.created",
        "timestamp": "2026-11-21T10:00:00Z", "source": "test",
        "data": { "id": id, "firstName": first_name },
    })
}

#[tokio::test]
async fn a_bad_record_is_listed_shown_and_redriven_to_the_same_end() {
    let instance = Instance::start().await;
    let client = instance.client();
    let ack = instance.append_bytes("ada", b"{\"id\": \x1b[31m").await;
    let letters = until_letters(&client, 1).await;
    let id = format!("contacts:{}:{}", ack.lane, ack.offset);
    assert_eq!(letters[0]["id"], id);
    assert_eq!(
        (&letters[0]["reason"], &letters[0]["status"]),
        (&json!("malformed_json"), &json!("kept"))
    );
    let shown = client.get(&format!("/api/dead-letters/{id}")).await.expect(200).json();
    assert_eq!(shown["value"]["text"], "{\"id\": \\u{1b}[31m");
    assert_eq!(shown["key"]["text"], "ada");
    let job = client.post(&format!("/api/dead-letters/{id}/redrive"), &Value::Null).await;
    let job = job.expect(201).json();
    assert_eq!((&job["state"], &job["counts"]["done"]), (&json!("done"), &json!(1)), "{job}");
    // It is as bad as before: a letter of its own, one hop on.
    let letters = until_letters(&client, 2).await;
    assert_eq!((&letters[0]["hops"], &letters[0]["status"]), (&json!(1), &json!("kept")));
    assert_eq!((&letters[1]["id"], &letters[1]["redriven"]), (&json!(id), &json!(1)));
    assert_eq!(letters[1]["lastRedrive"]["job"], job["id"]);
}

#[tokio::test]
async fn a_mended_cause_and_a_redrive_heal_the_contact() {
    let strict = Instance::builder().with("apply.contact_bytes_max", "1KiB").start().await;
    let client = strict.client();
    strict.append(&event("ada", &"A".repeat(200))).await;
    let mut large = event("ada", "Ada");
    large["id"] = json!("e-2");
    large["timestamp"] = json!("2026-11-21T10:00:01Z");
    large["data"]["attributes"] = json!({ "notes": "x".repeat(2000) });
    strict.append(&large).await;
    let letters = until_letters(&client, 1).await;
    assert_eq!(letters[0]["reason"], "too_large");
    let directory = strict.stop().await;
    let mended = Instance::builder().start_on(directory).await;
    let client = mended.client();
    until_letters(&client, 1).await;
    for _ in 0..3 {
        let order = json!({ "reason": "too_large", "again": true });
        let job = client.post("/api/dead-letters/redrive", &order).await.expect(201).json();
        let path = format!("/api/dead-letters/redrives/{}", job["id"].as_str().unwrap());
        until("the redrive is done", async || {
            let job = client.get(&path).await.expect(200).json();
            (job["state"] == "done" && job["counts"]["done"] == 1).then_some(())
        })
        .await;
    }
    let healed = |answer: &crate::support::answer::Answer| answer.json()["firstName"] == "Ada";
    let contact = mended.until_contact("ada", healed).await.json();
    assert_eq!(contact["version"], 2, "three redrives, one effect");
    let letter = &until_letters(&client, 1).await[0];
    assert_eq!((&letter["status"], &letter["redriven"]), (&json!("redriven"), &json!(3)));
}
