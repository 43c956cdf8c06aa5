//! The schemas of events: published, and held against what comes by the topic and by webhooks.

use axum::http::Method;
use contactd::ingest::{now_ms, sign_acme};
use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::instance::{Builder, Instance, until};

const SECRET: &str = "a-webhook-secret-of-at-least-32-bytes";
/// Whose events must say what plan a contact has.
const STRICT: &str = r#"{"properties":{"data":{"required":["plan"]}}}"#;

fn event(number: u64, data: Value) -> Value {
    json!({
        "id": format!("crm-{number}"), "eventType": "contact.updated", "source": "crm",
        "timestamp": 1_790_000_000_000_u64 + number, "data": data,
    })
}

fn with_schemas(directory: &std::path::Path) -> Builder {
    Instance::builder()
        .with("source.crm.secret", SECRET)
        .with("source.crm.schemas", directory.display())
}

#[tokio::test]
async fn a_record_that_breaks_its_sources_schema_is_set_aside_until_the_schema_is_mended() {
    let schemas = tempfile::tempdir().unwrap();
    let file = schemas.path().join("contact.updated.json");
    std::fs::write(&file, STRICT).unwrap();
    let instance = with_schemas(schemas.path()).start().await;
    let broken = event(1, json!({ "id": "c1", "firstName": "Ada" }));
    let place = instance.append(&broken).await;
    instance.append(&event(2, json!({ "id": "c2", "plan": "gold" }))).await;
    // Another source's are held against nothing.
    let mut other = event(3, json!({ "id": "c3", "firstName": "Eve" }));
    other["source"] = json!("erp");
    instance.append(&other).await;
    instance.until_contact("c3", |answer| answer.status == 200).await;
    instance.until_contact("c2", |answer| answer.status == 200).await;
    let at = format!("/api/events/contacts:{}:{}", place.lane, place.offset);
    let told = until("the broken one has its verdict", async || {
        let answer = instance.client().get(&at).await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    let text = told.to_string();
    assert!(text.contains("\"dead_lettered\"") && text.contains("\"schema\""), "{told}");
    assert!(text.contains("/data: "), "{told}");
    instance.client().get("/api/contacts/c1").await.expect(404);
    // The same record, under a schema that takes it.
    std::fs::write(&file, r#"{"properties":{"data":{"required":["id"]}}}"#).unwrap();
    let directory = instance.stop().await;
    let instance = with_schemas(schemas.path()).start_on(directory).await;
    instance.append(&broken).await;
    instance.until_contact("c1", |answer| answer.status == 200).await;
}

async fn post(client: &Client, event: &Value) -> crate::support::answer::Answer {
    let (body, time) = (event.to_string().into_bytes(), (now_ms() / 1000).to_string());
    let signature = sign_acme(SECRET, &time, &body);
    let signed =
        client.clone().with("x-acme-timestamp", &time).with("x-acme-signature", &signature);
    signed.send_bytes(Method::POST, "/api/webhooks/crm", Some(body)).await
}

#[tokio::test]
async fn a_webhook_is_refused_for_what_would_be_set_aside() {
    let schemas = tempfile::tempdir().unwrap();
    let file = schemas.path().join("contact.updated.json");
    std::fs::write(&file, STRICT).unwrap();
    let closed = r#"{"properties":{"eventType":{},"data":{}},"additionalProperties":false}"#;
    std::fs::write(schemas.path().join("contact.created.json"), closed).unwrap();
    let instance = with_schemas(schemas.path()).start().await;
    let client = instance.client().anonymous();
    let answer = post(&client, &event(1, json!({ "id": "c1" }))).await;
    let answer = answer.expect_error(422, "EVENT_REJECTED");
    let result = &answer.json()["error"]["details"]["results"][0];
    assert_eq!(result["reason"], "schema");
    assert!(result["detail"].as_str().unwrap().starts_with("/data: "), "{result}");
    post(&client, &event(2, json!({ "id": "c2", "plan": "gold" }))).await.expect(200);
    // The signed time stands beside the event: its schema needs no room for it.
    let bare = json!({ "eventType": "contact.created", "data": { "id": "c3" } });
    post(&client, &bare).await.expect(200);
    instance.until_contact("c2", |answer| answer.status == 200).await;
    instance.until_contact("c3", |answer| answer.status == 200).await;
}

#[tokio::test]
async fn schemas_that_are_none_stop_the_start() {
    let schemas = tempfile::tempdir().unwrap();
    std::fs::write(schemas.path().join("contact.updated.json"), r#"{"type":"nothing"}"#).unwrap();
    let builder = with_schemas(schemas.path());
    let started = tokio::task::spawn_blocking(move || {
        std::panic::catch_unwind(|| builder.begin(tempfile::tempdir().unwrap()))
    });
    let error = started.await.unwrap().err().expect("it does not start");
    let text = error.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(text.contains("source.crm.schemas") && text.contains("contact.updated.json"), "{text}");
}

#[tokio::test]
async fn published_schemas_are_served_and_not_sent_twice() {
    let instance = Instance::start().await;
    let client = instance.client().anonymous();
    for name in ["contact-event", "contact", "acme.contact.created", "acme.contact.deleted"] {
        let answer = client.get(&format!("/schemas/{name}")).await.expect(200);
        assert_eq!(answer.header("content-type"), "application/schema+json");
        let schema = answer.json();
        assert!(schema["$id"].as_str().unwrap().ends_with(name), "{schema}");
        assert!(jsonschema::draft202012::meta::is_valid(&schema));
        let known = client.clone().with("if-none-match", answer.header("etag"));
        known.get(&format!("/schemas/{name}")).await.expect(304);
    }
    let answer = client.get("/schemas/none").await.expect_error(404, "ROUTE_NOT_FOUND");
    assert!(answer.json().to_string().contains("contact-event"), "{}", answer.json());
}
