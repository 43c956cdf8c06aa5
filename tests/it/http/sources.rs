//! Webhooks of other systems, as each of them sends and signs.

use axum::http::Method;
use contactd::config::SignatureForm;
use contactd::domain::external_ids::contact_id_of;
use contactd::ingest::{Message, now_ms, sign, signed_headers};
use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::instance::Instance;

const SECRET: &str = "a-client-secret-of-at-least-32-bytes";
const STANDARD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/sources/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

/// Sends a body that is signed for `url`, in these headers' company.
async fn send(
    instance: &Instance,
    form: &str,
    url: &str,
    body: &[u8],
    headers: &[(&str, &str)],
) -> Answer {
    let form = SignatureForm::named(form).unwrap();
    let secret = if form.name == "standard" { STANDARD_SECRET } else { SECRET };
    let time = (now_ms() / 1000).to_string();
    let message = Message { timestamp: time.as_bytes(), id: b"msg_1", url, body };
    let signature = sign(&form, secret, &message).unwrap();
    let mut client = instance.client().anonymous();
    for (name, value) in signed_headers(&form, &message, Some(signature)) {
        client = client.with(&name, &value);
    }
    for (name, value) in headers {
        client = client.with(name, value);
    }
    let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
    client.send_bytes(Method::POST, path.unwrap(), Some(body.to_vec())).await
}

fn hubspot() -> crate::support::instance::Builder {
    Instance::builder()
        .with("source.hubspot.preset", "hubspot")
        .with("source.hubspot.secret", SECRET)
}

#[tokio::test]
async fn hubspots_batches_change_contacts() {
    let instance = hubspot().start().await;
    let url = format!("http://{}/api/webhooks/hubspot?app=1", instance.address);
    let answer = send(&instance, "hubspot-v3", &url, &fixture("hubspot"), &[]).await;
    let receipt = answer.expect(200).json();
    assert_eq!((&receipt["accepted"], &receipt["rejected"]), (&json!(5), &json!(0)), "{receipt}");
    let is_whole = |answer: &Answer| {
        answer.status == 200 && answer.json()["attributes"]["hs_lead_status"] == json!("OPEN")
    };
    let id = contact_id_of(b"hubspot", b"1148");
    let contact = instance.until_contact(&id, is_whole).await.json();
    assert_eq!(contact["externalIds"], json!({ "hubspot": "1148" }));
    let member = |name: &str| contact[name].clone();
    assert_eq!(
        ["firstName", "title", "phone", "source", "status"].map(member),
        [json!("Ada"), json!("Countess"), Value::Null, json!("hubspot"), json!("ACTIVE")]
    );
    // Of another secret, or signed for another place.
    let elsewhere = url.replace("app=1", "app=2");
    let body = fixture("hubspot");
    let form = SignatureForm::named("hubspot-v3").unwrap();
    let time = now_ms().to_string();
    let message = Message { timestamp: time.as_bytes(), id: b"", url: &elsewhere, body: &body };
    let signature = sign(&form, SECRET, &message).unwrap();
    let client = instance.client().anonymous();
    let client = client.with("x-hubspot-signature-v3", &signature);
    let client = client.with("x-hubspot-request-timestamp", &time);
    let path = "/api/webhooks/hubspot?app=1";
    let answer = client.send_bytes(Method::POST, path, Some(body)).await;
    assert_eq!(answer.expect(401).code(), "INVALID_SIGNATURE");
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_url_is_the_one_that_it_was_asked_for() {
    let outside = "https://crm.example.com/api/webhooks/hubspot";
    let forwarded = [("x-forwarded-proto", "https"), ("x-forwarded-host", "crm.example.com")];
    let trusting = hubspot().with("server.trusted_proxies", "127.0.0.1").start().await;
    let body = fixture("hubspot");
    send(&trusting, "hubspot-v3", outside, &body, &forwarded).await.expect(200);
    send(&trusting, "hubspot-v3", outside, &body, &[]).await.expect(401);
    let direct = hubspot().start().await;
    send(&direct, "hubspot-v3", outside, &body, &forwarded).await.expect(401);
    let rfc7239 = hubspot()
        .with("server.trusted_proxies", "127.0.0.1")
        .with("server.forwarded_header", "forwarded")
        .start()
        .await;
    let header = [("forwarded", "for=192.0.2.1;host=\"crm.example.com\";proto=https")];
    send(&rfc7239, "hubspot-v3", outside, &body, &header).await.expect(200);
    send(&rfc7239, "hubspot-v3", outside, &body, &forwarded).await.expect(401);
}

#[tokio::test]
async fn cloudevents_come_whole_and_in_binary_mode() {
    let instance = Instance::builder()
        .with("source.cloud.preset", "cloudevents")
        .with("source.cloud.secret", STANDARD_SECRET)
        .with("source.cloud.binary_cloudevents", true)
        .start()
        .await;
    let url = "http://x/api/webhooks/cloud";
    let whole = [("content-type", "application/cloudevents+json")];
    send(&instance, "standard", url, &fixture("cloudevents"), &whole).await.expect(200);
    let is_there = |answer: &Answer| answer.status == 200;
    let contact = instance.until_contact("c-1004", is_there).await.json();
    assert_eq!((&contact["lastName"], &contact["source"]), (&json!("Lovelace"), &json!("cloud")));
    let binary = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "A235"),
        ("ce-type", "com.example.crm.contact.created"),
        ("ce-source", "/crm"),
        ("ce-subject", "c-1005"),
    ];
    send(&instance, "standard", url, br#"{"email":"b@example.com"}"#, &binary).await.expect(200);
    let contact = instance.until_contact("c-1005", is_there).await.json();
    assert_eq!(contact["email"], json!("b@example.com"));
}

#[tokio::test]
async fn a_source_without_a_signed_time_needs_ids_and_times_of_its_own() {
    let instance = Instance::builder()
        .with("source.github.signature", "hmac")
        .with("source.github.secret", SECRET)
        .with("source.github.hmac.header", "X-Hub-Signature-256")
        .with("source.github.hmac.prefix", "sha256=")
        .with("source.github.hmac.encoding", "hex")
        .start()
        .await;
    let form = SignatureForm {
        headers: vec![contactd::config::HeaderSet {
            signature: "x-hub-signature-256".to_owned(),
            timestamp: None,
            id: None,
        }],
        is_prefix_optional: false,
        ..SignatureForm::named("acme-body").unwrap()
    };
    for (event, status) in [
        (
            json!({ "id": "e1", "eventType": "contact.updated", "timestamp": 1_790_000_000,
            "data": { "id": "c1", "firstName": "Ada" } }),
            200,
        ),
        (
            json!({ "eventType": "contact.updated", "timestamp": 1_790_000_000,
            "data": { "id": "c1", "firstName": "Ada" } }),
            422,
        ),
        (
            json!({ "id": "e1", "eventType": "contact.updated",
            "data": { "id": "c1", "firstName": "Ada" } }),
            422,
        ),
    ] {
        let body = event.to_string().into_bytes();
        let message = Message { body: &body, ..Message::default() };
        let signature = sign(&form, SECRET, &message).unwrap();
        let client = instance.client().anonymous().with("x-hub-signature-256", &signature);
        client.send_bytes(Method::POST, "/api/webhooks/github", Some(body)).await.expect(status);
    }
}

#[tokio::test]
async fn the_simulator_signs_as_its_source_is_configured() {
    for (signature, secret) in [("acme-body", SECRET), ("standard", STANDARD_SECRET)] {
        let instance = Instance::builder()
            .with("source.acme.signature", signature)
            .with("source.acme.secret", secret)
            .with("simulator.enabled", true)
            .start()
            .await;
        let order = json!({ "eventType": "contact.updated",
            "data": { "id": "s1", "acme_first_name": "Ada" } });
        instance.client().post("/api/simulator/webhooks", &order).await.expect(202);
        let is_there = |answer: &Answer| answer.status == 200;
        let contact = instance.until_contact("s1", is_there).await.json();
        assert_eq!(contact["firstName"], json!("Ada"), "{signature}");
    }
}
