//! Contacts set back to what they said before.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::instance::Instance;

async fn made(client: &Client) {
    let ada = json!({
        "id": "ada", "firstName": "Ada", "email": "ada@example.com",
        "attributes": { "tier": 3, "note": "first" },
    });
    client.post("/api/contacts", &ada).await.expect(201);
    let patch = json!({ "firstName": "Augusta", "title": "Countess", "attributes": { "note": null, "new": 1 } });
    client.patch("/api/contacts/ada", &patch).await.expect(200);
}

fn content(contact: &Value) -> [&Value; 5] {
    ["firstName", "lastName", "email", "title", "attributes"].map(|name| &contact[name])
}

#[tokio::test]
async fn a_revert_is_a_new_version_that_says_what_an_earlier_one_said() {
    let instance = Instance::builder().start().await;
    let client = instance.client();
    made(&client).await;
    let path = "/api/contacts/ada/revert";
    let first = client.get("/api/contacts/ada?asOf=version:1").await.expect(200).json();
    let second = client.get("/api/contacts/ada").await.expect(200);
    let stale = client.clone().with("if-match", "\"1-0000000000000000\"");
    stale.post(path, &json!({ "version": 1 })).await.expect_error(412, "PRECONDITION_FAILED");
    let editor = client.clone().with("if-match", second.header("etag"));
    let keyed = editor.with("idempotency-key", "back-to-one");
    let reverted = keyed.post(path, &json!({ "version": 1 })).await.expect(200);
    assert_eq!(reverted.json()["version"], 3);
    assert_eq!(content(&reverted.json()), content(&first));
    // The same request again is answered as it was, and does nothing.
    let again = keyed.post(path, &json!({ "version": 1 })).await.expect(200);
    assert_eq!(again.json(), reverted.json());
    keyed.post(path, &json!({ "version": 2 })).await.expect_error(422, "IDEMPOTENCY_KEY_REUSED");
    let forth = client.post(path, &json!({ "version": 2 })).await.expect(200).json();
    assert_eq!(content(&forth), content(&second.json()));
    assert_eq!(forth["version"], 4);
    client.post(path, &json!({ "version": 9 })).await.expect_error(404, "VERSION_NOT_FOUND");
    for wrong in [
        json!({}),
        json!({ "version": 0 }),
        json!({ "version": "1" }),
        json!({ "version": 1, "x": 1 }),
    ] {
        client.post(path, &wrong).await.expect_error(422, "VALIDATION_FAILED");
    }
    let nobody = client.post("/api/contacts/nobody/revert", &json!({ "version": 1 })).await;
    nobody.expect_error(404, "CONTACT_NOT_FOUND");
}

#[tokio::test]
async fn what_was_erased_does_not_come_back() {
    let instance = Instance::builder().start().await;
    let client = instance.client();
    made(&client).await;
    client.delete("/api/contacts/ada").await.expect(204);
    let path = "/api/contacts/ada/revert";
    client.post(path, &json!({ "version": 1 })).await.expect_error(409, "CONTACT_DELETED");
    let erased = client.delete("/api/contacts/ada?erase=true").await.expect(204);
    let client = client.with("position", erased.header("position"));
    let past = client.get("/api/contacts/ada?asOf=version:1").await.expect(200).json();
    assert_eq!(
        content(&past),
        [&Value::Null, &Value::Null, &Value::Null, &Value::Null, &json!({})]
    );
    client.post("/api/contacts/ada/restore", &json!({})).await.expect(200);
    let answer =
        client.post(path, &json!({ "version": 1 })).await.expect_error(410, "HISTORY_GONE");
    assert_eq!(answer.json()["error"]["details"]["erased"], true);
}
