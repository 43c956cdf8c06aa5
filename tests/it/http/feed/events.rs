//! What became of an event, over HTTP.

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::instance::Instance;
use crate::support::sse::http;

use super::world::World;

async fn ask(world: &World, name: &str) -> (u16, Value, bool) {
    let url = format!("http://{}/api/events/{name}", world.address());
    let answer = http().get(url).send().await.unwrap();
    let again = answer.headers().contains_key("retry-after");
    (answer.status().as_u16(), answer.json().await.unwrap(), again)
}

#[tokio::test]
async fn what_became_of_an_event_is_told_by_its_id_and_by_its_place() {
    let dir = tempdir().unwrap();
    let mut world = World::start(dir.path()).await;
    world.commit(&[(0, 11), (1, 3)]);
    let (status, by_id, _) = ask(&world, "e-1-2").await;
    assert_eq!(status, 200);
    assert_eq!(by_id["status"], "applied");
    assert_eq!(by_id["complete"], true);
    let record = &by_id["records"][0];
    assert_eq!(record["eventId"], "e-1-2");
    assert_eq!((&record["partition"], &record["offset"]), (&json!(1), &json!(2)));
    assert_eq!(record["version"], 1);
    assert_eq!(record["topic"], "contacts");
    assert_eq!(record["recordedAt"], "2026-11-21T10:00:00.002Z");
    for place in ["1:2", "contacts:1:2"] {
        let (status, by_place, _) = ask(&world, place).await;
        assert_eq!((status, &by_place["records"]), (200, &by_id["records"]), "{place}");
    }
    let position = record["position"].as_str().unwrap();
    let contact = record["contactId"].as_str().unwrap().replace(' ', "%20");
    let url = format!("http://{}/api/contacts/{contact}", world.address());
    let read = http().get(url).header("position", position).send().await.unwrap();
    assert_eq!(read.status(), 200);
    let (_, set_aside, _) = ask(&world, "0:10").await;
    assert_eq!(set_aside["status"], "dead_lettered");
    assert_eq!(set_aside["records"][0]["reason"], "malformed_json");
    assert!(set_aside["records"][0]["detail"].is_string());
    for (unknown, details) in [
        ("e-2-7", json!({ "complete": true, "keptSince": null })),
        ("1:3", json!({ "partition": 1, "appliedUpTo": 3 })),
        ("other:1:2", json!({ "complete": true, "keptSince": null })),
    ] {
        let (status, body, again) = ask(&world, unknown).await;
        assert_eq!((status, &body["error"]["code"]), (404, &json!("EVENT_NOT_FOUND")), "{body}");
        assert_eq!(body["error"]["details"], details);
        assert!(again);
    }
    world.end().await;
}

#[tokio::test]
async fn an_event_that_was_expected_here_and_has_not_come_is_pending() {
    let dir = tempdir().unwrap();
    let mut world = World::start(dir.path()).await;
    let hash = xxhash_rust::xxh3::xxh3_64(b"e-0-0");
    drop(world.reader.expect(hash));
    let (status, body, again) = ask(&world, "e-0-0").await;
    assert_eq!((status, &body["status"], again), (200, &json!("pending"), true));
    world.commit(&[(0, 1)]);
    assert_eq!(ask(&world, "e-0-0").await.1["status"], "applied");
    world.end().await;
}

#[tokio::test]
async fn an_event_that_came_several_times_is_shown_each_time_newest_first() {
    let instance = Instance::start().await;
    let event = json!({
        "id": "twice", "eventType": "contact.created", "timestamp": "2026-11-21T10:00:00Z",
        "source": "test", "data": { "id": "ada", "firstName": "Ada" },
    });
    instance.append(&event).await;
    instance.append(&event).await;
    let client = instance.client();
    let told = crate::support::instance::until("both are applied", async || {
        let answer = client.get("/api/events/twice").await;
        let told = (answer.status == 200).then(|| answer.json())?;
        (told["records"].as_array()?.len() == 2).then_some(told)
    })
    .await;
    assert_ne!(told["records"][0]["verdict"], "applied");
    assert_eq!(
        (&told["records"][1]["verdict"], &told["status"]),
        (&json!("applied"), &json!("applied"))
    );
    let offset = |place: usize| told["records"][place]["offset"].as_u64().unwrap();
    assert!(offset(0) > offset(1));
}
