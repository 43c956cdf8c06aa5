//! What was deleted long ago is forgotten, once, and nothing else is.

use serde_json::{Value, json};

use crate::support::instance::{Instance, until};

#[tokio::test]
async fn a_contact_deleted_long_ago_is_erased_once_and_others_stay() {
    let instance = Instance::builder().with("store.purge_deleted_after", "1s").start().await;
    let client = instance.client();
    for id in ["gone", "back", "here"] {
        let body = json!({"id": id, "email": "ada@example.com", "attributes": {"a": 1}});
        client.post("/api/contacts", &body).await.expect(201);
    }
    client.delete("/api/contacts/gone").await.expect(204);
    client.delete("/api/contacts/back").await.expect(204);
    client.post("/api/contacts/back/restore", &json!({})).await.expect(200);
    let path = "/api/contacts/gone?includeDeleted=true";
    let mut number = 0;
    let erased = until("it is erased", async || {
        // Time is what the records say: it needs some.
        number += 1;
        client.post("/api/contacts", &json!({"id": format!("tick{number}")})).await.expect(201);
        let contact = client.get(path).await.expect(200).json();
        (contact["email"] == Value::Null).then_some(contact)
    })
    .await;
    assert_eq!((&erased["status"], &erased["attributes"]), (&json!("DELETED"), &json!({})));
    for id in ["back", "here"] {
        let contact = client.get(&format!("/api/contacts/{id}")).await.expect(200).json();
        assert_eq!(contact["email"], "ada@example.com", "{id}");
    }
    let history = client.get("/api/contacts/gone/history").await.expect(200).json();
    let changes = history["data"].as_array().unwrap();
    let of_purge = changes.iter().filter(|change| change["principal"] == "contactd");
    let kinds: Vec<&str> = of_purge.map(|change| change["eventType"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["contact.erased"]);
}
