//! Changes of both sides that cross: what is newest holds, and both sides come to rest alike.

use contactd::acme::Contact;
use contactd::telemetry::AcmeCall;
use serde_json::{Value, json};

use super::world::{follower, ours, pair, theirs, until_alike};
use crate::support::acme::MockAcme;
use crate::support::instance::{Instance, until};

const ADA: &str = "/api/contacts/ada";

async fn order(instance: &Instance, what: &str) {
    let path = format!("/api/followers/acme/{what}");
    instance.client().post(&path, &json!({})).await.expect(200);
}

/// A contact that both sides have.
async fn with_ada(fields: Value) -> (MockAcme, Instance) {
    let (acme, instance) = pair().await;
    instance.client().patch(&format!("{ADA}?upsert=true"), &fields).await.expect(201);
    until("Acme has it", async || acme.contact("ada")).await;
    until_alike(&acme, &instance).await;
    (acme, instance)
}

async fn change(instance: &Instance, fields: Value) {
    instance.client().patch(ADA, &fields).await.expect(200);
}

/// Its webhooks come to nobody, and wait.
fn hold_webhooks(acme: &MockAcme) {
    acme.send_webhooks_to("http://127.0.0.1:1/", "acme");
}

async fn has(instance: &Instance, field: &str, value: &str) {
    instance.until_contact("ada", |answer| answer.json()[field] == value).await;
}

async fn version(instance: &Instance) -> u64 {
    instance.client().get(ADA).await.expect(200).json()["version"].as_u64().unwrap()
}

#[tokio::test]
async fn a_backlog_goes_out_as_what_holds_now() {
    let (acme, instance) = with_ada(json!({ "title": "0" })).await;
    order(&instance, "pause").await;
    for value in ["a", "b", "c"] {
        change(&instance, json!({ "title": value })).await;
        acme.put("ada", json!({ "acme_phone": value }));
        has(&instance, "phone", value).await;
    }
    let (before, writes) = (version(&instance).await, acme.stats().counts.writes);
    order(&instance, "resume").await;
    until_alike(&acme, &instance).await;
    assert_eq!(ours(&instance).await["ada"]["title"], "c");
    assert_eq!((version(&instance).await, acme.stats().counts.writes), (before, writes + 1));
}

#[tokio::test]
async fn what_acme_says_of_our_change_does_not_count_as_newer_than_the_next_one() {
    let (acme, instance) = with_ada(json!({ "title": "0" })).await;
    hold_webhooks(&acme);
    change(&instance, json!({ "title": "1" })).await;
    let is_there = |contact: &Contact| contact.fields["acme_title"] == "1";
    until("Acme has the first", async || acme.contact("ada").filter(is_there)).await;
    order(&instance, "pause").await;
    // Dated before Acme's word of the first comes, with a value and without one.
    change(&instance, json!({ "title": "2" })).await;
    acme.send_webhooks(&instance);
    acme.until_told().await;
    order(&instance, "resume").await;
    until_alike(&acme, &instance).await;
    assert_eq!(
        (&ours(&instance).await["ada"]["title"], version(&instance).await),
        (&json!("2"), 3)
    );
    assert_eq!(acme.stats().counts.writes, 3);
}

#[tokio::test]
async fn a_restore_that_is_newer_than_a_delete_on_its_way_makes_the_contact_there_again() {
    let (acme, instance) = with_ada(json!({ "title": "0" })).await;
    hold_webhooks(&acme);
    acme.delete("ada").unwrap();
    instance.client().post(&format!("{ADA}/restore"), &json!({})).await.expect(200);
    until("Acme has it again", async || acme.contact("ada")).await;
    acme.send_webhooks(&instance);
    acme.until_told().await;
    until_alike(&acme, &instance).await;
    assert_eq!(theirs(&acme).len(), 1);
}

#[tokio::test]
async fn a_delete_at_acme_is_not_undone_by_an_older_change_here() {
    let (acme, instance) = with_ada(json!({ "title": "0" })).await;
    order(&instance, "pause").await;
    change(&instance, json!({ "title": "1" })).await;
    hold_webhooks(&acme);
    acme.delete("ada").unwrap();
    order(&instance, "resume").await;
    until("the follower asks for it", async || {
        let asked = acme.stats().requests.get(&AcmeCall::Get).cloned().unwrap_or_default();
        asked.get("404").filter(|count| **count > 1).copied()
    })
    .await;
    assert_eq!(follower(&instance).await["waiting"], 1, "it waits for Acme's word");
    acme.send_webhooks(&instance);
    instance.until_contact("ada", |answer| answer.status == 404).await;
    until_alike(&acme, &instance).await;
    assert!(theirs(&acme).is_empty());
}

#[tokio::test]
async fn what_acme_never_had_is_not_cleared_here() {
    let (acme, instance) = pair().await;
    order(&instance, "pause").await;
    let made = json!({ "id": "ada", "phone": "here" });
    instance.client().post("/api/contacts", &made).await.expect(201);
    acme.put("ada", json!({ "acme_title": "there" }));
    has(&instance, "title", "there").await;
    hold_webhooks(&acme);
    acme.put("ada", json!({ "acme_title": "new" }));
    order(&instance, "resume").await;
    has(&instance, "title", "new").await;
    acme.send_webhooks(&instance);
    until_alike(&acme, &instance).await;
    assert_eq!(json!(ours(&instance).await["ada"]), json!({ "phone": "here", "title": "new" }));
    // What it had is.
    acme.put("ada", json!({ "acme_phone": null }));
    until_alike(&acme, &instance).await;
    assert_eq!(json!(ours(&instance).await["ada"]), json!({ "title": "new" }));
}
