//! The whole program over a socket: what the harness itself promises.

use serde_json::json;

use crate::support::instance::Instance;

#[tokio::test]
async fn an_event_on_the_log_is_answered_and_outlives_a_restart() {
    let instance = Instance::start().await;
    let event = json!({
        "id": "e1", "eventType": "contact.created", "timestamp": "2026-11-21T10:00:00Z",
        "source": "test", "data": {"id": "ada", "firstName": "Ada"},
    });
    instance.append(&event).await;
    let first = instance.until_contact("ada", |answer| answer.status == 200).await;
    assert_eq!(first.json()["firstName"], "Ada");
    let directory = instance.stop().await;
    let again = Instance::builder().start_on(directory).await;
    let second = again.client().get("/api/contacts/ada").await.expect(200);
    assert_eq!(second.json(), first.json());
}
