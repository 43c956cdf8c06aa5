//! The mock's webhooks, taken by a whole contactd.

use serde_json::{Value, json};

use crate::support::acme::{MockAcme, WEBHOOK_SECRET};
use crate::support::instance::Instance;

async fn instance(form: &str) -> Instance {
    let instance = Instance::builder().with("acme.webhook_secret", WEBHOOK_SECRET);
    instance.with("source.acme.signature", form).start().await
}

/// What the API shows of a contact's fields.
async fn fields(instance: &Instance, id: &str) -> Value {
    let path = format!("/api/contacts/{id}?includeDeleted=true");
    let contact = instance.client().get(&path).await.expect(200).json();
    json!([contact["firstName"], contact["email"], contact["status"], contact["version"]])
}

#[tokio::test]
async fn each_change_reaches_contactd_however_it_is_signed() {
    for form in ["acme", "acme-body"] {
        let (acme, instance) = (MockAcme::start(), instance(form).await);
        let url = format!("http://{}/api/webhooks", instance.address);
        acme.send_webhooks_to(&url, form);
        acme.put("ada", json!({"acme_first_name": "Ada", "acme_email": "a@example.com"}));
        acme.put("ada", json!({"acme_email": null}));
        acme.put("ada", json!({"acme_first_name": "Ada"}));
        acme.put("bob", json!({"acme_first_name": "Bob"}));
        acme.delete("bob").unwrap();
        acme.until_told().await;
        instance
            .until_contact("ada", |answer| answer.status == 200 && answer.json()["version"] == 2)
            .await;
        instance.until_contact("bob", |answer| answer.status == 404).await;
        assert_eq!(fields(&instance, "ada").await, json!(["Ada", null, "ACTIVE", 2]));
        assert_eq!(fields(&instance, "bob").await, json!(["Bob", null, "DELETED", 2]));
        let history = instance.client().get("/api/contacts/ada/history").await.expect(200).json();
        let newest = &history["data"][0];
        let updated = acme.contact("ada").unwrap().acme_updated_at;
        assert_eq!((&newest["source"], &newest["timestamp"]), (&json!("acme"), &json!(updated)));
        let counts = acme.stats().counts;
        assert_eq!((counts.webhooks_sent, counts.writes_without_change), (4, 1));
    }
}

#[tokio::test]
async fn nothing_is_lost_while_the_receiver_is_away_or_the_mock_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("acme.json");
    let acme = MockAcme::start_on(&state);
    // Nobody takes anything at this address.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    acme.send_webhooks_to(&format!("http://{nobody}/api/webhooks"), "acme");
    let client = acme.client().await;
    client.post("/acme/contacts", &json!({"id": "ada", "acme_first_name": "A"})).await.expect(201);
    for number in 0..20 {
        let body = json!({"acme_first_name": format!("Ada {number}")});
        client.put("/acme/contacts/ada", &body).await.expect(200);
    }
    let before = acme.contacts();
    acme.kill();
    let acme = MockAcme::start_on(&state);
    assert_eq!((acme.contacts(), acme.stats().webhooks_waiting), (before, 21));
    let instance = instance("acme").await;
    acme.send_webhooks(&instance);
    acme.until_told().await;
    instance
        .until_contact("ada", |answer| answer.status == 200 && answer.json()["version"] == 21)
        .await;
    assert_eq!(fields(&instance, "ada").await, json!(["Ada 19", null, "ACTIVE", 21]));
}

#[tokio::test]
async fn a_receiver_that_does_not_know_the_secret_gets_them_later() {
    let (acme, wrong) = (MockAcme::start(), Instance::builder());
    let wrong =
        wrong.with("acme.webhook_secret", "another-secret-than-the-one-shared").start().await;
    acme.send_webhooks(&wrong);
    acme.put("ada", json!({"acme_first_name": "Ada"}));
    let right = instance("acme").await;
    acme.send_webhooks(&right);
    acme.until_told().await;
    right.until_contact("ada", |answer| answer.status == 200).await;
    wrong.client().get("/api/contacts/ada").await.expect(404);
    assert_eq!(acme.stats().counts.webhooks_refused, 0);
}
