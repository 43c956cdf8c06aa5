//! `GET /api/events`: what came in and what became of it, newest first, page after page.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::instance::{Instance, until};

/// All pages, with that many entries each.
async fn all(client: &Client, query: &str, limit: usize) -> Vec<Value> {
    let mut events = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/events?limit={limit}{query}{cursor}");
        let page = client.get(&path).await.expect(200).json();
        let data = page["data"].as_array().unwrap();
        assert!(data.len() <= limit);
        events.extend(data.iter().cloned());
        match page["meta"]["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return events,
        }
    }
}

#[tokio::test]
async fn what_came_in_is_listed_newest_first_by_source_verdict_and_time() {
    let instance = Instance::start().await;
    let client = instance.client();
    let mut ids = Vec::new();
    for number in 0..7 {
        let body = json!({ "firstName": format!("A{number}") });
        let made = client.post("/api/contacts", &body).await.expect(201).json();
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    // No event at all.
    instance.append_bytes("c-bad", b"not json").await;
    until("all is applied", async || {
        let found = client.get("/api/events?verdict=dead_lettered").await.expect(200).json();
        (found["data"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    let events = all(&client, "", 3).await;
    let contacts: Vec<&str> =
        events.iter().filter_map(|event| event["contactId"].as_str()).collect();
    let expected: Vec<&str> = ids.iter().rev().map(String::as_str).collect();
    assert_eq!(contacts, expected);
    let bad = events.iter().find(|event| event["verdict"] == "dead_lettered").unwrap();
    assert_eq!((&bad["reason"], &bad["contactId"]), (&json!("malformed_json"), &json!(null)));
    let places: std::collections::BTreeSet<String> =
        events.iter().map(|event| format!("{}:{}", event["partition"], event["offset"])).collect();
    assert_eq!(places.len(), events.len(), "an event is listed twice");
    // Filters, and pages of one.
    let source = events[1]["source"].as_str().unwrap();
    assert_eq!(all(&client, &format!("&source={source}&verdict=applied"), 1).await.len(), 7);
    assert_eq!(all(&client, "&source=nobody", 50).await.len(), 0);
    assert_eq!(all(&client, "&since=2090-01-01T00:00:00Z", 50).await.len(), 0);
    let path = "/api/events?verdict=lost";
    client.get(path).await.expect_error(400, "INVALID_PARAMETER");
    // A cursor is one of its own list.
    let page = client.get("/api/events?limit=1").await.expect(200).json();
    let cursor = page["meta"]["nextCursor"].as_str().unwrap();
    let other = format!("/api/events?limit=1&verdict=applied&cursor={cursor}");
    client.get(&other).await.expect_error(400, "INVALID_CURSOR");
    instance.stop().await;
}
